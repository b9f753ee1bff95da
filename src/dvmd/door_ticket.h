/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets that tell dvmd whose login over SSH it is (interfaces/PROTOCOL.door):
 * "KEY.EXPIRES.NONCE.MAC".
 *
 * Whoever knows a user's public key can make sshd look it up as often as he likes, so a ticket that
 * is made is not kept: it is sealed with a secret that dvmd draws at its start, and only used ones
 * are remembered, by their nonce.
 */
#pragma once

#include "macro.h"

#define DOOR_TICKET_MAX 128 /* with its NUL */
#define DOOR_TICKET_KEY_MAX 40
#define DOOR_TICKET_TTL (60 * USEC_PER_SEC)
#define DOOR_SECRET_BYTES 32
#define DOOR_NONCE_LEN 32 /* hex */

struct door_ticket {
	char key[DOOR_TICKET_KEY_MAX]; /* id of the key */
	usec_t expires;		       /* CLOCK_MONOTONIC */
	char nonce[DOOR_NONCE_LEN + 1];
};

/* `key`: letters, digits, `-`. */
void door_ticket_make(const uint8_t secret[DOOR_SECRET_BYTES], const char *key, usec_t expires,
		      char out[DOOR_TICKET_MAX]);
/* -EBADMSG: not one of ours. Whether it is still good is the caller's to say. */
int door_ticket_read(const uint8_t secret[DOOR_SECRET_BYTES], const char *text,
		     struct door_ticket *ret) _must_check_;
