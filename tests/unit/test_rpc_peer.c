/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of src/io/rpc_peer.c and rpc_wire.c. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "rpc_peer.h"
#include "test.h"
#include "unix.h"

/* One end of a connection and what was seen there. */
struct end {
	struct rpc_peer *peer;
	bool closed;
	unsigned calls, notices, answers, faults;
	struct rpc_request *held[1024]; /* with `hold`: calls that wait for reply_held() */
	size_t n_held;
	bool hold, free_in_call, free_in_closed;
	size_t fds_seen;
	char fd_byte;
	enum fault_code fault;
	json_int_t value;
};

struct fixture {
	sd_event *event;
	struct end a, b;
	int raw; /* the other end of a's connection, where the test speaks itself */
};

static void on_call(struct rpc_peer *p, struct rpc_request *r, const char *method, json_t *params,
		    int *fds, size_t n_fds, void *user)
{
	struct end *e = user;

	e->calls++;
	e->fds_seen = n_fds;
	if (n_fds > 0) {
		assert_int_equal(read(fds[0], &e->fd_byte, 1), 1);
	}
	if (e->hold) {
		e->held[e->n_held++] = r;
	} else if (e->free_in_call) {
		e->peer = rpc_peer_free(p);
		rpc_request_reply(r, NULL);
	} else if (strcmp(method, "double") == 0) {
		json_int_t n = json_integer_value(json_object_get(params, "n"));

		rpc_request_reply(r, json_pack("{s:I}", "n", 2 * n));
	} else if (strcmp(method, "pipe") == 0) {
		int pair[2];

		assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
		assert_int_equal(write(pair[1], "p", 1), 1);
		rpc_request_reply_fds(r, NULL, pair, 1);
		close(pair[0]);
		close(pair[1]);
	} else if (strcmp(method, "large") == 0) {
		char *text = malloc(RPC_BODY_MAX + 1);

		memset(text, 'x', RPC_BODY_MAX);
		text[RPC_BODY_MAX] = '\0';
		rpc_request_reply(r, json_pack("{s:s}", "text", text));
		free(text);
	} else {
		struct fault f;

		fault_set(&f, FAULT_NOT_SUPPORTED, "No such method.");
		rpc_request_fault(r, &f);
	}
}

static void on_notice(struct rpc_peer *p, const char *method, json_t *params, void *user)
{
	struct end *e = user;

	e->notices++;
	e->value = json_integer_value(json_object_get(params, "n"));
}

static void on_closed(struct rpc_peer *p, void *user)
{
	struct end *e = user;

	assert_false(e->closed);
	e->closed = true;
	if (e->free_in_closed) {
		e->peer = rpc_peer_free(p);
	}
}

static const struct rpc_peer_ops ops = { .call = on_call,
					 .notice = on_notice,
					 .closed = on_closed };

static void on_answer(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
		      void *user)
{
	struct end *e = user;

	if (fault) {
		assert_null(result);
		e->faults++;
		e->fault = fault->code;
		return;
	}
	e->answers++;
	e->value = json_integer_value(json_object_get(result, "n"));
	if (n_fds > 0) {
		assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(read(fds[0], &e->fd_byte, 1), 1);
	}
}

static void reply_held(struct end *e)
{
	while (e->n_held > 0) {
		rpc_request_reply(e->held[--e->n_held], NULL);
	}
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++) {
		n += fcntl(fd, F_GETFD) >= 0;
	}
	return n;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2];

	f->raw = -1;
	assert_int_equal(sd_event_new(&f->event), 0);
	assert_int_equal(unix_pair(fds), 0);
	assert_int_equal(rpc_peer_new_take(f->event, fds[0], &ops, &f->a, &f->a.peer), 0);
	assert_int_equal(rpc_peer_new_take(f->event, fds[1], &ops, &f->b, &f->b.peer), 0);
	*state = f;
	return 0;
}

static int setup_raw(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2];

	assert_int_equal(sd_event_new(&f->event), 0);
	assert_int_equal(unix_pair(fds), 0);
	assert_int_equal(rpc_peer_new_take(f->event, fds[0], &ops, &f->a, &f->a.peer), 0);
	f->raw = fds[1];
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rpc_peer_free(f->a.peer);
	rpc_peer_free(f->b.peer);
	sd_event_unref(f->event);
	close_fd(f->raw);
	free(f);
	return 0;
}

/* Runs the loop until nothing has happened for 20 ms. */
static void settle(struct fixture *f)
{
	while (sd_event_run(f->event, 20000) > 0) {
	}
}

static void raw_send(struct fixture *f, const char *body)
{
	uint32_t len = htobe32(strlen(body));

	assert_int_equal(write(f->raw, &len, 4), 4);
	assert_int_equal(write(f->raw, body, strlen(body)), strlen(body));
}

static void test_call_and_answer(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rpc_peer_call(f->a.peer, "double", json_pack("{s:i}", "n", 21), NULL, 0, 0,
				       on_answer, &f->a),
			 0);
	assert_int_equal(f->a.answers, 0); /* never from inside */
	settle(f);
	assert_int_equal(f->a.answers, 1);
	assert_int_equal(f->a.value, 42);
	assert_int_equal(f->b.calls, 1);
}

static void test_both_sides_call_many(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(rpc_peer_call(f->a.peer, "double", NULL, NULL, 0, USEC_PER_SEC,
					       on_answer, &f->a),
				 0);
		assert_int_equal(rpc_peer_call(f->b.peer, "double", NULL, NULL, 0, USEC_PER_SEC,
					       on_answer, &f->b),
				 0);
	}
	settle(f);
	assert_int_equal(f->a.answers, 100);
	assert_int_equal(f->b.answers, 100);
}

static void test_fault(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rpc_peer_call(f->a.peer, "what", NULL, NULL, 0, 0, on_answer, &f->a), 0);
	settle(f);
	assert_int_equal(f->a.faults, 1);
	assert_int_equal(f->a.fault, FAULT_NOT_SUPPORTED);
}

static void test_notice(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rpc_peer_notify(f->a.peer, "tick", json_pack("{s:i}", "n", 7)), 0);
	settle(f);
	assert_int_equal(f->b.notices, 1);
	assert_int_equal(f->b.value, 7);
}

static void test_fds_travel_and_are_closed(void **state)
{
	struct fixture *f = *state;
	int before = count_fds(), pair[2];

	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], "q", 1), 1);
	/* Frames without fds before it: the fds still belong to theirs. */
	assert_int_equal(rpc_peer_notify(f->a.peer, "tick", NULL), 0);
	assert_int_equal(rpc_peer_call(f->a.peer, "double", NULL, NULL, 0, 0, on_answer, &f->a), 0);
	assert_int_equal(rpc_peer_call(f->a.peer, "pipe", NULL, pair, 2, 0, on_answer, &f->a), 0);
	close(pair[0]);
	close(pair[1]);
	settle(f);
	assert_int_equal(f->b.fds_seen, 2);
	assert_int_equal(f->b.fd_byte, 'q');
	assert_int_equal(f->a.answers, 2);
	assert_int_equal(f->a.fd_byte, 'p');
	assert_int_equal(count_fds(), before);
}

static void test_too_many_fds(void **state)
{
	struct fixture *f = *state;
	int fds[RPC_FDS_MAX + 1] = { 0 };

	assert_int_equal(
		rpc_peer_call(f->a.peer, "double", NULL, fds, RPC_FDS_MAX + 1, 0, on_answer, &f->a),
		-E2BIG);
	settle(f);
	assert_int_equal(f->a.answers + f->a.faults, 0);
}

static void test_timeout_and_late_answer(void **state)
{
	struct fixture *f = *state;

	f->b.hold = true;
	assert_int_equal(rpc_peer_call(f->a.peer, "double", NULL, NULL, 0, 10 * USEC_PER_MSEC,
				       on_answer, &f->a),
			 0);
	settle(f);
	assert_int_equal(f->a.faults, 1);
	assert_int_equal(f->a.fault, FAULT_TIMEOUT);
	reply_held(&f->b);
	settle(f);
	assert_int_equal(f->a.answers + f->a.faults, 1);
	assert_false(f->a.closed);
}

static void test_close_with_open_calls(void **state)
{
	struct fixture *f = *state;

	f->b.hold = true;
	f->a.free_in_closed = true;
	assert_int_equal(
		rpc_peer_call(f->a.peer, "x", NULL, NULL, 0, USEC_PER_SEC, on_answer, &f->a), 0);
	assert_int_equal(rpc_peer_call(f->a.peer, "y", NULL, NULL, 0, 0, on_answer, &f->a), 0);
	settle(f);
	f->b.peer = rpc_peer_free(f->b.peer);
	assert_false(f->b.closed);
	settle(f);
	assert_int_equal(f->a.faults, 2);
	assert_int_equal(f->a.fault, FAULT_HOST_AWAY);
	assert_true(f->a.closed);
	assert_null(f->a.peer);
	/* The answers have nowhere to go, and that is fine. */
	reply_held(&f->b);
}

static void test_free_cancels_open_calls(void **state)
{
	struct fixture *f = *state;

	f->b.hold = true;
	assert_int_equal(
		rpc_peer_call(f->a.peer, "x", NULL, NULL, 0, USEC_PER_SEC, on_answer, &f->a), 0);
	f->a.peer = rpc_peer_free(f->a.peer);
	assert_int_equal(f->a.faults, 1);
	assert_int_equal(f->a.fault, FAULT_CANCELLED);
	assert_false(f->a.closed);
	settle(f);
	assert_true(f->b.closed);
	reply_held(&f->b);
}

static void test_free_inside_a_callback(void **state)
{
	struct fixture *f = *state;

	f->b.free_in_call = true;
	assert_int_equal(rpc_peer_call(f->a.peer, "x", NULL, NULL, 0, 0, on_answer, &f->a), 0);
	settle(f);
	assert_null(f->b.peer);
	assert_int_equal(f->a.faults, 1);
	assert_true(f->a.closed);
}

static void test_answer_too_large_is_a_fault(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rpc_peer_call(f->a.peer, "large", NULL, NULL, 0, 0, on_answer, &f->a), 0);
	settle(f);
	assert_int_equal(f->a.faults, 1);
	assert_int_equal(f->a.fault, FAULT_TOO_LARGE);
	assert_false(f->a.closed);
}

static void test_last_words_are_read(void **state)
{
	struct fixture *f = *state;

	/* The notices are in the socket when it is closed, and our own next write fails. */
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(rpc_peer_notify(f->b.peer, "tick", json_pack("{s:i}", "n", i)), 0);
	}
	f->b.peer = rpc_peer_free(f->b.peer);
	assert_int_equal(rpc_peer_notify(f->a.peer, "tock", NULL), 0);
	settle(f);
	assert_int_equal(f->a.notices, 50);
	assert_int_equal(f->a.value, 49);
	assert_true(f->a.closed);
	assert_int_equal(rpc_peer_notify(f->a.peer, "tock", NULL), -EPIPE);
	assert_int_equal(rpc_peer_call(f->a.peer, "x", NULL, NULL, 0, 0, on_answer, &f->a), -EPIPE);
}

static void test_output_is_bounded(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(500001);
	unsigned n = 0;
	int r = 0;

	memset(text, 'x', 500000);
	text[500000] = '\0';
	while (n < 100 && r == 0) {
		r = rpc_peer_notify(f->a.peer, "tick", json_pack("{s:s,s:i}", "t", text, "n", n));
		n += r == 0;
	}
	assert_int_equal(r, -ENOBUFS);
	assert_in_range(n, 15, 20);
	settle(f);
	assert_int_equal(f->b.notices, n);
	free(text);
}

static void test_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	static const char frame[] =
		"\0\0\0\x2c{\"id\":1,\"method\":\"double\",\"params\":{\"n\":10}}";
	char answer[128];

	for (size_t i = 0; i < sizeof(frame) - 1; i++) {
		assert_int_equal(write(f->raw, frame + i, 1), 1);
		sd_event_run(f->event, 1000);
	}
	settle(f);
	assert_int_equal(f->a.calls, 1);
	assert_true(read(f->raw, answer, sizeof(answer)) > 10);
	assert_false(f->a.closed);
}

static void expect_drop(struct fixture *f)
{
	char byte[256];
	ssize_t n;

	f->a.free_in_closed = true;
	settle(f);
	assert_true(f->a.closed);
	do {
		n = read(f->raw, byte, sizeof(byte));
	} while (n > 0);
	assert_true(n == 0 || errno == ECONNRESET);
}

static void test_garbage_ends_the_connection(void **state)
{
	struct fixture *f = *state;

	raw_send(f, "not json at all");
	expect_drop(f);
}

static void test_length_out_of_range_ends_the_connection(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->raw, "\xff\xff\xff\xff", 4), 4);
	expect_drop(f);
}

static void test_answer_to_no_call_ends_the_connection(void **state)
{
	struct fixture *f = *state;

	raw_send(f, "{\"id\":99,\"result\":{}}");
	expect_drop(f);
}

static void test_fds_in_the_middle_end_the_connection(void **state)
{
	struct fixture *f = *state;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = '{';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	int before = count_fds(), fd = f->raw;

	assert_int_equal(write(f->raw, "\0\0\0\x20", 4), 4);
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	assert_int_equal(sendmsg(f->raw, &msg, 0), 1);
	expect_drop(f);
	assert_int_equal(count_fds(), before - 1); /* less the peer's own */
}

static void test_requests_are_bounded(void **state)
{
	struct fixture *f = *state;
	char answer[512];

	f->a.hold = true;
	for (unsigned i = 1; i <= 1025; i++) {
		char body[64];

		snprintf(body, sizeof(body), "{\"id\":%u,\"method\":\"x\",\"params\":{}}", i);
		raw_send(f, body);
		if (i % 64 == 0) {
			settle(f);
		}
	}
	settle(f);
	assert_int_equal(f->a.calls, 1024);
	assert_true(read(f->raw, answer, sizeof(answer)) > 10);
	assert_non_null(memmem(answer, sizeof(answer), "no-capacity", 11));
	reply_held(&f->a);
}

struct sync {
	sd_event *event;
	struct end end;
	int fd;
};

static void *serve(void *arg)
{
	struct sync *s = arg;

	assert_int_equal(sd_event_new(&s->event), 0);
	assert_int_equal(rpc_peer_new_take(s->event, s->fd, &ops, &s->end, &s->end.peer), 0);
	assert_int_equal(rpc_peer_notify(s->end.peer, "hint", NULL), 0);
	while (!s->end.closed) {
		sd_event_run(s->event, 100000);
	}
	rpc_peer_free(s->end.peer);
	sd_event_unref(s->event);
	return NULL;
}

static void test_call_sync(void **state)
{
	struct sync s = { 0 };
	struct fault fault = { 0 };
	json_t *result = NULL;
	pthread_t thread;
	int fds[2];

	assert_int_equal(unix_pair(fds), 0);
	s.fd = fds[1];
	assert_int_equal(pthread_create(&thread, NULL, serve, &s), 0);
	assert_int_equal(rpc_call_sync(fds[0], "double", json_pack("{s:i}", "n", 4), NULL, 0,
				       USEC_PER_SEC, &result, &fault),
			 0);
	assert_int_equal(json_integer_value(json_object_get(result, "n")), 8);
	json_decref(result);
	assert_int_equal(
		rpc_call_sync(fds[0], "what", NULL, NULL, 0, USEC_PER_SEC, &result, &fault),
		-EREMOTEIO);
	assert_int_equal(fault.code, FAULT_NOT_SUPPORTED);
	s.end.hold = true;
	assert_int_equal(
		rpc_call_sync(fds[0], "what", NULL, NULL, 0, 20 * USEC_PER_MSEC, &result, &fault),
		-EREMOTEIO);
	assert_int_equal(fault.code, FAULT_TIMEOUT);
	close(fds[0]);
	pthread_join(thread, NULL);
	reply_held(&s.end);
}

static void test_call_sync_peer_gone(void **state)
{
	struct fault fault = { 0 };
	json_t *result = NULL;
	int fds[2];

	assert_int_equal(unix_pair(fds), 0);
	close(fds[1]);
	assert_int_equal(rpc_call_sync(fds[0], "x", NULL, NULL, 0, 0, &result, &fault), -EREMOTEIO);
	assert_int_equal(fault.code, FAULT_HOST_AWAY);
	close(fds[0]);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define TEST_RAW(t) cmocka_unit_test_setup_teardown(t, setup_raw, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_call_and_answer),
		TEST(test_both_sides_call_many),
		TEST(test_fault),
		TEST(test_notice),
		TEST(test_fds_travel_and_are_closed),
		TEST(test_too_many_fds),
		TEST(test_timeout_and_late_answer),
		TEST(test_close_with_open_calls),
		TEST(test_free_cancels_open_calls),
		TEST(test_free_inside_a_callback),
		TEST(test_answer_too_large_is_a_fault),
		TEST(test_last_words_are_read),
		TEST(test_output_is_bounded),
		TEST_RAW(test_byte_by_byte),
		TEST_RAW(test_garbage_ends_the_connection),
		TEST_RAW(test_length_out_of_range_ends_the_connection),
		TEST_RAW(test_answer_to_no_call_ends_the_connection),
		TEST_RAW(test_fds_in_the_middle_end_the_connection),
		TEST_RAW(test_requests_are_bounded),
		cmocka_unit_test(test_call_sync),
		cmocka_unit_test(test_call_sync_peer_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
