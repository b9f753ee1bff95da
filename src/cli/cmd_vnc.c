/* SPDX-License-Identifier: Apache-2.0 */
/* dvm vnc: a VM's display, for any viewer on this machine. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "other_program.h"
#include "parse.h"
#include "serve.h"
#include "view.h"

#define PROBE_TIMEOUT (20 * USEC_PER_SEC)

/* Viewers that are looked for, and how each wants to be told the port. */
static const struct {
	const char *program, *before_port;
} viewers[] = {
	{ "vncviewer", "127.0.0.1::" },
	{ "remote-viewer", "vnc://127.0.0.1:" },
	{ "xdg-open", "vnc://127.0.0.1:" },
};

/* --- the viewer
 * -------------------------------------------------------------------------------- */

/* The user's own command, by sh, with the address behind its words and the port in its environment.
 */
static int spawn_own(const char *command, uint16_t port, pid_t *ret)
{
	_cleanup_free_ char *script = strf("%s \"$@\"", command);
	char number[8], address[32];
	char *argv[] = { "sh", "-c", script, "dvm", address, NULL };

	if (!script) {
		return -ENOMEM;
	}
	snprintf(number, sizeof(number), "%u", port);
	snprintf(address, sizeof(address), "127.0.0.1::%u", port);
	if (setenv("DVM_VNC_PORT", number, 1) < 0) {
		return -errno;
	}
	return program_spawn(argv, ret);
}

/* 1: there is none. */
static int viewer_start(struct serve *s)
{
	const char *own = getenv("DVM_VIEWER");
	int r = 1;

	if (own && *own) {
		r = spawn_own(own, s->port, &s->program);
	}
	for (size_t i = 0; r == 1 && i < ARRAY_SIZE(viewers); i++) {
		_cleanup_free_ char *address = NULL;
		char *argv[] = { (char *)viewers[i].program, NULL, NULL };

		/* Without a screen they can only say that they cannot. */
		if (!program_in_path(argv[0]) ||
		    (!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY"))) {
			continue;
		}
		address = strf("%s%u", viewers[i].before_port, s->port);
		if (!address) {
			return -ENOMEM;
		}
		argv[1] = address;
		r = program_spawn(argv, &s->program);
	}
	return r;
}

/* --- whether there is something to see
 * --------------------------------------------------------- */

struct probe {
	bool opened;
};

static void on_opened(uint64_t start, uint8_t mode, void *user)
{
	struct probe *p = user;

	p->opened = true;
}

static void on_data(const uint8_t *p, size_t len, void *user)
{
}

static void on_gap(uint64_t length, void *user)
{
}

static const struct stream_client_ops probe_ops = {
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

/* What is in the way is said before a viewer opens its window. */
static int probe(struct cli *cli, const struct ticket_request *request, struct fault *fault)
{
	usec_t end = clock_monotonic() + PROBE_TIMEOUT;
	struct stream_client *s = NULL;
	struct probe p = { false };
	int r = stream_client_new(&probe_ops, &p, &s);

	if (r == 0) {
		r = ticket_connect(cli, request, TUNNEL_FROM_KEPT, s, fault);
	}
	while (r == 0 && !p.opened) {
		struct pollfd fd = { .fd = stream_client_fd(s), .events = stream_client_events(s) };

		if (clock_monotonic() > end) {
			r = fault_set(fault, FAULT_TIMEOUT, "the VM's display does not answer");
			break;
		}
		if (poll(&fd, 1, 100) < 0 && errno != EINTR) {
			r = -errno;
			break;
		}
		r = stream_client_pump(s, fault);
	}
	stream_client_free(s);
	return r == -ECONNRESET ? -EREMOTEIO : r < 0 ? r : 0;
}

/* --- the command
 * ------------------------------------------------------------------------------- */

/* A viewer of ours is gone; one that only handed over to another is not waited for, but that other
 * is. */
static bool is_over(const struct serve *s)
{
	return s->program == 0 && s->status >= 0 && forward_open(s->forward) == 0 &&
	       (forward_accepted(s->forward) > 0 || s->status > 0);
}

static int show(struct serve *s, const struct args *args, struct fault *fault)
{
	int r = 1;

	if (!args_has(args, "print") && !args_has(args, "listen")) {
		r = viewer_start(s);
	}
	if (r < 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "the viewer cannot be started: %s",
				 strerror(-r));
	}
	if (r == 1) {
		printf("127.0.0.1:%u\n", s->port);
		fflush(stdout);
		fprintf(stderr,
			"dvm: the display of %s is at that address, for any VNC viewer of yours, "
			"until this ends\n",
			args_word(args, 0));
	}
	return 0;
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/streams", args_word(args, 0));
	const struct ticket_request request = { .path = path,
						.kind = "vnc",
						.mode = args_has(args, "read-only") ? "r" : "rw" };
	struct serve s = { .is_over = is_over };
	uint16_t port;
	int r;

	if (!path) {
		return -ENOMEM;
	}
	r = serve_port(args, &port, fault);
	if (r == 0) {
		r = probe(cli, &request, fault);
	}
	if (r < 0) {
		return r;
	}
	r = serve_begin(&s, cli, &request, port, fault);
	if (r == 0) {
		r = show(&s, args, fault);
	}
	if (r == 0) {
		r = serve_run(&s);
	}
	if (r == 0 && s.program == 0 && s.status > 0 && forward_accepted(s.forward) == 0) {
		fault_set(fault, FAULT_BAD_VALUE, "the viewer ended with status %d", s.status);
		fault_hint(fault, "set DVM_VIEWER to the command of another, or use --print");
		r = -EREMOTEIO;
	}
	serve_end(&s);
	return r;
}

static const struct option_def options[] = {
	{ "read-only", 'r', NULL, "only watch: keys and pointer do not get to the VM" },
	{ "listen", 'l', "PORT", "listen on this port of 127.0.0.1, and start no viewer" },
	{ "print", 'p', NULL, "print the address, and start no viewer" },
	OPTION_END,
};

const struct command cmd_vnc = {
	.name = "vnc",
	.words = "VM",
	.summary = "a VM's display, in your VNC viewer",
	.text = "No session is needed, and the VM is not restarted: it is its running display, "
		"past its "
		"password if it has one.\n\n"
		"Starts the command in DVM_VIEWER (with 127.0.0.1::PORT behind its words, and the "
		"port in "
		"DVM_VNC_PORT), or vncviewer, remote-viewer or what xdg-open knows, and ends with "
		"it. "
		"Where there is none, or with --print or --listen, prints the address and serves "
		"any "
		"number of viewers until it is interrupted. Only your own programs are let in.",
	.options = options,
	.run = run,
};
