/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation with a VM's console: on a terminal, through a pipe, or in steps.
 *
 * Theory of operation: on a terminal keys go out raw, but for the escape keys; otherwise it is a
 * filter. What comes is written out at once, blocking: the stream's window then slows the relay,
 * never the guest. A terminal gets the screen as it stands, and only then what comes; it is left as
 * it was. When the connection breaks, a new ticket is asked for and the stream goes on at
 * the offset it was at, in both directions: what was typed is kept until the hub has it (typed.h).
 * What could not be brought over is said, with its length.
 *
 * A break is sent when all that was typed before it has gone, and nothing goes behind it until the
 * hub has answered: else the first byte of it might be taken for a SysRq key.
 */
#pragma once

#include "cli.h"
#include "escape.h"
#include "paste.h"
#include "script.h"
#include "shown.h"
#include "terminal.h"
#include "ticket.h"
#include "until.h"

#define CONSOLE_BAUD_DEFAULT 115200
#define CONSOLE_RECONNECT_DEFAULT (120 * USEC_PER_SEC)

enum console_break {
	CONSOLE_BREAK_NONE,
	CONSOLE_BREAK_WANTED, /* goes when what is typed has gone */
	CONSOLE_BREAK_SENT,
};

struct console {
	/* set by the caller */
	struct cli *cli;
	struct ticket_request request;
	bool interactive;
	bool reads_input; /* else stdin is left alone */
	bool asked_to_write, takes;
	bool only_offset;
	bool resizes;	      /* types the terminal's size at first */
	bool ends_when_quiet; /* as a filter, with nothing else to wait for */
	uint32_t rate;	      /* bytes a second of what is typed; 0: as they come */
	uint64_t from;
	const char *vm;
	bool has_since; /* what was said since then comes first, out of the recordings */
	usec_t since;
	bool screen_due; /* `from` is the screen, and it is not all here */
	usec_t deadline; /* of --timeout; USEC_INFINITY: none */
	usec_t reconnect_for;
	struct escape escape;
	struct until until;
	bool has_until;
	struct script *script; /* NULL: none */
	struct shown shown;
	struct paste paste;
	enum console_break brk;
	int sysrq; /* key to type behind the break; -1: none */

	/* the conversation's own */
	struct stream_client *stream;
	struct terminal terminal;
	struct typed typed;
	struct buf keys; /* read, and not looked at: a break is under way */
	int signal_fd;
	bool input_ended, opened, may_write, writable_known, source_up;
	usec_t last_byte; /* when something came or went */
	usec_t lost_at;	  /* when the connection broke; 0: it did not */
	usec_t pause;	  /* before the next attempt */
	size_t done;
	bool found, quit;
	int error; /* of stdout, or out of memory */
	struct fault fault;
};

/* Everything but what the caller sets. */
int console_init(struct console *c) _must_check_;
void console_fini(struct console *c);
/* To its end: 0, an exit status, or a fault. */
int console_run(struct console *c, struct fault *fault) _must_check_;
