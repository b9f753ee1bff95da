/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server on the loop: answers now and later, streams, bodies, clients that go away. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "http_server.h"
#include "unix.h"

#define WAIT_MAX (10 * USEC_PER_SEC)
#define STREAM_PIECES 3

enum behaviour { ANSWER_NOW, ANSWER_LATER, STREAM };

struct fixture {
	sd_event *event;
	struct http_server *server;
	char path[64];
	enum behaviour behaviour;
	struct http_request *waiting;
	char seen[8192]; /* of the last request's body */
	size_t seen_len;
	bool too_large;
	unsigned requests, closed;
	unsigned pieces; /* a stream has left */
	bool piece_ready;
};

static void reply(struct http_request *r, const char *text)
{
	http_request_add_header(r, "X-Test", "yes");
	http_request_reply_take(r, 200, "text/plain", strdup(text), strlen(text));
}

static ssize_t on_pull(void *p, size_t max, void *user)
{
	struct fixture *f = user;

	if (!f->piece_ready) {
		return 0;
	}
	if (f->pieces == 0) {
		return -ENODATA;
	}
	f->piece_ready = false;
	f->pieces--;
	assert_true(max >= 5);
	memcpy(p, "piece", 5);
	return 5;
}

static void on_closed(void *user)
{
	struct fixture *f = user;

	f->closed++;
	f->waiting = NULL;
}

static void on_request(struct http_request *r, void *user)
{
	static const struct http_stream_ops stream = { .pull = on_pull, .closed = on_closed };
	struct fixture *f = user;
	size_t len;
	const char *body = http_request_body(r, &len);

	f->requests++;
	f->too_large = http_request_too_large(r);
	f->seen_len = len;
	memcpy(f->seen, body, len < sizeof(f->seen) ? len : sizeof(f->seen));
	switch (f->behaviour) {
	case ANSWER_NOW:
		reply(r, http_request_target(r));
		break;
	case ANSWER_LATER:
		f->waiting = r;
		break;
	case STREAM:
		f->waiting = r;
		f->pieces = STREAM_PIECES;
		f->piece_ready = false;
		http_request_stream(r, 200, "text/plain", HTTP_LENGTH_UNKNOWN, &stream, f);
		break;
	}
}

static int setup(void **state)
{
	static const struct http_server_ops ops = { .request = on_request };
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	assert_non_null(f);
	snprintf(f->path, sizeof(f->path), "/tmp/dvm-http-%d.sock", getpid());
	assert_int_equal(sd_event_new(&f->event), 0);
	assert_int_equal(unix_listen(f->path, 0600, &fd), 0);
	assert_int_equal(http_server_new_take(f->event, fd, &ops, f, &f->server), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_server_free(f->server);
	sd_event_unref(f->event);
	unlink(f->path);
	free(f);
	return 0;
}

/* ---- a client in the same thread */

static int client(struct fixture *f)
{
	int fd;

	assert_int_equal(unix_connect(f->path, &fd), 0);
	assert_true(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) >= 0);
	return fd;
}

static void turn(struct fixture *f)
{
	assert_true(sd_event_run(f->event, 10 * USEC_PER_MSEC) >= 0);
}

static void send_all(struct fixture *f, int fd, const char *p, size_t len)
{
	usec_t end = clock_monotonic() + WAIT_MAX;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else {
			assert_int_equal(errno, EAGAIN);
			turn(f);
		}
		assert_true(clock_monotonic() < end);
	}
}

static void send_text(struct fixture *f, int fd, const char *text)
{
	send_all(f, fd, text, strlen(text));
}

/* Reads until `text` has come, or, where it is NULL, the end. */
static void expect(struct fixture *f, int fd, struct buf *in, const char *text)
{
	usec_t end = clock_monotonic() + WAIT_MAX;

	for (;;) {
		ssize_t n;

		if (text && buf_len(in) > 0 &&
		    memmem(buf_data(in), buf_len(in), text, strlen(text))) {
			return;
		}
		turn(f);
		n = buf_read_fd(in, fd, 4096);
		if (n == 0 || (n < 0 && n != -EAGAIN)) {
			assert_null(text);
			return;
		}
		assert_true(clock_monotonic() < end);
	}
}

static void wait_until(struct fixture *f, const unsigned *counter, unsigned value)
{
	usec_t end = clock_monotonic() + WAIT_MAX;

	while (*counter < value) {
		turn(f);
		assert_true(clock_monotonic() < end);
	}
}

/* ---- tests */

static void test_now(void **state)
{
	struct fixture *f = *state;
	struct buf in;
	int fd = client(f);

	buf_init(&in, 65536);
	send_text(f, fd, "GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(f, fd, &in, "\r\n\r\n/a%20b?c=d");
	assert_non_null(memmem(buf_data(&in), buf_len(&in), "HTTP/1.1 200", 12));
	assert_non_null(memmem(buf_data(&in), buf_len(&in), "X-Test: yes", 11));
	assert_null(memmem(buf_data(&in), buf_len(&in), "Server:", 7));
	buf_clear(&in);
	/* on the same connection */
	send_text(f, fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo");
	send_all(f, fd, "\0y", 2);
	expect(f, fd, &in, "\r\n\r\n/p");
	assert_int_equal(f->seen_len, 4);
	assert_memory_equal(f->seen, "bo\0y", 4);
	assert_int_equal(f->requests, 2);
	buf_fini(&in);
	close(fd);
}

static void test_later(void **state)
{
	struct fixture *f = *state;
	struct buf in;
	int fd = client(f);

	buf_init(&in, 65536);
	f->behaviour = ANSWER_LATER;
	send_text(f, fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_until(f, &f->requests, 1);
	for (int i = 0; i < 5; i++) {
		turn(f);
	}
	reply(f->waiting, "at last");
	expect(f, fd, &in, "at last");
	buf_fini(&in);
	close(fd);
}

/* The client goes while its request is under way: the answer goes nowhere. */
static void test_gone(void **state)
{
	struct fixture *f = *state;
	struct buf in;
	int fd = client(f);

	f->behaviour = ANSWER_LATER;
	send_text(f, fd, "GET /gone HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_until(f, &f->requests, 1);
	close(fd);
	turn(f);
	reply(f->waiting, "to nobody");
	for (int i = 0; i < 5; i++) {
		turn(f);
	}
	/* and another is served */
	buf_init(&in, 65536);
	fd = client(f);
	f->behaviour = ANSWER_NOW;
	send_text(f, fd, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(f, fd, &in, "/next");
	buf_fini(&in);
	close(fd);
}

static void test_stream(void **state)
{
	struct fixture *f = *state;
	struct buf in;
	int fd = client(f);

	buf_init(&in, 65536);
	f->behaviour = STREAM;
	send_text(f, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(f, fd, &in, "Transfer-Encoding: chunked");
	for (int i = 0; i < STREAM_PIECES; i++) {
		turn(f);
		f->piece_ready = true;
		http_request_wake(f->waiting);
		expect(f, fd, &in, "piece");
		buf_clear(&in);
	}
	f->piece_ready = true;
	http_request_wake(f->waiting);
	expect(f, fd, &in, "0\r\n\r\n");
	wait_until(f, &f->closed, 1);
	buf_fini(&in);
	close(fd);
}

/* HEAD of a stream asks for none of it. */
static void test_stream_head(void **state)
{
	struct fixture *f = *state;
	struct buf in;
	int fd = client(f);

	buf_init(&in, 65536);
	f->behaviour = STREAM;
	send_text(f, fd, "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(f, fd, &in, "\r\n\r\n");
	wait_until(f, &f->closed, 1);
	assert_int_equal(f->pieces, STREAM_PIECES);
	buf_fini(&in);
	close(fd);
}

/* A stream's client that goes is noticed, though the stream has nothing for it. */
static void test_stream_gone(void **state)
{
	struct fixture *f = *state;
	struct buf in;
	int fd = client(f);

	buf_init(&in, 65536);
	f->behaviour = STREAM;
	send_text(f, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(f, fd, &in, "\r\n\r\n");
	/* One that only sends no more is still there. */
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (int i = 0; i < 5; i++) {
		turn(f);
	}
	f->piece_ready = true;
	http_request_wake(f->waiting);
	expect(f, fd, &in, "piece");
	assert_int_equal(f->closed, 0);
	close(fd);
	wait_until(f, &f->closed, 1);
	buf_fini(&in);
}

static void test_body(struct fixture *f, size_t len, bool too_large)
{
	char head[128];
	char *body = malloc(len);
	struct buf in;
	int fd = client(f);

	assert_non_null(body);
	memset(body, 'x', len);
	buf_init(&in, 65536);
	snprintf(head, sizeof(head),
		 "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", len);
	send_text(f, fd, head);
	send_all(f, fd, body, len);
	expect(f, fd, &in, "/body");
	assert_int_equal(f->too_large, too_large);
	assert_int_equal(f->seen_len, too_large ? 0 : len);
	buf_fini(&in);
	free(body);
	close(fd);
}

static void test_bodies(void **state)
{
	struct fixture *f = *state;

	test_body(f, 1, false);
	test_body(f, HTTP_BODY_MAX, false);
	test_body(f, HTTP_BODY_MAX + 1, true);
	test_body(f, 5 * HTTP_BODY_MAX, true);
}

/* Far too large: answered at once, not read. */
static void test_body_refused(void **state)
{
	struct fixture *f = *state;
	struct buf in;
	int fd = client(f);

	buf_init(&in, 65536);
	send_text(f, fd, "POST /huge HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
	expect(f, fd, &in, "/huge");
	assert_true(f->too_large);
	expect(f, fd, &in, NULL);
	buf_fini(&in);
	close(fd);
}

/* A chunked body without end is cut off. */
static void test_body_endless(void **state)
{
	struct fixture *f = *state;
	static char chunk[65536 + 16];
	usec_t end = clock_monotonic() + WAIT_MAX;
	int fd = client(f);
	size_t len = (size_t)snprintf(chunk, 16, "10000\r\n");

	memset(chunk + len, 'x', 65536);
	memcpy(chunk + len + 65536, "\r\n", 2);
	len += 65536 + 2;
	send_text(f, fd, "POST /endless HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (size_t at = 0; clock_monotonic() < end;) {
		ssize_t n = write(fd, chunk + at, len - at);

		if (n < 0 && errno != EAGAIN) {
			break;
		}
		at = n > 0 ? (at + (size_t)n) % len : at;
		turn(f);
	}
	assert_true(clock_monotonic() < end);
	assert_int_equal(f->requests, 0);
	close(fd);
}

/* The server goes while a request and a stream are under way. */
static void test_server_free(void **state)
{
	struct fixture *f = *state;
	struct http_request *waiting;
	int later = client(f), stream = client(f);

	f->behaviour = ANSWER_LATER;
	send_text(f, later, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_until(f, &f->requests, 1);
	waiting = f->waiting;
	f->behaviour = STREAM;
	send_text(f, stream, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_until(f, &f->requests, 2);
	turn(f);
	f->server = http_server_free(f->server);
	assert_int_equal(f->closed, 1);
	reply(waiting, "too late");
	close(later);
	close(stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_now, setup, teardown),
		cmocka_unit_test_setup_teardown(test_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream_head, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bodies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body_endless, setup, teardown),
		cmocka_unit_test_setup_teardown(test_server_free, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
