/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a terminal is told, out of bytes that may be anything: characters, controls, escape and
 * control sequences (ECMA-48, as xterm reads UTF-8). Sans-I/O; its memory is this struct.
 *
 * Strings (OSC, DCS, SOS, PM, APC) are read over: nothing of the screen is in them.
 */
#pragma once

#include <stdbool.h>

#include "macro.h"
#include "utf8.h"

#define TERMINAL_PARAMS_MAX 16
#define TERMINAL_PARAM_LARGEST 65535
#define TERMINAL_PENDING_MAX 64

/* A whole control sequence: CSI leader params intermediate final. */
struct terminal_csi {
	char leader;	   /* one of <=>? or 0 */
	char intermediate; /* 0x20..0x2f or 0; '\1' for more than one */
	char final;
	unsigned n_params; /* what goes beyond TERMINAL_PARAMS_MAX is forgotten */
	uint16_t params[TERMINAL_PARAMS_MAX]; /* 0 for one left out */
	uint16_t sub; /* bit i: params[i] stood behind a colon, it belongs to the one before */
};

struct terminal_parser_ops {
	void (*print)(uint32_t c, void *user);
	/* As print() of each: a run of 0x20..0x7e, which is what most of a console is. */
	void (*text)(const uint8_t *p, size_t len, void *user);
	/* 0x01..0x1f but CAN, SUB and ESC */
	void (*control)(uint8_t c, void *user);
	/* ESC intermediate final; intermediate as in terminal_csi */
	void (*escape)(char intermediate, char final, void *user);
	void (*csi)(const struct terminal_csi *csi, void *user);
};

enum terminal_parser_state {
	TERMINAL_GROUND,
	TERMINAL_ESCAPE,
	TERMINAL_CSI_PARAMS,
	TERMINAL_CSI_INTERMEDIATES,
	TERMINAL_CSI_WRONG, /* to be read over up to its final */
	TERMINAL_STRING,
};

struct terminal_parser {
	enum terminal_parser_state state;
	bool bel_ends; /* the string is one that BEL ends, too */
	char intermediate;
	struct terminal_csi csi;
	uint8_t utf8[UTF8_MAX];
	unsigned utf8_len;
	/* What an unfinished sequence began with: whoever reads on from here needs it. */
	uint8_t pending[TERMINAL_PENDING_MAX];
	unsigned pending_len;
};

void terminal_parser_init(struct terminal_parser *p);
void terminal_parser_feed(struct terminal_parser *p, const uint8_t *bytes, size_t len,
			  const struct terminal_parser_ops *ops, void *user);
