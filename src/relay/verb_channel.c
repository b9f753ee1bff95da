/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The D-VM's requests.
 *
 * Theory of operation: a channel reads its line, asks dvm-hostd, sends the answer, closes. What
 * waits for dvm-hostd's answer outlives its channel. At most VERBS_RUNNING_MAX channels are open at
 * once.
 */
#include "verb_channel.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "control.h"
#include "parse.h"
#include "verb.h"

/* Power and disks wait for the hypervisor and for the D-VM's own kernel. */
#define ANSWER_TIMEOUT_USEC (300 * USEC_PER_SEC)

struct verb_channel {
	struct channel channel;
	struct relay *relay;
	struct buf in, out;
	bool asked; /* the line is complete */
	bool waits; /* for dvm-hostd's answer */
};

static struct verb_channel *from_channel(struct channel *c)
{
	return container_of(c, struct verb_channel, channel);
}

static void free_all(struct verb_channel *v)
{
	v->relay->verbs_running--;
	buf_fini(&v->in);
	buf_fini(&v->out);
	free(v);
}

/* Sends what goes; the channel ends with the last byte. */
static void answer_send(struct verb_channel *v)
{
	size_t n = MIN(channel_room(&v->channel), buf_len(&v->out));

	if (n > 0) {
		buf_consume(&v->out, channel_send(&v->channel, buf_data(&v->out), n));
	}
	if (buf_len(&v->out) == 0) {
		channel_close(&v->channel, "");
		free_all(v);
	}
}

static void answer_fault(struct verb_channel *v, const struct fault *f)
{
	if (buf_printf(&v->out, "fault %s %s|%s\n", fault_code_name(f->code), f->message, f->hint) <
	    0) {
		channel_close(&v->channel, fault_code_name(FAULT_INTERNAL));
		free_all(v);
		return;
	}
	answer_send(v);
}

static void answer_code(struct verb_channel *v, enum fault_code code, const char *message)
{
	struct fault f = { 0 };

	fault_set(&f, code, "%s", message);
	answer_fault(v, &f);
}

static void on_answer(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
		      void *user)
{
	const char *text = result ? json_string_value(json_object_get(result, "text")) : NULL;
	struct verb_channel *v = user;

	v->waits = false;
	if (!v->channel.conn) {
		free_all(v);
	} else if (fault) {
		answer_fault(v, fault);
	} else if (!text || (*text && !text_valid(text, VERB_LINE_MAX - 4))) {
		answer_code(v, FAULT_TOO_LARGE, "The answer does not fit into a line.");
	} else if (buf_printf(&v->out, "ok%s%s\n", *text ? " " : "", text) < 0) {
		answer_code(v, FAULT_INTERNAL, "Out of memory.");
	} else {
		answer_send(v);
	}
}

static void ask(struct verb_channel *v, const struct verb *verb)
{
	json_t *words = json_array(), *params;

	for (size_t i = 1; i < verb->n_words; i++) {
		json_array_append_new(words, json_string(verb->words[i]));
	}
	params = json_pack("{s:s, s:o}", "verb", verb->words[0], "words", words);
	if (!params) {
		answer_code(v, FAULT_INTERNAL, "Out of memory.");
		return;
	}
	v->waits = true;
	if (control_call(v->relay->control, "verb", params, ANSWER_TIMEOUT_USEC, on_answer, v) <
	    0) {
		v->waits = false;
		answer_code(v, FAULT_HOST_AWAY, "The control plane is away just now.");
	}
}

static void on_line(struct verb_channel *v, size_t len)
{
	struct verb verb;
	enum fault_code code = verb_parse((const char *)buf_data(&v->in), len, &verb);

	v->asked = true;
	if (code == FAULT_NONE) {
		ask(v, &verb);
	} else if (code == FAULT_PROTOCOL) {
		answer_code(v, code, "This is not a line of words.");
	} else {
		answer_code(v, code, "There is no such verb.");
	}
}

static void on_data(struct channel *c, const uint8_t *p, size_t len)
{
	struct verb_channel *v = from_channel(c);
	const uint8_t *end;

	if (v->asked) {
		return;
	}
	/* No credit is given beyond one line: it fits. */
	if (buf_append(&v->in, p, len) < 0) {
		link_conn_fail(c->conn);
		return;
	}
	end = memchr(buf_data(&v->in), '\n', buf_len(&v->in));
	if (end) {
		on_line(v, (size_t)(end - buf_data(&v->in)));
	} else if (buf_room(&v->in) == 0) {
		v->asked = true;
		answer_code(v, FAULT_TOO_LARGE, "The line is too long.");
	}
}

static void on_writable(struct channel *c)
{
	struct verb_channel *v = from_channel(c);

	if (buf_len(&v->out) > 0) {
		answer_send(v);
	}
}

static void on_closed(struct channel *c, const char *reason)
{
	struct verb_channel *v = from_channel(c);

	if (!v->waits) {
		free_all(v);
	}
}

static const struct channel_ops channel_ops = {
	.opened = channel_ignore_opened,
	.data = on_data,
	.screen = channel_ignore_screen,
	.gap = channel_ignore_gap,
	.writable = on_writable,
	.eof = channel_ignore_eof,
	.ctl = channel_ignore_ctl,
	.closed = on_closed,
};

void verb_channel_open(struct relay *relay, struct link_conn *conn, uint16_t id)
{
	struct verb_channel *v = NULL;
	bool full = relay->verbs_running >= VERBS_RUNNING_MAX;

	if (!full) {
		v = calloc(1, sizeof(*v));
	}
	if (!v) {
		channel_refuse(conn, id, fault_code_name(full ? FAULT_QUOTA : FAULT_INTERNAL));
		return;
	}
	relay->verbs_running++;
	v->relay = relay;
	buf_init(&v->in, VERB_LINE_MAX);
	buf_init(&v->out, VERB_LINE_MAX);
	channel_init(&v->channel, &channel_ops, conn, id);
	channel_accept(&v->channel, 0, VERB_LINE_MAX, TUNNEL_MODE_READ | TUNNEL_MODE_WRITE);
}
