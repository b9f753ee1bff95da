/* SPDX-License-Identifier: Apache-2.0 */
/* SSH public keys: real ones of each type, and what is wrong with others. */
#include "ssh_pubkey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "parse.h"
#include "test.h"

#define ED25519 "AAAAC3NzaC1lZDI1NTE5AAAAICWQ8MqJ9RRVUVGNwRXgkgHLJzXGZIgP5TuY3Hu2A0ZM"

static struct ssh_pubkey key;
static struct fault fault;

static int parse(const char *line)
{
	return ssh_pubkey_parse(line, &key, &fault);
}

static void put(uint8_t *blob, size_t *io_len, const void *p, size_t len)
{
	uint8_t head[4] = { 0, 0, (uint8_t)(len >> 8), (uint8_t)len };

	memcpy(blob + *io_len, head, 4);
	memcpy(blob + *io_len + 4, p, len);
	*io_len += 4 + len;
}

/* "TYPE BASE64" of a blob whose first string is `inner`. */
static char *line_of(const char *type, const uint8_t *blob, size_t len)
{
	_cleanup_free_ char *text = base64_encode(blob, len);

	return strf("%s %s", type, text);
}

/* RSA with e = 65537 and a modulus of that many bits. */
static char *rsa(unsigned bits)
{
	static uint8_t blob[8192], number[8192];
	size_t len = 0, bytes = (bits + 7) / 8;

	put(blob, &len, "ssh-rsa", 7);
	put(blob, &len, "\1\0\1", 3);
	memset(number, 0x5a, sizeof(number));
	number[0] = 0;
	number[1] = (uint8_t)(0xff >> (bytes * 8 - bits));
	if (number[1] & 0x80) {
		put(blob, &len, number, bytes + 1);
	} else {
		put(blob, &len, number + 1, bytes);
	}
	return line_of("ssh-rsa", blob, len);
}

static char *ecdsa(const char *type, const char *curve, size_t point, uint8_t form, const char *app)
{
	static uint8_t blob[1024], q[256];
	size_t len = 0;

	q[0] = form;
	put(blob, &len, type, strlen(type));
	put(blob, &len, curve, strlen(curve));
	put(blob, &len, q, point);
	if (app) {
		put(blob, &len, app, strlen(app));
	}
	return line_of(type, blob, len);
}

static void takes_good_keys(void **state)
{
	static const struct {
		const char *type, *curve, *app;
		size_t point;
		unsigned bits;
	} curves[] = {
		{ "ecdsa-sha2-nistp256", "nistp256", NULL, 65, 256 },
		{ "ecdsa-sha2-nistp384", "nistp384", NULL, 97, 384 },
		{ "ecdsa-sha2-nistp521", "nistp521", NULL, 133, 521 },
		{ "sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", "ssh:", 65, 256 },
	};

	assert_int_equal(parse("ssh-ed25519 " ED25519 " alice@laptop of hers"), 0);
	assert_string_equal(key.type, "ssh-ed25519");
	assert_string_equal(key.text, ED25519);
	assert_string_equal(key.comment, "alice@laptop of hers");
	assert_int_equal(key.blob_len, 51);
	assert_int_equal(parse("ssh-ed25519 " ED25519), 0);
	assert_string_equal(key.comment, "");
	for (size_t i = 0; i < ARRAY_SIZE(curves); i++) {
		_cleanup_free_ char *line =
			ecdsa(curves[i].type, curves[i].curve, curves[i].point, 4, curves[i].app);

		assert_int_equal(parse(line), 0);
		assert_int_equal(key.bits, curves[i].bits);
	}
	for (unsigned bits = 2048; bits <= 16384; bits *= 2) {
		_cleanup_free_ char *line = rsa(bits);

		assert_int_equal(parse(line), 0);
		assert_int_equal(key.bits, bits);
	}
}

static void refuses_weak_and_strange_ones(void **state)
{
	const unsigned sizes[] = { 1024, 2047, 16385 };
	_cleanup_free_ char *compressed = ecdsa("ecdsa-sha2-nistp256", "nistp256", 65, 2, NULL);
	_cleanup_free_ char *other_curve = ecdsa("ecdsa-sha2-nistp256", "nistp384", 65, 4, NULL);
	_cleanup_free_ char *shorter = ecdsa("ecdsa-sha2-nistp384", "nistp384", 65, 4, NULL);
	_cleanup_free_ char *no_app =
		ecdsa("sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", 65, 4, NULL);
	_cleanup_free_ char *app = ecdsa("ecdsa-sha2-nistp256", "nistp256", 65, 4, "ssh:");
	const char *const lines[] = {
		"",
		"ssh-ed25519",
		"ssh-ed25519 ",
		" ssh-ed25519 " ED25519,
		"ssh-dss AAAAB3NzaC1kc3M=",
		"ssh-rsa " ED25519,
		"ssh-ed25519-cert-v01@openssh.com " ED25519,
		"command=\"sh\" ssh-ed25519 " ED25519,
		"ssh-ed25519\t" ED25519,
		"ssh-ed25519 " ED25519 "\nssh-ed25519 " ED25519,
		"ssh-ed25519 " ED25519 "=",
		"ssh-ed25519 " ED25519 "AAAA",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICWQ8MqJ",
		"-----BEGIN OPENSSH PRIVATE KEY-----",
		compressed,
		other_curve,
		shorter,
		no_app,
		app,
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(parse(lines[i]), -EREMOTEIO);
		assert_int_equal(fault.code, FAULT_BAD_VALUE);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ char *line = rsa(sizes[i]);

		assert_int_equal(parse(line), -EREMOTEIO);
	}
}

static void bounds_what_it_takes(void **state)
{
	char comment[SSH_PUBKEY_COMMENT_MAX + 2];
	_cleanup_free_ char *line = NULL;
	_cleanup_free_ char *longer = NULL;
	static char huge[SSH_PUBKEY_LINE_MAX * 2];

	memset(comment, 'c', sizeof(comment));
	comment[SSH_PUBKEY_COMMENT_MAX] = '\0';
	line = strf("ssh-ed25519 %s %s", ED25519, comment);
	assert_int_equal(parse(line), 0);
	assert_int_equal(strlen(key.comment), SSH_PUBKEY_COMMENT_MAX);
	longer = strf("ssh-ed25519 %s %sc", ED25519, comment);
	assert_int_equal(parse(longer), -EREMOTEIO);
	memset(huge, 'A', sizeof(huge) - 1);
	memcpy(huge, "ssh-ed25519 ", 12);
	assert_int_equal(parse(huge), -EREMOTEIO);
	huge[SSH_PUBKEY_LINE_MAX] = '\0';
	assert_int_equal(parse(huge), -EREMOTEIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_good_keys),
		cmocka_unit_test(refuses_weak_and_strange_ones),
		cmocka_unit_test(bounds_what_it_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
