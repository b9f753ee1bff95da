/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target console: the target's serial console on this terminal.
 *
 * Theory of operation: the console is a stream with offsets that is kept at the relay. On a
 * terminal the open asks for the screen as it stands. Otherwise a first one asks for "live only",
 * just to learn where the stream stands; the second one asks for a bit of the past before that.
 * From then on the offset of the next byte is known, so that after a lost connection (the relay or
 * the agent was restarted) it goes on where it was, with nothing doubled and what is lost shown as
 * a gap. Notices of ours are lines of their own, in reverse video, never mixed into the guest's
 * bytes when the output is not a terminal (they go to stderr then).
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "escape.h"
#include "file.h"
#include "parse.h"
#include "target.h"
#include "typed.h"

#define HISTORY_BYTES 16384
#define WINDOW_BYTES 65536
#define RECONNECT_FOR (60 * USEC_PER_SEC)
#define RECONNECT_FIRST_MS 100
#define RECONNECT_MAX_MS 5000
#define TYPED_MAX 65536
#define UNTIL_MAX 256

enum phase { PHASE_PROBE, PHASE_OPENING, PHASE_OPEN, PHASE_CLOSED };

struct console {
	struct client client;
	char service[NAME_BYTES + 16];
	const char *name;
	enum phase phase;
	uint16_t channel;
	uint8_t mode; /* wanted */
	bool may_write;
	uint64_t history, next; /* next: offset of the next byte */
	uint64_t live;		/* where the stream stood at the start */
	bool screen;		/* begins with it */
	bool dump, started, cut_line;
	char reason[64];
	struct typed typed;
	bool writer_known;	  /* the answer to INPUT has come */
	usec_t lost_at;		  /* when the connection broke; 0: it did not */
	int pause_ms;		  /* before the next attempt */
	unsigned char keys[1024]; /* from the terminal, from keys_at on not yet looked at */
	size_t keys_at, keys_len;
	bool break_wanted; /* in its place: behind what was typed before, before the rest */
	struct escape escape;
	bool quit, eof, tty_out, tty_in;
	const char *until;	  /* leave when this text has come */
	char seen[2 * UNTIL_MAX]; /* the end of what has come, to find it across borders */
	size_t seen_len;
	usec_t give_up; /* 0: never */
	bool timed_out;
};

static struct termios saved_termios;
static volatile sig_atomic_t got_signal;

static void on_signal(int number)
{
	got_signal = number;
}

static void terminal_raw(struct console *c)
{
	struct termios raw;

	if (!c->tty_in || tcgetattr(STDIN_FILENO, &saved_termios) < 0) {
		c->tty_in = false;
		return;
	}
	raw = saved_termios;
	cfmakeraw(&raw);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

static void terminal_restore(struct console *c)
{
	if (c->tty_in) {
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_termios);
	}
}

static void notice(struct console *c, const char *format, ...) _printf_(2, 3);
static void notice(struct console *c, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (c->dump) {
		return;
	}
	fprintf(stderr, c->tty_out ? "\r\n\033[7m[%s]\033[0m\r\n" : "[%s]\n", text);
}

/* Opens the channel for the phase we are in. */
static int console_open(struct console *c)
{
	bool probe = !c->started && !c->screen;
	uint64_t from = probe ? TUNNEL_FROM_LIVE : c->started ? c->next : TUNNEL_FROM_SCREEN;

	c->phase = probe ? PHASE_PROBE : PHASE_OPENING;
	return tunnel_link_open(c->client.link, c->service, probe ? TUNNEL_MODE_READ : c->mode,
				from, WINDOW_BYTES, &c->channel);
}

static void link_up(struct tunnel_link *l, void *user)
{
}

static void link_open(struct tunnel_link *l, uint16_t channel, const char *service, uint8_t mode,
		      uint64_t from, void *user)
{
	if (tunnel_link_refuse(l, channel, "not-found") < 0) {
		((struct console *)user)->client.lost = true;
	}
}

static void ctl(struct console *c, const struct tunnel_ctl *message)
{
	if (c->phase == PHASE_OPEN && tunnel_link_ctl(c->client.link, c->channel, message) < 0) {
		c->client.lost = true;
	}
}

/* The connection is there again: what it cost. */
static void tell_back(struct console *c, uint64_t start)
{
	unsigned seconds = (unsigned)((clock_monotonic() - c->lost_at) / USEC_PER_SEC);

	if (start > c->next) {
		notice(c, "connection lost, back after %u s, %" PRIu64 " bytes lost here", seconds,
		       start - c->next);
	} else {
		notice(c, "connection lost, back after %u s, nothing lost", seconds);
	}
	c->lost_at = 0;
	c->pause_ms = RECONNECT_FIRST_MS;
}

static void on_opened(struct tunnel_link *l, uint16_t channel, uint64_t start, uint8_t mode,
		      void *user)
{
	struct console *c = user;
	bool wanted_write = c->mode & TUNNEL_MODE_WRITE;

	if (c->phase == PHASE_PROBE) {
		c->live = start;
		c->next = start > c->history ? start - c->history : 0;
		c->cut_line = c->next > 0 && c->history > 0;
		c->started = true;
		if (tunnel_link_close(l, channel, "") < 0 || console_open(c) < 0) {
			c->client.lost = true;
		}
		return;
	}
	if (c->phase == PHASE_OPENING) {
		if (c->lost_at > 0) {
			tell_back(c, start);
		} else if (c->started && start > c->next && c->next > 0 && !c->cut_line) {
			notice(c, "%" PRIu64 " bytes are no longer kept", start - c->next);
		}
		c->next = start;
		c->phase = PHASE_OPEN;
		c->started = true;
		c->may_write = mode & TUNNEL_MODE_WRITE;
		c->mode &= (uint8_t)~TUNNEL_MODE_TAKE;
		c->writer_known = false;
		if (wanted_write) {
			typed_connect(&c->typed);
			ctl(c, &(struct tunnel_ctl){ .op = TUNNEL_CTL_INPUT, .id = c->typed.id });
		}
	}
}

/* Looks for the text of --until in the stream. */
static void look_for_until(struct console *c, const uint8_t *p, size_t len)
{
	size_t until_len = c->until ? strlen(c->until) : 0;

	while (until_len > 0 && len > 0 && !c->quit) {
		size_t n = MIN(len, sizeof(c->seen) - c->seen_len);

		memcpy(c->seen + c->seen_len, p, n);
		c->seen_len += n;
		p += n;
		len -= n;
		c->quit = memmem(c->seen, c->seen_len, c->until, until_len) != NULL;
		if (c->seen_len >= until_len) {
			/* a match may still begin in the last bytes */
			memmove(c->seen, c->seen + c->seen_len - (until_len - 1), until_len - 1);
			c->seen_len = until_len - 1;
		}
	}
}

static void write_out(struct console *c, const uint8_t *p, size_t len)
{
	if (c->cut_line) {
		/* the history begins in the middle of a line: begin with the next */
		const uint8_t *newline = memchr(p, '\n', len);

		if (c->next + len < c->live && !newline) {
			return;
		}
		if (newline) {
			len -= newline + 1 - p;
			p = newline + 1;
		}
		c->cut_line = false;
	}
	if (len > 0 && write_all(STDOUT_FILENO, p, len) < 0) {
		c->quit = true;
	}
}

static void on_data(struct tunnel_link *l, uint16_t channel, uint64_t offset, const uint8_t *p,
		    size_t len, void *user)
{
	struct console *c = user;

	if (c->phase != PHASE_OPEN) {
		return;
	}
	write_out(c, p, len);
	look_for_until(c, p, len);
	c->next = offset + len;
	if (tunnel_link_credit(l, channel, c->next + WINDOW_BYTES) < 0) {
		c->client.lost = true;
	}
}

static void on_screen(struct tunnel_link *l, uint16_t channel, const uint8_t *p, size_t len,
		      bool last, void *user)
{
	struct console *c = user;

	if (write_all(STDOUT_FILENO, p, len) < 0) {
		c->quit = true;
	}
	if (tunnel_link_credit(l, channel, c->next + WINDOW_BYTES) < 0) {
		c->client.lost = true;
	}
}

static void on_gap(struct tunnel_link *l, uint16_t channel, uint64_t offset, uint64_t length,
		   void *user)
{
	struct console *c = user;

	if (c->phase != PHASE_OPEN) {
		return;
	}
	c->next = offset + length;
	if (length == 0) {
		notice(c, "some output was lost here");
	} else {
		notice(c, "%" PRIu64 " bytes were lost here", length);
	}
	if (tunnel_link_credit(l, channel, c->next + WINDOW_BYTES) < 0) {
		c->client.lost = true;
	}
}

static void send_typed(struct console *c)
{
	const uint8_t *p;
	size_t len;
	ssize_t n;

	if (c->phase != PHASE_OPEN || !c->may_write) {
		return;
	}
	len = typed_next(&c->typed, &p);
	n = len > 0 ? tunnel_link_send(c->client.link, c->channel, p, len) : 0;
	if (n > 0) {
		typed_went(&c->typed, (size_t)n);
	}
}

static void act(struct console *c, enum escape_action action)
{
	switch (action) {
	case ESCAPE_QUIT:
		c->quit = true;
		break;
	case ESCAPE_BREAK:
		c->break_wanted = true;
		break;
	case ESCAPE_TAKE:
		ctl(c, &(struct tunnel_ctl){ .op = TUNNEL_CTL_TAKE });
		break;
	case ESCAPE_HELP:
		notice(c, "Ctrl-] or Enter ~ . leave, Enter ~ B break, Enter ~ w take over typing, "
			  "~ ~ one tilde");
		break;
	case ESCAPE_NONE:
		break;
	}
}

/* Keys from the terminal into the queue, escape keys obeyed; those behind a break wait for it. */
static void take_keys(struct console *c)
{
	while (c->keys_at < c->keys_len && !c->quit && !c->break_wanted) {
		enum escape_action action = ESCAPE_NONE;
		unsigned char out[2], key = c->keys[c->keys_at++];
		size_t len = 1;

		out[0] = key;
		if (c->tty_in) {
			action = escape_key(&c->escape, key, out, &len);
		}
		if (action != ESCAPE_NONE) {
			act(c, action);
		} else if (len > 0 && c->may_write && typed_add(&c->typed, out, len) < 0) {
			c->keys_at = c->keys_len; /* no memory */
		}
	}
}

/* Returns whether it went; who may not write is told so by the relay. */
static bool send_break(struct console *c)
{
	const uint8_t *p;

	if (!c->break_wanted || c->phase != PHASE_OPEN ||
	    (c->may_write && (!c->typed.answered || typed_next(&c->typed, &p) > 0))) {
		return false;
	}
	ctl(c, &(struct tunnel_ctl){ .op = TUNNEL_CTL_BREAK });
	c->break_wanted = false;
	return true;
}

/* What is typed goes out, a break in its place. */
static void pump(struct console *c)
{
	do {
		take_keys(c);
		send_typed(c);
	} while (send_break(c));
}

/* What of our input has arrived; the first time on a connection, who writes is settled too. */
static void on_input(struct console *c, uint64_t had)
{
	bool first = !c->typed.answered;
	size_t lost;

	if (typed_had(&c->typed, had, &lost) < 0) {
		c->client.lost = true;
		return;
	}
	if (lost > 0) {
		notice(c, "%zu typed bytes may be lost", lost);
	}
	c->writer_known = true;
	if (first && !c->may_write) {
		notice(c, "somebody else is typing, or it can only be watched; Enter ~ w takes it "
			  "over if it can");
	}
	pump(c);
}

static void on_writer(struct console *c, bool holds)
{
	size_t lost;

	if (holds == c->may_write) {
		return;
	}
	c->may_write = holds;
	if (holds && !c->writer_known) {
		return; /* the answer to our INPUT, not news */
	}
	notice(c, holds ? "you are typing now"
			: "somebody else is typing now, or it can only be watched; Enter ~ w takes "
			  "it over if it can");
	lost = holds ? 0 : typed_drop(&c->typed);
	if (lost > 0) {
		notice(c, "%zu typed bytes did not arrive", lost);
	}
}

static void on_writable(struct tunnel_link *l, uint16_t channel, void *user)
{
	pump(user);
}

static void on_eof(struct tunnel_link *l, uint16_t channel, void *user)
{
}

static void on_ctl(struct tunnel_link *l, uint16_t channel, const struct tunnel_ctl *message,
		   void *user)
{
	struct console *c = user;

	switch (message->op) {
	case TUNNEL_CTL_WRITER:
		on_writer(c, message->on);
		break;
	case TUNNEL_CTL_INPUT:
		if (message->id == c->typed.id) {
			on_input(c, message->at);
		}
		break;
	case TUNNEL_CTL_BROKE:
		notice(c, message->on ? "break sent" : "this console can have no break now");
		break;
	case TUNNEL_CTL_SOURCE:
		notice(c,
		       message->on ? "%s's console is back"
				   : "%s's console is gone: it is off or restarting",
		       c->name);
		break;
	default:
		break;
	}
}

static void on_closed(struct tunnel_link *l, uint16_t channel, const char *reason, void *user)
{
	struct console *c = user;

	c->phase = PHASE_CLOSED;
	snprintf(c->reason, sizeof(c->reason), "%s", reason);
}

static const struct tunnel_link_ops link_ops = {
	.up = link_up,
	.open = link_open,
	.opened = on_opened,
	.data = on_data,
	.screen = on_screen,
	.gap = on_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = on_ctl,
	.closed = on_closed,
};

static bool wants_keys(const struct console *c)
{
	/* a program that pastes waits for the guest, it does not pile up here */
	return !c->eof && c->phase == PHASE_OPEN && !c->break_wanted &&
	       typed_room(&c->typed) >= 2 * sizeof(c->keys);
}

static void read_keys(struct console *c)
{
	ssize_t n;

	if (!wants_keys(c)) {
		return;
	}
	n = read(STDIN_FILENO, c->keys, sizeof(c->keys));
	if (n <= 0) {
		c->eof = n == 0 || errno != EINTR;
		return;
	}
	c->keys_at = 0;
	c->keys_len = (size_t)n;
	pump(c);
}

/* Runs until the user leaves or the channel is lost. */
static void console_run(struct console *c)
{
	while (!c->quit && !c->client.lost && c->phase != PHASE_CLOSED) {
		if (c->give_up && clock_monotonic() > c->give_up) {
			c->timed_out = c->quit = true;
			break;
		}
		if (got_signal || (c->dump && c->phase == PHASE_OPEN && c->next >= c->live)) {
			c->quit = true;
			break;
		}
		if (client_turn(&c->client, wants_keys(c) ? STDIN_FILENO : -1, 200)) {
			read_keys(c);
		}
	}
}

/* Whether trying again can help; a refusal for a reason is final. */
static bool worth_retrying(const struct console *c)
{
	return c->client.lost || c->reason[0] == '\0' ||
	       fault_code_transient(fault_code_parse(c->reason));
}

static int parse_arguments(struct console *c, struct invocation *in)
{
	bool history = false;
	usec_t timeout;

	for (int i = 0; i < in->argc; i++) {
		if (strcmp(in->argv[i], "--read-only") == 0) {
			c->mode = TUNNEL_MODE_READ;
		} else if (strcmp(in->argv[i], "--take") == 0) {
			c->mode |= TUNNEL_MODE_WRITE | TUNNEL_MODE_TAKE;
		} else if (strcmp(in->argv[i], "--dump") == 0) {
			c->dump = true;
			c->mode = TUNNEL_MODE_READ;
			c->history = UINT64_MAX;
		} else if (strcmp(in->argv[i], "--history") == 0 && i + 1 < in->argc &&
			   parse_size(in->argv[i + 1], &c->history) == 0) {
			history = true;
			i++;
		} else if (strcmp(in->argv[i], "--until") == 0 && i + 1 < in->argc &&
			   in->argv[i + 1][0] && strlen(in->argv[i + 1]) <= UNTIL_MAX) {
			c->until = in->argv[++i];
		} else if (strcmp(in->argv[i], "--timeout") == 0 && i + 1 < in->argc &&
			   parse_duration(in->argv[i + 1], &timeout) == 0) {
			c->give_up = clock_monotonic() + timeout;
			i++;
		} else {
			return -EINVAL;
		}
	}
	c->screen =
		!history && !c->dump && !c->until && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	/* what was printed long ago is not what a script waits for */
	if (c->until && !history) {
		c->history = 0;
	}
	return 0;
}

static int console_session(struct console *c, struct fault *fault)
{
	for (;;) {
		int r = client_connect(&c->client, &link_ops, c, fault);

		c->reason[0] = '\0';
		if (r == 0) {
			r = console_open(c);
			if (r < 0) {
				fault_set(fault, FAULT_INTERNAL, "the console cannot be opened: %s",
					  strerror(-r));
				client_close(&c->client);
				return r;
			}
			console_run(c);
			if (c->quit) {
				client_close(&c->client);
				return 0;
			}
			if (!worth_retrying(c)) {
				enum fault_code code = fault_code_parse(c->reason);

				client_close(&c->client);
				return fault_set(fault, code, "%s", fault_code_title(code));
			}
			fault_set(fault, FAULT_RELAY_LOST,
				  "the connection to the console was lost");
			client_close(&c->client);
		}
		if (!c->started) {
			return -EREMOTEIO; /* never was there: no reason to wait */
		}
		if (c->lost_at == 0) {
			c->lost_at = clock_monotonic();
			notice(c, "connection lost, reconnecting");
		}
		if (got_signal || clock_monotonic() - c->lost_at > RECONNECT_FOR) {
			return -EREMOTEIO;
		}
		poll(NULL, 0, c->pause_ms);
		c->pause_ms = MIN(c->pause_ms * 2, RECONNECT_MAX_MS);
	}
}

int cmd_console(const struct command *command, struct invocation *in)
{
	struct console c = { .client.fd = -1,
			     .mode = TUNNEL_MODE_READ | TUNNEL_MODE_WRITE,
			     .history = HISTORY_BYTES,
			     .pause_ms = RECONNECT_FIRST_MS,
			     .escape = ESCAPE_INIT };
	struct sigaction action = { .sa_handler = on_signal };
	struct fault fault = { 0 };
	char name[NAME_BYTES];
	uint64_t id;
	int r;

	if (parse_arguments(&c, in) < 0) {
		return usage(command);
	}
	if (client_target(in->name, name, &fault) < 0) {
		return complain(&fault);
	}
	c.name = name;
	snprintf(c.service, sizeof(c.service), "console/%s", name);
	random_bytes(&id, sizeof(id));
	typed_init(&c.typed, id, TYPED_MAX);
	c.tty_in = isatty(STDIN_FILENO);
	c.tty_out = isatty(STDERR_FILENO);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (c.dump) {
		c.eof = true;
		c.tty_in = false;
	} else {
		notice(&c, "console of %s; leave with Ctrl-] or Enter ~ .", name);
		terminal_raw(&c);
	}
	r = console_session(&c, &fault);
	terminal_restore(&c);
	typed_fini(&c.typed);
	if (r == 0 && c.timed_out) {
		r = fault_set(&fault, FAULT_TIMEOUT,
			      c.until ? "the text did not come in time" : "the time is over");
	}
	if (r < 0) {
		return complain(&fault);
	}
	if (!c.dump) {
		notice(&c, "left the console of %s", name);
	}
	return 0;
}
