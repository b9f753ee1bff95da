/* SPDX-License-Identifier: Apache-2.0 */
/* Characters and sequences out of bytes that may be anything. See terminal_parser.h. */
#include "terminal_parser.h"

#include <string.h>

#define REPLACEMENT 0xfffd
#define CAN 0x18
#define SUB 0x1a
#define ESC 0x1b
#define DEL 0x7f
#define BEL 0x07

void terminal_parser_init(struct terminal_parser *p)
{
	memset(p, 0, sizeof(*p));
}

static void ground(struct terminal_parser *p)
{
	p->state = TERMINAL_GROUND;
	p->pending_len = 0;
}

static void keep(struct terminal_parser *p, uint8_t c)
{
	if (p->pending_len < sizeof(p->pending)) {
		p->pending[p->pending_len++] = c;
	}
}

static uint32_t utf8_value(const uint8_t *p, int len)
{
	static const uint8_t lead_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = p[0] & lead_mask[len];

	for (int i = 1; i < len; i++) {
		c = c << 6 | (p[i] & 0x3f);
	}
	return c;
}

static void print(uint32_t c, const struct terminal_parser_ops *ops, void *user)
{
	/* C1 controls in their two-byte form: no program that runs on a console uses them. */
	if (c < 0x80 || c >= 0xa0) {
		ops->print(c, user);
	}
}

/* One byte of a character beyond ASCII, or what ends one that is unfinished. */
static void utf8_byte(struct terminal_parser *p, uint8_t c, const struct terminal_parser_ops *ops,
		      void *user)
{
	p->utf8[p->utf8_len++] = c;
	while (p->utf8_len > 0) {
		int n = utf8_next(p->utf8, p->utf8_len);
		unsigned used = (unsigned)(n < 0 ? -n : n);

		if (n == 0) {
			return;
		}
		print(n < 0 ? REPLACEMENT : utf8_value(p->utf8, n), ops, user);
		p->utf8_len -= used;
		memmove(p->utf8, p->utf8 + used, p->utf8_len);
	}
}

static void utf8_break_off(struct terminal_parser *p, const struct terminal_parser_ops *ops,
			   void *user)
{
	if (p->utf8_len > 0) {
		p->utf8_len = 0;
		ops->print(REPLACEMENT, user);
	}
}

static void intermediate_add(char *to, uint8_t c)
{
	*to = *to ? '\1' : (char)c;
}

static void escape_byte(struct terminal_parser *p, uint8_t c, const struct terminal_parser_ops *ops,
			void *user)
{
	keep(p, c);
	if (c >= 0x20 && c <= 0x2f) {
		intermediate_add(&p->intermediate, c);
		return;
	}
	if (p->intermediate == 0) {
		switch (c) {
		case '[':
			p->state = TERMINAL_CSI_PARAMS;
			p->csi = (struct terminal_csi){ 0 };
			return;
		case ']':
		case 'P':
		case 'X':
		case '^':
		case '_':
			p->state = TERMINAL_STRING;
			p->bel_ends = c == ']';
			return;
		default:
			break;
		}
	}
	ground(p);
	if (c < DEL) {
		ops->escape(p->intermediate, (char)c, user);
	}
}

static void param_digit(struct terminal_csi *csi, uint8_t c)
{
	uint16_t *param;
	uint32_t value;

	if (csi->n_params == 0) {
		csi->n_params = 1;
	}
	if (csi->n_params > TERMINAL_PARAMS_MAX) {
		return;
	}
	param = &csi->params[csi->n_params - 1];
	value = *param * 10u + (uint32_t)(c - '0');
	*param = (uint16_t)MIN(value, (uint32_t)TERMINAL_PARAM_LARGEST);
}

static void param_next(struct terminal_csi *csi, bool sub)
{
	if (csi->n_params == 0) {
		csi->n_params = 1;
	}
	if (csi->n_params <= TERMINAL_PARAMS_MAX) {
		csi->n_params++;
	}
	if (csi->n_params <= TERMINAL_PARAMS_MAX && sub) {
		csi->sub |= (uint16_t)(1u << (csi->n_params - 1));
	}
}

static void csi_end(struct terminal_parser *p, uint8_t c, const struct terminal_parser_ops *ops,
		    void *user)
{
	p->csi.n_params = MIN(p->csi.n_params, (unsigned)TERMINAL_PARAMS_MAX);
	p->csi.final = (char)c;
	ground(p);
	ops->csi(&p->csi, user);
}

static void csi_byte(struct terminal_parser *p, uint8_t c, const struct terminal_parser_ops *ops,
		     void *user)
{
	bool params = p->state == TERMINAL_CSI_PARAMS;
	bool first = params && p->pending_len == 2;

	keep(p, c);
	if (c >= 0x40 && c < DEL) {
		if (p->state == TERMINAL_CSI_WRONG) {
			ground(p);
		} else {
			csi_end(p, c, ops, user);
		}
	} else if (params && c >= '0' && c <= '9') {
		param_digit(&p->csi, c);
	} else if (params && (c == ';' || c == ':')) {
		param_next(&p->csi, c == ':');
	} else if (first && c >= '<' && c <= '?') {
		p->csi.leader = (char)c;
	} else if (c >= 0x20 && c <= 0x2f && p->state != TERMINAL_CSI_WRONG) {
		p->state = TERMINAL_CSI_INTERMEDIATES;
		intermediate_add(&p->csi.intermediate, c);
	} else {
		p->state = TERMINAL_CSI_WRONG;
	}
}

static void control(struct terminal_parser *p, uint8_t c, const struct terminal_parser_ops *ops,
		    void *user)
{
	if (c == CAN || c == SUB) {
		ground(p);
	} else if (c == ESC) {
		p->state = TERMINAL_ESCAPE;
		p->intermediate = 0;
		p->pending_len = 0;
		keep(p, c);
	} else if (p->state == TERMINAL_STRING) {
		if (c == BEL && p->bel_ends) {
			ground(p);
		}
	} else if (c != 0) {
		/* Also in the middle of a sequence, which goes on. */
		ops->control(c, user);
	}
}

static size_t text_length(const uint8_t *bytes, size_t len)
{
	size_t n = 0;

	while (n < len && bytes[n] >= 0x20 && bytes[n] < DEL) {
		n++;
	}
	return n;
}

void terminal_parser_feed(struct terminal_parser *p, const uint8_t *bytes, size_t len,
			  const struct terminal_parser_ops *ops, void *user)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = bytes[i];

		if (p->state == TERMINAL_GROUND && p->utf8_len == 0) {
			size_t n = text_length(bytes + i, len - i);

			if (n > 0) {
				ops->text(bytes + i, n, user);
				i += n - 1;
				continue;
			}
		}
		if (c < 0x20) {
			utf8_break_off(p, ops, user);
			control(p, c, ops, user);
			continue;
		}
		switch (p->state) {
		case TERMINAL_GROUND:
			if (c == DEL) {
				utf8_break_off(p, ops, user);
			} else {
				utf8_byte(p, c, ops, user);
			}
			break;
		case TERMINAL_ESCAPE:
			escape_byte(p, c, ops, user);
			break;
		case TERMINAL_STRING:
			keep(p, c);
			break;
		default:
			csi_byte(p, c, ops, user);
			break;
		}
	}
}
