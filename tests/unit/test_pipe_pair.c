/* SPDX-License-Identifier: Apache-2.0 */
/* Two sockets joined in the kernel: bytes, ends, stalls, and what is given back. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "pipe_pair.h"
#include "test.h"
#include "unix.h"

struct fixture {
	sd_event *event;
	struct poll_set *poll;
	struct pipe_set *set;
	struct pipe_pair *pair;
	int a, b; /* what the peers hold */
	unsigned ended;
};

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir)) {
		n++;
	}
	closedir(dir);
	return n;
}

static void on_ended(void *user)
{
	struct fixture *f = user;

	f->ended++;
	f->pair = pipe_pair_free(f->pair);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int left[2], right[2];

	assert_non_null(f);
	assert_int_equal(sd_event_new(&f->event) < 0, 0);
	assert_int_equal(poll_set_new(f->event, &f->poll), 0);
	assert_int_equal(pipe_set_new(f->poll, &f->set), 0);
	assert_int_equal(unix_pair(left), 0);
	assert_int_equal(unix_pair(right), 0);
	f->a = left[0];
	f->b = right[0];
	assert_int_equal(pipe_pair_new_take(f->set, left[1], right[1], on_ended, f, &f->pair), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pipe_pair_free(f->pair);
	pipe_set_free(f->set);
	poll_set_free(f->poll);
	sd_event_unref(f->event);
	close_fd(f->a);
	close_fd(f->b);
	free(f);
	return 0;
}

/* Until nothing is left to do. */
static void settle(struct fixture *f)
{
	while (sd_event_run(f->event, 0) > 0) {
	}
}

/* Writes until nothing more is taken, and the pair has nothing more to do. */
static size_t fill(struct fixture *f, int fd)
{
	uint8_t block[4096];
	size_t sum = 0;
	bool moved = true;

	while (moved) {
		ssize_t n;

		moved = false;
		while ((n = write(fd, memset(block, (int)(sum / 4096 % 251), sizeof(block)),
				  sizeof(block) - sum % sizeof(block))) > 0) {
			sum += (size_t)n;
			moved = true;
		}
		assert_int_equal(errno, EAGAIN);
		settle(f);
	}
	return sum;
}

/* Reads `len` bytes of fill()'s. */
static void drain(struct fixture *f, int fd, size_t len)
{
	for (size_t at = 0; at < len;) {
		uint8_t bytes[1000];
		ssize_t n = read(fd, bytes, MIN(sizeof(bytes), len - at));

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			settle(f);
			continue;
		}
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++, at++) {
			assert_int_equal(bytes[i], at / 4096 % 251);
		}
	}
}

static void expect_text(int fd, const char *text)
{
	char got[64] = "";

	assert_int_equal(read(fd, got, sizeof(got) - 1), strlen(text));
	assert_string_equal(got, text);
}

static void test_both_ways(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->a, "to b", 4), 4);
	assert_int_equal(write(f->b, "to a", 4), 4);
	settle(f);
	expect_text(f->b, "to b");
	expect_text(f->a, "to a");
	/* Many small ones: a pipe takes fewer pieces than bytes. */
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(write(f->a, "x", 1), 1);
	}
	settle(f);
	for (size_t sum = 0; sum < 200;) {
		char bytes[256];
		ssize_t n = read(f->b, bytes, sizeof(bytes));

		assert_true(n > 0);
		sum += (size_t)n;
	}
	assert_int_equal(f->ended, 0);
}

static void test_half_close(void **state)
{
	struct fixture *f = *state;
	char byte;

	assert_int_equal(write(f->a, "last", 4), 4);
	assert_int_equal(shutdown(f->a, SHUT_WR), 0);
	settle(f);
	expect_text(f->b, "last");
	assert_int_equal(read(f->b, &byte, 1), 0);
	/* The other way lives on. */
	assert_int_equal(write(f->b, "answer", 6), 6);
	settle(f);
	expect_text(f->a, "answer");
	assert_int_equal(f->ended, 0);
	assert_int_equal(shutdown(f->b, SHUT_WR), 0);
	settle(f);
	assert_int_equal(read(f->a, &byte, 1), 0);
	assert_int_equal(f->ended, 1);
}

static void test_stalled_way_does_not_stop_the_other(void **state)
{
	struct fixture *f = *state;
	size_t sum = fill(f, f->a);

	/* Bounded: two socket buffers and a pipe. */
	assert_in_range(sum, 65536, 4 * 1024 * 1024);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(write(f->b, "through", 7), 7);
		settle(f);
		expect_text(f->a, "through");
	}
	drain(f, f->b, sum);
	assert_int_equal(write(f->a, "again", 5), 5);
	settle(f);
	expect_text(f->b, "again");
}

static void test_closed_with_bytes_under_way(void **state)
{
	struct fixture *f = *state;
	size_t sum = fill(f, f->a);

	f->a = close_fd(f->a);
	settle(f); /* does not spin on a side that has hung up */
	assert_int_equal(f->ended, 0);
	drain(f, f->b, sum);
	settle(f);
	assert_int_equal(f->ended, 1);
}

static void test_reader_goes_away(void **state)
{
	struct fixture *f = *state;

	(void)fill(f, f->a);
	f->b = close_fd(f->b);
	settle(f);
	/* Nobody will ever read it: who writes is told. */
	assert_int_equal(send(f->a, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(f->ended, 1);
}

static void test_reader_stops_reading_only(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(shutdown(f->b, SHUT_RD), 0);
	assert_int_equal(write(f->a, "x", 1), 1);
	settle(f);
	assert_int_equal(send(f->a, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(write(f->b, "still", 5), 5);
	settle(f);
	expect_text(f->a, "still");
	assert_int_equal(f->ended, 0);
}

/* What ends in the same turn, and takes others with it, is not served any more. */
static void test_ends_of_many_in_one_turn(void **state)
{
	struct fixture *f = *state;
	struct fixture more[4];

	for (unsigned i = 0; i < ARRAY_SIZE(more); i++) {
		int left[2], right[2];

		more[i] = (struct fixture){ .set = f->set };
		assert_int_equal(unix_pair(left), 0);
		assert_int_equal(unix_pair(right), 0);
		assert_int_equal(pipe_pair_new_take(f->set, left[1], right[1], on_ended, &more[i],
						    &more[i].pair),
				 0);
		close_fd(left[0]);
		close_fd(right[0]);
	}
	settle(f);
	for (unsigned i = 0; i < ARRAY_SIZE(more); i++) {
		assert_int_equal(more[i].ended, 1);
	}
	assert_int_equal(write(f->a, "me too", 6), 6);
	settle(f);
	expect_text(f->b, "me too");
}

/* A quiet pair holds its two sockets, and all pairs together the pool's few pipes. */
static void test_pipes_are_given_back(void **state)
{
	struct fixture *f = *state;
	struct pipe_pair *more[PIPES_KEPT_MAX];
	int ends[PIPES_KEPT_MAX][2];
	unsigned before;

	for (unsigned i = 0; i < PIPES_KEPT_MAX; i++) {
		int left[2], right[2];

		assert_int_equal(unix_pair(left), 0);
		assert_int_equal(unix_pair(right), 0);
		ends[i][0] = left[0];
		ends[i][1] = right[0];
		assert_int_equal(
			pipe_pair_new_take(f->set, left[1], right[1], on_ended, f, &more[i]), 0);
	}
	before = count_fds();
	for (unsigned round = 0; round < 3; round++) {
		size_t sums[PIPES_KEPT_MAX], own = fill(f, f->a), back = fill(f, f->b);

		for (unsigned i = 0; i < PIPES_KEPT_MAX; i++) {
			sums[i] = fill(f, ends[i][0]);
		}
		assert_int_equal(count_fds(), before + 2 * (PIPES_KEPT_MAX + 2));
		drain(f, f->b, own);
		drain(f, f->a, back);
		for (unsigned i = 0; i < PIPES_KEPT_MAX; i++) {
			drain(f, ends[i][1], sums[i]);
		}
		assert_int_equal(pipe_set_kept(f->set), PIPES_KEPT_MAX);
		assert_int_equal(count_fds(), before + 2 * PIPES_KEPT_MAX);
	}
	for (unsigned i = 0; i < PIPES_KEPT_MAX; i++) {
		pipe_pair_free(more[i]);
		close_fd(ends[i][0]);
		close_fd(ends[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(test_half_close, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stalled_way_does_not_stop_the_other, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_closed_with_bytes_under_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_goes_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_stops_reading_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_of_many_in_one_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipes_are_given_back, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
