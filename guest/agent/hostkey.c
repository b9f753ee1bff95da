/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the D-VM's SSH host key.
 *
 * The file format is dropbear's (its ed25519.c): the type as an SSH string, then secret and public
 * half as one SSH string (RFC 4251, section 5). The curve comes from nettle.
 */
#include "hostkey.h"

#include <errno.h>
#include <nettle/eddsa.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "parse.h"

#define KEY_TYPE "ssh-ed25519"
#define KEY_MAX 1024

/* Collects the first error in *r, so that a list of puts reads as the format does. */
static void put_string(struct buf *b, const void *p, size_t len, int *r)
{
	uint8_t bytes[4];

	put_u32(bytes, (uint32_t)len);
	if (*r == 0) {
		*r = buf_append(b, bytes, sizeof(bytes));
	}
	if (*r == 0) {
		*r = buf_append(b, p, len);
	}
}

int hostkey_format(const uint8_t secret[32], struct buf *ret_private, char **ret_public)
{
	_cleanup_free_ char *public_base64 = NULL, *public_text = NULL;
	struct buf public;
	uint8_t pair[64];
	int r = 0;

	memcpy(pair, secret, 32);
	ed25519_sha512_public_key(pair + 32, secret);

	buf_init(&public, KEY_MAX);
	put_string(&public, KEY_TYPE, strlen(KEY_TYPE), &r);
	put_string(&public, pair + 32, 32, &r);
	if (r == 0) {
		public_base64 = base64_encode(buf_data(&public), buf_len(&public));
		public_text = public_base64 ? strf(KEY_TYPE " %s", public_base64) : NULL;
		r = public_text ? 0 : -ENOMEM;
	}
	buf_fini(&public);

	put_string(ret_private, KEY_TYPE, strlen(KEY_TYPE), &r);
	put_string(ret_private, pair, sizeof(pair), &r);
	explicit_bzero(pair, sizeof(pair));
	if (r == 0) {
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
	_cleanup_free_ char *public = NULL, *pub = strf("%s.pub", path);
	struct buf private;
	uint8_t secret[32];
	int r;

	buf_init(&private, KEY_MAX);
	random_bytes(secret, sizeof(secret));
	r = hostkey_format(secret, &private, &public);
	explicit_bzero(secret, sizeof(secret));
	if (r == 0) {
		r = file_write_atomic(path, buf_data(&private), buf_len(&private), 0600);
	}
	if (buf_len(&private) > 0) {
		explicit_bzero(buf_data(&private), buf_len(&private));
	}
	buf_fini(&private);
	if (r == 0) {
		r = pub ? file_write_atomic(pub, public, strlen(public), 0644) : -ENOMEM;
	}
	if (r < 0) {
		return r;
	}
	*ret_public = TAKE_PTR(public);
	return 0;
}
