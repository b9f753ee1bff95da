/* SPDX-License-Identifier: Apache-2.0 */
/* What of a console's bytes is shown, and how. See shown.h. */
#include "shown.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "ticket.h"

int shown_init(struct shown *s, const char *log, const char *grep, struct fault *fault)
{
	*s = (struct shown){ .log_fd = -1 };
	buf_init(&s->line, SHOWN_LINE_MAX);
	buf_init(&s->plain, SHOWN_LINE_MAX);
	if (grep) {
		int error = regcomp(&s->grep, grep, REG_EXTENDED | REG_NOSUB);

		if (error != 0) {
			char why[128];

			regerror(error, &s->grep, why, sizeof(why));
			return fault_set(fault, FAULT_BAD_VALUE, "--grep \"%.60s\": %s", grep, why);
		}
		s->greps = true;
	}
	if (log) {
		s->log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (s->log_fd < 0) {
			return fault_set(fault, FAULT_BAD_VALUE, "%.200s: %s", log,
					 strerror(errno));
		}
	}
	return 0;
}

void shown_fini(struct shown *s)
{
	if (s->greps) {
		regfree(&s->grep);
	}
	s->log_fd = close_fd(s->log_fd);
	buf_fini(&s->line);
	buf_fini(&s->plain);
}

static int show(struct shown *s, const void *p, size_t len)
{
	int r = write_out(STDOUT_FILENO, p, len);

	if (r == 0 && s->log_fd >= 0) {
		r = write_out(s->log_fd, p, len);
	}
	return r;
}

static int show_stamp(struct shown *s, usec_t at)
{
	char text[40];

	clock_format(at, text);
	strcat(text, " ");
	return show(s, text, strlen(text));
}

/* [p, p+len) is of one line, whose first byte was said at `at`. */
static int show_of_line(struct shown *s, const uint8_t *p, size_t len, usec_t at)
{
	int r = s->stamps && !s->in_line && len > 0 ? show_stamp(s, at) : 0;

	if (r == 0) {
		r = show(s, p, len);
	}
	s->in_line = len > 0 && p[len - 1] != '\n';
	return r;
}

/* Length of the escape sequence (ECMA-48) that begins here. */
static size_t sequence(const uint8_t *p, size_t len)
{
	size_t n = 2;

	if (len < 2) {
		return len;
	}
	if (p[1] == ']') {
		while (n < len && p[n] != 0x07 && p[n] != 0x1b) {
			n++;
		}
		return n < len && p[n] == 0x1b ? MIN(n + 2, len) : MIN(n + 1, len);
	}
	if (p[1] == '[') {
		while (n < len && (p[n] < 0x40 || p[n] > 0x7e)) {
			n++;
		}
		return MIN(n + 1, len);
	}
	return 2;
}

/* The line as a reader sees it. Never longer than the line. */
static int plain_text(struct shown *s)
{
	const uint8_t *p = buf_data(&s->line);
	size_t len = buf_len(&s->line);
	int r = 0;

	buf_clear(&s->plain);
	while (len > 0 && r == 0) {
		size_t n = *p == 0x1b ? sequence(p, len) : 1;

		if (*p != 0x1b && *p != '\r' && *p != '\n' && *p != '\0') {
			r = buf_append(&s->plain, p, 1);
		}
		p += n;
		len -= n;
	}
	return r < 0 ? r : buf_append(&s->plain, "", 1);
}

static int line_over(struct shown *s)
{
	int r = plain_text(s);

	if (r == 0 && regexec(&s->grep, (const char *)buf_data(&s->plain), 0, NULL, 0) == 0) {
		r = show_of_line(s, buf_data(&s->line), buf_len(&s->line), s->line_at);
	}
	buf_clear(&s->line);
	return r;
}

int shown_bytes(struct shown *s, const uint8_t *p, size_t len)
{
	int r = 0;

	if (!s->greps && !s->stamps) {
		return show(s, p, len);
	}
	while (len > 0 && r == 0) {
		const uint8_t *end = memchr(p, '\n', len);
		size_t n = end ? (size_t)(end - p) + 1 : len;

		if (!s->greps) {
			r = show_of_line(s, p, n, s->now);
			p += n;
			len -= n;
			continue;
		}
		if (buf_len(&s->line) == 0) {
			s->line_at = s->now;
		}
		/* One byte is for the text's end. */
		n = MIN(n, SHOWN_LINE_MAX - 1 - buf_len(&s->line));
		r = buf_append(&s->line, p, n);
		if (r == 0 && (p[n - 1] == '\n' || buf_len(&s->line) == SHOWN_LINE_MAX - 1)) {
			r = line_over(s);
		}
		p += n;
		len -= n;
	}
	return r;
}

int shown_end(struct shown *s)
{
	return s->greps && buf_len(&s->line) > 0 ? line_over(s) : 0;
}
