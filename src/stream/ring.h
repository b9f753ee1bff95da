/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scrollback: the last bytes of a stream, in a file mapped shared, so that they outlive the process
 * that wrote them.
 *
 * Offsets count the stream's bytes from its first and never go back, over any number of processes.
 * Besides the bytes the file keeps marks: offsets at which an unknown number of bytes was lost (the
 * source was away).
 */
#pragma once

#include <stdbool.h>

#include "macro.h"

#define RING_HEADER_BYTES 4096
#define RING_SIZE_MIN 4096
#define RING_SIZE_MAX (256 * 1024 * 1024)
#define RING_MARKS_MAX 127
#define RING_BOOT_ID_BYTES 16

struct ring;

/* Which file a stream was last read from: byte 0 of that file was the stream's byte `base`. */
struct ring_origin {
	uint64_t device, inode, base;
};

/*
 * Maps `fd` (borrowed). A file of ours goes on where it was left, with its own size (but one whose
 * bytes are not kept, which takes `size`); any other is
 * made anew with `size` bytes, all of them allocated (-ENOSPC). A file that was not closed and
 * comes from another boot of the machine keeps its offsets only: its pages may have reached the
 * disk in any order.
 */
int ring_open(int fd, size_t size, const uint8_t boot_id[RING_BOOT_ID_BYTES],
	      struct ring **ret) _must_check_;
/*
 * Makes another file (`fd`, borrowed) a ring of `size` bytes that goes on where `from` is, with the
 * newest of its bytes and marks, or without any where they are not to be `kept`: then they are in
 * memory only, and ring_open() of the file finds the offset and no bytes. `from` is left as it is.
 * The file is a ring only when it is whole: after a SIGKILL at any instant `from` is as good as
 * before. -ENOSPC: the file is empty again.
 */
int ring_open_resized(int fd, size_t size, bool kept, const struct ring *from,
		      struct ring **ret) _must_check_;
/* Whether the file is a ring that went on after `r` did. */
bool ring_is_ahead(int fd, const struct ring *r);
/* Writes it all out and notes that it is whole. */
struct ring *ring_close(struct ring *r);

bool ring_is_kept(const struct ring *r);
/* Of one that is not kept: passes `len` bytes by that nobody reads; drops what is there. */
void ring_skip(struct ring *r, size_t len);
void ring_forget(struct ring *r);
size_t ring_size(const struct ring *r);
/* [floor, head) is kept. */
uint64_t ring_floor(const struct ring *r);
uint64_t ring_head(const struct ring *r);
void ring_append(struct ring *r, const void *p, size_t len);
/* Bytes that stand together at `offset` (floor <= offset <= head); 0 at the head. Valid until the
 * next append. */
size_t ring_peek(const struct ring *r, uint64_t offset, const uint8_t **ret);

/* Notes that bytes were lost at the head; a second mark at the same offset is the same mark. */
void ring_mark(struct ring *r);
/* Marks are numbered. The first whose offset is `offset` or more; the number of the next new one if
 * there is none. */
uint64_t ring_mark_seek(const struct ring *r, uint64_t offset);
/* Offset of mark `*number`, which is first raised to the oldest that is kept; false if there is no
 * such mark yet. */
bool ring_mark_get(const struct ring *r, uint64_t *number, uint64_t *ret_offset);

void ring_origin_get(const struct ring *r, struct ring_origin *ret);
void ring_origin_set(struct ring *r, const struct ring_origin *origin);
