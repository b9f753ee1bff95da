/* SPDX-License-Identifier: Apache-2.0 */
/* Several gdbs on one stub: what a controller leaves, and the broker itself. See gdb_broker.h. */
#include "gdb_broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdb_broker_private.h"

#define TO_STUB_MAX ((size_t)512 * 1024)

struct breakpoint *gdb_broker_breakpoint(struct gdb_broker *b, const struct breakpoint *p)
{
	for (size_t i = 0; i < b->n_breakpoints; i++) {
		struct breakpoint *q = &b->breakpoints[i];

		if (q->type == p->type && q->address == p->address && q->kind == p->kind) {
			return q;
		}
	}
	return NULL;
}

int gdb_broker_leave_in_order(struct gdb_broker *b)
{
	int err = 0;

	if (!b->leaving || b->state == STUB_GREETING || b->state == STUB_STOPPING) {
		return 0;
	}
	if (b->state == STUB_RUNNING) {
		/* Breakpoints can be removed only while it is stopped. */
		b->leaving = b->n_breakpoints > 0;
		if (b->leaving) {
			err = gdb_stub_interrupt(b);
			b->state = STUB_STOPPING;
		}
		return err;
	}
	b->leaving = false;
	while (b->n_breakpoints > 0 && err == 0) {
		err = gdb_stub_unbreak(b, &b->breakpoints[--b->n_breakpoints]);
	}
	if (err == 0 && b->runs_after && !b->controller) {
		err = gdb_stub_run(b, NULL, "vCont;c");
	}
	return err;
}

void gdb_broker_controller_leaves(struct gdb_broker *b)
{
	b->controller = NULL;
	b->leaving = true;
	/* What does not fit now is done when the stub has answered some. */
	(void)gdb_broker_leave_in_order(b);
}

void gdb_broker_gone(struct gdb_broker *b)
{
	struct gdb_client *c;

	b->state = STUB_GONE;
	b->controller = NULL;
	list_for_each (c, &b->clients, of_broker) {
		c->over = true;
	}
}

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
	err = gdb_stub_say(b, ANSWER_SUPPORTED, NULL, "qSupported:xmlRegisters=i386");
	if (err == 0) {
		err = gdb_stub_say(b, ANSWER_FEATURES, NULL, "qXfer:features:read:target.xml:0,1");
	}
	if (err == 0) {
		err = gdb_stub_say(b, ANSWER_WHY, NULL, "?");
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
		gdb_broker_controller_leaves(b);
	} else if (b->state == STUB_STOPPED) {
		b->leaving = true;
		(void)gdb_broker_leave_in_order(b);
	}
}

int gdb_broker_abandon(struct gdb_broker *b)
{
	int err = 0;

	if (b->state == STUB_GONE || (b->state == STUB_RUNNING && b->n_breakpoints == 0)) {
		return 0;
	}
	if (b->state == STUB_RUNNING) {
		err = gdb_stub_interrupt(b);
	}
	while (b->n_breakpoints > 0 && err == 0) {
		err = gdb_stub_unbreak(b, &b->breakpoints[--b->n_breakpoints]);
	}
	return err == 0 && b->runs_after ? gdb_stub_run(b, NULL, "vCont;c") : err;
}
