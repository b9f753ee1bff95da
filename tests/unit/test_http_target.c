/* SPDX-License-Identifier: Apache-2.0 */
/* Paths, queries, ranges and routes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http_range.h"
#include "http_target.h"
#include "problem.h"
#include "router.h"

/* A small API of this test's own, instead of the one of api_routes.c. */
const struct api_route api_routes[] = {
	{ .method = "GET", .path = "/v1/vms" },
	{ .method = "POST", .path = "/v1/vms" },
	{ .method = "GET", .path = "/v1/vms/{vm}" },
	{ .method = "PUT", .path = "/v1/projects/{project}/members/{user}" },
};
const size_t api_n_routes = ARRAY_SIZE(api_routes);

static void test_target(void **state)
{
	struct http_target t;
	struct fault fault;

	assert_int_equal(http_target_parse("/v1/vms/a%2Fb?x=1%262&y=a+b&z&&", &t, &fault), 0);
	assert_int_equal(t.n_segments, 3);
	assert_string_equal(t.segments[2], "a/b");
	assert_int_equal(t.n_query, 3);
	assert_string_equal(t.query[0].value, "1&2");
	assert_string_equal(t.query[1].value, "a b");
	assert_string_equal(t.query[2].name, "z");
	assert_string_equal(t.query[2].value, "");
	http_target_fini(&t);
}

static void test_bad_target(void **state)
{
	static const char *const bad[] = {
		"",
		"*",
		"v1",
		"http://x/",
		"/%",
		"/%4",
		"/%zz",
		"/%00",
		"/a%0ab",
		"/%ff",
		"/?a=%ff",
		"/?%00=1",
		"/\xc3",
		"/1/2/3/4/5/6/7/8/9",
		"/?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17",
	};
	char longest[HTTP_TARGET_MAX + 2];
	struct http_target t;
	struct fault fault;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(http_target_parse(bad[i], &t, &fault) < 0);
		assert_int_equal(fault.code, FAULT_BAD_REQUEST);
	}
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	assert_true(http_target_parse(longest, &t, &fault) < 0);
}

static const struct api_route *route(const char *method, const char *target, char *param,
				     char allow[ROUTER_ALLOW_MAX])
{
	const char *params[API_PARAMS_MAX] = { 0 };
	const struct api_route *found;
	struct http_target t;
	struct fault fault;

	assert_int_equal(http_target_parse(target, &t, &fault), 0);
	found = router_find(method, &t, params, allow);
	strcpy(param, params[0] ? params[0] : "");
	http_target_fini(&t);
	return found;
}

static void test_router(void **state)
{
	char allow[ROUTER_ALLOW_MAX], param[64];

	assert_ptr_equal(route("GET", "/v1/vms", param, allow), &api_routes[0]);
	assert_ptr_equal(route("HEAD", "/v1/vms", param, allow), &api_routes[0]);
	assert_ptr_equal(route("POST", "/v1/vms?x=y", param, allow), &api_routes[1]);
	assert_ptr_equal(route("GET", "/v1/vms/patient", param, allow), &api_routes[2]);
	assert_string_equal(param, "patient");
	assert_ptr_equal(route("PUT", "/v1/projects/p/members/u", param, allow), &api_routes[3]);
	assert_null(route("DELETE", "/v1/vms", param, allow));
	assert_string_equal(allow, "GET, HEAD, POST, OPTIONS");
	assert_null(route("OPTIONS", "/v1/vms/x", param, allow));
	assert_string_equal(allow, "GET, HEAD, OPTIONS");
}

static void test_no_route(void **state)
{
	static const char *const nowhere[] = {
		"/",
		"/v1",
		"/v1/",
		"/v1/vms/",
		"//v1/vms",
		"/v1//vms",
		"/V1/vms",
		"/v1/vmss",
		"/v1/vm",
		"/v1/vms/a/b",
		"/v1/vms/a/",
		"/v1/projects/p/members/",
		"/v1/projects//members/u",
	};
	char allow[ROUTER_ALLOW_MAX], param[64];

	for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++) {
		assert_null(route("GET", nowhere[i], param, allow));
		assert_string_equal(allow, "");
	}
}

static void expect_range(const char *value, uint64_t size, int result, uint64_t first, uint64_t end)
{
	uint64_t got_first = 0, got_end = 0;

	assert_int_equal(http_range_parse(value, size, &got_first, &got_end), result);
	assert_int_equal(got_first, first);
	assert_int_equal(got_end, end);
}

static void test_range(void **state)
{
	expect_range("bytes=0-", 10, 1, 0, 10);
	expect_range("bytes=3-5", 10, 1, 3, 6);
	expect_range("bytes=9-9", 10, 1, 9, 10);
	expect_range("bytes=5-100", 10, 1, 5, 10);
	expect_range("bytes=5-18446744073709551615", 10, 1, 5, 10);
	expect_range("bytes=-3", 10, 1, 7, 10);
	expect_range("bytes=-30", 10, 1, 0, 10);
	expect_range("bytes=10-", 10, -ERANGE, 0, 0);
	expect_range("bytes=-0", 10, -ERANGE, 0, 0);
	expect_range("bytes=0-", 0, -ERANGE, 0, 0);
	expect_range("bytes=-1", 0, -ERANGE, 0, 0);
	/* ignored */
	expect_range(NULL, 10, 0, 0, 0);
	expect_range("bytes=5-3", 10, 0, 0, 0);
	expect_range("bytes=1-2,4-5", 10, 0, 0, 0);
	expect_range("bytes=", 10, 0, 0, 0);
	expect_range("bytes=-", 10, 0, 0, 0);
	expect_range("bytes=a-b", 10, 0, 0, 0);
	expect_range("lines=1-2", 10, 0, 0, 0);
	expect_range("bytes=99999999999999999999-", 10, 0, 0, 0);
}

/* Whatever a text holds, there is an answer. */
static void test_problem(void **state)
{
	struct fault fault = { 0 };
	json_t *problem;

	fault_set(&fault, FAULT_BAD_VALUE, "half a character: %c", 0xc3);
	problem = problem_json(&fault, 422);
	assert_non_null(problem);
	assert_string_equal(json_string_value(json_object_get(problem, "code")), "bad-value");
	assert_int_equal(json_integer_value(json_object_get(problem, "status")), 422);
	assert_true(json_string_length(json_object_get(problem, "detail")) > 0);
	assert_true(json_string_length(json_object_get(problem, "hint")) > 0);
	json_decref(problem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target), cmocka_unit_test(test_bad_target),
		cmocka_unit_test(test_router), cmocka_unit_test(test_no_route),
		cmocka_unit_test(test_range),  cmocka_unit_test(test_problem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
