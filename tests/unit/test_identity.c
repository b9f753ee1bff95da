/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens to principals. */
#include "identity.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"

static struct fault fault;

struct fixture {
	struct store *store;
	struct identity *identity;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(store_open_sqlite(":memory:", &f->store, &fault), 0);
	assert_int_equal(identity_local_new(f->store, &f->identity), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	identity_free(f->identity);
	store_close(f->store);
	free(f);
	return 0;
}

static void test_bootstrap(void **state)
{
	struct fixture *f = *state;
	char token[LOCAL_TOKEN_MAX];
	struct principal p;
	_cleanup_free_ char *projects = NULL;

	assert_int_equal(local_bootstrap(f->store, token, &fault), 0);
	assert_int_equal(local_bootstrap(f->store, token, &fault), -EEXIST);
	assert_int_equal(identity_authenticate(f->identity, token, &p, &fault), 0);
	assert_string_equal(p.user_name, "admin");
	assert_int_equal(p.rights, RIGHTS_ALL);
	assert_int_equal(p.n_projects, 1);
	assert_string_equal(p.projects[0].name, "default");
	assert_int_equal(principal_projects(&p, RIGHT_VIEW, &projects), 0);
	assert_null(projects);
}

static void refused(struct fixture *f, const char *token)
{
	struct principal p;

	assert_int_equal(identity_authenticate(f->identity, token, &p, &fault), -EREMOTEIO);
	assert_int_equal(fault.code, FAULT_UNAUTHENTICATED);
}

static void test_wrong_tokens(void **state)
{
	struct fixture *f = *state;
	char token[LOCAL_TOKEN_MAX], longest[2 * TOKEN_BYTES_MAX];

	assert_int_equal(local_bootstrap(f->store, token, &fault), 0);
	refused(f, "");
	refused(f, "dvm_");
	refused(f, "Bearer x");
	token[10] = token[10] == 'A' ? 'B' : 'A';
	refused(f, token);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	refused(f, longest);
}

static void test_rights_are_cut(void **state)
{
	struct fixture *f = *state;
	struct user_row user = { .id = "u-bob", .name = "bob" };
	struct project_row project = { .id = "p-demo", .name = "demo" };
	struct member_row member = { .project = "p-demo",
				     .user = "u-bob",
				     .rights = RIGHT_VIEW | RIGHT_DEBUG };
	struct token_row row;
	struct principal p;
	char token[LOCAL_TOKEN_MAX];
	_cleanup_free_ char *views = NULL, *debugs = NULL;

	assert_int_equal(store_user_add(f->store, &user, &fault), 0);
	assert_int_equal(store_project_add(f->store, &project, &fault), 0);
	assert_int_equal(store_member_set(f->store, &member, &fault), 0);
	assert_int_equal(local_token_create(f->store, "bob", "laptop", RIGHT_VIEW | RIGHT_POWER, 0,
					    &row, token, &fault),
			 0);
	assert_int_equal(identity_authenticate(f->identity, token, &p, &fault), 0);
	assert_int_equal(p.rights, 0);
	assert_int_equal(principal_rights(&p, "p-demo"), RIGHT_VIEW);
	assert_int_equal(principal_rights(&p, "p-other"), 0);
	assert_int_equal(principal_projects(&p, RIGHT_VIEW, &views), 0);
	assert_string_equal(views, ",p-demo,");
	assert_int_equal(principal_projects(&p, RIGHT_DEBUG, &debugs), 0);
	assert_string_equal(debugs, ",");
}

static void test_expiry_and_revocation(void **state)
{
	struct fixture *f = *state;
	struct user_row user = { .id = "u-bob", .name = "bob" };
	struct token_row old, revoked;
	struct principal p;
	char token[LOCAL_TOKEN_MAX];

	assert_int_equal(store_user_add(f->store, &user, &fault), 0);
	assert_int_equal(local_token_create(f->store, "bob", "old", RIGHTS_ALL,
					    clock_realtime() - 1, &old, token, &fault),
			 0);
	refused(f, token);
	assert_int_equal(
		local_token_create(f->store, "bob", "lost", RIGHTS_ALL, 0, &revoked, token, &fault),
		0);
	assert_int_equal(identity_authenticate(f->identity, token, &p, &fault), 0);
	revoked.revoked = true;
	assert_int_equal(store_token_update(f->store, &revoked, &fault), 0);
	refused(f, token);
	/* the token is nowhere in the record */
	assert_null(strstr(revoked.hash, token));
	assert_int_equal(local_token_create(f->store, "nobody", "x", 0, 0, &old, token, &fault),
			 -ENOENT);
}

static void test_right_names(void **state)
{
	json_t *names = rights_to_json(RIGHT_VIEW | RIGHT_DISK_WRITE);

	assert_int_equal(json_array_size(names), 2);
	assert_string_equal(json_string_value(json_array_get(names, 1)), "disk-write");
	assert_string_equal(right_name(RIGHT_ADMIN), "admin");
	for (unsigned i = 0; i < RIGHTS_COUNT; i++) {
		assert_string_equal(right_name(1 << i), right_names[i]);
	}
	json_decref(names);
}

int main(void)
{
#define IDENTITY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		IDENTITY_TEST(test_bootstrap),	    IDENTITY_TEST(test_wrong_tokens),
		IDENTITY_TEST(test_rights_are_cut), IDENTITY_TEST(test_expiry_and_revocation),
		cmocka_unit_test(test_right_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
