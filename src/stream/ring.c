/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scrollback in a shared mapped file.
 *
 * Theory of operation: byte o of the stream stands at o % size behind one page of header. An append
 * first raises `floor` past the bytes that it overwrites, then copies, then raises `head`. Each of
 * the two is one aligned store and the stores of one thread are seen by others in their order, so
 * whoever maps the file after a SIGKILL between any two instructions finds an interval [floor,
 * head) whose bytes are whole. Marks work the same way: the slot is written, then the count raised,
 * and the slot behind the count is never believed. The header is checked when it is opened; from
 * then on the process goes by its own copy of floor, head and count.
 *
 * A ring that is not to be kept has the same header, with a size of 0, and nothing behind it: only
 * offsets outlive the process.
 */
/* #syscalls: mmap munmap msync fstat newfstatat ftruncate fallocate pread64 pwrite64 fstatfs */
/* #syscalls: madvise */
#include "ring.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "publish.h"

#define RING_VERSION 1

static const char ring_magic[8] = "DVMRING";

struct ring_header {
	char magic[8];
	uint32_t version;
	uint32_t marks_max;
	uint64_t size_bytes;
	uint8_t boot_id[RING_BOOT_ID_BYTES];
	uint64_t clean; /* 1: closed in order, whole on disk */
	uint64_t floor, head;
	uint64_t mark_count;
	struct ring_origin origin;
	uint64_t marks[RING_MARKS_MAX + 1];
};
static_assert(sizeof(struct ring_header) <= RING_HEADER_BYTES, "the header is one page");

struct ring {
	bool kept; /* the bytes are in the file; else in memory of ours, and the file is the header
		    */
	struct ring_header *header;
	uint8_t *bytes;
	size_t size_bytes;
	uint64_t floor, head;
	uint64_t mark_count;
};

static uint64_t mark_oldest(uint64_t count)
{
	return count > RING_MARKS_MAX ? count - RING_MARKS_MAX : 0;
}

static uint64_t mark_offset(const struct ring *r, uint64_t number)
{
	return r->header->marks[number % (RING_MARKS_MAX + 1)];
}

/* A file that fails this was not written by us, or by a program of ours that had been taken over.
 */
static bool header_valid(const struct ring_header *h, uint64_t file_bytes)
{
	uint64_t last = 0;

	if (memcmp(h->magic, ring_magic, sizeof(ring_magic)) != 0 || h->version != RING_VERSION ||
	    h->marks_max != RING_MARKS_MAX) {
		return false;
	}
	if (file_bytes != RING_HEADER_BYTES + h->size_bytes) {
		return false;
	}
	if (h->size_bytes != 0 && (h->size_bytes < RING_SIZE_MIN || h->size_bytes > RING_SIZE_MAX ||
				   h->floor > h->head || h->head - h->floor > h->size_bytes)) {
		return false;
	}
	if (h->head > INT64_MAX) {
		return false;
	}
	for (uint64_t i = mark_oldest(h->mark_count); i < h->mark_count; i++) {
		uint64_t offset = h->marks[i % (RING_MARKS_MAX + 1)];

		if (offset < last || offset > h->head) {
			return false;
		}
		last = offset;
	}
	return true;
}

static void header_init(struct ring_header *h, size_t size)
{
	uint64_t magic;

	memset(h, 0, sizeof(*h));
	h->version = RING_VERSION;
	h->marks_max = RING_MARKS_MAX;
	h->size_bytes = size;
	memcpy(&magic, ring_magic, sizeof(magic));
	publish_u64((uint64_t *)(void *)h->magic, magic);
}

/* The file's bytes if it is one of ours, 0 if it must be made anew. */
static int file_size(int fd, size_t *ret_bytes)
{
	struct ring_header *h;
	struct stat st;
	bool valid;

	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	*ret_bytes = 0;
	if (st.st_size < RING_HEADER_BYTES || st.st_size > RING_HEADER_BYTES + RING_SIZE_MAX) {
		return 0;
	}
	h = mmap(NULL, RING_HEADER_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED) {
		return -errno;
	}
	valid = header_valid(h, (uint64_t)st.st_size);
	munmap(h, RING_HEADER_BYTES);
	if (valid) {
		*ret_bytes = (size_t)st.st_size;
	}
	return 0;
}

/* Maps the file, and memory for the bytes where they are not in it. The file has its blocks. */
static int ring_map(struct ring *r, int fd, size_t size, bool kept)
{
	size_t file_bytes = RING_HEADER_BYTES + (kept ? size : 0);
	void *mem = mmap(NULL, file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	void *bytes;

	if (mem == MAP_FAILED) {
		return -errno;
	}
	bytes = (uint8_t *)mem + RING_HEADER_BYTES;
	if (!kept) {
		bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
		if (bytes == MAP_FAILED) {
			munmap(mem, file_bytes);
			return -ENOMEM;
		}
	}
	r->kept = kept;
	r->header = mem;
	r->bytes = bytes;
	r->size_bytes = size;
	return 0;
}

static size_t mapped_bytes(const struct ring *r)
{
	return RING_HEADER_BYTES + (r->kept ? r->size_bytes : 0);
}

/* Not mapped yet; -EINVAL for a size that none may have. */
static int ring_alloc(size_t size, struct ring **ret)
{
	if (size < RING_SIZE_MIN || size > RING_SIZE_MAX) {
		return -EINVAL;
	}
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

int ring_open(int fd, size_t size, const uint8_t boot_id[RING_BOOT_ID_BYTES], struct ring **ret)
{
	_cleanup_free_ struct ring *r = NULL;
	size_t file_bytes;
	bool kept;
	int err;

	err = ring_alloc(size, &r);
	if (err < 0) {
		return err;
	}
	err = file_size(fd, &file_bytes);
	if (err < 0) {
		return err;
	}
	if (file_bytes == 0 && ftruncate(fd, 0) < 0) {
		return -errno;
	}
	/* All blocks now, also where a file of ours was copied with holes: a store to a hole on a
	 * full disk is a SIGBUS. */
	err = posix_fallocate(fd, 0, (off_t)(file_bytes ? file_bytes : RING_HEADER_BYTES + size));
	if (err != 0) {
		return -err;
	}
	kept = file_bytes != RING_HEADER_BYTES;
	err = ring_map(r, fd, kept && file_bytes ? file_bytes - RING_HEADER_BYTES : size, kept);
	if (err < 0) {
		return err;
	}
	if (file_bytes == 0) {
		header_init(r->header, size);
	}
	r->floor = r->header->floor;
	r->head = r->header->head;
	r->mark_count = r->header->mark_count;
	if (!kept) {
		r->floor = r->head;
	}

	if (!r->header->clean && memcmp(r->header->boot_id, boot_id, RING_BOOT_ID_BYTES) != 0 &&
	    file_bytes != 0) {
		struct ring_origin none = { 0 };

		r->floor = r->head;
		publish_u64(&r->header->floor, r->floor);
		ring_origin_set(r, &none);
		ring_mark(r);
	}
	publish_u64(&r->header->clean, 0);
	memcpy(r->header->boot_id, boot_id, RING_BOOT_ID_BYTES);
	*ret = TAKE_PTR(r);
	return 0;
}

struct ring *ring_close(struct ring *r)
{
	if (!r) {
		return NULL;
	}
	if (msync(r->header, mapped_bytes(r), MS_SYNC) == 0) {
		publish_u64(&r->header->clean, 1);
	}
	munmap(r->header, mapped_bytes(r));
	if (!r->kept) {
		munmap(r->bytes, r->size_bytes);
	}
	free(r);
	return NULL;
}

/* The header's own numbers; false for no ring of ours. */
static bool progress(int fd, uint64_t *ret_head, uint64_t *ret_marks)
{
	struct ring_header *h;
	size_t file_bytes;

	if (file_size(fd, &file_bytes) < 0 || file_bytes == 0) {
		return false;
	}
	h = mmap(NULL, RING_HEADER_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED) {
		return false;
	}
	*ret_head = h->head;
	*ret_marks = h->mark_count;
	munmap(h, RING_HEADER_BYTES);
	return true;
}

bool ring_is_ahead(int fd, const struct ring *r)
{
	uint64_t head, marks;

	return progress(fd, &head, &marks) &&
	       (head > r->head || (head == r->head && marks > r->mark_count));
}

/* Everything but the magic. */
static void ring_fill(struct ring *r, const struct ring *from)
{
	struct ring_header *h = r->header;

	h->version = RING_VERSION;
	h->marks_max = RING_MARKS_MAX;
	h->size_bytes = r->kept ? r->size_bytes : 0;
	memcpy(h->boot_id, from->header->boot_id, RING_BOOT_ID_BYTES);
	memcpy(h->marks, from->header->marks, sizeof(h->marks));
	h->mark_count = r->mark_count = from->mark_count;
	h->origin = from->header->origin;
	r->head = from->head;
	r->floor = r->kept ? from->floor : from->head;
	if (r->head > r->size_bytes) {
		r->floor = MAX(r->floor, r->head - r->size_bytes);
	}
	for (uint64_t at = r->floor; at < r->head;) {
		size_t to = (size_t)(at % r->size_bytes);
		const uint8_t *p;
		size_t n = MIN(ring_peek(from, at, &p), r->size_bytes - to);

		memcpy(r->bytes + to, p, n);
		at += n;
	}
	h->floor = r->floor;
	h->head = r->head;
}

int ring_open_resized(int fd, size_t size, bool kept, const struct ring *from, struct ring **ret)
{
	_cleanup_free_ struct ring *r = NULL;
	uint64_t magic;
	int err;

	err = ring_alloc(size, &r);
	if (err < 0) {
		return err;
	}
	if (ftruncate(fd, 0) < 0) {
		return -errno;
	}
	err = -posix_fallocate(fd, 0, (off_t)(RING_HEADER_BYTES + (kept ? size : 0)));
	if (err == 0) {
		err = ring_map(r, fd, size, kept);
	}
	if (err < 0) {
		/* What was had of a full disk is given back. */
		return ftruncate(fd, 0) < 0 ? -errno : err;
	}
	ring_fill(r, from);
	memcpy(&magic, ring_magic, sizeof(magic));
	publish_u64((uint64_t *)(void *)r->header->magic, magic);
	/* The offset must go on after the death of the machine too. What the bytes are worth then
	 * says ring_open(). */
	(void)msync(r->header, RING_HEADER_BYTES, MS_SYNC);
	*ret = TAKE_PTR(r);
	return 0;
}

static void floor_raise(struct ring *r, uint64_t floor)
{
	if (floor > r->floor) {
		r->floor = floor;
		publish_u64(&r->header->floor, floor);
	}
}

bool ring_is_kept(const struct ring *r)
{
	return r->kept;
}

void ring_skip(struct ring *r, size_t len)
{
	assert(!r->kept);
	r->head += len;
	publish_u64(&r->header->head, r->head);
	ring_forget(r);
}

void ring_forget(struct ring *r)
{
	assert(!r->kept);
	if (r->floor == r->head) {
		return;
	}
	floor_raise(r, r->head);
	/* The pages are given back, and are zeros. */
	if (madvise(r->bytes, r->size_bytes, MADV_DONTNEED) < 0) {
		explicit_bzero(r->bytes, r->size_bytes);
	}
}

size_t ring_size(const struct ring *r)
{
	return r->size_bytes;
}

uint64_t ring_floor(const struct ring *r)
{
	return r->floor;
}

uint64_t ring_head(const struct ring *r)
{
	return r->head;
}

void ring_append(struct ring *r, const void *p, size_t len)
{
	const uint8_t *src = p;

	/* At most a ringful at a time, so that the floor never passes the head. */
	while (len > 0) {
		size_t part = MIN(len, r->size_bytes);
		size_t at = (size_t)(r->head % r->size_bytes);
		size_t first = MIN(part, r->size_bytes - at);

		if (r->head + part > r->size_bytes) {
			floor_raise(r, r->head + part - r->size_bytes);
		}
		memcpy(r->bytes + at, src, first);
		memcpy(r->bytes, src + first, part - first);
		r->head += part;
		publish_u64(&r->header->head, r->head);
		src += part;
		len -= part;
	}
}

size_t ring_peek(const struct ring *r, uint64_t offset, const uint8_t **ret)
{
	size_t at = (size_t)(offset % r->size_bytes);

	assert(offset >= r->floor && offset <= r->head);
	*ret = r->bytes + at;
	return MIN((size_t)(r->head - offset), r->size_bytes - at);
}

void ring_mark(struct ring *r)
{
	if (r->mark_count > 0 && mark_offset(r, r->mark_count - 1) == r->head) {
		return;
	}
	/* What lies before a mark that is forgotten is forgotten with it, else a loss would go
	 * unseen. */
	if (r->mark_count >= RING_MARKS_MAX) {
		floor_raise(r, mark_offset(r, r->mark_count - RING_MARKS_MAX));
	}
	r->header->marks[r->mark_count % (RING_MARKS_MAX + 1)] = r->head;
	r->mark_count++;
	publish_u64(&r->header->mark_count, r->mark_count);
}

uint64_t ring_mark_seek(const struct ring *r, uint64_t offset)
{
	uint64_t number = mark_oldest(r->mark_count);

	while (number < r->mark_count && mark_offset(r, number) < offset) {
		number++;
	}
	return number;
}

bool ring_mark_get(const struct ring *r, uint64_t *number, uint64_t *ret_offset)
{
	if (*number >= r->mark_count) {
		return false;
	}
	*number = MAX(*number, mark_oldest(r->mark_count));
	*ret_offset = mark_offset(r, *number);
	return true;
}

void ring_origin_get(const struct ring *r, struct ring_origin *ret)
{
	*ret = r->header->origin;
}

void ring_origin_set(struct ring *r, const struct ring_origin *origin)
{
	/* No inode is 0: between the two stores the origin names no file. */
	publish_u64(&r->header->origin.inode, 0);
	r->header->origin.device = origin->device;
	r->header->origin.base = origin->base;
	publish_u64(&r->header->origin.inode, origin->inode);
}
