/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a console down as asciicast v2. See recorder.h. */
/* #syscalls: mmap munmap ftruncate fallocate fstat newfstatat pwrite64 pread64 fstatfs close */
#include "recorder.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "failpoint.h"
#include "publish.h"
#include "tunnel.h"
#include "utf8.h"

#define STATE_BYTES 4096
#define STATE_VERSION 1
/* Output of one event: a byte becomes six at most ("\u001b"). */
#define EVENT_BYTES_MAX 32768
#define TEXT_WORST 6
#define TEXT_PIECE_BYTES 512
#define LINE_MAX_BYTES ((EVENT_BYTES_MAX + TEXT_PIECE_BYTES + UTF8_MAX) * TEXT_WORST + 64)
#define SIZE_MAX_EACH 1000
/* Kept free below the limit, for the line that says it was reached. */
#define LAST_LINE_BYTES 128

static const char state_magic[8] = "DVMREC1";

struct state_slot {
	uint64_t offset;  /* of the stream: all before it is in the file */
	uint64_t length;  /* of the file */
	uint64_t at_usec; /* time of the last event */
};

struct state_page {
	char magic[8];
	uint64_t start_realtime;
	uint64_t count; /* slot[count % 2] counts */
	struct state_slot slot[2];
};
static_assert(sizeof(struct state_page) <= STATE_BYTES, "the state is one page");

struct recorder {
	int fd;
	struct state_page *page;
	struct state_slot now; /* as in the page */
	uint64_t max_bytes;
	unsigned columns, rows; /* as the file has them, as far as we know */
	const char *full_text;
	struct buf line;
	uint8_t partial[UTF8_MAX]; /* start of a character whose rest has not come */
	size_t n_partial;
	enum fault_code stopped;
};

static void state_store(struct recorder *r, const struct state_slot *slot)
{
	uint64_t count = r->page->count + 1;

	r->page->slot[count % 2] = *slot;
	publish_u64(&r->page->count, count);
	r->now = *slot;
}

static void stop(struct recorder *r, int err)
{
	switch (err) {
	case -ENOSPC:
	case -EDQUOT:
		r->stopped = FAULT_DISK_FULL;
		break;
	case -EFBIG:
		r->stopped = FAULT_QUOTA;
		break;
	default:
		r->stopped = FAULT_INTERNAL;
	}
}

/* One write, whole or not at all. */
static int file_append(struct recorder *r, const void *p, size_t len)
{
	size_t done = 0;
	int err = failpoint("recorder.write");

	while (err == 0 && done < len) {
		ssize_t n = pwrite(r->fd, (const char *)p + done, len - done,
				   (off_t)(r->now.length + done));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			err = n < 0 ? -errno : -EIO;
			break;
		}
		done += (size_t)n;
	}
	if (err < 0 && done > 0 && ftruncate(r->fd, (off_t)r->now.length) < 0) {
		return -errno;
	}
	return err;
}

/* `text` needs no escaping. */
static int event_encode(struct buf *line, uint64_t at_usec, char type, const char *text)
{
	return buf_printf(line, "[%" PRIu64 ".%06" PRIu64 ", \"%c\", \"%s\"]\n",
			  at_usec / USEC_PER_SEC, at_usec % USEC_PER_SEC, type, text);
}

/* Writes out the line in r->line; `offset`: of the stream, after it. */
static void line_write(struct recorder *r, uint64_t offset, uint64_t at_usec)
{
	struct state_slot next = { .offset = offset, .at_usec = at_usec };
	bool full = r->now.length + buf_len(&r->line) > r->max_bytes - LAST_LINE_BYTES;
	int err = 0;

	if (r->stopped) {
		return;
	}
	if (full) {
		next.offset = r->now.offset;
		buf_clear(&r->line);
		err = event_encode(&r->line, at_usec, 'm', r->full_text);
	}
	next.length = r->now.length + buf_len(&r->line);
	if (err == 0) {
		err = file_append(r, buf_data(&r->line), buf_len(&r->line));
	}
	if (err < 0) {
		stop(r, err);
		return;
	}
	state_store(r, &next);
	if (full) {
		r->stopped = FAULT_QUOTA;
	}
}

static uint64_t event_time(const struct recorder *r, usec_t now)
{
	usec_t start = r->page->start_realtime;

	/* A clock that was set back must not make time run backwards in the recording. */
	return MAX(r->now.at_usec, now > start ? now - start : 0);
}

static void event_write(struct recorder *r, uint64_t offset, usec_t now, char type,
			const char *text)
{
	uint64_t at = event_time(r, now);

	buf_clear(&r->line);
	if (event_encode(&r->line, at, type, text) < 0) {
		r->stopped = FAULT_INTERNAL;
		return;
	}
	line_write(r, offset, at);
}

/* Sixteen bytes at once, in what vector registers the machine has. */
typedef uint8_t bytes16 __attribute__((vector_size(16)));

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static bool all_plain(bytes16 v)
{
	bytes16 special = (bytes16)((v < 0x20) | (v >= 0x7f) | (v == '"') | (v == '\\'));
	uint64_t halves[2];

	memcpy(halves, &special, sizeof(halves));
	return (halves[0] | halves[1]) == 0;
}

/* Copies what stands at the head of [p, p+len) and in JSON as it is; returns how much. */
static size_t plain_copy(uint8_t *to, const uint8_t *p, size_t len)
{
	size_t n = 0;
	bytes16 v;

	for (; n + sizeof(v) <= len; n += sizeof(v)) {
		memcpy(&v, p + n, sizeof(v));
		if (!all_plain(v)) {
			break;
		}
		memcpy(to + n, &v, sizeof(v));
	}
	for (; n < len && is_plain(p[n]); n++) {
		to[n] = p[n];
	}
	return n;
}

/* Writes the character of `len` bytes at p; returns how much. */
static size_t text_put(uint8_t *to, const uint8_t *p, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	char escape = 0;

	switch (*p) {
	case '"':
	case '\\':
		escape = (char)*p;
		break;
	case '\n':
		escape = 'n';
		break;
	case '\r':
		escape = 'r';
		break;
	case '\t':
		escape = 't';
		break;
	default:
		if (*p < 0x20 || *p == 0x7f) {
			memcpy(to, "\\u00", 4);
			to[4] = (uint8_t)hex[*p >> 4];
			to[5] = (uint8_t)hex[*p & 15];
			return 6;
		}
		memcpy(to, p, len);
		return len;
	}
	to[0] = '\\';
	to[1] = (uint8_t)escape;
	return 2;
}

/* Appends [p, p+len) as text to the line; what may be the start of a character at its end is left
 * out and counted in *ret_rest, unless `whole`. */
static int text_encode(struct buf *b, const uint8_t *p, size_t len, bool whole, size_t *ret_rest)
{
	while (len > 0) {
		/* A piece at a time, so that the room for the worst of it is little. */
		const uint8_t *end = p + MIN(len, (size_t)TEXT_PIECE_BYTES);
		uint8_t *start, *to;
		int err = buf_reserve(b, TEXT_PIECE_BYTES * TEXT_WORST, &start);

		if (err < 0) {
			return err;
		}
		to = start;
		while (p < end) {
			size_t plain = plain_copy(to, p, (size_t)(end - p));
			int n;

			to += plain;
			p += plain;
			len -= plain;
			if (p == end) {
				break;
			}
			/* May reach beyond the piece. */
			n = *p < 0x80 ? 1 : utf8_next(p, len);
			if (n == 0 && !whole) {
				buf_commit(b, (size_t)(to - start));
				*ret_rest = len;
				return 0;
			}
			if (n > 0) {
				to += text_put(to, p, (size_t)n);
			} else {
				memcpy(to, "\xef\xbf\xbd", 3);
				to += 3;
				n = n == 0 ? (int)len : -n;
			}
			p += n;
			len -= (size_t)n;
		}
		buf_commit(b, (size_t)(to - start));
	}
	*ret_rest = 0;
	return 0;
}

/* One "o" event out of at most EVENT_BYTES_MAX bytes. They end at `offset` of the stream. */
static void output_write(struct recorder *r, const uint8_t *p, size_t len, bool whole,
			 uint64_t offset, usec_t now)
{
	uint64_t at = event_time(r, now);
	size_t rest = 0;
	int err;

	buf_clear(&r->line);
	err = buf_printf(&r->line, "[%" PRIu64 ".%06" PRIu64 ", \"o\", \"", at / USEC_PER_SEC,
			 at % USEC_PER_SEC);
	if (err == 0) {
		err = text_encode(&r->line, p, len, whole, &rest);
	}
	if (err == 0) {
		err = buf_append(&r->line, "\"]\n", 3);
	}
	if (err < 0) {
		r->stopped = FAULT_INTERNAL;
		return;
	}
	assert(rest < UTF8_MAX);
	memcpy(r->partial, p + len - rest, rest);
	r->n_partial = rest;
	if (rest == len) {
		return;
	}
	line_write(r, offset - rest, at);
}

/* What was begun will not be completed. */
static void partial_flush(struct recorder *r, usec_t now)
{
	uint8_t rest[UTF8_MAX];
	size_t n = r->n_partial;

	if (n == 0 || r->stopped) {
		return;
	}
	memcpy(rest, r->partial, n);
	output_write(r, rest, n, true, r->now.offset + n, now);
}

static int header_write(struct recorder *r, const struct recorder_options *o)
{
	int err = buf_printf(
		&r->line,
		"{\"version\": 2, \"width\": %u, \"height\": %u, \"timestamp\": %" PRIu64 "}\n",
		o->columns, o->rows, r->page->start_realtime / USEC_PER_SEC);

	if (err < 0) {
		return err;
	}
	err = file_append(r, buf_data(&r->line), buf_len(&r->line));
	if (err == 0) {
		struct state_slot slot = { .offset = TUNNEL_FROM_KEPT,
					   .length = buf_len(&r->line) };

		state_store(r, &slot);
	}
	return err;
}

static int state_map(struct recorder *r, int state_fd)
{
	void *mem;
	int err;

	/* With all its blocks: a store to a hole on a full disk is a SIGBUS. */
	err = posix_fallocate(state_fd, 0, STATE_BYTES);
	if (err != 0) {
		return -err;
	}
	mem = mmap(NULL, STATE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, state_fd, 0);
	if (mem == MAP_FAILED) {
		return -errno;
	}
	r->page = mem;
	return 0;
}

static int recorder_begin(struct recorder *r, const struct recorder_options *options, usec_t now)
{
	struct state_page *page = r->page;
	struct stat st;

	if (fstat(r->fd, &st) < 0) {
		return -errno;
	}
	if (memcmp(page->magic, state_magic, sizeof(state_magic)) != 0) {
		uint64_t magic;

		if (st.st_size != 0) {
			return -EBADMSG;
		}
		memset(page, 0, sizeof(*page));
		/* A whole second, as the header has it: times in it are exact then. */
		page->start_realtime = now - now % USEC_PER_SEC;
		memcpy(&magic, state_magic, sizeof(magic));
		publish_u64((uint64_t *)(void *)page->magic, magic);
	}
	r->now = page->slot[page->count % 2];
	if (r->now.length > (uint64_t)st.st_size) {
		return -EBADMSG;
	}
	if (ftruncate(r->fd, (off_t)r->now.length) < 0) {
		return -errno;
	}
	if (r->now.length > r->max_bytes - LAST_LINE_BYTES) {
		r->stopped = FAULT_QUOTA;
	}
	return r->now.length == 0 ? header_write(r, options) : 0;
}

int recorder_open_take(int cast_fd, int state_fd, const struct recorder_options *options,
		       usec_t now, struct recorder **ret)
{
	_cleanup_close_ int owned_state_fd = state_fd;
	struct recorder *r;
	int err;

	assert(options->max_bytes >= 1024);
	r = calloc(1, sizeof(*r));
	if (!r) {
		close_fd(cast_fd);
		return -ENOMEM;
	}
	r->fd = cast_fd;
	r->max_bytes = options->max_bytes;
	r->columns = options->columns;
	r->rows = options->rows;
	r->full_text = options->full ? options->full : "the recording has reached its limit";
	buf_init(&r->line, LINE_MAX_BYTES);
	err = state_map(r, owned_state_fd);
	if (err == 0) {
		err = recorder_begin(r, options, now);
	}
	if (err < 0) {
		recorder_close(r);
		return err;
	}
	*ret = r;
	return 0;
}

struct recorder *recorder_close(struct recorder *r)
{
	if (!r) {
		return NULL;
	}
	if (r->page) {
		munmap(r->page, STATE_BYTES);
	}
	buf_fini(&r->line);
	close_fd(r->fd);
	free(r);
	return NULL;
}

uint64_t recorder_offset(const struct recorder *r)
{
	return r->now.offset;
}

uint64_t recorder_bytes(const struct recorder *r)
{
	return r->now.length;
}

uint64_t recorder_limit(const struct recorder *r)
{
	return r->max_bytes;
}

void recorder_limit_set(struct recorder *r, uint64_t max_bytes)
{
	assert(max_bytes >= 1024);
	r->max_bytes = max_bytes;
}

enum fault_code recorder_stopped(const struct recorder *r)
{
	return r->stopped;
}

static void gap_write(struct recorder *r, uint64_t offset, uint64_t length, usec_t now)
{
	char text[64];

	if (length > 0) {
		snprintf(text, sizeof(text), "%" PRIu64 " bytes lost", length);
	} else {
		snprintf(text, sizeof(text), "bytes lost, number unknown");
	}
	event_write(r, offset, now, 'm', text);
}

void recorder_start(struct recorder *r, uint64_t start, usec_t now)
{
	uint64_t at = r->now.offset;

	if (r->stopped || start == at) {
		return;
	}
	r->n_partial = 0;
	if (at == TUNNEL_FROM_KEPT) {
		struct state_slot slot = r->now;

		slot.offset = start;
		state_store(r, &slot);
		return;
	}
	/* An offset that goes back belongs to another stream: how much lies between cannot be
	 * known. */
	gap_write(r, start, start > at ? start - at : 0, now);
}

void recorder_data(struct recorder *r, const void *p, size_t len, usec_t now)
{
	uint8_t piece[EVENT_BYTES_MAX];
	const uint8_t *src = p;

	while (len > 0 && !r->stopped) {
		size_t begun = r->n_partial;
		size_t n = MIN(len, sizeof(piece) - begun);

		memcpy(piece, r->partial, begun);
		memcpy(piece + begun, src, n);
		output_write(r, piece, begun + n, false, r->now.offset + begun + n, now);
		src += n;
		len -= n;
	}
}

void recorder_gap(struct recorder *r, uint64_t length, usec_t now)
{
	partial_flush(r, now);
	if (!r->stopped) {
		gap_write(r, r->now.offset + length, length, now);
	}
}

void recorder_resize(struct recorder *r, unsigned columns, unsigned rows, usec_t now)
{
	char text[32];

	if (columns < 1 || columns > SIZE_MAX_EACH || rows < 1 || rows > SIZE_MAX_EACH ||
	    (columns == r->columns && rows == r->rows)) {
		return;
	}
	if (r->stopped) {
		return;
	}
	snprintf(text, sizeof(text), "%ux%u", columns, rows);
	event_write(r, r->now.offset, now, 'r', text);
	r->columns = columns;
	r->rows = rows;
}

void recorder_source(struct recorder *r, bool up, usec_t now)
{
	partial_flush(r, now);
	if (!r->stopped) {
		event_write(r, r->now.offset, now, 'm',
			    up ? "the console is back" : "the console is gone");
	}
}
