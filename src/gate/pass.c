/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request for dvmd: its head is written anew, its body and the answer are passed on as they come.
 * One request a connection, so the answer's end needs no understanding: it is where dvmd hangs up.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "conn.h"
#include "unix.h"

#define BODY_MAX (1024 * 1024)

/* Fields that only a proxy may set, and the gate is the only one: who may have been asked is not
 * the user's to say. */
static bool field_is_dropped(const struct http_field *f)
{
	static const char *const prefixes[] = { "X-Forwarded-", "X-Real-", "X-Client-" };
	static const char *const names[] = { "Forwarded", "Via", "X-Request-Id" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t len = strlen(prefixes[i]);

		if (f->name_len >= len && strncasecmp(f->name, prefixes[i], len) == 0) {
			return true;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (f->name_len == strlen(names[i]) &&
		    strncasecmp(f->name, names[i], f->name_len) == 0) {
			return true;
		}
	}
	return false;
}

static void drop_fields(struct http_head *head)
{
	size_t kept = 0;

	for (size_t i = 0; i < head->n_fields; i++) {
		if (!field_is_dropped(&head->fields[i])) {
			head->fields[kept++] = head->fields[i];
		}
	}
	head->n_fields = kept;
}

static int check(const struct http_head *head, struct fault *f)
{
	if (head->chunked) {
		fault_set(f, FAULT_BAD_REQUEST, "Bodies in chunks are not taken.");
		fault_hint(f, "Send the body with a Content-Length.");
		return -EREMOTEIO;
	}
	if (head->content_length > BODY_MAX) {
		return fault_set(f, FAULT_TOO_LARGE, "The body of the request is too large.");
	}
	return 0;
}

static int host_away(struct fault *f)
{
	fault_set(f, FAULT_HOST_AWAY, "The service is away or just starting.");
	fault_hint(f, "Try again in a few seconds; sessions go on meanwhile.");
	return -EREMOTEIO;
}

static int begin(struct conn *c, struct http_head *head, struct fault *f)
{
	char id[REQUEST_ID_MAX + 32];
	int r, fd;

	r = check(head, f);
	if (r < 0) {
		return r;
	}
	drop_fields(head);
	snprintf(id, sizeof(id), "X-Request-Id: %s\r\n", c->request_id);
	r = http_head_forward(&c->up_out, head, NULL, id);
	if (r < 0) {
		return fault_set(f, FAULT_INTERNAL, "Out of memory.");
	}
	r = unix_connect(GATE_API_SOCKET, &fd);
	if (r < 0) {
		return host_away(f);
	}
	r = conn_set_up_take(c, fd);
	return r < 0 ? fault_set(f, FAULT_INTERNAL, "Out of memory.") : 0;
}

void pass_begin(struct conn *c, struct http_head *head, size_t head_len)
{
	struct fault fault;

	if (begin(c, head, &fault) < 0) {
		conn_refuse(c, &fault);
		return;
	}
	c->body_left = head->content_length;
	buf_consume(&c->in, head_len);
	conn_set_state(c, CONN_PASS);
}

static bool pass_body(struct conn *c)
{
	size_t n = MIN(buf_len(&c->in), buf_room(&c->up_out));
	bool moved;

	n = MIN(c->body_left, n);
	if (n > 0 && !c->up_broken) {
		if (buf_append(&c->up_out, buf_data(&c->in), n) < 0) {
			conn_set_state(c, CONN_DEAD);
			return true;
		}
		buf_consume(&c->in, n);
		c->body_left -= n;
	}
	moved = conn_flush_up(c);
	if (c->up_broken) {
		c->body_left = 0; /* an answer may have come before all of it was read */
	}
	return moved || n > 0;
}

static bool pass_answer(struct conn *c)
{
	struct fault fault;
	ssize_t n;

	if (buf_len(&c->out) >= CONN_OUT_HIGH) {
		return false;
	}
	n = buf_read_fd(&c->out, c->up_fd, CONN_READ_MAX);
	if (n == -EAGAIN) {
		return false;
	}
	if (n > 0) {
		c->up_talked = true;
	} else if (c->up_talked) {
		conn_set_state(c, CONN_FLUSH);
	} else {
		host_away(&fault);
		conn_refuse(c, &fault);
	}
	return true;
}

bool pass_step(struct conn *c)
{
	bool moved = pass_body(c);

	return c->state == CONN_PASS ? pass_answer(c) || moved : true;
}
