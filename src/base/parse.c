/* SPDX-License-Identifier: Apache-2.0 */
/* Strict parsing of small texts: the whole string must match, nothing is skipped or guessed. */
#include "parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits at *s; *s is left behind them. */
static int parse_digits(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t value = 0;

	if (*p < '0' || *p > '9') {
		return -EINVAL;
	}
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value)) {
			return -ERANGE;
		}
	}
	*s = p;
	*ret = value;
	return 0;
}

int parse_u64(const char *s, uint64_t *ret)
{
	uint64_t value;
	int r = parse_digits(&s, &value);

	if (r < 0) {
		return r;
	}
	if (*s) {
		return -EINVAL;
	}
	*ret = value;
	return 0;
}

int parse_u32(const char *s, uint32_t *ret)
{
	uint64_t value;
	int r = parse_u64(s, &value);

	if (r < 0) {
		return r;
	}
	if (value > UINT32_MAX) {
		return -ERANGE;
	}
	*ret = (uint32_t)value;
	return 0;
}

struct unit {
	const char *suffix;
	uint64_t factor;
};

static int parse_with_unit(const char *s, const struct unit *units, size_t n_units, uint64_t *ret)
{
	uint64_t value;
	int r = parse_digits(&s, &value);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < n_units; i++) {
		if (strcmp(s, units[i].suffix) == 0) {
			if (__builtin_mul_overflow(value, units[i].factor, &value)) {
				return -ERANGE;
			}
			*ret = value;
			return 0;
		}
	}
	return -EINVAL;
}

int parse_size(const char *s, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "K", UINT64_C(1) << 10 },
		{ "M", UINT64_C(1) << 20 },
		{ "G", UINT64_C(1) << 30 },
		{ "T", UINT64_C(1) << 40 },
	};

	return parse_with_unit(s, units, ARRAY_SIZE(units), ret_bytes);
}

int parse_duration(const char *s, usec_t *ret)
{
	static const struct unit units[] = {
		{ "", USEC_PER_SEC },	      { "s", USEC_PER_SEC },
		{ "ms", USEC_PER_MSEC },      { "m", 60 * USEC_PER_SEC },
		{ "h", 3600 * USEC_PER_SEC }, { "d", 86400 * USEC_PER_SEC },
	};

	return parse_with_unit(s, units, ARRAY_SIZE(units), ret);
}

int parse_bool(const char *s, bool *ret)
{
	static const char *const words[][2] = {
		{ "no", "yes" },
		{ "false", "true" },
		{ "off", "on" },
		{ "0", "1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		for (int value = 0; value < 2; value++) {
			if (strcmp(s, words[i][value]) == 0) {
				*ret = value;
				return 0;
			}
		}
	}
	return -EINVAL;
}

bool name_valid(const char *s)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char more[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strlen(s);

	return len >= 1 && len <= 63 && strchr(first, s[0]) && strspn(s, more) == len;
}

/* One UTF-8 sequence (RFC 3629: shortest form, no surrogates) at p; its length or 0. */
static size_t utf8_decode(const uint8_t *p, uint32_t *ret)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len;
	uint32_t c;

	if (p[0] < 0x80) {
		*ret = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		len = 2;
		c = p[0] & 0x1f;
	} else if ((p[0] & 0xf0) == 0xe0) {
		len = 3;
		c = p[0] & 0x0f;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		len = 4;
		c = p[0] & 0x07;
	} else {
		return 0;
	}
	/* A NUL ends this loop too: never read beyond the string. */
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
		return 0;
	}
	*ret = c;
	return len;
}

/* Controls, and what changes lines or the direction of writing: text in a list must not disguise
 * its neighbours. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

bool text_valid(const char *s, size_t max_bytes)
{
	const uint8_t *p = (const uint8_t *)s;

	if (strnlen(s, max_bytes + 1) > max_bytes) {
		return false;
	}
	while (*p) {
		uint32_t c;
		size_t len = utf8_decode(p, &c);

		if (len == 0 || is_control(c)) {
			return false;
		}
		p += len;
	}
	return true;
}

void hex_encode(const void *p, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = p;

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[in[i] >> 4];
		*out++ = digits[in[i] & 15];
	}
	*out = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	if (c >= 'A' && c <= 'F') {
		return c - 'A' + 10;
	}
	return -1;
}

int hex_decode(const char *s, void *out, size_t out_len)
{
	uint8_t *to = out;

	if (strlen(s) != out_len * 2 || strspn(s, "0123456789abcdefABCDEF") != out_len * 2) {
		return -EINVAL;
	}
	for (size_t i = 0; i < out_len; i++) {
		to[i] = (uint8_t)(hex_digit(s[2 * i]) << 4 | hex_digit(s[2 * i + 1]));
	}
	return 0;
}

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Digits without padding (RFC 4648); returns the end. */
static char *base64_digits_of(const char *digits, const uint8_t *p, size_t len, char *out)
{
	for (; len > 0; p += 3) {
		size_t n = MIN(len, (size_t)3);
		uint32_t word = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) |
				(n > 2 ? p[2] : 0);

		for (size_t i = 0; i <= n; i++) {
			*out++ = digits[word >> (18 - 6 * i) & 63];
		}
		len -= n;
	}
	return out;
}

void base64url_encode(const void *p, size_t len, char *out)
{
	*base64_digits_of(base64url_digits, p, len, out) = '\0';
}

char *base64_encode(const void *p, size_t len)
{
	char *text, *end;

	if (len > SIZE_MAX / 2) {
		return NULL;
	}
	text = malloc((len + 2) / 3 * 4 + 1);
	if (!text) {
		return NULL;
	}
	end = base64_digits_of(base64_digits, p, len, text);
	while ((end - text) % 4) {
		*end++ = '=';
	}
	*end = '\0';
	return text;
}

static int base64_value(char c)
{
	const char *at = c ? strchr(base64_digits, c) : NULL;

	return at ? (int)(at - base64_digits) : -1;
}

int base64_decode(const char *s, size_t s_len, uint8_t **ret, size_t *ret_len)
{
	size_t digits = s_len, len;
	uint32_t word = 0;
	uint8_t *out, *to;

	if (s_len % 4) {
		return -EINVAL;
	}
	while (digits > 0 && s_len - digits < 2 && s[digits - 1] == '=') {
		digits--;
	}
	len = digits / 4 * 3 + (digits % 4 ? digits % 4 - 1 : 0);
	out = to = malloc(len + 1);
	if (!out) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < digits; i++) {
		int value = base64_value(s[i]);

		if (value < 0) {
			free(out);
			return -EINVAL;
		}
		word = word << 6 | (uint32_t)value;
		if (i % 4 != 0) {
			*to++ = (uint8_t)(word >> (6 - 2 * (i % 4)));
		}
	}
	/* The bits that no byte took must be 0, so that every value has one text. */
	if (digits % 4 && (word & (digits % 4 == 2 ? 15 : 3))) {
		free(out);
		return -EINVAL;
	}
	*to = '\0';
	*ret = out;
	*ret_len = len;
	return 0;
}

char *strf(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : text;
}

bool secret_equal(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);
	volatile uint8_t diff = 0;

	if (a_len != b_len) {
		return false;
	}
	for (size_t i = 0; i < a_len; i++) {
		diff |= (uint8_t)(a[i] ^ b[i]);
	}
	return diff == 0;
}
