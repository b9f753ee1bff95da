/* SPDX-License-Identifier: Apache-2.0 */
/* gdb's remote serial protocol. See gdb.h. */
#include "gdb.h"

#include <errno.h>
#include <string.h>

#define ESCAPE '}'
#define ESCAPE_XOR 0x20
#define RUN '*'
#define RUN_MIN 3 /* what a count of ' ' + 0 stands for is not sent */
#define RUN_BIAS 29
#define VCONT_ACTIONS_MAX 64
#define ANNEX_MAX 64

enum reader_state { BETWEEN, IN_BODY, IN_RUN, IN_SUM_1, IN_SUM_2 };

void gdb_reader_init(struct gdb_reader *r, bool replies)
{
	*r = (struct gdb_reader){ .replies = replies };
	buf_init(&r->body, GDB_PACKET_MAX + 1); /* and a NUL */
}

void gdb_reader_fini(struct gdb_reader *r)
{
	buf_fini(&r->body);
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int body_add(struct gdb_reader *r, uint8_t c, size_t n)
{
	uint8_t *p;
	int err;

	if (buf_len(&r->body) + n > GDB_PACKET_MAX) {
		return -EMSGSIZE;
	}
	err = buf_reserve(&r->body, n, &p);
	if (err < 0) {
		return err;
	}
	memset(p, c, n);
	buf_commit(&r->body, n);
	return 0;
}

/* The last byte, so many times more. */
static int body_run(struct gdb_reader *r, uint8_t count)
{
	size_t have = buf_len(&r->body);

	r->sum += count;
	r->state = IN_BODY;
	if (have == 0 || count < RUN_BIAS + RUN_MIN || count > 126) {
		return 0; /* it means nothing; the sum decides */
	}
	return body_add(r, buf_data(&r->body)[have - 1], count - RUN_BIAS);
}

static int body_input(struct gdb_reader *r, uint8_t c)
{
	if (c == '$') {
		/* The sender has begun anew. */
		buf_clear(&r->body);
		r->escaped = false;
		r->sum = 0;
		return 0;
	}
	if (c == '#') {
		r->state = IN_SUM_1;
		return 0;
	}
	r->sum += c;
	if (r->escaped) {
		r->escaped = false;
		return body_add(r, c ^ ESCAPE_XOR, 1);
	}
	if (c == ESCAPE) {
		r->escaped = true;
		return 0;
	}
	if (c == RUN && r->replies) {
		r->state = IN_RUN;
		return 0;
	}
	return body_add(r, c, 1);
}

static enum gdb_event between_input(struct gdb_reader *r, uint8_t c)
{
	switch (c) {
	case '$':
		buf_clear(&r->body);
		r->escaped = false;
		r->sum = 0;
		r->state = IN_BODY;
		return GDB_MORE;
	case '+':
		return GDB_ACK;
	case '-':
		return GDB_NAK;
	case GDB_INTERRUPT_BYTE:
		return r->replies ? GDB_MORE : GDB_INTERRUPT;
	default:
		return GDB_MORE;
	}
}

static int sum_input(struct gdb_reader *r, uint8_t c, enum gdb_event *ret)
{
	int digit = hex_value(c);

	if (r->state == IN_SUM_1) {
		r->sum_told = (uint8_t)((unsigned)digit << 4);
		r->state = digit < 0 ? BETWEEN : IN_SUM_2;
		*ret = digit < 0 ? GDB_CORRUPT : GDB_MORE;
		return 0;
	}
	r->state = BETWEEN;
	if (digit < 0 || (r->sum_told | digit) != r->sum || r->escaped) {
		*ret = GDB_CORRUPT;
		return 0;
	}
	*ret = GDB_PACKET;
	return buf_append(&r->body, "", 1);
}

int gdb_reader_input(struct gdb_reader *r, const uint8_t *p, size_t len, size_t *ret_used,
		     enum gdb_event *ret)
{
	enum gdb_event event = GDB_MORE;
	size_t i = 0;
	int err = 0;

	while (i < len && event == GDB_MORE && err == 0) {
		uint8_t c = p[i++];

		switch ((enum reader_state)r->state) {
		case BETWEEN:
			event = between_input(r, c);
			break;
		case IN_BODY:
			err = body_input(r, c);
			break;
		case IN_RUN:
			err = body_run(r, c);
			break;
		case IN_SUM_1:
		case IN_SUM_2:
			err = sum_input(r, c, &event);
			break;
		}
	}
	if (err < 0) {
		return err;
	}
	*ret_used = i;
	*ret = event;
	return 0;
}

const char *gdb_reader_body(struct gdb_reader *r, size_t *ret_len)
{
	*ret_len = buf_len(&r->body) - 1;
	return (const char *)buf_data(&r->body);
}

int gdb_encode(struct buf *out, const void *body, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = body;
	uint8_t *p, *start, sum = 0;
	int err = buf_reserve(out, GDB_ENCODED_MAX(len), &start);

	if (err < 0) {
		return err;
	}
	p = start;
	*p++ = '$';
	for (size_t i = 0; i < len; i++) {
		uint8_t c = from[i];

		if (c == '#' || c == '$' || c == ESCAPE || c == RUN) {
			*p++ = ESCAPE;
			sum += ESCAPE;
			c ^= ESCAPE_XOR;
		}
		*p++ = c;
		sum += c;
	}
	*p++ = '#';
	*p++ = (uint8_t)digits[sum >> 4];
	*p++ = (uint8_t)digits[sum & 15];
	buf_commit(out, (size_t)(p - start));
	return 0;
}

/* --- requests -----------------------------------------------------------------------------------
 */

/*
 * What may be asked, and how it must look: %x a hex number, %t a thread, %h hex digits in pairs to
 * the end, %n a file's plain name, %v the actions of vCont, %* anything to the end; the rest stands
 * for itself.
 */
static const struct {
	const char *form;
	enum gdb_command command;
	enum gdb_access access;
} requests[] = {
	{ "?", GDB_WHY, GDB_READS },
	{ "qSupported%*", GDB_SUPPORTED, GDB_READS },
	{ "QStartNoAckMode", GDB_NO_ACK, GDB_READS },
	{ "qAttached%*", GDB_ATTACHED, GDB_READS },
	{ "Hg%t", GDB_THREAD, GDB_READS },
	{ "Hc%t", GDB_THREAD_RUN, GDB_READS },
	{ "qC", GDB_THREAD_CURRENT, GDB_READS },
	{ "qfThreadInfo", GDB_THREADS_FIRST, GDB_READS },
	{ "qsThreadInfo", GDB_THREADS_NEXT, GDB_READS },
	{ "qThreadExtraInfo,%t", GDB_THREAD_EXTRA, GDB_READS },
	{ "T%t", GDB_THREAD_ALIVE, GDB_READS },
	{ "qXfer:features:read:%n:%x,%x", GDB_FEATURES, GDB_READS },
	{ "g", GDB_REGISTERS, GDB_READS },
	{ "G%h", GDB_REGISTERS_SET, GDB_CONTROLS },
	{ "p%x", GDB_REGISTER, GDB_READS },
	{ "P%x=%h", GDB_REGISTER_SET, GDB_CONTROLS },
	{ "m%x,%x", GDB_MEMORY, GDB_READS },
	{ "M%x,%x:%h", GDB_MEMORY_SET, GDB_CONTROLS },
	{ "qqemu.PhyMemMode", GDB_PHYSICAL, GDB_READS },
	{ "Qqemu.PhyMemMode:%x", GDB_PHYSICAL_SET, GDB_READS },
	{ "qqemu.sstepbits", GDB_STEP_BITS, GDB_READS },
	{ "qqemu.sstep", GDB_STEP_FLAGS, GDB_READS },
	{ "Qqemu.sstep=%x", GDB_STEP_FLAGS_SET, GDB_CONTROLS },
	{ "Z%x,%x,%x", GDB_BREAK, GDB_CONTROLS },
	{ "z%x,%x,%x", GDB_UNBREAK, GDB_CONTROLS },
	{ "vCont?", GDB_RESUME_HOW, GDB_READS },
	{ "vCont%v", GDB_RESUME, GDB_CONTROLS },
	{ "c", GDB_CONTINUE, GDB_CONTROLS },
	{ "s", GDB_STEP, GDB_CONTROLS },
	{ "D%*", GDB_DETACH, GDB_READS },
	{ "k", GDB_KILL, GDB_READS },
};
static_assert(ARRAY_SIZE(requests) == _GDB_COMMAND_MAX - 1, "a line for each but GDB_UNKNOWN");

/* Each reads what it stands for at *p and moves it on; false: it is not there. */
static bool read_number(const char **p, uint64_t *ret)
{
	const char *s = *p;
	uint64_t n = 0;
	int digit;

	while ((digit = hex_value((uint8_t)*s)) >= 0) {
		if (n >> 60) {
			return false;
		}
		n = n << 4 | (unsigned)digit;
		s++;
	}
	if (s == *p) {
		return false;
	}
	*p = s;
	*ret = n;
	return true;
}

static bool read_thread(const char **p, int *ret)
{
	uint64_t n;

	if (strncmp(*p, "-1", 2) == 0) {
		*p += 2;
		*ret = GDB_THREAD_ALL;
		return true;
	}
	if (!read_number(p, &n) || n > 0xffff) {
		return false;
	}
	*ret = (int)n;
	return true;
}

static bool read_bytes(const char **p, const char **ret, size_t *ret_len)
{
	const char *s = *p;

	while (hex_value((uint8_t)*s) >= 0) {
		s++;
	}
	*ret = *p;
	*ret_len = (size_t)(s - *p);
	*p = s;
	return *s == '\0' && *ret_len % 2 == 0;
}

static bool read_name(const char **p)
{
	size_t len = strspn(*p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789._-");

	*p += len;
	return len > 0 && len <= ANNEX_MAX;
}

/* ";c", ";C05:1", ";s:2" …: for one thread each, or all that no other is for. */
static bool read_actions(const char **p)
{
	const char *s = *p;
	uint64_t signal;
	unsigned n = 0;
	int thread;

	while (*s == ';' && n++ < VCONT_ACTIONS_MAX) {
		char action = *++s;

		if (action == '\0' || !strchr("cCsS", action)) {
			return false;
		}
		s++;
		if ((action == 'C' || action == 'S') &&
		    (!read_number(&s, &signal) || signal > 0xff)) {
			return false;
		}
		if (*s == ':') {
			s++;
			if (!read_thread(&s, &thread)) {
				return false;
			}
		}
	}
	*p = s;
	return n > 0 && *s == '\0';
}

static bool read_field(char kind, const char **p, const char *end, struct gdb_request *r)
{
	switch (kind) {
	case 'x':
		return read_number(p, &r->args[r->n_args++]);
	case 't':
		return read_thread(p, &r->thread);
	case 'h':
		return read_bytes(p, &r->bytes, &r->bytes_len);
	case 'n':
		return read_name(p);
	case 'v':
		return read_actions(p);
	default:
		*p = end;
		return true;
	}
}

static bool form_matches(const char *form, const char *body, size_t len, struct gdb_request *r)
{
	const char *end = body + len;

	while (*form) {
		if (*form == '%') {
			if (!read_field(form[1], &body, end, r)) {
				return false;
			}
			form += 2;
		} else if (*form++ != *body++) {
			return false; /* also at the NUL behind the body */
		}
	}
	return body == end;
}

void gdb_request_parse(const char *body, size_t len, struct gdb_request *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		*ret = (struct gdb_request){ .command = requests[i].command,
					     .access = requests[i].access };
		if (form_matches(requests[i].form, body, len, ret)) {
			return;
		}
	}
	*ret = (struct gdb_request){ .command = GDB_UNKNOWN };
}

bool gdb_reply_is_stop(const char *body, size_t len)
{
	return len >= 3 && (body[0] == 'T' || body[0] == 'S') && hex_value((uint8_t)body[1]) >= 0 &&
	       hex_value((uint8_t)body[2]) >= 0;
}

bool gdb_reply_is_exit(const char *body, size_t len)
{
	return len >= 3 && (body[0] == 'W' || body[0] == 'X');
}

bool gdb_reply_is_error(const char *body, size_t len)
{
	return len == 3 && body[0] == 'E' && hex_value((uint8_t)body[1]) >= 0 &&
	       hex_value((uint8_t)body[2]) >= 0;
}
