/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's side towards the stub: packets, and what it answers. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb_broker_private.h"

/* What a stub says of its packets is believed between these. */
#define STUB_PACKET_MIN 512
#define THREADS_MAX 1024 /* asked for in one go */

/* True where `n` more packets may be sent. */
bool gdb_stub_has_room(const struct gdb_broker *b, size_t n)
{
	return b->n_answers + n <= ANSWERS_MAX;
}

int gdb_stub_send(struct gdb_broker *b, enum answer_kind kind, struct gdb_client *client, bool last,
		  const void *body, size_t len)
{
	int err = gdb_stub_has_room(b, 1) ? 0 : -ENOBUFS;

	/* Should somebody have let the target run behind our back, the stub takes the first byte as
	 * an interrupt: let it be one that means nothing else. */
	if (err == 0) {
		err = buf_append(&b->to_stub, "+", 1);
	}
	if (err == 0) {
		err = gdb_encode(&b->to_stub, body, len);
	}

	if (err == 0) {
		b->answers[(b->first + b->n_answers++) % ANSWERS_MAX] =
			(struct answer){ .kind = kind, .client = client, .last = last };
	}
	return err;
}

int gdb_stub_say(struct gdb_broker *b, enum answer_kind kind, struct gdb_client *client,
		 const char *body)
{
	return gdb_stub_send(b, kind, client, true, body, strlen(body));
}

int gdb_stub_interrupt(struct gdb_broker *b)
{
	static const uint8_t byte = GDB_INTERRUPT_BYTE;

	return buf_append(&b->to_stub, &byte, 1);
}

/* Its target runs from here on. */
int gdb_stub_run(struct gdb_broker *b, struct gdb_client *client, const char *how)
{
	int err = gdb_stub_say(b, ANSWER_STOP, client, how);

	if (err == 0) {
		b->state = STUB_RUNNING;
		b->runs_after = true;
	}
	return err;
}

/* What the client has set is so in the stub. */
int gdb_stub_select(struct gdb_broker *b, const struct gdb_client *c)
{
	char text[32];
	int err = 0;

	if (c->thread > 0 && c->thread != b->stub_thread) {
		snprintf(text, sizeof(text), "Hg%x", (unsigned)c->thread);
		err = gdb_stub_say(b, ANSWER_IGNORED, NULL, text);
		b->stub_thread = c->thread;
	}
	if (err == 0 && c->physical != b->stub_physical) {
		snprintf(text, sizeof(text), "Qqemu.PhyMemMode:%d", c->physical);
		err = gdb_stub_say(b, ANSWER_IGNORED, NULL, text);
		b->stub_physical = c->physical;
	}
	return err;
}

int gdb_stub_unbreak(struct gdb_broker *b, const struct breakpoint *p)
{
	char text[64];

	snprintf(text, sizeof(text), "z%x,%" PRIx64 ",%" PRIx64, p->type, p->address, p->kind);
	return gdb_stub_say(b, ANSWER_IGNORED, NULL, text);
}

static void read_packet_size(struct gdb_broker *b, const char *body)
{
	const char *at = strstr(body, "PacketSize=");
	unsigned long n = at ? strtoul(at + strlen("PacketSize="), NULL, 16) : STUB_PACKET_DEFAULT;

	n = MIN(n, (unsigned long)GDB_PACKET_MAX);
	b->stub_packet = MAX(n, (unsigned long)STUB_PACKET_MIN);
}

static void keep_stop(struct gdb_broker *b, const char *body, size_t len)
{
	/* One that does not fit is told without its details. */
	if (len < sizeof(b->stop)) {
		memcpy(b->stop, body, len + 1);
	} else {
		snprintf(b->stop, sizeof(b->stop), "S%.2s", body + 1);
	}
	b->stub_thread = GDB_THREAD_ALL;
}

static int answer_threads(struct gdb_client *c, const char *body, size_t len)
{
	int err;

	if (len > 1 && body[0] == 'm' && c->n_threads++ < THREADS_MAX) {
		err = buf_append(&c->gathered, buf_len(&c->gathered) ? "," : "m", 1);
		if (err == 0) {
			err = buf_append(&c->gathered, body + 1, len - 1);
		}
		return err < 0 ? err : gdb_stub_say(c->b, ANSWER_THREADS, c, "qsThreadInfo");
	}
	if (buf_len(&c->gathered) == 0) {
		return gdb_client_answer(c, body, len);
	}
	return gdb_client_answer(c, buf_data(&c->gathered), buf_len(&c->gathered));
}

/* Part after part; what comes behind one that failed or was short is left out. */
static int answer_memory(struct gdb_client *c, const char *body, size_t len, bool last)
{
	int err = 0;

	if (gdb_reply_is_error(body, len) || len == 0) {
		c->parts_over = true;
		if (buf_len(&c->gathered) == 0) {
			err = buf_append(&c->gathered, "E14", 3); /* EFAULT */
		}
	} else if (!c->parts_over) {
		err = buf_append(&c->gathered, body, len);
		c->parts_over = len != c->b->stub_packet / 2 * 2;
	}
	return err < 0 || !last
		       ? err
		       : gdb_client_answer(c, buf_data(&c->gathered), buf_len(&c->gathered));
}

static int answer_memory_set(struct gdb_client *c, const char *body, size_t len, bool last)
{
	int err = 0;

	if (strcmp(body, OK) != 0 && buf_len(&c->gathered) == 0) {
		err = buf_append(&c->gathered, body, len);
	}
	if (err < 0 || !last) {
		return err;
	}
	return buf_len(&c->gathered) > 0
		       ? gdb_client_answer(c, buf_data(&c->gathered), buf_len(&c->gathered))
		       : gdb_client_say(c, OK);
}

static int answer_client(struct gdb_broker *b, const struct answer *a, const char *body, size_t len)
{
	struct gdb_client *c = a->client;
	struct breakpoint *p;

	switch (a->kind) {
	case ANSWER_THREAD:
		if (strcmp(body, OK) == 0) {
			c->thread = b->stub_thread = c->thread_wanted;
		}
		break;
	case ANSWER_THREADS:
		return answer_threads(c, body, len);
	case ANSWER_MEMORY:
		return answer_memory(c, body, len, a->last);
	case ANSWER_MEMORY_SET:
		return answer_memory_set(c, body, len, a->last);
	case ANSWER_BREAK:
	case ANSWER_UNBREAK:
		p = gdb_broker_breakpoint(b, &c->breakpoint);
		if (p && (strcmp(body, OK) == 0) == (a->kind == ANSWER_UNBREAK)) {
			*p = b->breakpoints[--b->n_breakpoints];
		}
		break;
	default:
		break;
	}
	return gdb_client_answer(c, body, len);
}

static struct answer answer_pop(struct gdb_broker *b)
{
	struct answer a = b->answers[b->first];

	b->first = (b->first + 1) % ANSWERS_MAX;
	b->n_answers--;
	return a;
}

static int stub_stopped(struct gdb_broker *b, const char *body, size_t len)
{
	struct gdb_client *waits = NULL;

	/* Somebody else may have let it run, behind our back: then nobody waits. */
	if (b->n_answers > 0 && b->answers[b->first].kind == ANSWER_STOP) {
		waits = answer_pop(b).client;
	}
	keep_stop(b, body, len);
	if (b->state != STUB_GREETING) {
		b->state = STUB_STOPPED;
	}
	if (waits) {
		gdb_client_fail(waits, gdb_request_tell_why(waits));
	}
	return 0;
}

static int stub_packet(struct gdb_broker *b, const char *body, size_t len)
{
	struct answer a;

	if (gdb_reply_is_exit(body, len)) {
		return -EPROTO;
	}
	if (gdb_reply_is_stop(body, len) &&
	    (b->n_answers == 0 || b->answers[b->first].kind != ANSWER_WHY)) {
		return stub_stopped(b, body, len);
	}
	if (b->n_answers == 0 || b->answers[b->first].kind == ANSWER_STOP) {
		return -EPROTO;
	}
	a = answer_pop(b);
	switch (a.kind) {
	case ANSWER_SUPPORTED:
		read_packet_size(b, body);
		break;
	case ANSWER_WHY:
		if (!gdb_reply_is_stop(body, len)) {
			return -EPROTO;
		}
		keep_stop(b, body, len);
		b->state = STUB_STOPPED;
		/* Stopped by who only reads: it ran when he was let in, and no more. */
		b->leaving |= b->runs_after && !b->controller;
		break;
	case ANSWER_FEATURES:
	case ANSWER_IGNORED:
	case ANSWER_STOP:
		break;
	default:
		if (a.client) {
			gdb_client_fail(a.client, answer_client(b, &a, body, len));
		}
	}
	return 0;
}

static int stub_event(struct gdb_broker *b, enum gdb_event event)
{
	const char *body;
	size_t len;
	int err;

	if (event == GDB_CORRUPT || event == GDB_NAK) {
		return -EPROTO; /* between two programs of one machine that is no accident */
	}
	if (event != GDB_PACKET) {
		return 0;
	}
	body = gdb_reader_body(&b->from_stub, &len);
	err = stub_packet(b, body, len);
	/* Where another packet is under way already, that one acknowledges; a byte behind one that
	 * lets the target run would stop it. */
	if (err == 0 && b->n_answers == 0) {
		err = buf_append(&b->to_stub, "+", 1);
	}
	return err < 0 ? err : gdb_broker_leave_in_order(b);
}

int gdb_broker_from_stub(struct gdb_broker *b, const void *p, size_t len)
{
	const uint8_t *at = p;
	int err = b->state == STUB_GONE ? -EPROTO : 0;

	while (len > 0 && err == 0) {
		enum gdb_event event;
		size_t used;

		err = gdb_reader_input(&b->from_stub, at, len, &used, &event);
		if (err == 0) {
			at += used;
			len -= used;
			err = stub_event(b, event);
		}
	}
	if (err == -EMSGSIZE) {
		err = -EPROTO;
	}
	if (err < 0) {
		gdb_broker_gone(b);
		return err;
	}
	gdb_clients_go_on(b);
	return 0;
}
