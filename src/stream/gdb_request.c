/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker's clients ask. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb_broker_private.h"

/* Written ahead of an M's digits. */
#define MEMORY_SET_HEAD 40

/* The answers that a client gets where it is not the stub's. */
#define ERROR_FORBIDDEN "E01" /* EPERM */
#define ERROR_RUNNING "E0b"   /* EAGAIN: the target runs */
#define ERROR_BAD "E16"	      /* EINVAL */
#define ERROR_TOO_MANY "E1c"  /* ENOSPC */

/* Passes the request on as it came. */
static int ask_as_is(struct gdb_client *c, enum answer_kind kind, const char *body, size_t len)
{
	int err = gdb_stub_select(c->b, c);

	if (err == 0) {
		err = gdb_stub_send(c->b, kind, c, true, body, len);
	}
	c->busy = err == 0;
	return err;
}

static int ask_thread(struct gdb_client *c, int thread)
{
	char text[32];

	if (thread == 0 || thread == GDB_THREAD_ALL) {
		c->thread = 0;
		return gdb_client_say(c, OK);
	}
	snprintf(text, sizeof(text), "Hg%x", (unsigned)thread);
	c->thread_wanted = thread;
	c->b->stub_thread = GDB_THREAD_ALL;
	c->busy = true;
	return gdb_stub_say(c->b, ANSWER_THREAD, c, text);
}

static int ask_memory(struct gdb_client *c, uint64_t address, uint64_t len)
{
	size_t chunk = c->b->stub_packet / 2;
	int err;

	if (len > GDB_READ_MAX) {
		len = GDB_READ_MAX; /* less is an answer, too */
	}
	if (!gdb_stub_has_room(c->b, len / chunk + 4)) {
		return gdb_client_say(c, ERROR_TOO_MANY);
	}
	err = gdb_stub_select(c->b, c);
	do {
		size_t n = MIN(chunk, (size_t)len);
		char text[64];
		int text_len;

		text_len = snprintf(text, sizeof(text), "m%" PRIx64 ",%zx", address, n);
		address += n;
		len -= n;
		if (err == 0) {
			err = gdb_stub_send(c->b, ANSWER_MEMORY, c, len == 0, text,
					    (size_t)text_len);
		}
	} while (len > 0 && err == 0);
	c->busy = true;
	return err;
}

static int ask_memory_set(struct gdb_client *c, const struct gdb_request *q)
{
	size_t chunk = (c->b->stub_packet - MEMORY_SET_HEAD) / 2;
	size_t len = q->bytes_len / 2, at = 0;
	uint8_t text[MEMORY_SET_HEAD + GDB_PACKET_MAX];
	int err;

	if (q->args[1] != len) {
		return gdb_client_say(c, ERROR_BAD);
	}
	if (!gdb_stub_has_room(c->b, len / chunk + 4)) {
		return gdb_client_say(c, ERROR_TOO_MANY);
	}
	err = gdb_stub_select(c->b, c);
	do {
		size_t n = MIN(chunk, len - at);
		int head = snprintf((char *)text, MEMORY_SET_HEAD,
				    "M%" PRIx64 ",%zx:", q->args[0] + at, n);

		memcpy(text + head, q->bytes + 2 * at, 2 * n);
		at += n;
		if (err == 0) {
			err = gdb_stub_send(c->b, ANSWER_MEMORY_SET, c, at == len, text,
					    (size_t)head + 2 * n);
		}
	} while (at < len && err == 0);
	c->busy = true;
	return err;
}

static int ask_breakpoint(struct gdb_client *c, const struct gdb_request *q, const char *body,
			  size_t len)
{
	bool sets = q->command == GDB_BREAK;

	if (q->args[0] > 4) {
		return gdb_client_say(c, "");
	}
	c->breakpoint = (struct breakpoint){ .type = (uint8_t)q->args[0],
					     .address = q->args[1],
					     .kind = q->args[2] };
	if (sets && c->b->n_breakpoints == GDB_BREAKPOINTS_MAX) {
		return gdb_client_say(c, ERROR_TOO_MANY);
	}
	/* Noted before the stub has it: it may be that nobody hears the answer. */
	if (sets && !gdb_broker_breakpoint(c->b, &c->breakpoint)) {
		c->b->breakpoints[c->b->n_breakpoints++] = c->breakpoint;
	}
	return ask_as_is(c, sets ? ANSWER_BREAK : ANSWER_UNBREAK, body, len);
}

/* Older words for what vCont says; those who use them mean the thread of Hc. */
static int ask_step(struct gdb_client *c)
{
	char text[32];

	snprintf(text, sizeof(text), "vCont;s:%x;c",
		 c->run_thread > 0 ? (unsigned)c->run_thread : 1);
	c->busy = true;
	return gdb_stub_run(c->b, c, text);
}

static int ask_resume(struct gdb_client *c, const char *body)
{
	c->busy = true;
	return gdb_stub_run(c->b, c, body);
}

/* The thread that the last stop was of. */
static int stop_thread(const struct gdb_broker *b)
{
	const char *at = strstr(b->stop, "thread:");
	unsigned long n = at ? strtoul(at + strlen("thread:"), NULL, 16) : 1;

	return n >= 1 && n <= 0xffff ? (int)n : 1;
}

static int tell_thread(struct gdb_client *c)
{
	char text[16];

	snprintf(text, sizeof(text), "QC%x", (unsigned)stop_thread(c->b));
	return gdb_client_say(c, text);
}

int gdb_request_tell_why(struct gdb_client *c)
{
	/* Who is told of a thread looks at that one, without saying so. */
	c->thread = stop_thread(c->b);
	return gdb_client_say(c, c->b->stop);
}

static int tell_supported(struct gdb_client *c)
{
	char text[96];

	snprintf(text, sizeof(text),
		 "PacketSize=%zx;QStartNoAckMode+;qXfer:features:read+;vContSupported+",
		 GDB_PACKET_MAX);
	return gdb_client_say(c, text);
}

static int detach(struct gdb_client *c)
{
	int err = gdb_client_say(c, OK);

	if (err == 0) {
		gdb_client_leave(c);
	}
	return err;
}

/* What is answered here, whatever the target does. 1: it is not. */
static int request_own(struct gdb_client *c, const struct gdb_request *q)
{
	int err;

	switch (q->command) {
	case GDB_UNKNOWN:
		return gdb_client_say(c, "");
	case GDB_SUPPORTED:
		return tell_supported(c);
	case GDB_NO_ACK:
		err = gdb_client_say(c, OK);
		c->no_ack = true;
		return err;
	case GDB_ATTACHED:
		return gdb_client_say(c, "1"); /* so that gdb, when it ends, leaves the target be */
	case GDB_THREAD_RUN:
		c->run_thread = q->thread;
		return gdb_client_say(c, OK);
	case GDB_THREADS_NEXT:
		return gdb_client_say(c, "l"); /* the first answer had all */
	case GDB_PHYSICAL:
		return gdb_client_say(c, c->physical ? "1" : "0");
	case GDB_PHYSICAL_SET:
		c->physical = q->args[0] != 0;
		return gdb_client_say(c, OK);
	case GDB_RESUME_HOW:
		return gdb_client_say(c, "vCont;c;C;s;S");
	case GDB_DETACH:
		return detach(c);
	case GDB_KILL:
		gdb_client_leave(c);
		return 0;
	default:
		return 1;
	}
}

/* The target is stopped. */
static int request_stub(struct gdb_client *c, const struct gdb_request *q, const char *body,
			size_t len)
{
	switch (q->command) {
	case GDB_WHY:
		return gdb_request_tell_why(c);
	case GDB_THREAD_CURRENT:
		return tell_thread(c);
	case GDB_THREAD:
		return ask_thread(c, q->thread);
	case GDB_THREADS_FIRST:
		return ask_as_is(c, ANSWER_THREADS, body, len);
	case GDB_MEMORY:
		return ask_memory(c, q->args[0], q->args[1]);
	case GDB_MEMORY_SET:
		return ask_memory_set(c, q);
	case GDB_BREAK:
	case GDB_UNBREAK:
		return ask_breakpoint(c, q, body, len);
	case GDB_RESUME:
		return ask_resume(c, body);
	case GDB_CONTINUE:
		return ask_resume(c, "vCont;c");
	case GDB_STEP:
		return ask_step(c);
	default:
		return ask_as_is(c, ANSWER_PASSED, body, len);
	}
}

int gdb_request_serve(struct gdb_client *c, const char *body, size_t len)
{
	struct gdb_broker *b = c->b;
	struct gdb_request q;
	int r;

	gdb_request_parse(body, len, &q);
	r = request_own(c, &q);
	if (r <= 0) {
		return r;
	}
	if (q.access == GDB_CONTROLS && b->controller != c) {
		return gdb_client_say(c, ERROR_FORBIDDEN);
	}
	if (b->state == STUB_RUNNING && b->controller != c) {
		return gdb_client_say(c, ERROR_RUNNING);
	}
	if (b->state != STUB_STOPPED || b->leaving) {
		c->held = true; /* soon */
		return 0;
	}
	buf_clear(&c->gathered);
	c->n_threads = 0;
	c->parts_over = false;
	return request_stub(c, &q, body, len);
}
