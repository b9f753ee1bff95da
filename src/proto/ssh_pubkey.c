/* SPDX-License-Identifier: Apache-2.0 */
/* SSH public keys, read strictly. */
#include "ssh_pubkey.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "cleanup.h"
#include "parse.h"

enum kind { KIND_ED25519, KIND_ECDSA, KIND_RSA };

static const struct {
	const char *type;
	enum kind kind;
	bool security_key; /* the application follows */
	const char *curve;
	unsigned bits;
} types[] = {
	{ "ssh-ed25519", KIND_ED25519, false, NULL, 256 },
	{ "ssh-rsa", KIND_RSA, false, NULL, 0 },
	{ "ecdsa-sha2-nistp256", KIND_ECDSA, false, "nistp256", 256 },
	{ "ecdsa-sha2-nistp384", KIND_ECDSA, false, "nistp384", 384 },
	{ "ecdsa-sha2-nistp521", KIND_ECDSA, false, "nistp521", 521 },
	{ "sk-ssh-ed25519@openssh.com", KIND_ED25519, true, NULL, 256 },
	{ "sk-ecdsa-sha2-nistp256@openssh.com", KIND_ECDSA, true, "nistp256", 256 },
};

/* What is left of the blob. */
struct reader {
	const uint8_t *p;
	size_t left;
};

/* SSH's `string`: u32 length and bytes. */
static bool take_string(struct reader *in, const uint8_t **ret, size_t *ret_len)
{
	size_t len;

	if (in->left < 4) {
		return false;
	}
	len = get_u32(in->p);
	if (len > in->left - 4) {
		return false;
	}
	*ret = in->p + 4;
	*ret_len = len;
	in->p += 4 + len;
	in->left -= 4 + len;
	return true;
}

static bool take_text(struct reader *in, const char *text)
{
	const uint8_t *p;
	size_t len;

	return take_string(in, &p, &len) && len == strlen(text) && memcmp(p, text, len) == 0;
}

/* A positive mpint in its shortest form; *ret_bits is its length. */
static bool take_number(struct reader *in, unsigned *ret_bits)
{
	const uint8_t *p;
	size_t len;
	unsigned bits;

	if (!take_string(in, &p, &len) || len == 0 || p[0] & 0x80) {
		return false;
	}
	if (p[0] == 0) {
		if (len == 1 || !(p[1] & 0x80)) {
			return false;
		}
		p++;
		len--;
	}
	bits = (unsigned)len * 8;
	for (uint8_t top = p[0]; !(top & 0x80); top = (uint8_t)(top << 1)) {
		bits--;
	}
	*ret_bits = bits;
	return true;
}

static bool take_ed25519(struct reader *in)
{
	const uint8_t *p;
	size_t len;

	return take_string(in, &p, &len) && len == 32;
}

static bool take_ecdsa(struct reader *in, const char *curve, unsigned bits)
{
	const uint8_t *p;
	size_t len;

	/* An uncompressed point. */
	return take_text(in, curve) && take_string(in, &p, &len) &&
	       len == 1 + 2 * (((size_t)bits + 7) / 8) && p[0] == 4;
}

static bool take_rsa(struct reader *in, unsigned *ret_bits)
{
	unsigned exponent;

	return take_number(in, &exponent) && exponent >= 2 && take_number(in, ret_bits);
}

static bool take_application(struct reader *in)
{
	const uint8_t *p;
	size_t len;

	return take_string(in, &p, &len) && len > 0;
}

static int bad(struct fault *fault, const char *why)
{
	fault_set(fault, FAULT_BAD_VALUE, "This is not an SSH public key that can be used: %s",
		  why);
	fault_hint(fault, "It is one line as in id_ed25519.pub: TYPE BASE64 COMMENT; `ssh-keygen "
			  "-t ed25519` makes one.");
	return -EREMOTEIO;
}

static int read_blob(struct ssh_pubkey *k, size_t type, struct fault *fault)
{
	struct reader in = { .p = k->blob, .left = k->blob_len };
	bool good = take_text(&in, types[type].type);

	k->bits = types[type].bits;
	switch (types[type].kind) {
	case KIND_ED25519:
		good = good && take_ed25519(&in);
		break;
	case KIND_ECDSA:
		good = good && take_ecdsa(&in, types[type].curve, types[type].bits);
		break;
	case KIND_RSA:
		good = good && take_rsa(&in, &k->bits);
		break;
	}
	if (good && types[type].security_key) {
		good = take_application(&in);
	}
	if (!good || in.left > 0) {
		return bad(fault, "it is damaged");
	}
	if (types[type].kind == KIND_RSA && k->bits < SSH_PUBKEY_RSA_BITS_MIN) {
		return bad(fault, "an RSA key needs 2048 bits or more");
	}
	if (types[type].kind == KIND_RSA && k->bits > SSH_PUBKEY_RSA_BITS_MAX) {
		return bad(fault, "an RSA key has at most 16384 bits");
	}
	return 0;
}

static int decode(const char *text, size_t len, struct ssh_pubkey *k, struct fault *fault)
{
	_cleanup_free_ uint8_t *blob = NULL;
	_cleanup_free_ char *again = NULL;
	int r;

	if (len >= sizeof(k->text)) {
		return bad(fault, "it is too long");
	}
	r = base64_decode(text, len, &blob, &k->blob_len);
	if (r == -ENOMEM) {
		return r;
	}
	if (r < 0 || k->blob_len == 0 || k->blob_len > sizeof(k->blob)) {
		return bad(fault, "it is damaged");
	}
	again = base64_encode(blob, k->blob_len);
	if (!again) {
		return -ENOMEM;
	}
	if (strlen(again) != len || memcmp(again, text, len) != 0) {
		return bad(fault, "it is damaged");
	}
	memcpy(k->blob, blob, k->blob_len);
	memcpy(k->text, text, len);
	k->text[len] = '\0';
	return 0;
}

int ssh_pubkey_parse(const char *line, struct ssh_pubkey *ret, struct fault *fault)
{
	struct ssh_pubkey k = { 0 };
	size_t type_len = strcspn(line, " "), type, len;
	const char *p = line + type_len;
	int r;

	if (!text_valid(line, SSH_PUBKEY_LINE_MAX)) {
		return bad(fault, "it is not one line of text");
	}
	if (strstr(line, "PRIVATE KEY")) {
		return bad(fault, "it is a private key, which nobody but you may have");
	}
	for (type = 0; type < ARRAY_SIZE(types); type++) {
		if (strlen(types[type].type) == type_len &&
		    memcmp(types[type].type, line, type_len) == 0) {
			break;
		}
	}
	if (type == ARRAY_SIZE(types)) {
		return bad(fault, "it does not begin with a type that is known");
	}
	strcpy(k.type, types[type].type);
	p += strspn(p, " ");
	len = strcspn(p, " ");
	r = decode(p, len, &k, fault);
	if (r == 0) {
		r = read_blob(&k, type, fault);
	}
	if (r < 0) {
		return r;
	}
	p += len;
	p += strspn(p, " ");
	if (strlen(p) > SSH_PUBKEY_COMMENT_MAX) {
		return bad(fault, "its comment is too long");
	}
	strcpy(k.comment, p);
	*ret = k;
	return 0;
}
