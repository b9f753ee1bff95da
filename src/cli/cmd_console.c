/* SPDX-License-Identifier: Apache-2.0 */
/* dvm console: a VM's console on this terminal, through a pipe, or in steps. */
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "console.h"
#include "parse.h"
#include "past.h"

#define BAUD_MAX 100000000u

static int parse_time(const struct args *args, const char *name, usec_t *ret, struct fault *fault)
{
	const char *value = args_value(args, name);

	if (value && parse_duration(value, ret) < 0) {
		return fault_set(fault, FAULT_BAD_VALUE,
				 "--%s \"%.40s\" is not a time such as 30 or 2m", name, value);
	}
	return 0;
}

/* Where to begin: what waits for an answer does not want to hear what was said long ago. */
static int parse_from(struct console *c, const struct args *args, struct fault *fault)
{
	const char *from = args_value(args, "from"), *since = args_value(args, "since");
	bool stamps = args_has(args, "timestamps");
	bool live = args_has(args, "live") || c->only_offset || c->script ||
		    c->brk != CONSOLE_BREAK_NONE || args_has(args, "paste");
	bool screen = args_has(args, "screen") || (c->interactive && !args_has(args, "history"));

	c->from = live ? TUNNEL_FROM_LIVE : screen ? TUNNEL_FROM_SCREEN : TUNNEL_FROM_KEPT;
	if (from && (parse_u64(from, &c->from) < 0 || c->from >= TUNNEL_FROM_SCREEN)) {
		return fault_set(fault, FAULT_BAD_VALUE, "--from \"%.40s\" is not an offset", from);
	}
	if (since && (from || c->only_offset || args_has(args, "live") ||
		      args_has(args, "screen") || args_has(args, "history"))) {
		return fault_set(fault, FAULT_BAD_VALUE,
				 "--since says itself where to begin: it goes with no other "
				 "option that does");
	}
	if (since && past_time_parse(since, &c->since) < 0) {
		fault_set(fault, FAULT_BAD_VALUE, "--since \"%.40s\" is not a time", since);
		fault_hint(fault, "it is how long ago, as 90, 15m or 2h, or as "
				  "2026-11-27T20:05:00Z");
		return -EREMOTEIO;
	}
	/* Times of what was kept are in the recordings only. */
	c->has_since = since || (stamps && c->from == TUNNEL_FROM_KEPT);
	c->screen_due = !c->has_since && c->from == TUNNEL_FROM_SCREEN;
	c->shown.stamps = stamps;
	return 0;
}

static int parse_typing(struct console *c, const struct args *args, struct fault *fault)
{
	const char *sysrq = args_value(args, "sysrq"), *paste = args_value(args, "paste"),
		   *baud = args_value(args, "baud"), *escape = args_value(args, "escape");
	uint32_t bits = paste ? CONSOLE_BAUD_DEFAULT : 0;

	if (escape && escape_parse(escape, &c->escape.key) < 0) {
		return fault_set(fault, FAULT_BAD_VALUE,
				 "--escape \"%.20s\" is not a character, ^X or none", escape);
	}
	if (baud && (parse_u32(baud, &bits) < 0 || bits > BAUD_MAX || (bits > 0 && bits < 10))) {
		return fault_set(fault, FAULT_BAD_VALUE,
				 "--baud \"%.20s\" is not a line's speed such as 115200", baud);
	}
	c->rate = bits / 10; /* eight bits, a start and a stop bit */
	if (sysrq && (strlen(sysrq) != 1 || sysrq[0] <= ' ' || sysrq[0] > '~')) {
		return fault_set(fault, FAULT_BAD_VALUE, "--sysrq \"%.20s\" is not one key", sysrq);
	}
	if (args_has(args, "break") || sysrq) {
		c->brk = CONSOLE_BREAK_WANTED;
		c->sysrq = sysrq ? sysrq[0] : -1;
	}
	c->resizes = args_has(args, "resize");
	if (args_has(args, "echo") && !paste) {
		return fault_set(fault, FAULT_BAD_VALUE, "--echo goes with --paste");
	}
	return paste ? paste_open(&c->paste, paste, args_has(args, "echo"), fault) : 0;
}

static int parse_options(struct console *c, const struct args *args, struct fault *fault)
{
	const char *until = args_value(args, "until");
	usec_t after = USEC_INFINITY;
	bool types;
	int r;

	c->only_offset = args_has(args, "offset");
	c->takes = args_has(args, "take");
	c->asked_to_write = !args_has(args, "read-only");
	c->request.kind = "console";
	c->request.mode = c->takes ? "take" : c->asked_to_write ? "rw" : "r";
	c->reconnect_for = CONSOLE_RECONNECT_DEFAULT;
	if (until && until_init(&c->until, until) < 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "--until wants a text of 1 to %d bytes",
				 UNTIL_MAX);
	}
	c->has_until = until;
	r = parse_time(args, "timeout", &after, fault);
	if (r == 0) {
		r = parse_time(args, "reconnect-for", &c->reconnect_for, fault);
	}
	if (r == 0) {
		r = script_new(args, &c->script, fault);
	}
	if (r == 0) {
		r = parse_typing(c, args, fault);
	}
	if (r == 0) {
		r = shown_init(&c->shown, args_value(args, "log"), args_value(args, "grep"), fault);
	}
	if (r < 0) {
		return r;
	}
	types = c->script || c->brk != CONSOLE_BREAK_NONE || args_has(args, "paste");
	if (!c->asked_to_write && (c->takes || types || c->resizes)) {
		return fault_set(fault, FAULT_BAD_VALUE, "--read-only does not go with what types");
	}
	c->deadline = after == USEC_INFINITY ? after : clock_monotonic() + after;
	c->interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !until && !types &&
			 after == USEC_INFINITY && !args_has(args, "timestamps");
	c->reads_input = c->interactive || (c->asked_to_write && !types);
	c->ends_when_quiet = !c->interactive && c->asked_to_write && !until && !c->script &&
			     after == USEC_INFINITY;
	return parse_from(c, args, fault);
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/streams", args_word(args, 0));
	struct console c = {
		.cli = cli, .vm = args_word(args, 0), .escape = ESCAPE_INIT, .request.path = path
	};
	const struct config *config;
	int r = path ? console_init(&c) : -ENOMEM;

	if (r == 0) {
		r = cli_config(cli, &config, fault);
	}
	if (r == 0) {
		c.escape.no_files = config->door;
		r = parse_options(&c, args, fault);
	}
	if (r == 0 && c.interactive) {
		fprintf(stderr, "console of %s", args_word(args, 0));
		if (c.escape.key == '~') {
			fputs("; ~. leaves it, ~? helps", stderr);
		}
		fputc('\n', stderr);
	}
	if (r == 0) {
		r = console_run(&c, fault);
		if (c.interactive) {
			fprintf(stderr, "\nleft the console of %s\n", args_word(args, 0));
		}
	}
	console_fini(&c);
	return r;
}

static const struct option_def options[] = {
	{ "read-only", 'r', NULL, "only watch" },
	{ "take", 't', NULL, "take writing over from whoever has it" },
	{ "screen", 'S', NULL, "begin with the screen as it stands (the default on a terminal)" },
	{ "history", 'H', NULL, "begin with all that was kept (the default elsewhere)" },
	{ "live", 'l', NULL, "only what comes from now on, nothing of what was" },
	{ "from", 'f', "OFFSET", "begin with what was kept from this byte on" },
	{ "since", 0, "TIME",
	  "begin with what was recorded since then: so long ago, e.g. 90, 15m or 2h, or since "
	  "2026-11-27T20:05:00Z" },
	{ "timestamps", 0, NULL,
	  "begin each line with its time, UTC; for a pipe. What was kept comes out of the "
	  "recordings, which have times" },
	{ "offset", 'o', NULL, "only print at which byte the console is now, for a later --from" },
	{ "until", 'u', "TEXT", "end, with status 0, once TEXT has come" },
	{ "expect", 'e', "REGEX",
	  "a step: wait until something matches this extended regular expression" },
	{ "send", 's', "TEXT",
	  "a step: type TEXT, in which \\r is Enter, \\n, \\t, \\e and \\xHH" },
	{ "timeout", 0, "TIME",
	  "end after this time, e.g. 90 or 2m; with --until and --expect that is a failure" },
	{ "grep", 'g', "REGEX", "show only lines that match this extended regular expression" },
	{ "log", 0, "FILE", "append what is shown to FILE, too" },
	{ "break", 'b', NULL, "send a serial break" },
	{ "sysrq", 0, "KEY", "send a break and then KEY: Linux's SysRq; h lists its keys" },
	{ "paste", 'p', "FILE", "type the contents of FILE, as they are" },
	{ "echo", 0, NULL, "with --paste: never be far ahead of the guest's echo" },
	{ "baud", 0, "SPEED",
	  "pass on what is typed as slowly as a line of this speed would (for --paste: 115200; 0: "
	  "as it comes)" },
	{ "resize", 0, NULL, "type a line that tells the guest's shell this terminal's size" },
	{ "escape", 0, "KEY", "instead of ~, on a terminal: a character, ^X, or none" },
	{ "reconnect-for", 0, "TIME",
	  "how long to try to come back after a lost connection (default: 2m)" },
	OPTION_END,
};

const struct command cmd_console = {
	.name = "console",
	.words = "VM",
	.summary = "a VM's console, as it stands or with what it said before",
	.text = "No session is needed. On a terminal ~. at the start of a line leaves it, ~? shows "
		"more such keys.\n\n"
		"Otherwise it is a filter: what comes in is typed, what the guest says goes out. "
		"It ends when the input has "
		"ended and the guest is quiet, or as --until and --timeout say; with --read-only "
		"the input is left alone. With --expect and --send, in the order given, it is a "
		"conversation in steps: status 0 when all are done, 1 when something that was "
		"expected did not come within --timeout. These, --break, --sysrq and --paste leave "
		"the input alone and show only what comes from now on.\n\n"
		"A connection that breaks is made again where it was, in both directions: each "
		"byte comes and goes once, and what was lost is said with its length. A refusal "
		"ends it at once.\n\n"
		"A serial line does not tell the guest the terminal's size: --resize types \" stty "
		"rows R cols C\" for a shell at its prompt, and nothing else would understand it.",
	.options = options,
	.run = run,
};
