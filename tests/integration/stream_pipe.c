/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test tool: standard input and output to a stream, as `dvm proxy` does, with every event told on
 *standard error.
 *
 *	DVM_URL=… DVM_PIN=… stream_pipe PATH SERVICE [FROM]
 */
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "config.h"
#include "file.h"
#include "parse.h"
#include "stream_client.h"

#define BLOCK (64 * 1024)

struct pipe_end {
	struct buf out;
	bool failed;
};

static void on_opened(uint64_t start, uint8_t mode, void *user)
{
	fprintf(stderr, "opened %" PRIu64 " %u\n", start, mode);
}

static void on_data(const uint8_t *p, size_t len, void *user)
{
	struct pipe_end *e = user;

	e->failed |= buf_append(&e->out, p, len) < 0;
}

static void on_gap(uint64_t length, void *user)
{
	fprintf(stderr, "gap %" PRIu64 "\n", length);
}

static void on_writer(bool holds, void *user)
{
	fprintf(stderr, "writer %d\n", holds);
}

static void on_source(bool up, void *user)
{
	fprintf(stderr, "source %d\n", up);
}

static void on_eof(void *user)
{
	fprintf(stderr, "eof\n");
}

static const struct stream_client_ops ops = {
	.opened = on_opened,
	.data = on_data,
	.screen = stream_client_ignore_screen,
	.gap = on_gap,
	.writer = on_writer,
	.source = on_source,
	.broke = stream_client_ignore_flag,
	.input = stream_client_ignore_input,
	.eof = on_eof,
};

static int from_stdin(struct stream_client *s)
{
	static uint8_t block[BLOCK];
	ssize_t n = read(STDIN_FILENO, block, MIN(sizeof(block), stream_client_room(s)));

	if (n == 0) {
		return stream_client_eof(s) < 0 ? -EIO : 1;
	}
	return n > 0 && stream_client_write(s, block, n) == n ? 0 : -EIO;
}

static int pump(struct stream_client *s, struct pipe_end *e, struct fault *fault)
{
	bool in_open = true;
	int r = 0;

	while (r == 0 || buf_len(&e->out) > 0) {
		struct pollfd p[] = {
			{ .fd = r == 0 ? stream_client_fd(s) : -1,
			  .events = r == 0 ? stream_client_events(s) : 0 },
			{ .fd = in_open && r == 0 && stream_client_room(s) > 0 ? STDIN_FILENO : -1,
			  .events = POLLIN },
			{ .fd = buf_len(&e->out) > 0 ? STDOUT_FILENO : -1, .events = POLLOUT },
		};

		if (poll(p, ARRAY_SIZE(p), -1) < 0) {
			return -errno;
		}
		if (p[1].revents) {
			int k = from_stdin(s);

			if (k < 0) {
				return k;
			}
			in_open = k == 0;
		}
		if (p[2].revents) {
			ssize_t n = buf_write_fd(&e->out, STDOUT_FILENO);

			if (n < 0 || stream_client_done(s, n) < 0) {
				return -EIO;
			}
		}
		if (r == 0) {
			r = stream_client_pump(s, fault);
		}
		if (e->failed) {
			return -ENOBUFS;
		}
	}
	return r;
}

int main(int argc, char **argv)
{
	struct config config = { .url = getenv("DVM_URL"), .pin = getenv("DVM_PIN") };
	struct pipe_end end = { 0 };
	struct stream_client *s = NULL;
	struct fault fault = { 0 };
	uint64_t from = TUNNEL_FROM_KEPT;
	int r;

	if (argc < 3 || (argc > 3 && parse_u64(argv[3], &from) < 0) || !config.url) {
		return 2;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	buf_init(&end.out, 2 * STREAM_WINDOW);
	r = stream_client_new(&ops, &end, &s);
	if (r == 0) {
		r = stream_client_connect(s, &config, argv[1], argv[2],
					  TUNNEL_MODE_READ | TUNNEL_MODE_WRITE, from, &fault);
	}
	if (r == 0) {
		r = pump(s, &end, &fault);
	}
	if (r < 0) {
		fprintf(stderr, "fault %s %s\n", fault_code_name(fault.code), strerror(-r));
	}
	if (s) {
		fprintf(stderr, "offset %" PRIu64 "\n", stream_client_offset(s));
	}
	stream_client_free(s);
	buf_fini(&end.out);
	curl_global_cleanup();
	return r < 0;
}
