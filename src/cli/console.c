/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation with a VM's console. See console.h. */
#include "console.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>

#include "cleanup.h"
#include "clock.h"
#include "past.h"

#define TYPED_MAX ((size_t)64 * 1024)
/* As a filter, with nothing to wait for: so long without a byte after the end of input is the end.
 */
#define QUIET (500 * USEC_PER_MSEC)
#define KEYS_MAX ((size_t)8192)
#define PAUSE_FIRST (100 * USEC_PER_MSEC)
#define PAUSE_MAX (5 * USEC_PER_SEC)
#define EXIT_NOT_MATCHED 1

/* What the guest's programs may have left the user's terminal in: another screen, a scroll region,
 * a hidden cursor, colours, the mouse. The cursor stays where it is. */
static const char leave_screen[] =
	"\033[?47l\0337\033[r\0338\033[?6l\033[?7h\033[?25h\033[4l\033[0m"
	"\033(B\017\033[?1l\033>\033[?9;1000;1002;1003;1004;1006;2004l";

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

static void send_ctl(struct console *c, const struct tunnel_ctl *ctl)
{
	if (c->opened && stream_client_ctl(c->stream, ctl) < 0) {
		c->error = -ENOMEM;
	}
}

static void send_size(struct console *c)
{
	struct tunnel_ctl ctl = { .op = TUNNEL_CTL_WINSIZE };

	terminal_size(&ctl.rows, &ctl.columns);
	if (c->interactive && ctl.rows > 0) {
		send_ctl(c, &ctl);
	}
}

/* What the guest cannot know by itself on a serial line, in its shell's words. */
static void type_size(struct console *c)
{
	uint16_t rows, columns;
	char line[64];

	terminal_size(&rows, &columns);
	if (rows == 0) {
		notice(c, "there is no terminal whose size could be told");
		return;
	}
	snprintf(line, sizeof(line), " stty rows %u cols %u\r", rows, columns);
	if (typed_add(&c->typed, line, strlen(line)) == -ENOMEM) {
		c->error = -ENOMEM;
	}
}

/* The connection is there again: what it cost. */
static void tell_back(struct console *c, uint64_t start)
{
	unsigned seconds = (unsigned)((clock_monotonic() - c->lost_at) / USEC_PER_SEC);

	if (c->from >= TUNNEL_FROM_SCREEN) {
		notice(c, "connection lost, back after %u s", seconds);
	} else if (start > c->from) {
		notice(c, "connection lost, back after %u s, %" PRIu64 " bytes lost here", seconds,
		       start - c->from);
	} else if (start < c->from) {
		notice(c, "connection lost, back after %u s; the console's history has begun anew",
		       seconds);
	} else {
		notice(c, "connection lost, back after %u s, nothing lost", seconds);
	}
	c->lost_at = 0;
}

static void on_opened(uint64_t start, uint8_t mode, void *user)
{
	struct console *c = user;
	bool back = c->lost_at > 0;

	c->opened = true;
	c->pause = PAUSE_FIRST;
	if (c->only_offset) {
		printf("%" PRIu64 "\n", start);
		c->quit = true;
		return;
	}
	c->last_byte = clock_monotonic();
	c->may_write = mode & TUNNEL_MODE_WRITE;
	c->writable_known = c->may_write || !c->asked_to_write;
	if (back) {
		tell_back(c, start);
	} else if (c->from < TUNNEL_FROM_SCREEN && start > c->from) {
		notice(c, "%" PRIu64 " bytes before this are no longer kept", start - c->from);
	}
	if (c->asked_to_write) {
		typed_connect(&c->typed);
		send_ctl(c, &(struct tunnel_ctl){ .op = TUNNEL_CTL_INPUT, .id = c->typed.id });
	}
	send_size(c);
}

static void send_pace(struct console *c)
{
	if (c->rate > 0 && c->may_write) {
		send_ctl(c, &(struct tunnel_ctl){ .op = TUNNEL_CTL_PACE, .rate = c->rate });
	}
}

/* The answer to INPUT: who writes is settled by then. */
static void on_input(uint64_t id, uint64_t had, void *user)
{
	struct console *c = user;
	bool first = !c->typed.answered;
	size_t lost;

	if (id != c->typed.id || typed_had(&c->typed, had, &lost) < 0) {
		c->error = -EPROTO;
		return;
	}
	if (lost > 0) {
		notice(c, "%zu typed bytes may be lost", lost);
	}
	if (!first) {
		return;
	}
	c->writable_known = true;
	send_pace(c);
	if (c->interactive && !c->may_write) {
		notice(c, c->takes ? "this console can only be watched"
				   : "somebody else types here, or it can only be watched; the "
				     "escape key and W take writing over");
	}
}

static void on_screen(const uint8_t *p, size_t len, bool last, void *user)
{
	struct console *c = user;

	c->done += len;
	c->last_byte = clock_monotonic();
	c->screen_due = !last;
	if (c->error == 0) {
		c->error = shown_bytes(&c->shown, p, len);
	}
}

/* The guest's words, of now or of before. */
static void guest_said(struct console *c, const uint8_t *p, size_t len, usec_t at)
{
	size_t end = len;

	if (c->found || c->error < 0) {
		return;
	}
	c->shown.now = at;
	if (c->has_until) {
		c->found = until_feed(&c->until, p, len, &end);
	}
	paste_said(&c->paste, p, len, c->last_byte);
	c->error = c->script ? script_said(c->script, p, len) : 0;
	if (c->error == 0) {
		c->error = shown_bytes(&c->shown, p, end);
	}
}

static void on_data(const uint8_t *p, size_t len, void *user)
{
	struct console *c = user;

	c->screen_due = false;
	c->done += len;
	c->last_byte = clock_monotonic();
	guest_said(c, p, len, clock_realtime());
}

static int on_past(const uint8_t *p, size_t len, usec_t at, void *user)
{
	struct console *c = user;

	guest_said(c, p, len, at);
	return c->error < 0 ? c->error : c->found ? -ECANCELED : 0;
}

static void on_past_note(const char *text, void *user)
{
	fprintf(stderr, "dvm: %s\n", text);
}

/* What was said since the time asked for; the stream goes on behind it. */
static int tell_past(struct console *c, struct fault *fault)
{
	static const struct past_ops past = { .said = on_past, .note = on_past_note };
	int r = past_tell(c->cli, c->vm, c->since, &past, c, &c->from, fault);

	if (r == 0 && c->from == TUNNEL_FROM_LIVE) {
		notice(c, "this console is not recorded now; from here on it is live");
	}
	return r == -ECANCELED ? 0 : r;
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
	size_t lost;

	/* The answer to our own INPUT, not news. */
	if (holds && !c->writable_known) {
		c->may_write = true;
		return;
	}
	if (c->may_write != holds) {
		notice(c, holds ? "you may type now"
				: "you can no longer type: somebody else does, or it can only be "
				  "watched");
	}
	c->may_write = holds;
	if (holds) {
		send_pace(c);
		return;
	}
	lost = c->typed.sent;
	if (c->interactive) {
		lost = typed_drop(&c->typed);
	}
	if (lost > 0) {
		notice(c, "%zu typed bytes did not arrive", lost);
	}
}

static void on_source(bool up, void *user)
{
	struct console *c = user;

	if (c->source_up != up && !c->only_offset) {
		notice(c, up ? "the VM is back" : "the VM is off, or its console away; waiting");
	}
	c->source_up = up;
}

static void on_broke(bool done, void *user)
{
	struct console *c = user;
	uint8_t key = (uint8_t)c->sysrq;

	if (c->brk != CONSOLE_BREAK_SENT) {
		return;
	}
	c->brk = CONSOLE_BREAK_NONE;
	c->last_byte = clock_monotonic();
	if (!done && c->interactive) {
		notice(c, "this console can have no break now");
	} else if (!done) {
		c->error = fault_set(&c->fault, FAULT_NOT_SUPPORTED,
				     "this console can have no break now");
	} else if (c->sysrq >= 0 && typed_add(&c->typed, &key, 1) == -ENOMEM) {
		c->error = -ENOMEM;
	}
	c->sysrq = -1;
}

static void on_eof(void *user)
{
}

static const struct stream_client_ops ops = {
	.opened = on_opened,
	.data = on_data,
	.screen = on_screen,
	.gap = on_gap,
	.writer = on_writer,
	.source = on_source,
	.broke = on_broke,
	.input = on_input,
	.eof = on_eof,
};

/* Asks for a file's name, in the terminal's own way. */
static void ask_for_paste(struct console *c)
{
	char name[512];
	struct fault fault;

	terminal_restore(&c->terminal);
	fputs("\nfile to paste: ", stderr);
	if (fgets(name, sizeof(name), stdin)) {
		name[strcspn(name, "\n")] = '\0';
		if (name[0] && paste_open(&c->paste, name, false, &fault) < 0) {
			fprintf(stderr, "%s\n", fault.message);
		}
	}
	clearerr(stdin);
	if (terminal_raw(&c->terminal) < 0) {
		c->quit = true;
	}
	if (c->rate == 0) {
		c->rate = CONSOLE_BAUD_DEFAULT / 10;
	}
	send_pace(c);
}

static void obey(struct console *c, enum escape_action action)
{
	switch (action) {
	case ESCAPE_QUIT:
		c->quit = true;
		break;
	case ESCAPE_SYSRQ:
	case ESCAPE_BREAK:
		c->sysrq = action == ESCAPE_SYSRQ ? c->escape.argument : -1;
		c->brk = c->may_write ? CONSOLE_BREAK_WANTED : CONSOLE_BREAK_NONE;
		break;
	case ESCAPE_TAKE:
		send_ctl(c, &(struct tunnel_ctl){ .op = TUNNEL_CTL_TAKE });
		break;
	case ESCAPE_SIZE:
		type_size(c);
		break;
	case ESCAPE_PASTE:
		ask_for_paste(c);
		break;
	case ESCAPE_HELP:
		escape_help(&c->escape, stderr);
		break;
	case ESCAPE_NONE:
		break;
	}
}

/* Keys from the terminal into the queue, escape keys obeyed; those behind a break wait for it. */
static int take_keys(struct console *c)
{
	while (buf_len(&c->keys) > 0 && c->brk == CONSOLE_BREAK_NONE) {
		uint8_t key = *buf_data(&c->keys), out[2];
		size_t n;

		buf_consume(&c->keys, 1);
		obey(c, escape_input(&c->escape, key, out, &n));
		/* Keys that nobody would get are not kept for later. */
		if (c->may_write && typed_add(&c->typed, out, n) == -ENOMEM) {
			return -ENOMEM;
		}
	}
	return 0;
}

static bool may_read_input(const struct console *c)
{
	return c->reads_input && !c->input_ended && c->brk == CONSOLE_BREAK_NONE &&
	       (c->interactive || typed_room(&c->typed) > 0);
}

static int read_input(struct console *c)
{
	uint8_t bytes[4096];
	ssize_t n =
		read(STDIN_FILENO, bytes,
		     c->interactive ? sizeof(bytes) : MIN(sizeof(bytes), typed_room(&c->typed)));
	int r;

	if (n < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	c->last_byte = clock_monotonic();
	if (n == 0) {
		c->input_ended = true;
		c->quit = c->quit || c->interactive; /* the terminal is gone */
		return 0;
	}
	if (!c->interactive) {
		return typed_add(&c->typed, bytes, (size_t)n);
	}
	r = buf_append(&c->keys, bytes, (size_t)n);
	return r < 0 ? r : take_keys(c);
}

static int not_the_writer(const struct console *c, struct fault *fault)
{
	if (c->takes) {
		return fault_set(fault, FAULT_CONSOLE_READ_ONLY,
				 "this console can only be watched, or has just been taken over");
	}
	fault_set(fault, FAULT_WRITER_TAKEN,
		  "somebody else types on this console, or it can only be watched");
	fault_hint(fault, "--take takes writing over");
	return -EREMOTEIO;
}

/* What is typed goes out, a break in its place. */
static int feed(struct console *c, struct fault *fault)
{
	const uint8_t *p;
	size_t len;
	ssize_t n;

	if (!c->opened || !c->writable_known) {
		return 0;
	}
	if (!c->may_write) {
		if (typed_is_empty(&c->typed) && c->brk == CONSOLE_BREAK_NONE) {
			return 0;
		}
		if (!c->interactive) {
			return not_the_writer(c, fault);
		}
		typed_drop(&c->typed);
		c->brk = CONSOLE_BREAK_NONE;
		return 0;
	}
	if (take_keys(c) < 0) {
		return -ENOMEM;
	}
	len = typed_next(&c->typed, &p);
	n = c->brk == CONSOLE_BREAK_SENT || len == 0 ? 0 : stream_client_write(c->stream, p, len);
	if (n < 0) {
		return (int)n;
	}
	if (n > 0) {
		c->last_byte = clock_monotonic();
		typed_went(&c->typed, (size_t)n);
	}
	if (c->brk == CONSOLE_BREAK_WANTED && typed_is_empty(&c->typed) && c->typed.answered) {
		c->brk = CONSOLE_BREAK_SENT;
		send_ctl(c, &(struct tunnel_ctl){ .op = TUNNEL_CTL_BREAK });
	}
	return 0;
}

/* What is to be typed beside what stdin says: not before we may, so that it is refused as a whole.
 */
static int plan(struct console *c, struct fault *fault)
{
	usec_t now = clock_monotonic();
	int r = 0;

	if (!c->opened || !c->writable_known || c->brk != CONSOLE_BREAK_NONE) {
		return 0;
	}
	if (c->resizes) {
		c->resizes = false;
		type_size(c);
	}
	if (now >= paste_deadline(&c->paste)) {
		return fault_set(fault, FAULT_TIMEOUT,
				 "the guest has stopped to echo what is pasted; byte %" PRIu64
				 " is among the last that went",
				 c->paste.bytes);
	}
	if (!paste_is_over(&c->paste)) {
		r = paste_go(&c->paste, &c->typed, now);
		if (r < 0) {
			return fault_set(fault, FAULT_BAD_VALUE, "the file to paste: %s",
					 strerror(-r));
		}
	}
	if (c->script) {
		r = script_go(c->script, &c->typed);
		c->found = c->found || (script_is_over(c->script) && typed_is_empty(&c->typed));
	}
	return r;
}

static bool is_quiet_end(const struct console *c)
{
	return c->ends_when_quiet && c->opened && typed_is_empty(&c->typed) &&
	       (c->input_ended || !c->reads_input) && paste_is_over(&c->paste) &&
	       c->brk == CONSOLE_BREAK_NONE;
}

/* When to wake up at the latest, as poll() wants it. */
static int poll_timeout(const struct console *c, bool waits_for_quiet)
{
	usec_t now = clock_monotonic(), at = MIN(c->deadline, paste_deadline(&c->paste));

	if (waits_for_quiet) {
		at = MIN(at, c->last_byte + QUIET);
	}
	if (paste_wants(&c->paste, &c->typed)) {
		return 0;
	}
	if (at == USEC_INFINITY) {
		return -1;
	}
	return at <= now ? 0 : (int)MIN((at - now) / USEC_PER_MSEC + 1, (usec_t)3600 * 1000);
}

/* --timeout is over. */
static int too_late(const struct console *c, struct fault *fault)
{
	const char *pattern = c->script ? script_waits_for(c->script) : NULL;

	if (pattern) {
		fprintf(stderr, "dvm: nothing that matches \"%s\" came in time\n", pattern);
		return EXIT_NOT_MATCHED;
	}
	return c->has_until ? fault_set(fault, FAULT_TIMEOUT, "\"%s\" did not come in time",
					c->until.text)
			    : 0;
}

/* A signal came: 0, or the exit status to end with. */
static int take_signal(struct console *c)
{
	struct signalfd_siginfo si;

	if (read(c->signal_fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo != SIGWINCH) {
		return (int)(128 + si.ssi_signo);
	}
	return 0;
}

/* One connection, until it breaks (-ECONNRESET), or it is over: 0, or a fault. */
static int serve(struct console *c, struct fault *fault)
{
	for (;;) {
		struct pollfd fds[3];
		bool quiet;
		int r;

		r = stream_client_pump(c->stream, fault);
		if (r == 0 || c->error < 0) {
			r = MIN(r, c->error);
		}
		if (r == -EREMOTEIO && c->fault.code != FAULT_NONE) {
			*fault = c->fault;
		}
		if (c->found || c->quit || r == 1) {
			return 0;
		}
		if (r == 0 && c->done > 0) {
			size_t done = c->done;

			c->done = 0;
			r = stream_client_done(c->stream, done);
		}
		if (r == 0) {
			r = plan(c, fault);
		}
		if (r == 0) {
			r = feed(c, fault);
		}
		if (r == -EPROTO) {
			return fault_set(fault, FAULT_PROTOCOL,
					 "the stream's relay broke the protocol");
		}
		if (r < 0) {
			return r;
		}
		if (c->found) {
			continue; /* what is still to be sent goes with the next turn */
		}
		quiet = is_quiet_end(c);
		if (quiet && clock_monotonic() >= c->last_byte + QUIET) {
			return 0;
		}
		if (clock_monotonic() >= c->deadline) {
			return too_late(c, fault);
		}
		fds[0] = (struct pollfd){ .fd = stream_client_fd(c->stream),
					  .events = stream_client_events(c->stream) };
		fds[1] = (struct pollfd){ .fd = c->signal_fd, .events = POLLIN };
		fds[2] = (struct pollfd){ .fd = may_read_input(c) ? STDIN_FILENO : -1,
					  .events = POLLIN };
		if (poll(fds, ARRAY_SIZE(fds), poll_timeout(c, quiet)) < 0 && errno != EINTR) {
			return -errno;
		}
		if (fds[1].revents) {
			r = take_signal(c);
			if (r > 0) {
				return r;
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

/* Waits, but for a signal or the key that leaves: 0, or the exit status to end with. */
static int pause_for(struct console *c, usec_t pause)
{
	usec_t now = clock_monotonic(), end = now + pause;

	for (; now < end && !c->quit; now = clock_monotonic()) {
		struct pollfd fds[2] = {
			{ .fd = c->signal_fd, .events = POLLIN },
			{ .fd = c->interactive && !c->input_ended ? STDIN_FILENO : -1,
			  .events = POLLIN },
		};
		int r = poll(fds, ARRAY_SIZE(fds), (int)((end - now) / USEC_PER_MSEC + 1));

		if (r > 0 && fds[0].revents) {
			r = take_signal(c);
			if (r > 0) {
				return r;
			}
		}
		if (r >= 0 && fds[1].revents) {
			r = read_input(c);
			if (r < 0) {
				return r;
			}
		}
	}
	return 0;
}

/* Connects again, with a new ticket, from where we were, more and more seldom. */
static int reconnect(struct console *c, struct fault *fault)
{
	usec_t end;
	int r;

	if (c->lost_at == 0) {
		c->lost_at = clock_monotonic();
		notice(c, "connection lost, reconnecting");
	}
	end = MIN(c->lost_at + c->reconnect_for, c->deadline);
	if (c->opened && !c->screen_due) {
		c->from = stream_client_offset(c->stream);
	}
	if (c->brk == CONSOLE_BREAK_SENT) {
		c->brk = CONSOLE_BREAK_NONE;
		c->sysrq = -1;
		notice(c, "the break may be lost");
	}
	/* What we took we have, unless somebody took it since: then it is his. */
	if (strcmp(c->request.mode, "take") == 0 && c->writable_known) {
		c->request.mode = "rw";
	}
	c->opened = c->may_write = c->writable_known = false;
	c->done = 0;
	for (;;) {
		uint32_t random;

		if (clock_monotonic() >= end) {
			return clock_monotonic() >= c->deadline ? too_late(c, fault) : -EREMOTEIO;
		}
		/* Not all in step, who lost the same gate. */
		random_bytes(&random, sizeof(random));
		r = pause_for(c, c->pause / 2 + random % c->pause);
		if (r != 0 || c->quit) {
			return r;
		}
		c->pause = MIN(c->pause * 2, PAUSE_MAX);
		r = ticket_connect(c->cli, &c->request, c->from, c->stream, fault);
		if (r != -EREMOTEIO || !fault_code_transient(fault->code)) {
			return r;
		}
	}
}

/* Whether a new connection may help. */
static bool is_lost(const struct console *c, int r, const struct fault *fault)
{
	return r == -ECONNRESET ||
	       (r == -EREMOTEIO && c->fault.code == FAULT_NONE && c->lost_at > 0 &&
		fault_code_transient(fault->code)) ||
	       (r == -EREMOTEIO && fault->code == FAULT_RELAY_LOST);
}

static int converse(struct console *c, struct fault *fault)
{
	int r;

	r = ticket_connect(c->cli, &c->request, c->from, c->stream, fault);
	while (r == 0 && !c->quit) {
		r = serve(c, fault);
		if (!is_lost(c, r, fault)) {
			break;
		}
		r = reconnect(c, fault);
		if (r == 0) {
			*fault = (struct fault){ 0 };
		}
	}
	return r;
}

int console_init(struct console *c)
{
	uint64_t id;

	random_bytes(&id, sizeof(id));
	typed_init(&c->typed, id, TYPED_MAX);
	paste_init(&c->paste);
	buf_init(&c->keys, KEYS_MAX);
	c->pause = PAUSE_FIRST;
	c->source_up = true;
	c->signal_fd = -1;
	c->sysrq = -1;
	c->shown.log_fd = -1;
	return stream_client_new(&ops, c, &c->stream);
}

void console_fini(struct console *c)
{
	stream_client_free(c->stream);
	typed_fini(&c->typed);
	buf_fini(&c->keys);
	paste_fini(&c->paste);
	shown_fini(&c->shown);
	script_free(c->script);
	c->signal_fd = close_fd(c->signal_fd);
}

int console_run(struct console *c, struct fault *fault)
{
	sigset_t signals;
	int r = 0;

	sigemptyset(&signals);
	sigaddset(&signals, SIGWINCH);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	c->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (c->signal_fd < 0) {
		r = -errno;
	}
	if (r == 0 && c->has_since) {
		r = tell_past(c, fault);
	}
	if (r == 0 && c->interactive) {
		r = terminal_raw(&c->terminal);
	}
	if (r == 0 && !c->found) {
		r = converse(c, fault);
	}
	if (r >= 0) {
		int end = shown_end(&c->shown);

		r = end < 0 ? end : r;
	}
	if (c->terminal.raw) {
		int left = write_out(STDOUT_FILENO, leave_screen, strlen(leave_screen));

		r = r >= 0 && left < 0 ? left : r;
	}
	terminal_restore(&c->terminal);
	return r == -EPIPE ? 0 : r == -ECONNRESET ? -EREMOTEIO : r;
}
