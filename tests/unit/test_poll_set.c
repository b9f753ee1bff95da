/* SPDX-License-Identifier: Apache-2.0 */
/* Many fds as one source: who is served, and who is not any more. */
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cleanup.h"
#include "poll_set.h"
#include "test.h"
#include "unix.h"

#define PEERS 100

struct peer {
	struct poll_item item;
	int near, far;
	unsigned served;
	uint32_t events;
	struct peer *takes_along; /* is switched off when this one is served */
};

struct fixture {
	sd_event *event;
	struct poll_set *set;
	struct peer peers[PEERS];
};

static void on_ready(struct poll_item *item, uint32_t events)
{
	struct peer *p = container_of(item, struct peer, item);

	p->served++;
	p->events = events;
	poll_item_off(item);
	if (p->takes_along) {
		poll_item_off(&p->takes_along->item);
	}
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_true(sd_event_new(&f->event) >= 0);
	assert_int_equal(poll_set_new(f->event, &f->set), 0);
	for (unsigned i = 0; i < PEERS; i++) {
		struct peer *p = &f->peers[i];
		int fds[2];

		assert_int_equal(unix_pair(fds), 0);
		p->near = fds[0];
		p->far = fds[1];
		poll_item_init(&p->item, f->set, p->near, on_ready);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < PEERS; i++) {
		poll_item_off(&f->peers[i].item);
		close_fd(f->peers[i].near);
		close_fd(f->peers[i].far);
	}
	poll_set_free(f->set);
	sd_event_unref(f->event);
	free(f);
	return 0;
}

static void settle(struct fixture *f)
{
	while (sd_event_run(f->event, 0) > 0) {
	}
}

static void test_all_are_served_once(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < PEERS; i++) {
		assert_int_equal(poll_item_watch(&f->peers[i].item, EPOLLIN), 0);
		assert_int_equal(write(f->peers[i].far, "x", 1), 1);
	}
	settle(f);
	for (unsigned i = 0; i < PEERS; i++) {
		assert_int_equal(f->peers[i].served, 1);
		assert_int_equal(f->peers[i].events, EPOLLIN);
	}
}

/* Whichever of two is served first, the other is not. */
static void test_one_takes_another_along(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < PEERS; i++) {
		f->peers[i].takes_along = &f->peers[i ^ 1];
		assert_int_equal(poll_item_watch(&f->peers[i].item, EPOLLIN), 0);
		assert_int_equal(write(f->peers[i].far, "x", 1), 1);
	}
	settle(f);
	for (unsigned i = 0; i < PEERS; i += 2) {
		assert_int_equal(f->peers[i].served + f->peers[i + 1].served, 1);
	}
}

static void test_what_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct peer *p = &f->peers[0];

	assert_int_equal(write(p->far, "x", 1), 1);
	assert_int_equal(poll_item_watch(&p->item, 0), 0);
	settle(f);
	assert_int_equal(p->served, 0);
	assert_int_equal(poll_item_watch(&p->item, EPOLLOUT), 0);
	settle(f);
	assert_int_equal(p->served, 1);
	assert_int_equal(p->events, EPOLLOUT);
	/* Off: nothing; and on again. */
	settle(f);
	assert_int_equal(p->served, 1);
	assert_int_equal(poll_item_watch(&p->item, EPOLLIN), 0);
	settle(f);
	assert_int_equal(p->events, EPOLLIN);
	/* A hang-up comes unasked. */
	assert_int_equal(poll_item_watch(&p->item, 0), 0);
	p->far = close_fd(p->far);
	settle(f);
	assert_int_equal(p->served, 3);
	assert_int_equal(p->events, EPOLLHUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_are_served_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_takes_another_along, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_waited_for, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
