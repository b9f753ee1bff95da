/* SPDX-License-Identifier: Apache-2.0 */
/* dvm proxy: stdin and stdout joined to the D-VM's SSH server, for OpenSSH's ProxyCommand. */
#include <poll.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "session.h"
#include "ticket.h"

#define INPUT_MAX ((size_t)64 * 1024)
/* A session whose relay or D-VM comes back is so again in seconds. */
#define READY_WAIT (60 * USEC_PER_SEC)
#define READY_POLL_MS 300

struct proxy {
	struct stream_client *stream;
	struct buf input; /* from stdin, not yet taken by the stream */
	bool input_ended; /* end of stdin */
	bool eof_sent;
	bool opened;
	size_t done; /* bytes of data() that are dealt with */
	int error;   /* of stdout */
};

static void on_opened(uint64_t start, uint8_t mode, void *user)
{
	struct proxy *x = user;

	x->opened = true;
}

static void on_data(const uint8_t *p, size_t len, void *user)
{
	struct proxy *x = user;

	if (x->error == 0) {
		x->error = write_out(STDOUT_FILENO, p, len);
	}
	x->done += len;
}

static void on_gap(uint64_t length, void *user)
{
	struct proxy *x = user;

	x->error = -EPIPE; /* an SSH connection with a hole in it is none */
}

static const struct stream_client_ops ops = {
	.opened = on_opened,
	.data = on_data,
	.screen = stream_client_ignore_screen,
	.gap = on_gap,
	.writer = stream_client_ignore_flag,
	.source = stream_client_ignore_flag,
	.broke = stream_client_ignore_flag,
	.input = stream_client_ignore_input,
	.eof = stream_client_ignore_eof,
};

/* Moves what can be moved from stdin's queue to the stream. */
static int feed(struct proxy *x)
{
	ssize_t n;

	if (buf_len(&x->input) > 0) {
		n = stream_client_write(x->stream, buf_data(&x->input), buf_len(&x->input));
		if (n < 0) {
			return (int)n;
		}
		buf_consume(&x->input, (size_t)n);
	}
	if (x->input_ended && buf_len(&x->input) == 0 && !x->eof_sent) {
		x->eof_sent = true;
		return stream_client_eof(x->stream);
	}
	return 0;
}

static int loop(struct proxy *x, struct fault *fault)
{
	for (;;) {
		struct pollfd fds[2];
		int r;

		r = stream_client_pump(x->stream, fault);
		if (r == 0 && x->done > 0) {
			size_t done = x->done;

			x->done = 0;
			r = stream_client_done(x->stream, done);
		}
		if (r == 0) {
			r = x->error;
		}
		if (r == 0) {
			r = feed(x);
		}
		if (r != 0) {
			return r;
		}
		fds[0] = (struct pollfd){ .fd = stream_client_fd(x->stream),
					  .events = stream_client_events(x->stream) };
		fds[1] = (struct pollfd){ .fd = x->input_ended || buf_len(&x->input) > 0
							? -1
							: STDIN_FILENO,
					  .events = POLLIN };
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR) {
			return -errno;
		}
		if (fds[1].revents) {
			ssize_t n = buf_read_fd(&x->input, STDIN_FILENO, INPUT_MAX);

			if (n < 0 && n != -EAGAIN && n != -EINTR) {
				return (int)n;
			}
			x->input_ended = n == 0;
		}
	}
}

static int join(struct cli *cli, const struct ticket_request *request, struct proxy *x,
		struct fault *fault)
{
	int r;

	x->eof_sent = false;
	r = stream_client_new(&ops, x, &x->stream);
	if (r == 0) {
		r = ticket_connect(cli, request, TUNNEL_FROM_KEPT, x->stream, fault);
	}
	if (r == 0) {
		r = loop(x, fault);
	}
	x->stream = stream_client_free(x->stream);
	return r;
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *id = NULL;
	_cleanup_free_ char *path = NULL;
	struct ticket_request request = { .kind = "ssh", .mode = "rw" };
	usec_t until = clock_monotonic() + READY_WAIT;
	struct proxy x = { 0 };
	bool told = false;
	int r;

	r = session_id(args_word(args, 0), &id, fault);
	if (r < 0) {
		return r;
	}
	path = rest_path("/v1/sessions/%s/streams", id);
	if (!path) {
		return -ENOMEM;
	}
	request.path = path;
	buf_init(&x.input, INPUT_MAX);
	r = join(cli, &request, &x, fault);
	while (r == -EREMOTEIO && fault->code == FAULT_SESSION_NOT_READY && !x.opened &&
	       clock_monotonic() < until) {
		if (!told) {
			fprintf(stderr, "dvm: session %s is not ready, waiting for it\n", id);
			told = true;
		}
		poll(NULL, 0, READY_POLL_MS);
		r = join(cli, &request, &x, fault);
	}
	buf_fini(&x.input);
	if (r == -EPIPE || r == 1) {
		return 0; /* one of the two ends has hung up */
	}
	return r == -ECONNRESET ? -EREMOTEIO : r;
}

static const struct option_def options[] = { OPTION_END };

const struct command cmd_proxy = {
	.name = "proxy",
	.words = "SESSION",
	.summary = "join stdin and stdout to a D-VM's SSH server, for OpenSSH's ProxyCommand",
	.options = options,
	.run = run,
};
