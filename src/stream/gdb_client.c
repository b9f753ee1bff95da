/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's clients. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdb_broker_private.h"

#define CLIENT_OUT_MAX (4 * GDB_ENCODED_MAX(GDB_PACKET_MAX))

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
			if (gdb_stub_interrupt(b) < 0) {
				gdb_client_free(c);
				return FAULT_INTERNAL;
			}
		}
		if (gdb_broker_leave_in_order(b) < 0) {
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
		gdb_broker_controller_leaves(b);
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
int gdb_client_answer(struct gdb_client *c, const void *p, size_t len)
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

int gdb_client_say(struct gdb_client *c, const char *body)
{
	return gdb_client_answer(c, body, strlen(body));
}

void gdb_client_leave(struct gdb_client *c)
{
	struct gdb_broker *b = c->b;

	c->over = true;
	if (b->controller == c) {
		gdb_broker_controller_leaves(b);
	}
}

/* One that cannot be answered any more is over; the broker is not. */
void gdb_client_fail(struct gdb_client *c, int err)
{
	if (err < 0) {
		gdb_client_leave(c);
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
		return err < 0 ? err : gdb_request_serve(c, body, len);
	case GDB_CORRUPT:
		return c->no_ack ? -EPROTO : buf_append(&c->out, "-", 1);
	case GDB_NAK:
		return c->no_ack || !c->last ? 0 : buf_append(&c->out, c->last, c->last_len);
	case GDB_INTERRUPT:
		return b->controller == c && b->state == STUB_RUNNING ? gdb_stub_interrupt(b) : 0;
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
		err = gdb_request_serve(c, body, len);
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
	if (err == 0) {
		gdb_clients_go_on(c->b);
	}
	return err;
}

void gdb_clients_go_on(struct gdb_broker *b)
{
	struct gdb_client *c;

	list_for_each (c, &b->clients, of_broker) {
		gdb_client_fail(c, client_go_on(c));
	}
}
