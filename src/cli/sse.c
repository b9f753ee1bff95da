/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events: a line parser, and one event collected at a time. */
#include "sse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void sse_init(struct sse *s, sse_event_fn fn, void *user)
{
	*s = (struct sse){ .fn = fn, .user = user };
	buf_init(&s->line, SSE_EVENT_MAX);
	buf_init(&s->data, SSE_EVENT_MAX);
}

void sse_fini(struct sse *s)
{
	buf_fini(&s->line);
	buf_fini(&s->data);
}

static int append(struct buf *b, const void *p, size_t len)
{
	int r = buf_append(b, p, len);

	return r == -ENOBUFS ? -EMSGSIZE : r;
}

static int dispatch(struct sse *s)
{
	int r = 0;

	if (s->have_data) {
		r = append(&s->data, "", 1);
		if (r == 0) {
			r = s->fn(s->type[0] ? s->type : "message", s->id,
				  (const char *)buf_data(&s->data), s->user);
		}
	}
	buf_clear(&s->data);
	s->have_data = false;
	s->type[0] = '\0';
	return r;
}

/* `line` has no line end and is NUL-terminated. */
static int take_line(struct sse *s, char *line)
{
	char *value = strchr(line, ':');
	int r;

	if (line[0] == '\0') {
		return dispatch(s);
	}
	if (value == line) {
		return 0; /* a comment: keep-alive */
	}
	if (value) {
		*value++ = '\0';
		value += *value == ' ';
	} else {
		value = line + strlen(line);
	}
	if (strcmp(line, "event") == 0) {
		snprintf(s->type, sizeof(s->type), "%s", value);
	} else if (strcmp(line, "id") == 0) {
		snprintf(s->id, sizeof(s->id), "%s", value);
	} else if (strcmp(line, "data") == 0) {
		if (s->have_data) {
			r = append(&s->data, "\n", 1);
			if (r < 0) {
				return r;
			}
		}
		s->have_data = true;
		return append(&s->data, value, strlen(value));
	}
	return 0;
}

int sse_input(struct sse *s, const char *p, size_t len)
{
	int r;

	while (len > 0) {
		const char *end = memchr(p, '\n', len);
		size_t n = end ? (size_t)(end - p) : len;
		char *line;

		r = append(&s->line, p, n);
		if (r < 0 || !end) {
			return r;
		}
		p += n + 1;
		len -= n + 1;
		if (buf_len(&s->line) > 0 && buf_data(&s->line)[buf_len(&s->line) - 1] == '\r') {
			buf_data(&s->line)[buf_len(&s->line) - 1] = '\0';
		} else {
			r = append(&s->line, "", 1);
			if (r < 0) {
				return r;
			}
		}
		line = (char *)buf_data(&s->line);
		r = take_line(s, line);
		buf_clear(&s->line);
		if (r != 0) {
			return r;
		}
	}
	return 0;
}
