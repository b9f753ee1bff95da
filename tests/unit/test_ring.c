/* SPDX-License-Identifier: Apache-2.0 */
/* Scrollback: what is kept, over restarts, SIGKILL at any instant and damaged files. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "ring.h"
#include "test.h"

static const uint8_t boot_a[RING_BOOT_ID_BYTES] = "boot a";
static const uint8_t boot_b[RING_BOOT_ID_BYTES] = "boot b";

static int file_new(void)
{
	int fd = memfd_create("ring", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct ring *ring_of(int fd, size_t size, const uint8_t *boot)
{
	struct ring *r = NULL;

	assert_int_equal(ring_open(fd, size, boot, &r), 0);
	return r;
}

/* The byte that the tests put at an offset: the offset can be told from any four of them. */
static uint8_t byte_at(uint64_t offset)
{
	uint64_t x = offset * 0x9e3779b97f4a7c15u;

	return (uint8_t)(x >> 56);
}

static void append(struct ring *r, size_t len)
{
	_cleanup_free_ uint8_t *p = malloc(len + 1);
	uint64_t head = ring_head(r);

	assert_non_null(p);
	for (size_t i = 0; i < len; i++) {
		p[i] = byte_at(head + i);
	}
	ring_append(r, p, len);
	assert_int_equal(ring_head(r), head + len);
}

static void check_all(const struct ring *r)
{
	for (uint64_t at = ring_floor(r); at < ring_head(r);) {
		const uint8_t *p;
		size_t n = ring_peek(r, at, &p);

		assert_true(n > 0);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(p[i], byte_at(at + i));
		}
		at += n;
	}
}

static void keeps_the_last_bytes(void **state)
{
	_cleanup_close_ int fd = file_new();
	struct ring *r = ring_of(fd, 5000, boot_a);
	const uint8_t *p;

	(void)state;
	assert_int_equal(ring_floor(r), 0);
	assert_int_equal(ring_peek(r, 0, &p), 0);
	srandom(2);
	for (int i = 0; i < 3000; i++) {
		uint64_t head;

		append(r, (size_t)random() % (i % 50 == 0 ? 20000 : 300));
		head = ring_head(r);
		assert_int_equal(ring_floor(r), head > 5000 ? head - 5000 : 0);
		check_all(r);
	}
	ring_close(r);
}

static void goes_on_in_the_next_process(void **state)
{
	_cleanup_close_ int fd = file_new();
	uint64_t head = 0;

	(void)state;
	for (int i = 0; i < 40; i++) {
		/* Another size is asked for later: the file keeps its own. */
		struct ring *r = ring_of(fd, i == 0 ? 4096 : 8192, i % 2 ? boot_a : boot_b);

		assert_int_equal(ring_head(r), head);
		check_all(r);
		append(r, 777);
		head += 777;
		assert_int_equal(ring_floor(r), head > 4096 ? head - 4096 : 0);
		ring_close(r);
	}
}

/* A writer is killed at whatever instant; what the next process finds must be whole. */
static void survives_sigkill(void **state)
{
	_cleanup_close_ int fd = file_new();
	uint64_t head = 0;

	(void)state;
	ring_close(ring_of(fd, 4096, boot_a));
	for (int i = 0; i < 60; i++) {
		pid_t pid = fork();
		struct ring *r;
		uint64_t number = 0, at, last = 0;
		int status;

		assert_true(pid >= 0);
		if (pid == 0) {
			r = ring_of(fd, 4096, boot_a);
			for (uint64_t k = 0;; k++) {
				append(r, (size_t)(k * 37 % 5000));
				if (k % 5 == 0) {
					ring_mark(r);
				}
			}
		}
		usleep(500 + (useconds_t)random() % 3000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		r = ring_of(fd, 4096, boot_a);
		assert_true(ring_head(r) >= head);
		head = ring_head(r);
		check_all(r);
		while (ring_mark_get(r, &number, &at)) {
			assert_true(at >= last && at <= head);
			last = at;
			number++;
		}
		ring_close(r);
	}
	assert_true(head > 4096);
}

/* Appends in a process that ends without closing the ring. */
static void append_and_die(int fd, const uint8_t *boot, size_t len)
{
	struct ring_origin origin = { .device = 1, .inode = 2, .base = 3 };
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct ring *r = ring_of(fd, 4096, boot);

		append(r, len);
		ring_origin_set(r, &origin);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void another_boot_keeps_offsets_only(void **state)
{
	_cleanup_close_ int fd = file_new();
	struct ring_origin origin;
	uint64_t number = 0, at;
	struct ring *r;

	(void)state;
	append_and_die(fd, boot_a, 600);
	append_and_die(fd, boot_a, 400); /* the same boot: all is there */
	r = ring_of(fd, 4096, boot_a);
	assert_int_equal(ring_floor(r), 0);
	check_all(r);
	ring_close(r);
	append_and_die(fd, boot_a, 10);
	r = ring_of(fd, 4096, boot_b); /* as if the machine had died */
	assert_int_equal(ring_head(r), 1010);
	assert_int_equal(ring_floor(r), 1010);
	assert_true(ring_mark_get(r, &number, &at));
	assert_int_equal(at, 1010);
	ring_origin_get(r, &origin);
	assert_int_equal(origin.inode, 0);
	append(r, 10);
	check_all(r);
	ring_close(r);
}

static void marks(void **state)
{
	_cleanup_close_ int fd = file_new();
	struct ring *r = ring_of(fd, 65536, boot_a);
	uint64_t number = 0, at;

	(void)state;
	assert_false(ring_mark_get(r, &number, &at));
	assert_int_equal(ring_mark_seek(r, 0), 0);
	for (int i = 0; i < 100; i++) {
		append(r, 10);
		ring_mark(r);
		ring_mark(r); /* the same one */
	}
	for (uint64_t n = 0; n < 100; n++) {
		number = n;
		assert_true(ring_mark_get(r, &number, &at));
		assert_int_equal(number, n);
		assert_int_equal(at, (n + 1) * 10);
	}
	assert_int_equal(ring_mark_seek(r, 0), 0);
	assert_int_equal(ring_mark_seek(r, 10), 0);
	assert_int_equal(ring_mark_seek(r, 11), 1);
	assert_int_equal(ring_mark_seek(r, UINT64_MAX), 100);
	assert_int_equal(ring_floor(r), 0);
	for (int i = 0; i < 100; i++) {
		append(r, 10);
		ring_mark(r);
	}
	/* Bytes before a mark that is no longer known are given up with it. */
	number = 0;
	assert_true(ring_mark_get(r, &number, &at));
	assert_int_equal(number, 200 - RING_MARKS_MAX);
	assert_int_equal(ring_floor(r), at - 10);
	ring_close(r);
	r = ring_of(fd, 65536, boot_a);
	number = 199;
	assert_true(ring_mark_get(r, &number, &at));
	assert_int_equal(at, 2000);
	ring_close(r);
}

static void origin(void **state)
{
	_cleanup_close_ int fd = file_new();
	struct ring *r = ring_of(fd, 4096, boot_a);
	struct ring_origin o = { .device = 7, .inode = 8, .base = 9 };

	(void)state;
	ring_origin_set(r, &o);
	ring_close(r);
	r = ring_of(fd, 4096, boot_a);
	memset(&o, 0, sizeof(o));
	ring_origin_get(r, &o);
	assert_int_equal(o.device, 7);
	assert_int_equal(o.inode, 8);
	assert_int_equal(o.base, 9);
	ring_close(r);
}

/* Any bytes in the header: the file is either consistent or made anew; no crash. */
static void damaged_files(void **state)
{
	uint8_t saved[RING_HEADER_BYTES];

	(void)state;
	srandom(3);
	for (int i = 0; i < 2000; i++) {
		_cleanup_close_ int fd = file_new();
		struct ring *r = ring_of(fd, 4096, boot_a);
		uint64_t number = 0, at;
		const uint8_t *p;

		append(r, 6000);
		ring_mark(r);
		append(r, 100);
		ring_close(r);
		assert_int_equal(pread(fd, saved, sizeof(saved), 0), sizeof(saved));
		for (int k = 0; k < 3; k++) {
			saved[random() % 256] = (uint8_t)(random() % 4 ? random() : 0xff);
		}
		assert_int_equal(pwrite(fd, saved, sizeof(saved), 0), sizeof(saved));
		if (i % 10 == 0) {
			assert_int_equal(ftruncate(fd, random() % 9000), 0);
		}
		r = ring_of(fd, 4096, boot_a);
		assert_true(ring_head(r) - ring_floor(r) <= 4096);
		for (at = ring_floor(r); at < ring_head(r);) {
			at += ring_peek(r, at, &p);
		}
		while (ring_mark_get(r, &number, &at)) {
			assert_true(at <= ring_head(r));
			number++;
		}
		append(r, 5000);
		ring_close(r);
	}
}

static void refuses_sizes_and_full_disks(void **state)
{
	_cleanup_close_ int fd = file_new();
	struct rlimit limit = { .rlim_cur = 8192, .rlim_max = RLIM_INFINITY };
	struct ring *r = NULL;

	(void)state;
	assert_int_equal(ring_open(fd, RING_SIZE_MIN - 1, boot_a, &r), -EINVAL);
	assert_int_equal(ring_open(fd, (size_t)RING_SIZE_MAX + 1, boot_a, &r), -EINVAL);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(ring_open(fd, 65536, boot_a, &r), -EFBIG);
	assert_null(r);
	limit.rlim_cur = RLIM_INFINITY;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(ring_open(-1, 65536, boot_a, &r), -EBADF);
	assert_null(ring_close(NULL));
}

/* Another size, larger or smaller: the newest stays, with its marks. */
static void another_size(void **state)
{
	static const struct {
		size_t from, to;
		uint64_t written;
	} cases[] = {
		{ 4096, 9000, 3000 },  { 4096, 9000, 50001 }, { 9000, 4096, 3000 },
		{ 9000, 4096, 50001 }, { 5000, 5001, 20000 }, { 8192, 4096, 4096 },
		{ 4096, 8192, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_close_ int fd = file_new(), next_fd = file_new();
		struct ring *r = ring_of(fd, cases[i].from, boot_a), *next;
		struct ring_origin o = { .device = 1, .inode = 2, .base = 3 }, got;
		size_t least = MIN(cases[i].from, cases[i].to);
		uint64_t kept = MIN(cases[i].written, least), head, number, mark;

		if (cases[i].written > 0) {
			append(r, cases[i].written - 1);
			ring_mark(r);
			append(r, 1);
		}
		ring_origin_set(r, &o);
		head = ring_head(r);
		assert_false(ring_is_ahead(next_fd, r));
		assert_int_equal(ring_open_resized(next_fd, cases[i].to, true, r, &next), 0);
		assert_false(ring_is_ahead(next_fd, r));
		assert_int_equal(ring_size(next), cases[i].to);
		assert_int_equal(ring_head(next), head);
		assert_int_equal(ring_floor(next), head - kept);
		check_all(next);
		check_all(r);
		ring_origin_get(next, &got);
		assert_int_equal(got.base, 3);
		number = ring_mark_seek(next, 0);
		assert_int_equal(number, ring_mark_seek(r, 0));
		assert_int_equal(ring_mark_get(next, &number, &mark), head > 0);
		assert_true(head == 0 || mark == head - 1);
		append(next, 6000);
		check_all(next);
		assert_true(ring_is_ahead(next_fd, r));
		ring_close(next);
		/* As the next process finds it, whatever size it asks for. */
		next = ring_of(next_fd, 65536, boot_a);
		assert_int_equal(ring_size(next), cases[i].to);
		assert_int_equal(ring_head(next), head + 6000);
		check_all(next);
		ring_close(next);
		ring_close(r);
	}
}

/* A mark without bytes is going on, too; no ring is not. */
static void which_is_ahead(void **state)
{
	_cleanup_close_ int fd = file_new(), next_fd = file_new(), none_fd = file_new();
	struct ring *r = ring_of(fd, 4096, boot_a), *next;

	(void)state;
	append(r, 10);
	assert_int_equal(ring_open_resized(next_fd, 8192, true, r, &next), 0);
	ring_mark(next);
	assert_true(ring_is_ahead(next_fd, r));
	ring_close(next);
	append(r, 1);
	assert_false(ring_is_ahead(next_fd, r));
	assert_int_equal(ftruncate(none_fd, RING_HEADER_BYTES + 8192), 0);
	assert_false(ring_is_ahead(none_fd, r));
	assert_int_equal(ring_open_resized(next_fd, RING_SIZE_MIN - 1, true, r, &next), -EINVAL);
	assert_int_equal(ring_open_resized(next_fd, RING_SIZE_MAX + 1, true, r, &next), -EINVAL);
	ring_close(r);
}

/* Not to be kept: the file has the offset and not a byte; in memory they come and go. */
static void not_kept(void **state)
{
	_cleanup_close_ int fd = file_new(), next_fd = file_new(), third_fd = file_new();
	struct ring *r = ring_of(fd, 4096, boot_a), *next;
	uint8_t page[RING_HEADER_BYTES + 1];
	struct stat st;

	(void)state;
	append(r, 5000);
	assert_true(ring_is_kept(r));
	assert_int_equal(ring_open_resized(next_fd, 8192, false, r, &next), 0);
	ring_close(r);
	assert_false(ring_is_kept(next));
	assert_int_equal(ring_floor(next), 5000);
	assert_int_equal(ring_head(next), 5000);
	append(next, 10000);
	assert_int_equal(ring_floor(next), 15000 - 8192);
	check_all(next);
	ring_forget(next);
	ring_forget(next);
	assert_int_equal(ring_floor(next), 15000);
	ring_skip(next, 100000);
	assert_int_equal(ring_head(next), 115000);
	append(next, 100);
	check_all(next);
	/* Killed now: the next process finds the offset. */
	assert_int_equal(fstat(next_fd, &st), 0);
	assert_int_equal(st.st_size, RING_HEADER_BYTES);
	assert_int_equal(pread(next_fd, page, sizeof(page), 0), RING_HEADER_BYTES);
	ring_close(next);
	next = ring_of(next_fd, 65536, boot_b);
	assert_false(ring_is_kept(next));
	assert_int_equal(ring_size(next), 65536);
	assert_int_equal(ring_head(next), 115100);
	assert_int_equal(ring_floor(next), 115100);
	append(next, 100);
	/* Kept again: with what is there. */
	assert_int_equal(ring_open_resized(third_fd, 4096, true, next, &r), 0);
	assert_true(ring_is_kept(r));
	assert_int_equal(ring_floor(r), 115100);
	check_all(r);
	ring_close(next);
	ring_close(r);
	r = ring_of(third_fd, 8192, boot_a);
	assert_true(ring_is_kept(r));
	assert_int_equal(ring_head(r), 115200);
	ring_close(r);
}

/* Killed while it is made: either no ring, or all of it; the one it is made from stays. */
static void resize_survives_sigkill(void **state)
{
	_cleanup_close_ int fd = file_new(), next_fd = file_new();
	struct ring *r = ring_of(fd, 1 << 18, boot_a);
	bool whole = false;

	(void)state;
	append(r, 2 << 18);
	for (int i = 0; i < 60 || !whole; i++) {
		pid_t pid = fork();
		struct ring *next;

		assert_true(pid >= 0);
		if (pid == 0) {
			_exit(ring_open_resized(next_fd, (1 << 18) + 4096, true, r, &next) < 0);
		}
		usleep((useconds_t)(i % 60 * 30));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		check_all(r);
		next = ring_of(next_fd, 4096, boot_a);
		assert_true(ring_head(next) == 0 || ring_head(next) == ring_head(r));
		if (ring_head(next) > 0) {
			assert_int_equal(ring_floor(next), ring_floor(r));
			check_all(next);
			whole = true;
		}
		ring_close(next);
	}
	ring_close(r);
}

/* No room: nothing is left of the attempt. */
static void resize_without_room(void **state)
{
	_cleanup_close_ int fd = file_new(), next_fd = file_new();
	struct rlimit before, small;
	struct ring *r = ring_of(fd, 4096, boot_a), *next;
	struct stat st;

	(void)state;
	append(r, 100);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 65536;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(ring_open_resized(next_fd, 1 << 20, true, r, &next), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(fstat(next_fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	check_all(r);
	ring_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_last_bytes),
		cmocka_unit_test(goes_on_in_the_next_process),
		cmocka_unit_test(survives_sigkill),
		cmocka_unit_test(another_boot_keeps_offsets_only),
		cmocka_unit_test(marks),
		cmocka_unit_test(origin),
		cmocka_unit_test(damaged_files),
		cmocka_unit_test(refuses_sizes_and_full_disks),
		cmocka_unit_test(another_size),
		cmocka_unit_test(which_is_ahead),
		cmocka_unit_test(not_kept),
		cmocka_unit_test(resize_survives_sigkill),
		cmocka_unit_test(resize_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
