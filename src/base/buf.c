/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte queue with a stated maximum.
 *
 * Theory of operation: one linear piece of memory. Appending looks for room behind the tail; then,
 * when at least as much was consumed as is still queued, moves the queue to the front (so each byte
 * is moved once on average); then doubles the memory. A queue that holds its maximum is moved for
 * each append: bounded, and rare.
 */
#include "buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define BUF_FIRST_BYTES 256
#define BUF_KEEP_BYTES (64 * 1024)

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){ .max_bytes = max_bytes };
}

void buf_fini(struct buf *b)
{
	free(b->mem);
	b->mem = NULL;
	b->cap_bytes = b->head = b->tail = 0;
}

static void buf_to_front(struct buf *b)
{
	memmove(b->mem, b->mem + b->head, buf_len(b));
	b->tail -= b->head;
	b->head = 0;
}

/* Makes the memory at least `need` bytes; `need` <= max_bytes. */
static int buf_grow(struct buf *b, size_t need)
{
	size_t cap = MAX(b->cap_bytes, (size_t)BUF_FIRST_BYTES);
	uint8_t *mem;

	while (cap < need) {
		cap = cap > b->max_bytes / 2 ? b->max_bytes : cap * 2;
	}
	cap = MIN(cap, b->max_bytes);
	if (b->head > 0) {
		buf_to_front(b);
	}
	mem = realloc(b->mem, cap);
	if (!mem) {
		return -ENOMEM;
	}
	b->mem = mem;
	b->cap_bytes = cap;
	return 0;
}

int buf_reserve(struct buf *b, size_t len, uint8_t **ret_p)
{
	size_t queued = buf_len(b);

	if (len > buf_room(b)) {
		return -ENOBUFS;
	}
	if (b->mem && b->cap_bytes - b->tail < len) {
		bool fits = b->cap_bytes - queued >= len;
		bool full = b->cap_bytes == b->max_bytes;

		if (fits && (full || queued <= b->head)) {
			buf_to_front(b);
		}
	}
	if (!b->mem || b->cap_bytes - b->tail < len) {
		/* Twice what is queued, at least: else a queue that never runs empty moves again
		 * and again. */
		size_t twice = MIN(queued, buf_room(b));
		int r = buf_grow(b, queued + MAX(len, twice));

		if (r < 0) {
			return r;
		}
	}
	*ret_p = b->mem + b->tail;
	return 0;
}

void buf_commit(struct buf *b, size_t len)
{
	assert(len <= b->cap_bytes - b->tail);
	b->tail += len;
}

int buf_append(struct buf *b, const void *p, size_t len)
{
	uint8_t *dst;
	int r;

	if (len == 0) {
		return 0;
	}
	r = buf_reserve(b, len, &dst);
	if (r < 0) {
		return r;
	}
	memcpy(dst, p, len);
	buf_commit(b, len);
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return buf_append(b, text, (size_t)n);
}

void buf_consume(struct buf *b, size_t len)
{
	assert(len <= buf_len(b));
	b->head += len;
	if (b->head < b->tail) {
		return;
	}
	if (b->cap_bytes > BUF_KEEP_BYTES) {
		buf_fini(b);
		return;
	}
	b->head = b->tail = 0;
}

void buf_truncate(struct buf *b, size_t len)
{
	assert(len <= buf_len(b));
	b->tail = b->head + len;
	buf_consume(b, 0);
}

void buf_clear(struct buf *b)
{
	buf_consume(b, buf_len(b));
}

uint8_t *buf_take(struct buf *b, size_t *ret_len)
{
	uint8_t *mem = b->mem;

	if (b->head > 0) {
		buf_to_front(b);
	}
	*ret_len = buf_len(b);
	b->mem = NULL;
	b->cap_bytes = b->head = b->tail = 0;
	return mem;
}

void buf_give_back(struct buf *b)
{
	if (b->head == b->tail && b->cap_bytes > BUF_QUIET_BYTES) {
		buf_fini(b);
	}
}

ssize_t buf_read_fd(struct buf *b, int fd, size_t max)
{
	size_t len = MIN(max, buf_room(b));
	uint8_t *dst;
	ssize_t n;
	int r;

	if (len == 0) {
		return -ENOBUFS;
	}
	r = buf_reserve(b, len, &dst);
	if (r < 0) {
		return r;
	}
	do {
		n = read(fd, dst, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	buf_commit(b, (size_t)n);
	return n;
}

ssize_t buf_write_fd(struct buf *b, int fd)
{
	ssize_t n;

	if (buf_len(b) == 0) {
		return 0;
	}
	do {
		n = write(fd, buf_data(b), buf_len(b));
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	buf_consume(b, (size_t)n);
	return n;
}
