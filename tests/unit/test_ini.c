/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files: every key with its line, every mistake with its line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ini.h"
#include "test.h"

static int collect(const char *section, const char *key, const char *value, unsigned line,
		   void *user, struct fault *fault)
{
	char *all = user;

	if (strcmp(key, "bad") == 0) {
		return fault_set(fault, FAULT_UNKNOWN_FIELD, "line %u: unknown key", line);
	}
	sprintf(all + strlen(all), "%u[%s]%s=%s;", line, section, key, value);
	return 0;
}

static int parse(const char *text, char *all, struct fault *f)
{
	all[0] = '\0';
	return ini_parse_text(text, strlen(text), collect, all, f);
}

static void reads_sections_and_keys(void **state)
{
	struct fault f = { 0 };
	char all[512];

	assert_int_equal(parse("# comment \x01\n"
			       "top = 1\n"
			       "\n"
			       " [ gate ] \r\n"
			       "listen=0.0.0.0:8443\n"
			       "\tname =  a = b # c \t\n"
			       "empty =\n"
			       "[b.c]\n"
			       "k_1 = \xc3\xa9",
			       all, &f),
			 0);
	assert_string_equal(all, "2[]top=1;5[gate]listen=0.0.0.0:8443;6[gate]name=a = b # c;"
				 "7[gate]empty=;9[b.c]k_1=\xc3\xa9;");
	assert_int_equal(parse("", all, &f), 0);
	assert_int_equal(f.code, FAULT_NONE);
}

static void names_the_line_of_a_mistake(void **state)
{
	static const char *const texts[] = {
		"a=1\nno equals sign\n", "a=1\n[open\n",    "a=1\n[]\n",
		"a=1\n[a b]\n",		 "a=1\n= value\n",  "a=1\nb c = 1\n",
		"a=1\nk = \x1b[0m\n",	 "a=1\nk = \xff\n", "a=1\nbad = 1\n",
	};
	struct fault f;
	char all[512];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		f = (struct fault){ 0 };
		assert_int_equal(parse(texts[i], all, &f), -EREMOTEIO);
		assert_non_null(strstr(f.message, "line 2: "));
		assert_string_equal(all, "1[]a=1;");
	}
	assert_int_equal(ini_parse_text("k = a\0b", 7, collect, all, &f), -EREMOTEIO);
	assert_int_equal(parse("[", all, NULL), -EREMOTEIO);
}

static void lines_have_a_limit(void **state)
{
	static char line[5000];
	struct fault f = { 0 };
	char all[512] = "";

	memset(line, ' ', sizeof(line));
	memcpy(line, "k = v", 5);
	assert_int_equal(ini_parse_text(line, 4096, collect, all, &f), 0);
	assert_string_equal(all, "1[]k=v;");
	assert_int_equal(ini_parse_text(line, 4097, collect, all, &f), -EREMOTEIO);
}

static void a_missing_file_is_no_fault(void **state)
{
	struct fault f = { 0 };
	char all[16];

	assert_int_equal(ini_parse_file("/nonexistent/dvm.ini", collect, all, &f), -ENOENT);
	assert_int_equal(f.code, FAULT_NONE);
	assert_int_equal(ini_parse_file("/", collect, all, &f), -EREMOTEIO);
	assert_int_equal(f.code, FAULT_INTERNAL);
	assert_null(strchr(f.message, '/'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_sections_and_keys),
		cmocka_unit_test(names_the_line_of_a_mistake),
		cmocka_unit_test(lines_have_a_limit),
		cmocka_unit_test(a_missing_file_is_no_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
