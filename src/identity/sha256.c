/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 as text, by GnuTLS. */
#include "sha256.h"

#include <assert.h>
#include <gnutls/crypto.h>

#include "parse.h"

void sha256_base64(const void *p, size_t len, char out[SHA256_BASE64_LEN + 1])
{
	unsigned char digest[32];
	int r = gnutls_hash_fast(GNUTLS_DIG_SHA256, p, len, digest);

	assert(r == 0); /* only for algorithms that it does not have */
	base64url_encode(digest, sizeof(digest), out);
	for (char *c = out; *c; c++) {
		*c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
	}
}

void sha256_hex(const void *p, size_t len, char out[SHA256_HEX_LEN + 1])
{
	unsigned char digest[32];
	int r = gnutls_hash_fast(GNUTLS_DIG_SHA256, p, len, digest);

	assert(r == 0); /* only for algorithms that it does not have */
	hex_encode(digest, sizeof(digest), out);
}
