/* SPDX-License-Identifier: Apache-2.0 */
/* Strict parsing: what is right is read, everything else is refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "test.h"

static void numbers(void **state)
{
	static const char *const wrong[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1.0", "a", "1a" };
	uint64_t v = 77;
	uint32_t w = 77;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(parse_u64(wrong[i], &v), -EINVAL);
		assert_int_equal(parse_u32(wrong[i], &w), -EINVAL);
	}
	assert_int_equal(parse_u64("18446744073709551616", &v), -ERANGE);
	assert_int_equal(parse_u64("99999999999999999999999", &v), -ERANGE);
	assert_int_equal(parse_u32("4294967296", &w), -ERANGE);
	assert_int_equal(v, 77);
	assert_int_equal(w, 77);
	assert_int_equal(parse_u64("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(parse_u64("0", &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(parse_u32("4294967295", &w), 0);
	assert_true(w == UINT32_MAX);
}

static void sizes_and_durations(void **state)
{
	uint64_t v = 77;

	assert_int_equal(parse_size("512", &v), 0);
	assert_int_equal(v, 512);
	assert_int_equal(parse_size("64K", &v), 0);
	assert_int_equal(v, 65536);
	assert_int_equal(parse_size("10M", &v), 0);
	assert_int_equal(v, 10 << 20);
	assert_int_equal(parse_size("1T", &v), 0);
	assert_true(v == UINT64_C(1) << 40);
	assert_int_equal(parse_size("16777216T", &v), -ERANGE);
	assert_int_equal(parse_size("10k", &v), -EINVAL);
	assert_int_equal(parse_size("10KB", &v), -EINVAL);
	assert_int_equal(parse_size("M", &v), -EINVAL);
	assert_int_equal(parse_duration("30", &v), 0);
	assert_true(v == 30 * USEC_PER_SEC);
	assert_int_equal(parse_duration("30s", &v), 0);
	assert_true(v == 30 * USEC_PER_SEC);
	assert_int_equal(parse_duration("500ms", &v), 0);
	assert_int_equal(v, 500000);
	assert_int_equal(parse_duration("15m", &v), 0);
	assert_true(v == 900 * USEC_PER_SEC);
	assert_int_equal(parse_duration("2h", &v), 0);
	assert_true(v == 7200 * USEC_PER_SEC);
	assert_int_equal(parse_duration("1d", &v), 0);
	assert_true(v == 86400 * USEC_PER_SEC);
	assert_int_equal(parse_duration("1w", &v), -EINVAL);
	assert_int_equal(parse_duration("1 s", &v), -EINVAL);
	assert_int_equal(parse_duration("99999999999999d", &v), -ERANGE);
}

static void booleans(void **state)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };
	bool b;

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		b = false;
		assert_int_equal(parse_bool(yes[i], &b), 0);
		assert_true(b);
		assert_int_equal(parse_bool(no[i], &b), 0);
		assert_false(b);
	}
	assert_int_equal(parse_bool("", &b), -EINVAL);
	assert_int_equal(parse_bool("Yes", &b), -EINVAL);
	assert_int_equal(parse_bool("2", &b), -EINVAL);
}

static void names(void **state)
{
	static const char longest[] =
		"a23456789012345678901234567890123456789012345678901234567890123";

	assert_int_equal(strlen(longest), 63);
	assert_true(name_valid("a"));
	assert_true(name_valid("0"));
	assert_true(name_valid("web-1.prod_x"));
	assert_true(name_valid(longest));
	assert_false(
		name_valid("a234567890123456789012345678901234567890123456789012345678901234"));
	assert_false(name_valid(""));
	assert_false(name_valid("A"));
	assert_false(name_valid("-a"));
	assert_false(name_valid(".."));
	assert_false(name_valid("a/b"));
	assert_false(name_valid("a b"));
	assert_false(name_valid("\xc3\xa9"));
}

static void texts(void **state)
{
	static const char *const wrong[] = {
		"\n",
		"a\tb", /* controls */
		"\x1b[2J",
		"\x7f",
		"\xc2\x80",
		"\xc2\x9f", /* C1 */
		"\xe2\x80\xa8",
		"\xe2\x80\xae", /* line separator, right to left */
		"\xe2\x81\xa6",
		"\x80",
		"\xff", /* not UTF-8 */
		"\xc0\x80",
		"\xc1\xbf", /* longer than needed */
		"\xe0\x80\xaf",
		"\xf0\x80\x80\xaf",
		"\xed\xa0\x80", /* half of a surrogate pair */
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", /* beyond Unicode */
		"\xc3",
		"\xe2\x82", /* cut */
		"\xf0\x9d\x84",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		/* Exactly as large as it is, so that a sanitizer sees a read beyond. */
		char *copy = strdup(wrong[i]);

		assert_non_null(copy);
		if (text_valid(copy, 100)) {
			fail_msg("taken: number %zu", i);
		}
		free(copy);
	}
	assert_true(text_valid("", 0));
	assert_true(text_valid("Gr\xc3\xbc\xc3\x9f Gott, \xe8\xaa\x9e \xf0\x9d\x84\x9e!", 100));
	assert_true(text_valid("abc", 3));
	assert_false(text_valid("abcd", 3));
	assert_true(text_valid("\xed\x9f\xbf", 3));
	assert_true(text_valid("\xf4\x8f\xbf\xbf", 4));
}

static void hex(void **state)
{
	uint8_t bytes[4];
	char text[9];

	hex_encode("\x00\x1f\xa0\xff", 4, text);
	assert_string_equal(text, "001fa0ff");
	assert_int_equal(hex_decode("001fA0Ff", bytes, 4), 0);
	assert_memory_equal(bytes, "\x00\x1f\xa0\xff", 4);
	assert_int_equal(hex_decode("001fa0f", bytes, 4), -EINVAL);
	assert_int_equal(hex_decode("001fa0ff0", bytes, 4), -EINVAL);
	assert_int_equal(hex_decode("001fa0fg", bytes, 4), -EINVAL);
	assert_int_equal(hex_decode("", bytes, 0), 0);
}

/* The vectors of RFC 4648 §10. */
static const struct {
	const char *plain, *coded;
} vectors[] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
	{ "\xfb\xff", "+/8=" },
};

static void base64(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		char *text = base64_encode(vectors[i].plain, strlen(vectors[i].plain));
		uint8_t *bytes;
		size_t len;

		assert_non_null(text);
		assert_string_equal(text, vectors[i].coded);
		assert_int_equal(base64_decode(text, strlen(text), &bytes, &len), 0);
		assert_int_equal(len, strlen(vectors[i].plain));
		assert_memory_equal(bytes, vectors[i].plain, len);
		free(bytes);
		free(text);
	}
}

static void base64_refuses(void **state)
{
	static const char *const wrong[] = { "Zg",   "Zg=",    "Z===", "====", "Zg==Zg==", "Zh==",
					     "Zm9=", "Zm9v\n", "Zm-v", "Zm 9", "=Zg=",	   "Zg=g" };
	uint8_t *bytes;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (base64_decode(wrong[i], strlen(wrong[i]), &bytes, &len) != -EINVAL) {
			fail_msg("taken: %s", wrong[i]);
		}
	}
	assert_int_equal(base64_decode("Zg\0=", 4, &bytes, &len), -EINVAL);
}

static void base64url(void **state)
{
	char text[9];

	base64url_encode("\xfb\xff", 2, text);
	assert_string_equal(text, "-_8");
	base64url_encode("foobar", 6, text);
	assert_string_equal(text, "Zm9vYmFy");
	base64url_encode("", 0, text);
	assert_string_equal(text, "");
}

static void secrets(void **state)
{
	assert_true(secret_equal("", ""));
	assert_true(secret_equal("abc", "abc"));
	assert_false(secret_equal("abc", "abd"));
	assert_false(secret_equal("abc", "abcd"));
	assert_false(secret_equal("abc", ""));
}

static void formats(void **state)
{
	char *text = strf("%d %s", 1, "a");

	assert_non_null(text);
	assert_string_equal(text, "1 a");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),   cmocka_unit_test(sizes_and_durations),
		cmocka_unit_test(booleans),  cmocka_unit_test(names),
		cmocka_unit_test(texts),     cmocka_unit_test(hex),
		cmocka_unit_test(base64),    cmocka_unit_test(base64_refuses),
		cmocka_unit_test(base64url), cmocka_unit_test(secrets),
		cmocka_unit_test(formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
