/* SPDX-License-Identifier: Apache-2.0 */
/* The gate's key and certificate. */
#include "tls_cert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "parse.h"

#define FILE_MAX (256 * 1024)
#define DAY_S (24 * 60 * 60)
#define VALID_DAYS 3650
#define RENEW_DAYS 30

struct cert {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt; /* NULL: none yet */
	gnutls_pubkey_t public_key;
	char *key_path, *crt_path, *pin_path;
	const char *names[TLS_NAMES_MAX + 3];
	size_t n_names;
};

static void cert_fini(struct cert *c)
{
	if (c->public_key) {
		gnutls_pubkey_deinit(c->public_key);
	}
	if (c->crt) {
		gnutls_x509_crt_deinit(c->crt);
	}
	if (c->key) {
		gnutls_x509_privkey_deinit(c->key);
	}
	free(c->key_path);
	free(c->crt_path);
	free(c->pin_path);
}

static void datum_free(gnutls_datum_t *d)
{
	if (d->data) {
		gnutls_memset(d->data, 0, d->size);
		gnutls_free(d->data);
	}
}

static int tls_fault(struct fault *fault, const char *what, int r)
{
	return fault_set(fault, FAULT_INTERNAL, "%s: %s", what, gnutls_strerror(r));
}

static int file_fault(struct fault *fault, const char *what, int r)
{
	return fault_set(fault, r == -ENOSPC ? FAULT_DISK_FULL : FAULT_INTERNAL, "%s: %s", what,
			 strerror(-r));
}

/* 1: loaded; 0: no such file. */
static int load(const char *path, gnutls_datum_t *ret, const char *what, struct fault *fault)
{
	char *text;
	size_t len;
	int r;

	r = file_read(path, FILE_MAX, &text, &len);
	if (r == -ENOENT) {
		return 0;
	}
	if (r < 0) {
		return file_fault(fault, what, r);
	}
	*ret = (gnutls_datum_t){ .data = (unsigned char *)text, .size = len };
	return 1;
}

static int key_make(struct cert *c, struct fault *fault)
{
	_cleanup_(datum_free) gnutls_datum_t pem = { 0 };
	int r;

	r = gnutls_x509_privkey_generate(c->key, GNUTLS_PK_ECDSA,
					 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (r >= 0) {
		r = gnutls_x509_privkey_export2_pkcs8(c->key, GNUTLS_X509_FMT_PEM, NULL,
						      GNUTLS_PKCS_PLAIN, &pem);
	}
	if (r < 0) {
		return tls_fault(fault, "The gate's key cannot be made", r);
	}
	r = file_write_atomic(c->key_path, pem.data, pem.size, 0600);
	return r < 0 ? file_fault(fault, "The gate's key cannot be stored", r) : 0;
}

static int key_ensure(struct cert *c, struct fault *fault)
{
	gnutls_datum_t pem = { 0 };
	int r, k;

	r = load(c->key_path, &pem, "The gate's key cannot be read", fault);
	if (r < 0) {
		return r;
	}
	k = gnutls_x509_privkey_init(&c->key);
	if (k < 0) {
		r = tls_fault(fault, "The gate's key cannot be read", k);
	} else if (r == 0) {
		r = key_make(c, fault);
	} else {
		k = gnutls_x509_privkey_import(c->key, &pem, GNUTLS_X509_FMT_PEM);
		r = k < 0 ? tls_fault(fault, "The gate's key cannot be read", k) : 0;
		gnutls_memset(pem.data, 0, pem.size);
	}
	free(pem.data);
	return r;
}

static bool crt_has_key(struct cert *c)
{
	unsigned char of_crt[64], of_key[64];
	size_t crt_len = sizeof(of_crt), key_len = sizeof(of_key);

	return gnutls_x509_crt_get_key_id(c->crt, GNUTLS_KEYID_USE_SHA256, of_crt, &crt_len) >= 0 &&
	       gnutls_x509_privkey_get_key_id(c->key, GNUTLS_KEYID_USE_SHA256, of_key, &key_len) >=
		       0 &&
	       crt_len == key_len && memcmp(of_crt, of_key, crt_len) == 0;
}

/* False when it has to be signed anew. */
static bool crt_is_good(struct cert *c)
{
	if (!gnutls_x509_crt_check_issuer(c->crt, c->crt)) {
		return true;
	}
	if (!crt_has_key(c) ||
	    gnutls_x509_crt_get_expiration_time(c->crt) < time(NULL) + RENEW_DAYS * DAY_S) {
		return false;
	}
	for (size_t i = 0; i < c->n_names; i++) {
		if (!gnutls_x509_crt_check_hostname(c->crt, c->names[i])) {
			return false;
		}
	}
	return true;
}

static int crt_add_name(gnutls_x509_crt_t crt, const char *name)
{
	unsigned char address[16];

	if (inet_pton(AF_INET, name, address) == 1) {
		return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, address, 4,
							    GNUTLS_FSAN_APPEND);
	}
	if (inet_pton(AF_INET6, name, address) == 1) {
		return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, address, 16,
							    GNUTLS_FSAN_APPEND);
	}
	return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name, strlen(name),
						    GNUTLS_FSAN_APPEND);
}

/* The subject is the same everywhere: a certificate shows nothing of the host but the names it was
 * given. */
static int crt_fill(struct cert *c)
{
	gnutls_x509_crt_t crt = c->crt;
	unsigned char serial[16];
	time_t now = time(NULL);
	int r;

	random_bytes(serial, sizeof(serial));
	serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and of full length */
	r = gnutls_x509_crt_set_version(crt, 3);
	if (r >= 0) {
		r = gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	}
	if (r >= 0) {
		r = gnutls_x509_crt_set_activation_time(crt, now - DAY_S);
	}
	if (r >= 0) {
		r = gnutls_x509_crt_set_expiration_time(crt, now + (time_t)VALID_DAYS * DAY_S);
	}
	if (r >= 0) {
		r = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, "dvm gate",
						  strlen("dvm gate"));
	}
	if (r >= 0) {
		r = gnutls_x509_crt_set_basic_constraints(crt, 0, -1);
	}
	if (r >= 0) {
		r = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
	}
	if (r >= 0) {
		r = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
	}
	for (size_t i = 0; i < c->n_names && r >= 0; i++) {
		r = crt_add_name(crt, c->names[i]);
	}
	if (r >= 0) {
		r = gnutls_x509_crt_set_key(crt, c->key);
	}
	return r < 0 ? r : gnutls_x509_crt_sign2(crt, crt, c->key, GNUTLS_DIG_SHA256, 0);
}

static int crt_make(struct cert *c, struct fault *fault)
{
	_cleanup_(datum_free) gnutls_datum_t pem = { 0 };
	int r;

	if (c->crt) {
		gnutls_x509_crt_deinit(c->crt);
		c->crt = NULL;
	}
	r = gnutls_x509_crt_init(&c->crt);
	if (r >= 0) {
		r = crt_fill(c);
	}
	if (r >= 0) {
		r = gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_PEM, &pem);
	}
	if (r < 0) {
		return tls_fault(fault, "The gate's certificate cannot be made", r);
	}
	r = file_write_atomic(c->crt_path, pem.data, pem.size, 0644);
	return r < 0 ? file_fault(fault, "The gate's certificate cannot be stored", r) : 0;
}

static int crt_ensure(struct cert *c, struct fault *fault)
{
	gnutls_datum_t pem = { 0 };
	bool good = false;
	int r;

	r = load(c->crt_path, &pem, "The gate's certificate cannot be read", fault);
	if (r < 0) {
		return r;
	}
	if (r > 0) {
		r = gnutls_x509_crt_init(&c->crt);
		if (r >= 0) {
			/* The first of a chain is the server's own. */
			r = gnutls_x509_crt_import(c->crt, &pem, GNUTLS_X509_FMT_PEM);
		}
		free(pem.data);
		if (r < 0) {
			return tls_fault(fault, "The gate's certificate cannot be read", r);
		}
		good = crt_is_good(c);
	}
	return good ? 0 : crt_make(c, fault);
}

/* Of the key, by way of its SubjectPublicKeyInfo. */
static int pin_ensure(struct cert *c, struct fault *fault)
{
	_cleanup_(datum_free) gnutls_datum_t spki = { 0 };
	_cleanup_free_ char *base64 = NULL, *text = NULL, *old = NULL;
	unsigned char digest[32];
	int r;

	r = gnutls_pubkey_init(&c->public_key);
	if (r >= 0) {
		r = gnutls_pubkey_import_x509(c->public_key, c->crt, 0);
	}
	if (r >= 0) {
		r = gnutls_pubkey_export2(c->public_key, GNUTLS_X509_FMT_DER, &spki);
	}
	if (r >= 0) {
		r = gnutls_hash_fast(GNUTLS_DIG_SHA256, spki.data, spki.size, digest);
	}
	if (r < 0) {
		return tls_fault(fault, "The gate's pin cannot be made", r);
	}
	base64 = base64_encode(digest, sizeof(digest));
	text = base64 ? strf("sha256//%s\n", base64) : NULL;
	if (!text) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory.");
	}
	r = file_read(c->pin_path, FILE_MAX, &old, NULL);
	if (r == 0 && strcmp(old, text) == 0) {
		return 0;
	}
	r = file_write_atomic(c->pin_path, text, strlen(text), 0644);
	return r < 0 ? file_fault(fault, "The gate's pin cannot be stored", r) : 0;
}

int tls_cert_ensure(const char *dir, const char *const *names, size_t n_names, struct fault *fault)
{
	_cleanup_(cert_fini) struct cert c = { .names = { "localhost", "127.0.0.1", "::1" },
					       .n_names = 3 };
	int r;

	if (n_names > TLS_NAMES_MAX) {
		return fault_set(fault, FAULT_BAD_VALUE, "At most %d names fit the certificate.",
				 TLS_NAMES_MAX);
	}
	for (size_t i = 0; i < n_names; i++) {
		c.names[c.n_names++] = names[i];
	}
	c.key_path = strf("%s/gate.key", dir);
	c.crt_path = strf("%s/gate.crt", dir);
	c.pin_path = strf("%s/gate.pin", dir);
	if (!c.key_path || !c.crt_path || !c.pin_path) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory.");
	}
	r = dir_make(dir, 0700);
	if (r < 0) {
		return file_fault(fault, "The folder of the certificate cannot be made", r);
	}
	r = key_ensure(&c, fault);
	if (r == 0) {
		r = crt_ensure(&c, fault);
	}
	return r < 0 ? r : pin_ensure(&c, fault);
}
