/* SPDX-License-Identifier: Apache-2.0 */
/* What the relay tells the D-VM about its session: the texts of PROTOCOL.agent §1. Pure: bytes in,
 * a struct out. */
#pragma once

#include <stdbool.h>

#include "buf.h"

#define CONFIG_LINE_MAX 8192
#define CONFIG_KEYS_MAX 16
#define CONFIG_TARGETS_MAX 16
#define CONFIG_STACKS_MAX 16
#define CONFIG_PORTS_MAX 32
#define CONFIG_NAME_MAX 64
#define CONFIG_PLACE_MAX 64
#define CONFIG_SEED_BYTES 32

struct config_port {
	unsigned target;
	char name[16];		      /* serial0, parallel0: nothing else */
	char place[CONFIG_PLACE_MAX]; /* "pci ADDRESS" or "virtio NAME", each a file's name */
};

struct config {
	char session[CONFIG_NAME_MAX];
	char hostname[CONFIG_NAME_MAX];
	char *keys[CONFIG_KEYS_MAX];
	size_t n_keys;
	char targets[CONFIG_TARGETS_MAX][CONFIG_NAME_MAX]; /* "" where a number is not used */
	char stacks[CONFIG_STACKS_MAX][CONFIG_NAME_MAX];
	size_t n_stacks;
	struct config_port ports[CONFIG_PORTS_MAX];
	size_t n_ports;
	usec_t clock;	    /* UTC, 0: not told */
	usec_t lease_until; /* monotonic, 0: not told */
	uint8_t seed[CONFIG_SEED_BYTES];
	bool has_seed;
};

void config_fini(struct config *c);

/* Gathers lines until `end`. */
struct config_reader {
	struct buf line;
	struct config next;
	bool skipping; /* in a line that was too long */
};

void config_reader_init(struct config_reader *r);
void config_reader_fini(struct config_reader *r);
/*
 * Eats bytes from [p, p+len) up to the end of one configuration. Returns 1 when one is complete: it
 * is moved to *ret (the caller owns it); 0 when all bytes were eaten; -ENOMEM. *ret_used says how
 * many bytes were eaten. Lines that make no sense are left out, never an error: a newer relay may
 * say more than we know.
 */
int config_reader_input(struct config_reader *r, const uint8_t *p, size_t len, struct config *ret,
			size_t *ret_used) _must_check_;
