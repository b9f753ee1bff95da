/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets for logins over SSH. */
#include "door_ticket.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "clock.h"
#include "parse.h"

#define EXPIRES_LEN 16 /* hex */
#define MAC_BYTES 32
#define MAC_LEN 43 /* base64url */
static void seal(const uint8_t *secret, const char *text, size_t len, char out[MAC_LEN + 1])
{
	uint8_t mac[MAC_BYTES];
	int r = gnutls_hmac_fast(GNUTLS_MAC_SHA256, secret, DOOR_SECRET_BYTES, text, len, mac);

	assert(r == 0); /* only for algorithms that it does not have */
	base64url_encode(mac, sizeof(mac), out);
}

void door_ticket_make(const uint8_t secret[DOOR_SECRET_BYTES], const char *key, usec_t expires,
		      char out[DOOR_TICKET_MAX])
{
	uint8_t random[DOOR_NONCE_LEN / 2];
	char nonce[DOOR_NONCE_LEN + 1], mac[MAC_LEN + 1];
	int n;

	random_bytes(random, sizeof(random));
	hex_encode(random, sizeof(random), nonce);
	n = snprintf(out, DOOR_TICKET_MAX, "%s.%016" PRIx64 ".%s.", key, (uint64_t)expires, nonce);
	assert(n > 0 && n + MAC_LEN < DOOR_TICKET_MAX);
	seal(secret, out, (size_t)n, mac);
	memcpy(out + n, mac, sizeof(mac));
}

int door_ticket_read(const uint8_t secret[DOOR_SECRET_BYTES], const char *text,
		     struct door_ticket *ret)
{
	struct door_ticket t = { 0 };
	size_t len = strnlen(text, DOOR_TICKET_MAX), key_len = strcspn(text, ".");
	uint8_t expires[EXPIRES_LEN / 2];
	char mac[MAC_LEN + 1], hex[EXPIRES_LEN + 1];
	const char *p = text + key_len;

	if (key_len == 0 || key_len >= sizeof(t.key) ||
	    len != key_len + 1 + EXPIRES_LEN + 1 + DOOR_NONCE_LEN + 1 + MAC_LEN) {
		return -EBADMSG;
	}
	seal(secret, text, len - MAC_LEN, mac);
	if (!secret_equal(mac, text + len - MAC_LEN)) {
		return -EBADMSG;
	}
	/* From here on it is what was written above. */
	memcpy(t.key, text, key_len);
	memcpy(hex, p + 1, EXPIRES_LEN);
	hex[EXPIRES_LEN] = '\0';
	memcpy(t.nonce, p + 1 + EXPIRES_LEN + 1, DOOR_NONCE_LEN);
	if (hex_decode(hex, expires, sizeof(expires)) < 0) {
		return -EBADMSG;
	}
	t.expires = get_u64(expires);
	*ret = t;
	return 0;
}
