/* SPDX-License-Identifier: Apache-2.0 */
/* What dvm-gate is told: its command line, and the section [gate] of STATE/dvm.ini. */
#pragma once

#include <stddef.h>

#include "fault.h"
#include "tls_cert.h"

#define LISTEN_MAX 80
#define STATE_PATH_MAX 4000

struct gate_config {
	char state[STATE_PATH_MAX];
	char listen[LISTEN_MAX]; /* ADDR:PORT or [ADDR]:PORT, numeric; port 0: the one of before if
				    it is free */
	uint32_t connections;	 /* at once */
	uint32_t per_address;	 /* at once, of one IPv4 address or one IPv6 /64 */
	char *names[TLS_NAMES_MAX]; /* for the certificate */
	size_t n_names;
};

/* 1: nothing to do (--help was answered); -EREMOTEIO with a fault. */
int gate_config_read(int argc, char **argv, struct gate_config *ret,
		     struct fault *fault) _must_check_;
void gate_config_fini(struct gate_config *c);
