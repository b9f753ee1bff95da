/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of SSH public key ("TYPE BASE64 [COMMENT]"), read strictly: the type is one of the
 * table, the blob says the same type and holds a whole key of it and nothing else (RFC 4253 §6.6,
 * RFC 5656 §3.1, RFC 8709 §4, OpenSSH's PROTOCOL.u2f). Options before the key and certificates are
 * refused.
 */
#pragma once

#include "fault.h"

#define SSH_PUBKEY_LINE_MAX 3000
#define SSH_PUBKEY_TYPE_MAX 40
#define SSH_PUBKEY_BLOB_MAX 2200			      /* RSA of SSH_PUBKEY_RSA_BITS_MAX */
#define SSH_PUBKEY_TEXT_MAX (SSH_PUBKEY_BLOB_MAX / 3 * 4 + 8) /* BASE64 with its NUL */
#define SSH_PUBKEY_COMMENT_MAX 128
#define SSH_PUBKEY_RSA_BITS_MIN 2048
#define SSH_PUBKEY_RSA_BITS_MAX 16384

struct ssh_pubkey {
	char type[SSH_PUBKEY_TYPE_MAX];
	char text[SSH_PUBKEY_TEXT_MAX]; /* BASE64 as it came: there is but one way to write a blob
					 */
	uint8_t blob[SSH_PUBKEY_BLOB_MAX];
	size_t blob_len;
	unsigned bits;
	char comment[SSH_PUBKEY_COMMENT_MAX + 1];
};

/* bad-value, with what is wrong about it. */
int ssh_pubkey_parse(const char *line, struct ssh_pubkey *ret, struct fault *fault) _must_check_;
