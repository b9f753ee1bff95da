/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies and queries by table: what is taken, and the fault for everything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api_fields.h"
#include "rights.h"

static int parse(const char *text, size_t len, const struct field *table, void *out, json_t **ret,
		 struct fault *fault)
{
	int r = fields_parse_body(text, len, ret, fault);

	return r < 0 ? r : fields_from_json(table, *ret, out, fault);
}

static void expect_fault(const char *text, size_t len, const struct field *table,
			 enum fault_code code, const char *named)
{
	union api_body out = { 0 };
	struct fault fault = { 0 };
	json_t *json = NULL;

	assert_true(parse(text, len, table, &out, &json, &fault) < 0);
	assert_string_equal(fault_code_name(fault.code), fault_code_name(code));
	assert_true(fault.hint[0] != '\0');
	if (named && !strstr(fault.message, named)) {
		fail_msg("\"%s\" does not name %s", fault.message, named);
	}
	json_decref(json);
}
#define EXPECT(text, table, code, named) expect_fault(text, strlen(text), table, code, named)

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me"

static void test_session_start(void **state)
{
	static const char text[] = "{\"targets\":[\"a\",\"demo/b\"],\"stacks\":[\"disk\"],"
				   "\"attach\":[\"disk\"],\"ssh_key\":\"" KEY "\","
				   "\"lease_s\":60,\"image\":\"debug\",\"placement\":\"other\"}";
	struct body_session_start out = { 0 };
	struct fault fault;
	json_t *json = NULL;

	assert_int_equal(parse(text, strlen(text), session_start_fields, &out, &json, &fault), 0);
	assert_int_equal(out.targets.n, 2);
	assert_string_equal(out.targets.items[1], "demo/b");
	assert_int_equal(out.stacks.n, 1);
	assert_int_equal(out.attach, 1 << 1);
	assert_string_equal(out.ssh_key, KEY);
	assert_int_equal(out.lease_s, 60);
	assert_string_equal(api_placements[out.placement], "other");
	json_decref(json);
}

static void test_bad_json(void **state)
{
	const struct field *t = vm_action_fields;
	char deep[8000];

	EXPECT("", t, FAULT_BAD_JSON, NULL);
	EXPECT("{", t, FAULT_BAD_JSON, "line 1");
	EXPECT("[]", t, FAULT_BAD_JSON, "object");
	EXPECT("null", t, FAULT_BAD_JSON, NULL);
	EXPECT("{\"action\":\"on\"} x", t, FAULT_BAD_JSON, NULL);
	EXPECT("{\"action\":\"on\",\"action\":\"off\"}", t, FAULT_BAD_JSON, "twice");
	EXPECT("{\"action\":\"\xff\"}", t, FAULT_BAD_JSON, NULL);
	EXPECT("{\"action\":\"\\u0000\"}", t, FAULT_BAD_JSON, NULL);
	EXPECT("{\"action\":1e999}", t, FAULT_BAD_JSON, NULL);
	EXPECT("{\"action\":99999999999999999999}", t, FAULT_BAD_JSON, NULL);
	expect_fault("{\"action\":\"on\0\"}", 16, t, FAULT_BAD_JSON, NULL);
	expect_fault("{\"action\":\"on\"}\0", 16, t, FAULT_BAD_JSON, NULL);
	memset(deep, '[', sizeof(deep));
	expect_fault(deep, sizeof(deep), t, FAULT_BAD_JSON, NULL);
}

static void test_unknown(void **state)
{
	EXPECT("{\"action\":\"on\",\"acton\":1}", vm_action_fields, FAULT_UNKNOWN_FIELD, "`acton`");
	EXPECT("{\"action\":\"on\",\"\":1}", vm_action_fields, FAULT_UNKNOWN_FIELD, "``");
	EXPECT("{\"\\u001b[2J\":1}", vm_action_fields, FAULT_UNKNOWN_FIELD, "`…`");
}

static void test_bad_value(void **state)
{
	EXPECT("{}", vm_action_fields, FAULT_BAD_VALUE, "`action` is missing");
	EXPECT("{\"action\":null}", vm_action_fields, FAULT_BAD_VALUE, "`action`");
	EXPECT("{\"action\":1}", vm_action_fields, FAULT_BAD_VALUE, "`action`");
	EXPECT("{\"action\":\"explode\"}", vm_action_fields, FAULT_BAD_VALUE, "on, off");
	EXPECT("{\"lease_s\":0}", session_renew_fields, FAULT_BAD_VALUE, "`lease_s`");
	EXPECT("{\"lease_s\":604801}", session_renew_fields, FAULT_BAD_VALUE, "604800");
	EXPECT("{\"lease_s\":60.5}", session_renew_fields, FAULT_BAD_VALUE, "whole number");
	EXPECT("{\"lease_s\":\"60\"}", session_renew_fields, FAULT_BAD_VALUE, "`lease_s`");
	EXPECT("{\"lease_s\":true}", session_renew_fields, FAULT_BAD_VALUE, "`lease_s`");
	EXPECT("{\"kind\":\"console\",\"raw\":1}", vm_stream_open_fields, FAULT_BAD_VALUE, "`raw`");
	EXPECT("{\"kind\":\"ssh\"}", vm_stream_open_fields, FAULT_BAD_VALUE, "`kind`");
	EXPECT("{\"name\":\"UPPER\"}", user_make_fields, FAULT_BAD_VALUE, "`name`");
	EXPECT("{\"name\":\"\"}", user_make_fields, FAULT_BAD_VALUE, "`name`");
	EXPECT("{\"domain\":\"\"}", vm_adopt_fields, FAULT_BAD_VALUE, "`domain`");
	EXPECT("{\"domain\":\"a\\nb\"}", vm_adopt_fields, FAULT_BAD_VALUE, "control");
}

static void test_bad_lists(void **state)
{
#define WITH(targets) "{\"ssh_key\":\"" KEY "\",\"targets\":" targets "}"
	const struct field *t = session_start_fields;

	EXPECT(WITH("[]"), t, FAULT_BAD_VALUE, "`targets`");
	EXPECT(WITH("\"a\""), t, FAULT_BAD_VALUE, "`targets`");
	EXPECT(WITH("[1]"), t, FAULT_BAD_VALUE, "`targets`");
	EXPECT(WITH("[\"\"]"), t, FAULT_BAD_VALUE, "`targets`");
	EXPECT(WITH("[[\"a\"]]"), t, FAULT_BAD_VALUE, "`targets`");
	EXPECT(WITH("[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]"), t, FAULT_BAD_VALUE,
	       "1 to 8");
	EXPECT(WITH("[\"a\"],\"attach\":[\"spice\"]"), t, FAULT_BAD_VALUE, "`attach`");
	EXPECT(WITH("[\"a\"],\"attach\":[\"disk\",\"disk\"]"), t, FAULT_BAD_VALUE, "repetition");
	EXPECT(WITH("[\"a\"],\"stacks\":[\"No Such\"]"), t, FAULT_BAD_VALUE, "`stacks`");
#undef WITH
}

/* Lengths count characters, as the API description does. */
static void test_characters(void **state)
{
	char text[1200], name[800] = "";
	struct body_vm_adopt out = { 0 };
	struct fault fault;
	json_t *json = NULL;

	for (int i = 0; i < 255; i++) {
		strcat(name, "é");
	}
	snprintf(text, sizeof(text), "{\"domain\":\"%s\"}", name);
	assert_int_equal(parse(text, strlen(text), vm_adopt_fields, &out, &json, &fault), 0);
	json_decref(json);
	snprintf(text, sizeof(text), "{\"domain\":\"%sé\"}", name);
	EXPECT(text, vm_adopt_fields, FAULT_BAD_VALUE, "255");
}

static int query(const char *target, const struct field *table, struct api_query *out,
		 struct http_target *t, struct fault *fault)
{
	assert_int_equal(http_target_parse(target, t, fault), 0);
	return fields_from_query(table, t, out, fault);
}

static void expect_query_fault(const char *target, const struct field *table, enum fault_code code)
{
	struct api_query out = { 0 };
	struct http_target t;
	struct fault fault;

	assert_true(query(target, table, &out, &t, &fault) < 0);
	assert_string_equal(fault_code_name(fault.code), fault_code_name(code));
	http_target_fini(&t);
}

static void test_query(void **state)
{
	struct api_query out = { 0 };
	struct http_target t;
	struct fault fault;

	assert_int_equal(query("/v1/sessions?project=demo&limit=5&after=s-1&all=true",
			       session_list_query, &out, &t, &fault),
			 0);
	assert_string_equal(out.project, "demo");
	assert_int_equal(out.limit, 5);
	assert_string_equal(out.after, "s-1");
	assert_true(out.all);
	http_target_fini(&t);

	expect_query_fault("/?limit=0", page_query, FAULT_BAD_VALUE);
	expect_query_fault("/?limit=201", page_query, FAULT_BAD_VALUE);
	expect_query_fault("/?limit=-1", page_query, FAULT_BAD_VALUE);
	expect_query_fault("/?limit=", page_query, FAULT_BAD_VALUE);
	expect_query_fault("/?limit=99999999999999999999", page_query, FAULT_BAD_VALUE);
	expect_query_fault("/?limit=5&limit=6", page_query, FAULT_BAD_VALUE);
	expect_query_fault("/?after=x", seq_query, FAULT_BAD_VALUE);
	expect_query_fault("/?after=18446744073709551615", seq_query, FAULT_BAD_VALUE);
	expect_query_fault("/?all=yes", session_list_query, FAULT_BAD_VALUE);
	expect_query_fault("/?project=A+B", vm_list_query, FAULT_BAD_VALUE);
	expect_query_fault("/?limits=5", page_query, FAULT_UNKNOWN_FIELD);
	expect_query_fault("/?x", no_query, FAULT_UNKNOWN_FIELD);
}

/* The tables stand in the order of the enums that their indexes are used as. */
static void test_names(void **state)
{
	for (const struct field *f = member_set_fields; f->name; f++) {
		unsigned bit = 0;

		for (const char *const *c = f->choices; *c; c++) {
			assert_string_equal(*c, right_name((enum right)(1u << bit++)));
		}
		assert_int_equal(bit, RIGHTS_COUNT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_start), cmocka_unit_test(test_bad_json),
		cmocka_unit_test(test_unknown),	      cmocka_unit_test(test_bad_value),
		cmocka_unit_test(test_bad_lists),     cmocka_unit_test(test_characters),
		cmocka_unit_test(test_query),	      cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
