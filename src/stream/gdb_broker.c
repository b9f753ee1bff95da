/* SPDX-License-Identifier: Apache-2.0 */
/* Several gdbs on one stub. See gdb_broker.h. */
#include "gdb_broker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a stub says of its packets is believed between these. */
#define STUB_PACKET_MIN 512
#define STUB_PACKET_DEFAULT 1024
#define STOP_MAX 96
#define ANSWERS_MAX 1024
#define THREADS_MAX 1024 /* asked for in one go */
#define TO_STUB_MAX ((size_t)512 * 1024)
#define CLIENT_OUT_MAX (4 * GDB_ENCODED_MAX(GDB_PACKET_MAX))
/* Written ahead of an M's digits. */
#define MEMORY_SET_HEAD 40

/* The answers that a client gets where it is not the stub's. */
#define OK "OK"
#define ERROR_FORBIDDEN "E01" /* EPERM */
#define ERROR_RUNNING "E0b"   /* EAGAIN: the target runs */
#define ERROR_BAD "E16"	      /* EINVAL */
#define ERROR_TOO_MANY "E1c"  /* ENOSPC */

enum stub_state {
	STUB_GREETING, /* its target is stopped; the first answers are awaited */
	STUB_STOPPED,
	STUB_RUNNING,
	STUB_STOPPING, /* interrupted by us */
	STUB_GONE,
};

enum answer_kind {
	ANSWER_SUPPORTED, /* the three of the greeting */
	ANSWER_FEATURES,
	ANSWER_WHY,
	ANSWER_IGNORED,
	ANSWER_STOP, /* of the target that was let run; the last in the queue */
	/* the rest is for a client */
	ANSWER_PASSED,
	ANSWER_THREAD,
	ANSWER_THREADS,
	ANSWER_MEMORY,
	ANSWER_MEMORY_SET,
	ANSWER_BREAK,
	ANSWER_UNBREAK,
};

/* To one packet sent. */
struct answer {
	enum answer_kind kind;
	struct gdb_client *client; /* NULL: it has left, or nobody's */
	bool last;		   /* of those that make one answer together */
};

struct breakpoint {
	uint8_t type;
	uint64_t address, kind;
};

struct gdb_broker {
	enum stub_state state;
	bool runs_after;
	struct buf to_stub;
	struct gdb_reader from_stub;
	size_t stub_packet; /* what it takes */
	struct answer answers[ANSWERS_MAX];
	size_t first, n_answers;
	int stub_thread; /* as said last; GDB_THREAD_ALL: not known */
	bool stub_physical;
	char stop[STOP_MAX]; /* why the target stopped last */
	struct breakpoint breakpoints[GDB_BREAKPOINTS_MAX];
	size_t n_breakpoints;
	struct list clients;
	unsigned n_clients;
	struct gdb_client *controller;
	bool leaving; /* what a controller left is still to be put in order */
};

struct gdb_client {
	struct list of_broker;
	struct gdb_broker *b;
	bool no_ack, over;
	int thread, run_thread; /* of Hg, Hc */
	bool physical;
	bool busy; /* an answer is awaited */
	bool held; /* what was read last waits until the stub can be asked */
	struct buf in, out;
	struct gdb_reader reader;
	/* of the request that is being answered: */
	struct buf gathered;
	unsigned n_threads;
	bool parts_over; /* one was the last that counts */
	int thread_wanted;
	struct breakpoint breakpoint;
	size_t last_len; /* of the packet sent last, for one that wants it again */
	uint8_t *last;
};

static int client_answer(struct gdb_client *c, const void *p, size_t len);
static int clients_go_on(struct gdb_broker *b);

/* --- towards the stub ---------------------------------------------------------------------------
 */

/* True where `n` more packets may be sent. */
static bool answers_have_room(const struct gdb_broker *b, size_t n)
{
	return b->n_answers + n <= ANSWERS_MAX;
}

static int stub_send(struct gdb_broker *b, enum answer_kind kind, struct gdb_client *client,
		     bool last, const void *body, size_t len)
{
	int err = answers_have_room(b, 1) ? 0 : -ENOBUFS;

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

static int stub_say(struct gdb_broker *b, enum answer_kind kind, struct gdb_client *client,
		    const char *body)
{
	return stub_send(b, kind, client, true, body, strlen(body));
}

static int stub_interrupt(struct gdb_broker *b)
{
	static const uint8_t byte = GDB_INTERRUPT_BYTE;

	return buf_append(&b->to_stub, &byte, 1);
}

/* Its target runs from here on. */
static int stub_run(struct gdb_broker *b, struct gdb_client *client, const char *how)
{
	int err = stub_say(b, ANSWER_STOP, client, how);

	if (err == 0) {
		b->state = STUB_RUNNING;
		b->runs_after = true;
	}
	return err;
}

/* What the client has set is so in the stub. */
static int stub_select(struct gdb_broker *b, const struct gdb_client *c)
{
	char text[32];
	int err = 0;

	if (c->thread > 0 && c->thread != b->stub_thread) {
		snprintf(text, sizeof(text), "Hg%x", (unsigned)c->thread);
		err = stub_say(b, ANSWER_IGNORED, NULL, text);
		b->stub_thread = c->thread;
	}
	if (err == 0 && c->physical != b->stub_physical) {
		snprintf(text, sizeof(text), "Qqemu.PhyMemMode:%d", c->physical);
		err = stub_say(b, ANSWER_IGNORED, NULL, text);
		b->stub_physical = c->physical;
	}
	return err;
}

static int stub_unbreak(struct gdb_broker *b, const struct breakpoint *p)
{
	char text[64];

	snprintf(text, sizeof(text), "z%x,%" PRIx64 ",%" PRIx64, p->type, p->address, p->kind);
	return stub_say(b, ANSWER_IGNORED, NULL, text);
}

/* --- what a controller leaves
 * -------------------------------------------------------------------- */

static int leave_in_order(struct gdb_broker *b)
{
	int err = 0;

	if (!b->leaving || b->state == STUB_GREETING || b->state == STUB_STOPPING) {
		return 0;
	}
	if (b->state == STUB_RUNNING) {
		/* Breakpoints can be removed only while it is stopped. */
		b->leaving = b->n_breakpoints > 0;
		if (b->leaving) {
			err = stub_interrupt(b);
			b->state = STUB_STOPPING;
		}
		return err;
	}
	b->leaving = false;
	while (b->n_breakpoints > 0 && err == 0) {
		err = stub_unbreak(b, &b->breakpoints[--b->n_breakpoints]);
	}
	if (err == 0 && b->runs_after && !b->controller) {
		err = stub_run(b, NULL, "vCont;c");
	}
	return err;
}

static void controller_leaves(struct gdb_broker *b)
{
	b->controller = NULL;
	b->leaving = true;
	/* What does not fit now is done when the stub has answered some. */
	(void)leave_in_order(b);
}

static void gone(struct gdb_broker *b)
{
	struct gdb_client *c;

	b->state = STUB_GONE;
	b->controller = NULL;
	list_for_each (c, &b->clients, of_broker) {
		c->over = true;
	}
}

/* --- what clients ask ---------------------------------------------------------------------------
 */

static int client_say(struct gdb_client *c, const char *body)
{
	return client_answer(c, body, strlen(body));
}

/* Passes the request on as it came. */
static int ask_as_is(struct gdb_client *c, enum answer_kind kind, const char *body, size_t len)
{
	int err = stub_select(c->b, c);

	if (err == 0) {
		err = stub_send(c->b, kind, c, true, body, len);
	}
	c->busy = err == 0;
	return err;
}

static int ask_thread(struct gdb_client *c, int thread)
{
	char text[32];

	if (thread == 0 || thread == GDB_THREAD_ALL) {
		c->thread = 0;
		return client_say(c, OK);
	}
	snprintf(text, sizeof(text), "Hg%x", (unsigned)thread);
	c->thread_wanted = thread;
	c->b->stub_thread = GDB_THREAD_ALL;
	c->busy = true;
	return stub_say(c->b, ANSWER_THREAD, c, text);
}

static int ask_memory(struct gdb_client *c, uint64_t address, uint64_t len)
{
	size_t chunk = c->b->stub_packet / 2;
	int err;

	if (len > GDB_READ_MAX) {
		len = GDB_READ_MAX; /* less is an answer, too */
	}
	if (!answers_have_room(c->b, len / chunk + 4)) {
		return client_say(c, ERROR_TOO_MANY);
	}
	err = stub_select(c->b, c);
	do {
		size_t n = MIN(chunk, (size_t)len);
		char text[64];
		int text_len;

		text_len = snprintf(text, sizeof(text), "m%" PRIx64 ",%zx", address, n);
		address += n;
		len -= n;
		if (err == 0) {
			err = stub_send(c->b, ANSWER_MEMORY, c, len == 0, text, (size_t)text_len);
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
		return client_say(c, ERROR_BAD);
	}
	if (!answers_have_room(c->b, len / chunk + 4)) {
		return client_say(c, ERROR_TOO_MANY);
	}
	err = stub_select(c->b, c);
	do {
		size_t n = MIN(chunk, len - at);
		int head = snprintf((char *)text, MEMORY_SET_HEAD,
				    "M%" PRIx64 ",%zx:", q->args[0] + at, n);

		memcpy(text + head, q->bytes + 2 * at, 2 * n);
		at += n;
		if (err == 0) {
			err = stub_send(c->b, ANSWER_MEMORY_SET, c, at == len, text,
					(size_t)head + 2 * n);
		}
	} while (at < len && err == 0);
	c->busy = true;
	return err;
}

static struct breakpoint *breakpoint_find(struct gdb_broker *b, const struct breakpoint *p)
{
	for (size_t i = 0; i < b->n_breakpoints; i++) {
		struct breakpoint *q = &b->breakpoints[i];

		if (q->type == p->type && q->address == p->address && q->kind == p->kind) {
			return q;
		}
	}
	return NULL;
}

static int ask_breakpoint(struct gdb_client *c, const struct gdb_request *q, const char *body,
			  size_t len)
{
	bool sets = q->command == GDB_BREAK;

	if (q->args[0] > 4) {
		return client_say(c, "");
	}
	c->breakpoint = (struct breakpoint){ .type = (uint8_t)q->args[0],
					     .address = q->args[1],
					     .kind = q->args[2] };
	if (sets && c->b->n_breakpoints == GDB_BREAKPOINTS_MAX) {
		return client_say(c, ERROR_TOO_MANY);
	}
	/* Noted before the stub has it: it may be that nobody hears the answer. */
	if (sets && !breakpoint_find(c->b, &c->breakpoint)) {
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
	return stub_run(c->b, c, text);
}

static int ask_resume(struct gdb_client *c, const char *body)
{
	c->busy = true;
	return stub_run(c->b, c, body);
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
	return client_say(c, text);
}

static int tell_why(struct gdb_client *c)
{
	/* Who is told of a thread looks at that one, without saying so. */
	c->thread = stop_thread(c->b);
	return client_say(c, c->b->stop);
}

static int tell_supported(struct gdb_client *c)
{
	char text[96];

	snprintf(text, sizeof(text),
		 "PacketSize=%zx;QStartNoAckMode+;qXfer:features:read+;vContSupported+",
		 GDB_PACKET_MAX);
	return client_say(c, text);
}

static int leave(struct gdb_client *c)
{
	struct gdb_broker *b = c->b;

	c->over = true;
	if (b->controller == c) {
		controller_leaves(b);
	}
	return 0;
}

static int detach(struct gdb_client *c)
{
	int err = client_say(c, OK);

	return err < 0 ? err : leave(c);
}

/* What is answered here, whatever the target does. 1: it is not. */
static int request_own(struct gdb_client *c, const struct gdb_request *q)
{
	int err;

	switch (q->command) {
	case GDB_UNKNOWN:
		return client_say(c, "");
	case GDB_SUPPORTED:
		return tell_supported(c);
	case GDB_NO_ACK:
		err = client_say(c, OK);
		c->no_ack = true;
		return err;
	case GDB_ATTACHED:
		return client_say(c, "1"); /* so that gdb, when it ends, leaves the target be */
	case GDB_THREAD_RUN:
		c->run_thread = q->thread;
		return client_say(c, OK);
	case GDB_THREADS_NEXT:
		return client_say(c, "l"); /* the first answer had all */
	case GDB_PHYSICAL:
		return client_say(c, c->physical ? "1" : "0");
	case GDB_PHYSICAL_SET:
		c->physical = q->args[0] != 0;
		return client_say(c, OK);
	case GDB_RESUME_HOW:
		return client_say(c, "vCont;c;C;s;S");
	case GDB_DETACH:
		return detach(c);
	case GDB_KILL:
		return leave(c);
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
		return tell_why(c);
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

static int request(struct gdb_client *c, const char *body, size_t len)
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
		return client_say(c, ERROR_FORBIDDEN);
	}
	if (b->state == STUB_RUNNING && b->controller != c) {
		return client_say(c, ERROR_RUNNING);
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

/* --- a client
 * ------------------------------------------------------------------------------------ */

enum fault_code gdb_client_new(struct gdb_broker *b, bool controls, bool takes,
			       struct gdb_client **ret)
{
	struct gdb_client *c;

	if (b->state == STUB_GONE) {
		return FAULT_VM_NOT_RUNNING;
	}
	controls = controls && (takes || !b->controller);
	if (!controls && b->state != STUB_STOPPED && b->state != STUB_GREETING) {
		return FAULT_VM_NOT_STOPPED;
	}
	if (b->n_clients >= GDB_CLIENTS_MAX) {
		return FAULT_QUOTA;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		return FAULT_INTERNAL;
	}
	c->b = b;
	buf_init(&c->in, GDB_CLIENT_AHEAD);
	buf_init(&c->out, CLIENT_OUT_MAX);
	buf_init(&c->gathered, GDB_PACKET_MAX);
	gdb_reader_init(&c->reader, false);
	list_add_tail(&b->clients, &c->of_broker);
	b->n_clients++;
	if (controls) {
		b->controller = c;
		/* Of one who had it before nothing is left. */
		b->leaving = b->n_breakpoints > 0;
		if (b->state == STUB_RUNNING) {
			b->state = STUB_STOPPING;
			if (stub_interrupt(b) < 0) {
				gdb_client_free(c);
				return FAULT_INTERNAL;
			}
		}
		if (leave_in_order(b) < 0) {
			gdb_client_free(c);
			return FAULT_INTERNAL;
		}
	}
	*ret = c;
	return FAULT_NONE;
}

struct gdb_client *gdb_client_free(struct gdb_client *c)
{
	struct gdb_broker *b;

	if (!c) {
		return NULL;
	}
	b = c->b;
	for (size_t i = 0; i < b->n_answers; i++) {
		struct answer *a = &b->answers[(b->first + i) % ANSWERS_MAX];

		a->client = a->client == c ? NULL : a->client;
	}
	list_del(&c->of_broker);
	b->n_clients--;
	if (b->controller == c) {
		controller_leaves(b);
	}
	buf_fini(&c->in);
	buf_fini(&c->out);
	buf_fini(&c->gathered);
	gdb_reader_fini(&c->reader);
	free(c->last);
	free(c);
	return NULL;
}

bool gdb_client_controls(const struct gdb_client *c)
{
	return c->b->controller == c;
}

bool gdb_client_is_over(const struct gdb_client *c)
{
	return c->over;
}

size_t gdb_client_room(const struct gdb_client *c)
{
	return buf_room(&c->in);
}

struct buf *gdb_client_output(struct gdb_client *c)
{
	return &c->out;
}

/* The answer to what it asked last. */
static int client_answer(struct gdb_client *c, const void *p, size_t len)
{
	size_t before = buf_len(&c->out);
	int err = gdb_encode(&c->out, p, len);

	c->busy = false;
	if (err < 0 || c->no_ack) {
		return err;
	}
	free(c->last);
	c->last_len = buf_len(&c->out) - before;
	c->last = malloc(c->last_len);
	if (!c->last) {
		return -ENOMEM;
	}
	memcpy(c->last, buf_data(&c->out) + before, c->last_len);
	return 0;
}

/* One that cannot be answered any more is over; the broker is not. */
static void client_fail(struct gdb_client *c, int err)
{
	if (err < 0) {
		(void)leave(c);
	}
}

static int client_event(struct gdb_client *c, enum gdb_event event)
{
	struct gdb_broker *b = c->b;
	const char *body;
	size_t len;
	int err = 0;

	switch (event) {
	case GDB_PACKET:
		err = c->no_ack ? 0 : buf_append(&c->out, "+", 1);
		body = gdb_reader_body(&c->reader, &len);
		return err < 0 ? err : request(c, body, len);
	case GDB_CORRUPT:
		return c->no_ack ? -EPROTO : buf_append(&c->out, "-", 1);
	case GDB_NAK:
		return c->no_ack || !c->last ? 0 : buf_append(&c->out, c->last, c->last_len);
	case GDB_INTERRUPT:
		return b->controller == c && b->state == STUB_RUNNING ? stub_interrupt(b) : 0;
	case GDB_ACK:
	case GDB_MORE:
		return 0;
	}
	return 0;
}

/* Eats what it has said, up to a packet while it awaits the answer to another. */
static int client_go_on(struct gdb_client *c)
{
	int err = 0;

	if (c->held) {
		const char *body;
		size_t len;

		if (c->b->state == STUB_GREETING || c->b->state == STUB_STOPPING || c->b->leaving) {
			return 0;
		}
		c->held = false;
		body = gdb_reader_body(&c->reader, &len);
		err = request(c, body, len);
	}
	while (err == 0 && buf_len(&c->in) > 0 && !c->over && !c->held) {
		enum gdb_event event;
		size_t used;

		if (c->busy && buf_data(&c->in)[0] == '$') {
			break;
		}
		/* While it waits, byte by byte: a packet begins with the next `$`. */
		err = gdb_reader_input(&c->reader, buf_data(&c->in), c->busy ? 1 : buf_len(&c->in),
				       &used, &event);
		if (err == 0) {
			buf_consume(&c->in, used);
			err = client_event(c, event);
		}
	}
	return err;
}

int gdb_client_input(struct gdb_client *c, const void *p, size_t len)
{
	int err = buf_append(&c->in, p, len);

	if (err == 0) {
		err = client_go_on(c);
	}
	/* Its leaving may have let others go on. */
	return err < 0 ? err : clients_go_on(c->b);
}

static int clients_go_on(struct gdb_broker *b)
{
	struct gdb_client *c;

	list_for_each (c, &b->clients, of_broker) {
		client_fail(c, client_go_on(c));
	}
	return 0;
}

/* --- what the stub answers
 * ----------------------------------------------------------------------- */

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
		return err < 0 ? err : stub_say(c->b, ANSWER_THREADS, c, "qsThreadInfo");
	}
	if (buf_len(&c->gathered) == 0) {
		return client_answer(c, body, len);
	}
	return client_answer(c, buf_data(&c->gathered), buf_len(&c->gathered));
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
	return err < 0 || !last ? err
				: client_answer(c, buf_data(&c->gathered), buf_len(&c->gathered));
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
		       ? client_answer(c, buf_data(&c->gathered), buf_len(&c->gathered))
		       : client_say(c, OK);
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
		p = breakpoint_find(b, &c->breakpoint);
		if (p && (strcmp(body, OK) == 0) == (a->kind == ANSWER_UNBREAK)) {
			*p = b->breakpoints[--b->n_breakpoints];
		}
		break;
	default:
		break;
	}
	return client_answer(c, body, len);
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
		client_fail(waits, tell_why(waits));
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
			client_fail(a.client, answer_client(b, &a, body, len));
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
	return err < 0 ? err : leave_in_order(b);
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
		gone(b);
		return err;
	}
	return clients_go_on(b);
}

/* --- the broker
 * ---------------------------------------------------------------------------------- */

int gdb_broker_new(bool was_running, struct gdb_broker **ret)
{
	struct gdb_broker *b = calloc(1, sizeof(*b));
	int err;

	if (!b) {
		return -ENOMEM;
	}
	b->runs_after = was_running;
	b->stub_packet = STUB_PACKET_DEFAULT;
	b->stub_thread = GDB_THREAD_ALL;
	list_init(&b->clients);
	buf_init(&b->to_stub, TO_STUB_MAX);
	gdb_reader_init(&b->from_stub, true);
	/* Without multiprocess+, so that a thread is a number. The description is asked for because
	 * the stub lets registers be read one by one only to who knows them. `?` removes what a
	 * predecessor of ours may have left. */
	err = stub_say(b, ANSWER_SUPPORTED, NULL, "qSupported:xmlRegisters=i386");
	if (err == 0) {
		err = stub_say(b, ANSWER_FEATURES, NULL, "qXfer:features:read:target.xml:0,1");
	}
	if (err == 0) {
		err = stub_say(b, ANSWER_WHY, NULL, "?");
	}
	if (err < 0) {
		gdb_broker_free(b);
		return err;
	}
	*ret = b;
	return 0;
}

struct gdb_broker *gdb_broker_free(struct gdb_broker *b)
{
	if (b) {
		assert(list_empty(&b->clients));
		buf_fini(&b->to_stub);
		gdb_reader_fini(&b->from_stub);
		free(b);
	}
	return NULL;
}

struct buf *gdb_broker_to_stub(struct gdb_broker *b)
{
	return &b->to_stub;
}

bool gdb_broker_is_stopped(const struct gdb_broker *b)
{
	return b->state == STUB_GREETING || b->state == STUB_STOPPED || b->state == STUB_STOPPING;
}

bool gdb_broker_is_controlled(const struct gdb_broker *b)
{
	return b->controller;
}

bool gdb_broker_runs_after(const struct gdb_broker *b)
{
	return b->runs_after;
}

bool gdb_broker_is_idle(const struct gdb_broker *b)
{
	if (b->state == STUB_GONE) {
		return b->n_clients == 0;
	}
	return b->n_clients == 0 && !b->leaving && b->state != STUB_GREETING &&
	       b->state != STUB_STOPPING && buf_len(&b->to_stub) == 0 &&
	       b->n_answers == (b->state == STUB_RUNNING);
}

void gdb_broker_let_go(struct gdb_broker *b)
{
	b->runs_after = true;
	if (b->controller) {
		b->controller->over = true;
		controller_leaves(b);
	} else if (b->state == STUB_STOPPED) {
		b->leaving = true;
		(void)leave_in_order(b);
	}
}

int gdb_broker_abandon(struct gdb_broker *b)
{
	int err = 0;

	if (b->state == STUB_GONE || (b->state == STUB_RUNNING && b->n_breakpoints == 0)) {
		return 0;
	}
	if (b->state == STUB_RUNNING) {
		err = stub_interrupt(b);
	}
	while (b->n_breakpoints > 0 && err == 0) {
		err = stub_unbreak(b, &b->breakpoints[--b->n_breakpoints]);
	}
	return err == 0 && b->runs_after ? stub_run(b, NULL, "vCont;c") : err;
}
