/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the D-VM's SSH host key.
 *
 * The file format is OpenSSH's own (its PROTOCOL.key): "openssh-key-v1\0", cipher "none", no KDF,
 * one key. The curve comes from nettle.
 */
#include "hostkey.h"

#include <errno.h>
#include <nettle/eddsa.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "parse.h"

#define KEY_TYPE "ssh-ed25519"
#define COMMENT "dvm"
#define CIPHER_BLOCK 8
#define KEY_MAX 1024

static int put_u32(struct buf *b, uint32_t v)
{
	const uint8_t bytes[4] = { v >> 24, v >> 16, v >> 8, v };

	return buf_append(b, bytes, sizeof(bytes));
}

/* Collects the first error in *r, so that a list of puts reads as the format does. */
static void put_string(struct buf *b, const void *p, size_t len, int *r)
{
	if (*r == 0) {
		*r = put_u32(b, len);
	}
	if (*r == 0) {
		*r = buf_append(b, p, len);
	}
}

static void put_number(struct buf *b, uint32_t v, int *r)
{
	if (*r == 0) {
		*r = put_u32(b, v);
	}
}

static void put_public(struct buf *b, const uint8_t public[32], int *r)
{
	put_string(b, KEY_TYPE, strlen(KEY_TYPE), r);
	put_string(b, public, 32, r);
}

/* Base64 in lines of 70 characters, between the marks of the file. */
static int armor(struct buf *key, char **ret)
{
	_cleanup_free_ char *text = base64_encode(buf_data(key), buf_len(key));
	struct buf out;
	int r = text ? 0 : -ENOMEM;

	buf_init(&out, 4 * KEY_MAX);
	if (r == 0) {
		r = buf_printf(&out, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
	}
	for (size_t at = 0; r == 0 && at < strlen(text); at += 70) {
		r = buf_printf(&out, "%.70s\n", text + at);
	}
	if (r == 0) {
		r = buf_printf(&out, "-----END OPENSSH PRIVATE KEY-----\n");
	}
	if (r == 0) {
		*ret = strndup((const char *)buf_data(&out), buf_len(&out));
		r = *ret ? 0 : -ENOMEM;
	}
	buf_fini(&out);
	return r;
}

int hostkey_format(const uint8_t secret[32], uint32_t check, char **ret_private, char **ret_public)
{
	_cleanup_free_ char *private_text = NULL, *public_base64 = NULL, *public_text = NULL;
	struct buf key, private, public;
	uint8_t pair[64];
	int r = 0;

	memcpy(pair, secret, 32);
	ed25519_sha512_public_key(pair + 32, secret);

	buf_init(&public, KEY_MAX);
	buf_init(&private, KEY_MAX);
	buf_init(&key, 2 * KEY_MAX);

	put_public(&public, pair + 32, &r);

	put_number(&private, check, &r);
	put_number(&private, check, &r);
	put_public(&private, pair + 32, &r);
	put_string(&private, pair, sizeof(pair), &r);
	put_string(&private, COMMENT, strlen(COMMENT), &r);
	for (uint8_t pad = 1; r == 0 && buf_len(&private) % CIPHER_BLOCK; pad++) {
		r = buf_append(&private, &pad, 1);
	}

	if (r == 0) {
		r = buf_append(&key, "openssh-key-v1", 15);
	}
	put_string(&key, "none", 4, &r);
	put_string(&key, "none", 4, &r);
	put_string(&key, "", 0, &r);
	put_number(&key, 1, &r);
	if (r == 0) {
		put_string(&key, buf_data(&public), buf_len(&public), &r);
		put_string(&key, buf_data(&private), buf_len(&private), &r);
	}
	if (r == 0) {
		r = armor(&key, &private_text);
	}
	if (r == 0) {
		public_base64 = base64_encode(buf_data(&public), buf_len(&public));
		public_text = public_base64 ? strf(KEY_TYPE " %s", public_base64) : NULL;
		r = public_text ? 0 : -ENOMEM;
	}
	explicit_bzero(pair, sizeof(pair));
	buf_fini(&public);
	buf_fini(&private);
	buf_fini(&key);
	if (r == 0) {
		*ret_private = TAKE_PTR(private_text);
		*ret_public = TAKE_PTR(public_text);
	}
	return r;
}

int hostkey_load(const char *path, char **ret_public)
{
	_cleanup_free_ char *pub = strf("%s.pub", path);
	size_t len;

	if (!pub) {
		return -ENOMEM;
	}
	if (access(path, R_OK) < 0) {
		return -errno;
	}
	return file_read(pub, KEY_MAX, ret_public, &len);
}

int hostkey_make(const char *path, char **ret_public)
{
	_cleanup_free_ char *private = NULL, *public = NULL, *pub = strf("%s.pub", path);
	uint8_t secret[32];
	uint32_t check;
	int r;

	random_bytes(secret, sizeof(secret));
	random_bytes(&check, sizeof(check));
	r = hostkey_format(secret, check, &private, &public);
	explicit_bzero(secret, sizeof(secret));
	if (r < 0) {
		return r;
	}
	r = file_write_atomic(path, private, strlen(private), 0600);
	explicit_bzero(private, strlen(private));
	if (r == 0) {
		r = pub ? file_write_atomic(pub, public, strlen(public), 0644) : -ENOMEM;
	}
	if (r < 0) {
		return r;
	}
	*ret_public = TAKE_PTR(public);
	return 0;
}
