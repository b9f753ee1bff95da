/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte queue with a stated maximum: bytes are appended at the tail and consumed at the head.
 * Grows by doubling up to `max_bytes`, gives memory back when it runs empty above 64 KiB.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "macro.h"

struct buf {
	uint8_t *mem;
	size_t cap_bytes;
	size_t head, tail; /* head <= tail <= cap_bytes */
	size_t max_bytes;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
	return b->tail - b->head;
}

static inline uint8_t *buf_data(struct buf *b)
{
	return b->mem ? b->mem + b->head : NULL;
}

static inline size_t buf_room(const struct buf *b)
{
	return b->max_bytes - buf_len(b);
}

/* -ENOBUFS beyond the maximum, -ENOMEM; nothing is appended then. */
int buf_append(struct buf *b, const void *p, size_t len) _must_check_;
int buf_printf(struct buf *b, const char *fmt, ...) _printf_(2, 3) _must_check_;
/* Makes `len` contiguous bytes available at *ret_p; buf_commit() makes what was filled part of the
 * queue. */
int buf_reserve(struct buf *b, size_t len, uint8_t **ret_p) _must_check_;
void buf_commit(struct buf *b, size_t len);
/* `len` must be <= buf_len(). */
void buf_consume(struct buf *b, size_t len);
/* Drops all but the first `len` bytes; `len` must be <= buf_len(). */
void buf_truncate(struct buf *b, size_t len);
void buf_clear(struct buf *b);
/* What is queued, for the caller to free(); NULL if nothing was ever reserved. The queue has no
 * memory afterwards. */
uint8_t *buf_take(struct buf *b, size_t *ret_len) _must_check_;
/* For a queue of which there are many that are quiet: memory of more than BUF_QUIET_BYTES is given
 * back if it is empty. */
#define BUF_QUIET_BYTES 1024
void buf_give_back(struct buf *b);
/* One read()/write() on a non-blocking fd: bytes moved, 0 at end of file (read only), -errno
 * (-EAGAIN). */
ssize_t buf_read_fd(struct buf *b, int fd, size_t max);
ssize_t buf_write_fd(struct buf *b, int fd);
