/* SPDX-License-Identifier: Apache-2.0 */
/* The byte queue: order, maximum, memory given back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "file.h"
#include "test.h"

static void keeps_order_and_maximum(void **state)
{
	uint8_t in = 0, out = 0;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	srandom(1);
	for (int i = 0; i < 20000; i++) {
		uint8_t chunk[400];
		size_t len = (size_t)random() % sizeof(chunk), room = buf_room(&b);
		size_t queued = buf_len(&b);
		int r;

		for (size_t k = 0; k < len; k++) {
			chunk[k] = (uint8_t)(in + k);
		}
		r = buf_append(&b, chunk, len);
		if (len > room) {
			assert_int_equal(r, -ENOBUFS);
			assert_int_equal(buf_len(&b), queued);
		} else {
			assert_int_equal(r, 0);
			in = (uint8_t)(in + len);
			queued += len;
		}
		assert_int_equal(buf_len(&b), queued);
		assert_int_equal(buf_room(&b), 1000 - queued);
		assert_true(b.cap_bytes <= 1000);
		len = (size_t)random() % (queued + 1);
		for (size_t k = 0; k < len; k++) {
			assert_int_equal(buf_data(&b)[k], (uint8_t)(out + k));
		}
		out = (uint8_t)(out + len);
		buf_consume(&b, len);
	}
	buf_fini(&b);
}

static void gives_memory_back(void **state)
{
	_cleanup_free_ char *zeros = calloc(1, 100000);
	struct buf b;

	(void)state;
	assert_non_null(zeros);
	buf_init(&b, 1 << 20);
	assert_null(buf_data(&b));
	assert_int_equal(buf_append(&b, zeros, 100), 0);
	buf_clear(&b);
	assert_non_null(b.mem);
	assert_int_equal(buf_append(&b, zeros, 100000), 0);
	buf_consume(&b, 99999);
	assert_non_null(b.mem);
	buf_consume(&b, 1);
	assert_null(b.mem);
	assert_int_equal(buf_len(&b), 0);
	buf_fini(&b);
}

static void prints(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(buf_printf(&b, "%d-%s", 12, "ab"), 0);
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	assert_memory_equal(buf_data(&b), "12-ab", 5);
	assert_int_equal(buf_printf(&b, "123456"), -ENOBUFS);
	assert_int_equal(buf_len(&b), 5);
	buf_fini(&b);
}

static void reserve_then_commit_less(void **state)
{
	struct buf b;
	uint8_t *p;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(buf_reserve(&b, 4097, &p), -ENOBUFS);
	assert_int_equal(buf_reserve(&b, 4096, &p), 0);
	memcpy(p, "abc", 3);
	buf_commit(&b, 3);
	assert_int_equal(buf_len(&b), 3);
	assert_memory_equal(buf_data(&b), "abc", 3);
	buf_fini(&b);
}

static void moves_bytes_through_fds(void **state)
{
	struct buf from, to;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fd_set_nonblock(fds[0]), 0);
	buf_init(&from, 100);
	buf_init(&to, 8);
	assert_int_equal(buf_write_fd(&from, fds[1]), 0);
	assert_int_equal(buf_append(&from, "0123456789", 10), 0);
	assert_int_equal(buf_write_fd(&from, fds[1]), 10);
	assert_int_equal(buf_len(&from), 0);
	assert_int_equal(buf_read_fd(&to, fds[0], 3), 3);
	assert_int_equal(buf_read_fd(&to, fds[0], 100), 5);
	assert_int_equal(buf_read_fd(&to, fds[0], 100), -ENOBUFS);
	buf_consume(&to, 8);
	assert_int_equal(buf_read_fd(&to, fds[0], 100), 2);
	assert_int_equal(buf_read_fd(&to, fds[0], 100), -EAGAIN);
	close(fds[1]);
	assert_int_equal(buf_read_fd(&to, fds[0], 100), 0);
	close(fds[0]);
	assert_memory_equal(buf_data(&to), "89", 2);
	buf_fini(&from);
	buf_fini(&to);
}

static void gives_its_bytes_away(void **state)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct buf b;
	size_t len;

	(void)state;
	buf_init(&b, 1000);
	assert_null(buf_take(&b, &len));
	assert_int_equal(len, 0);
	assert_int_equal(buf_append(&b, "0123456789", 10), 0);
	buf_consume(&b, 3);
	bytes = buf_take(&b, &len);
	assert_int_equal(len, 7);
	assert_memory_equal(bytes, "3456789", 7);
	/* The queue goes on with memory of its own, up to the same maximum. */
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(buf_room(&b), 1000);
	assert_int_equal(buf_append(&b, "ab", 2), 0);
	assert_true(buf_data(&b) != bytes);
	assert_memory_equal(bytes, "3456789", 7);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order_and_maximum),
		cmocka_unit_test(gives_memory_back),
		cmocka_unit_test(gives_its_bytes_away),
		cmocka_unit_test(prints),
		cmocka_unit_test(reserve_then_commit_less),
		cmocka_unit_test(moves_bytes_through_fds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
