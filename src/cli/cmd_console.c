/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dvm console: a VM's console on this terminal, or through a pipe.
 *
 * Theory of operation: on a terminal keys go out raw, but for the escape keys; otherwise it is a
 * filter. What comes is written out at once, blocking: the stream's window then slows the relay,
 * never the guest. When the connection breaks, a new ticket is asked for and the stream goes on at
 * the offset it was at; what the user sees in between says so.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

#include "buf.h"
#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "escape.h"
#include "parse.h"
#include "terminal.h"
#include "ticket.h"
#include "until.h"

#define INPUT_MAX ((size_t)64 * 1024)
/* As a filter, with nothing to wait for: so long without a byte after the end of input is the end.
 */
#define QUIET (500 * USEC_PER_MSEC)
#define RECONNECT_FOR (120 * USEC_PER_SEC)

struct console {
	struct cli *cli;
	struct ticket_request request;
	struct stream_client *stream;
	bool interactive;
	bool reads_input; /* else stdin is left alone */
	bool asked_to_write, takes;
	struct terminal terminal;
	struct escape escape;
	struct until until;
	bool has_until;
	usec_t deadline; /* of --timeout; USEC_INFINITY: none */
	uint64_t from;

	struct buf input;
	bool input_ended, opened, may_write, source_up;
	usec_t last_byte; /* when something came or went */
	size_t done;
	bool found, quit;
	bool only_offset;
	int error; /* of stdout */
};

/* A word of our own among the guest's. */
static void _printf_(2, 3) notice(struct console *c, const char *fmt, ...)
{
	va_list ap;

	fputs(c->interactive ? "\r\n[dvm: " : "dvm: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(c->interactive ? "]\r\n" : "\n", stderr);
}

static void send_size(struct console *c)
{
	struct tunnel_ctl ctl = { .op = TUNNEL_CTL_WINSIZE };

	terminal_size(&ctl.rows, &ctl.columns);
	if (c->interactive && ctl.rows > 0 && stream_client_ctl(c->stream, &ctl) < 0) {
		c->error = -ENOMEM;
	}
}

static void send_ctl(struct console *c, enum tunnel_ctl_op op)
{
	if (stream_client_ctl(c->stream, &(struct tunnel_ctl){ .op = op }) < 0) {
		c->error = -ENOMEM;
	}
}

static void on_opened(uint64_t start, uint8_t mode, void *user)
{
	struct console *c = user;

	c->opened = true;
	if (c->only_offset) {
		printf("%" PRIu64 "\n", start);
		c->quit = true;
		return;
	}
	c->last_byte = clock_monotonic();
	c->may_write = mode & TUNNEL_MODE_WRITE;
	if (c->from < TUNNEL_FROM_LIVE && start > c->from) {
		notice(c, "%" PRIu64 " bytes before this are no longer kept", start - c->from);
	}
	if (c->asked_to_write && !c->may_write && c->interactive) {
		notice(c, c->takes ? "this console can only be watched"
				   : "somebody else types here, or it can only be watched; "
				     "~W takes writing over");
	}
	send_size(c);
}

static void on_data(const uint8_t *p, size_t len, void *user)
{
	struct console *c = user;
	size_t end = len;

	c->done += len;
	c->last_byte = clock_monotonic();
	if (c->found) {
		return;
	}
	if (c->has_until) {
		c->found = until_feed(&c->until, p, len, &end);
	}
	if (c->error == 0) {
		c->error = write_out(STDOUT_FILENO, p, end);
	}
}

static void on_gap(uint64_t length, void *user)
{
	struct console *c = user;

	if (length > 0) {
		notice(c, "%" PRIu64 " bytes lost here", length);
	} else {
		notice(c, "something may be missing here");
	}
}

static void on_writer(bool holds, void *user)
{
	struct console *c = user;

	if (c->may_write != holds) {
		notice(c, holds ? "you may type now"
				: "you can no longer type: somebody else does, or it can only be "
				  "watched");
	}
	c->may_write = holds;
}

static void on_source(bool up, void *user)
{
	struct console *c = user;

	if (c->source_up != up && !c->only_offset) {
		notice(c, up ? "the VM is back" : "the VM is off, or its console away; waiting");
	}
	c->source_up = up;
}

static void on_eof(void *user)
{
}

static const struct stream_client_ops ops = {
	.opened = on_opened,
	.data = on_data,
	.gap = on_gap,
	.writer = on_writer,
	.source = on_source,
	.eof = on_eof,
};

/* Keys from the terminal into the queue, escape keys obeyed. */
static int take_keys(struct console *c, const uint8_t *keys, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t out[2];
		size_t n;

		switch (escape_input(&c->escape, keys[i], out, &n)) {
		case ESCAPE_QUIT:
			c->quit = true;
			break;
		case ESCAPE_BREAK:
			send_ctl(c, TUNNEL_CTL_BREAK);
			break;
		case ESCAPE_TAKE:
			send_ctl(c, TUNNEL_CTL_TAKE);
			break;
		case ESCAPE_HELP:
			fputs(escape_help, stderr);
			break;
		case ESCAPE_NONE:
			break;
		}
		/* Keys that nobody would get are not kept for later. */
		if (c->may_write && buf_append(&c->input, out, n) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

static int read_input(struct console *c)
{
	uint8_t bytes[4096];
	ssize_t n = read(STDIN_FILENO, bytes,
			 c->interactive ? sizeof(bytes) : MIN(sizeof(bytes), buf_room(&c->input)));

	if (n < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	c->last_byte = clock_monotonic();
	if (n == 0) {
		c->input_ended = true;
		c->quit = c->quit || c->interactive; /* the terminal is gone */
		return 0;
	}
	return c->interactive ? take_keys(c, bytes, (size_t)n)
			      : buf_append(&c->input, bytes, (size_t)n);
}

static int feed(struct console *c, struct fault *fault)
{
	ssize_t n;

	if (buf_len(&c->input) == 0 || !c->opened) {
		return 0;
	}
	if (!c->may_write) {
		if (c->interactive) {
			buf_clear(&c->input);
			return 0;
		}
		if (c->takes) {
			return fault_set(fault, FAULT_CONSOLE_READ_ONLY,
					 "this console can only be watched, or has just been taken "
					 "over");
		}
		fault_set(fault, FAULT_WRITER_TAKEN,
			  "somebody else types on this console, or it can only be watched");
		fault_hint(fault, "--take takes writing over");
		return -EREMOTEIO;
	}
	n = stream_client_write(c->stream, buf_data(&c->input), buf_len(&c->input));
	if (n < 0) {
		return (int)n;
	}
	if (n > 0) {
		c->last_byte = clock_monotonic();
		buf_consume(&c->input, (size_t)n);
	}
	return 0;
}

/* When to wake up at the latest, as poll() wants it. */
static int poll_timeout(const struct console *c, bool waits_for_quiet)
{
	usec_t now = clock_monotonic(), at = c->deadline;

	if (waits_for_quiet) {
		at = MIN(at, c->last_byte + QUIET);
	}
	if (at == USEC_INFINITY) {
		return -1;
	}
	return at <= now ? 0 : (int)MIN((at - now) / USEC_PER_MSEC + 1, (usec_t)3600 * 1000);
}

/* One connection, until it breaks (-ECONNRESET), or it is over: 0, or a fault. */
static int serve(struct console *c, int signal_fd, struct fault *fault)
{
	for (;;) {
		struct pollfd fds[3];
		bool quiet;
		int r;

		r = stream_client_pump(c->stream, fault);
		if (c->found || c->quit || r == 1) {
			return 0;
		}
		if (r == 0 && c->done > 0) {
			size_t done = c->done;

			c->done = 0;
			r = stream_client_done(c->stream, done);
		}
		if (r == 0) {
			r = c->error;
		}
		if (r == 0) {
			r = feed(c, fault);
		}
		if (r < 0) {
			return r;
		}
		quiet = c->reads_input && !c->interactive && c->input_ended &&
			buf_len(&c->input) == 0 && !c->has_until && c->deadline == USEC_INFINITY &&
			c->opened;
		if (quiet && clock_monotonic() >= c->last_byte + QUIET) {
			return 0;
		}
		if (clock_monotonic() >= c->deadline) {
			return c->has_until
				       ? fault_set(fault, FAULT_TIMEOUT,
						   "\"%s\" did not come in time", c->until.text)
				       : 0;
		}
		fds[0] = (struct pollfd){ .fd = stream_client_fd(c->stream),
					  .events = stream_client_events(c->stream) };
		fds[1] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
		fds[2] = (struct pollfd){
			.fd = c->reads_input && !c->input_ended &&
					      (c->interactive || buf_room(&c->input) > 0)
				      ? STDIN_FILENO
				      : -1,
			.events = POLLIN,
		};
		if (poll(fds, ARRAY_SIZE(fds), poll_timeout(c, quiet)) < 0 && errno != EINTR) {
			return -errno;
		}
		if (fds[1].revents) {
			struct signalfd_siginfo si;

			if (read(signal_fd, &si, sizeof(si)) == sizeof(si) &&
			    si.ssi_signo != SIGWINCH) {
				return (int)(128 + si.ssi_signo);
			}
			send_size(c);
		}
		if (fds[2].revents) {
			r = read_input(c);
			if (r < 0) {
				return r;
			}
		}
	}
}

/* Connects again, with a new ticket, from where we were. */
static int reconnect(struct console *c, struct fault *fault)
{
	const struct timespec pause = { .tv_nsec = 500 * 1000000L };
	usec_t end = MIN(clock_monotonic() + RECONNECT_FOR, c->deadline);
	int r;

	notice(c, "connection lost, reconnecting");
	c->from = stream_client_offset(c->stream);
	c->opened = false;
	c->done = 0;
	for (;;) {
		r = ticket_connect(c->cli, &c->request, c->from, c->stream, fault);
		if (r != -EREMOTEIO || !fault_code_transient(fault->code) ||
		    clock_monotonic() > end) {
			return r;
		}
		nanosleep(&pause, NULL);
	}
}

static int converse(struct console *c, int signal_fd, struct fault *fault)
{
	int r;

	r = ticket_connect(c->cli, &c->request, c->from, c->stream, fault);
	while (r == 0) {
		bool was_open;

		r = serve(c, signal_fd, fault);
		was_open = c->opened;
		if (r != -ECONNRESET && (r != -EREMOTEIO || fault->code != FAULT_RELAY_LOST)) {
			return r;
		}
		if (!was_open) {
			return -EREMOTEIO; /* never got in: it would not get better */
		}
		r = reconnect(c, fault);
		if (r == 0) {
			*fault = (struct fault){ 0 };
		}
	}
	return r;
}

static int parse_options(struct console *c, const struct args *args, struct fault *fault)
{
	const char *from = args_value(args, "from"), *until = args_value(args, "until"),
		   *timeout = args_value(args, "timeout");
	usec_t after;

	c->only_offset = args_has(args, "offset");
	c->from = args_has(args, "live") || c->only_offset ? TUNNEL_FROM_LIVE : TUNNEL_FROM_KEPT;
	if (from && (parse_u64(from, &c->from) < 0 || c->from >= TUNNEL_FROM_LIVE)) {
		return fault_set(fault, FAULT_BAD_VALUE, "--from \"%.40s\" is not an offset", from);
	}
	if (until && until_init(&c->until, until) < 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "--until wants a text of 1 to %d bytes",
				 UNTIL_MAX);
	}
	c->has_until = until;
	c->deadline = USEC_INFINITY;
	if (timeout) {
		if (parse_duration(timeout, &after) < 0) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "--timeout \"%.40s\" is not a time such as 30 or 2m",
					 timeout);
		}
		c->deadline = clock_monotonic() + after;
	}
	c->request.kind = "console";
	c->request.mode = args_has(args, "take")	? "take"
			  : args_has(args, "read-only") ? "r"
							: "rw";
	c->takes = args_has(args, "take");
	c->asked_to_write = !args_has(args, "read-only");
	return 0;
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/streams", args_word(args, 0));
	_cleanup_close_ int signal_fd = -1;
	struct console c = { .cli = cli, .escape = ESCAPE_INIT, .source_up = true };
	sigset_t signals;
	int r;

	if (!path) {
		return -ENOMEM;
	}
	r = parse_options(&c, args, fault);
	if (r < 0) {
		return r;
	}
	c.request.path = path;
	c.interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !c.has_until &&
			!args_has(args, "timeout");
	c.reads_input = c.interactive || c.asked_to_write;
	buf_init(&c.input, INPUT_MAX);
	r = stream_client_new(&ops, &c, &c.stream);
	if (r < 0) {
		return r;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGWINCH);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0) {
		r = -errno;
	}
	if (r == 0 && c.interactive) {
		fprintf(stderr, "console of %s; ~. leaves it, ~? helps\n", args_word(args, 0));
		r = terminal_raw(&c.terminal);
	}
	if (r == 0) {
		r = converse(&c, signal_fd, fault);
	}
	terminal_restore(&c.terminal);
	if (c.interactive) {
		fprintf(stderr, "\nleft the console of %s\n", args_word(args, 0));
	}
	stream_client_free(c.stream);
	buf_fini(&c.input);
	return r == -EPIPE ? 0 : r == -ECONNRESET ? -EREMOTEIO : r;
}

static const struct option_def options[] = {
	{ "read-only", 'r', NULL, "only watch" },
	{ "take", 't', NULL, "take writing over from whoever has it" },
	{ "live", 'l', NULL, "only what comes from now on, nothing of what was kept" },
	{ "from", 'f', "OFFSET", "what was kept from this byte on (default: all of it)" },
	{ "offset", 'o', NULL, "only print at which byte the console is now, for a later --from" },
	{ "until", 'u', "TEXT", "end, with status 0, once TEXT has come" },
	{ "timeout", 0, "TIME",
	  "end after this time, e.g. 90 or 2m; with --until that is a failure" },
	OPTION_END,
};

const struct command cmd_console = {
	.name = "console",
	.words = "VM",
	.summary = "a VM's console, with what it said before",
	.text = "No session is needed. On a terminal ~. at the start of a line leaves it, ~? shows "
		"more such keys. A "
		"connection that breaks is made again where it was; what was lost is said.\n\n"
		"Otherwise it is a filter: what comes in is typed, what the guest says goes out. "
		"It ends when the input has "
		"ended and the guest is quiet, or as --until and --timeout say; with --read-only "
		"the input is left alone.",
	.options = options,
	.run = run,
};
