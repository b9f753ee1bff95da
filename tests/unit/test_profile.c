/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks gathered in a tree, and the picture of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"
#include "test.h"

static struct profile *some(void)
{
	static const char *const a[] = { "bash", "main", "read" }, *const b[] = { "bash", "main" },
				 *const c[] = { "init", "loop", "loop", "loop" };
	struct profile *p;

	assert_int_equal(profile_new(&p), 0);
	assert_int_equal(profile_add(p, a, 3), 0);
	assert_int_equal(profile_add(p, a, 3), 0);
	assert_int_equal(profile_add(p, b, 2), 0);
	assert_int_equal(profile_add(p, c, 4), 0);
	return p;
}

static void lines(void **state)
{
	struct profile *p = some();
	struct profile_line l[8];

	(void)state;
	assert_true(profile_samples(p) == 4);
	assert_int_equal(profile_lines(p, l, 8), 5);
	assert_string_equal(l[0].name, "read");
	assert_true(l[0].self == 2 && l[0].total == 2);
	assert_string_equal(l[1].name, "main");
	assert_true(l[1].self == 1 && l[1].total == 3);
	assert_string_equal(l[2].name, "loop");
	assert_true(l[2].self == 1 && l[2].total == 1); /* not three */
	assert_string_equal(l[3].name, "bash");
	assert_int_equal(profile_lines(p, l, 2), 2);
	profile_free(p);
}

static void count(const char *const *names, size_t n, uint64_t samples, void *user)
{
	uint64_t *sum = user;

	assert_true(n >= 2 && names[0][0]);
	*sum += samples;
}

static void stacks(void **state)
{
	struct profile *p = some();
	uint64_t sum = 0;

	(void)state;
	profile_each(p, count, &sum);
	assert_true(sum == 4);
	profile_free(p);
}

/* More of everything than there is room for. */
static void bounds(void **state)
{
	const char *deep[PROFILE_DEPTH_MAX * 2], *one[1];
	char name[16];
	struct profile *p;
	int r = 0;

	(void)state;
	assert_int_equal(profile_new(&p), 0);
	for (size_t i = 0; i < ARRAY_SIZE(deep); i++) {
		deep[i] = "f";
	}
	assert_int_equal(profile_add(p, deep, ARRAY_SIZE(deep)), 0);
	one[0] = name;
	for (int i = 0; r == 0 && i < 4 * 1024; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		r = profile_add(p, one, 1);
	}
	assert_int_equal(r, 0);
	assert_true(profile_samples(p) == 1 + 4 * 1024);
	profile_free(p);
}

static void picture(void **state)
{
	static const char *const hostile[] = { "a</title><script>\"&\x1b", "b" };
	struct profile *p = some();
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_int_equal(profile_add(p, hostile, 2), 0);
	profile_svg(p, out, "t<itle");
	fclose(out);
	assert_non_null(strstr(text, "t&lt;itle"));
	assert_null(strstr(text, "<script>"));
	assert_null(strchr(text, '\x1b'));
	assert_non_null(strstr(text, "main: 3 of 5 samples, 60.0%"));
	assert_non_null(strstr(text, "</svg>"));
	free(text);
	profile_free(p);
	assert_int_equal(profile_new(&p), 0);
	out = open_memstream(&text, &len);
	profile_svg(p, out, "nothing");
	fclose(out);
	assert_non_null(strstr(text, "</svg>"));
	free(text);
	profile_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(lines), cmocka_unit_test(stacks),
					    cmocka_unit_test(bounds), cmocka_unit_test(picture) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
