/* SPDX-License-Identifier: Apache-2.0 */
/* The gate's key and certificate, made at the first start. */
#pragma once

#include "fault.h"

#define TLS_NAMES_MAX 32

/*
 * Sees to it that the folder `dir` (made with mode 0700 if need be) holds
 *	gate.key  ECDSA P-256, PEM, 0600; made once, so that pins last
 *	gate.crt  self-signed, for localhost, 127.0.0.1, ::1 and `names` (host names or addresses);
 *signed anew with the same key when a name is missing or it ends within 30 days gate.pin
 *"sha256//BASE64\n" of the key, as CURLOPT_PINNEDPUBLICKEY wants it A certificate that somebody
 *else signed is the operator's, and stays as it is.
 */
int tls_cert_ensure(const char *dir, const char *const *names, size_t n_names,
		    struct fault *fault) _must_check_;
