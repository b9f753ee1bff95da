/* SPDX-License-Identifier: Apache-2.0 */
/* dvm gdb: a VM's gdb stub, for the gdb of this machine. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "other_program.h"
#include "parse.h"
#include "serve.h"
#include "view.h"

/* The command in DVM_GDB, by sh, with gdb's options behind its words. */
static int gdb_start(struct serve *s, const char *symbols)
{
	const char *own = getenv("DVM_GDB");
	_cleanup_free_ char *script = strf("exec %s \"$@\"", own && *own ? own : "gdb");
	_cleanup_free_ char *target = strf("target remote 127.0.0.1:%u", s->port);
	char *argv[] = { "sh", "-c", script, "dvm", "-q", "-ex", target, (char *)symbols, NULL };

	if (!script || !target) {
		return -ENOMEM;
	}
	return program_spawn(argv, &s->program);
}

static bool is_over(const struct serve *s)
{
	return s->program == 0 && s->status >= 0;
}

static int begin(struct serve *s, const struct args *args, struct fault *fault)
{
	int r;

	if (args_has(args, "print") || args_has(args, "listen")) {
		printf("127.0.0.1:%u\n", s->port);
		fflush(stdout);
		fprintf(stderr,
			"dvm: `target remote 127.0.0.1:%u` in a gdb of yours debugs %s, "
			"until this ends\n",
			s->port, args_word(args, 0));
		return 0;
	}
	r = gdb_start(s, args_word(args, 1));
	return r < 0 ? fault_set(fault, FAULT_BAD_VALUE, "gdb cannot be started: %s", strerror(-r))
		     : 0;
}

static int end(const struct serve *s, struct fault *fault)
{
	if (s->status <= 0 || forward_accepted(s->forward) > 0) {
		return 0;
	}
	fault_set(fault, FAULT_BAD_VALUE, "gdb ended with status %d", s->status);
	fault_hint(fault, "install gdb, set DVM_GDB to the command of another, or use --print");
	return -EREMOTEIO;
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/streams", args_word(args, 0));
	const struct ticket_request request = { .path = path,
						.kind = "gdb",
						.mode = args_has(args, "read-only") ? "r"
							: args_has(args, "take")    ? "take"
										    : "rw" };
	struct serve s = { .is_over = is_over, .interrupts_pass = true }; /* it stops the VM */
	uint16_t port;
	int r;

	if (!path) {
		return -ENOMEM;
	}
	r = serve_port(args, &port, fault);
	if (r < 0) {
		return r;
	}
	r = serve_begin(&s, cli, &request, port, fault);
	if (r == 0) {
		r = begin(&s, args, fault);
	}
	if (r == 0) {
		r = serve_run(&s);
	}
	if (r == 0) {
		r = end(&s, fault);
	}
	serve_end(&s);
	return r;
}

static const struct option_def options[] = {
	{ "read-only", 'r', NULL, "only look, while the VM is stopped: nothing of it is changed" },
	{ "take", 't', NULL, "take over from whoever controls it; he only reads then" },
	{ "listen", 'l', "PORT", "listen on this port of 127.0.0.1, and start no gdb" },
	{ "print", 'p', NULL, "print the address, and start no gdb" },
	OPTION_END,
};

const struct command cmd_gdb = {
	.name = "gdb",
	.words = "VM [VMLINUX]",
	.summary = "a running VM's kernel, in your gdb",
	.text = "No session is needed, and the VM is neither prepared nor restarted. Connecting "
		"stops it where it is. When gdb ends, however it ends, its breakpoints are removed "
		"and the VM runs on; so it does when nothing was said to it for some time, 15 "
		"minutes unless the operator has set another.\n\n"
		"Starts the command in DVM_GDB, or gdb, with the file VMLINUX, the kernel's "
		"symbols, and ends with it. With --print or --listen prints the address and serves "
		"any number of gdbs until it is interrupted: the first controls the VM, the others "
		"read while it is stopped. Only your own programs are let in. What gdb calls "
		"monitor is not passed on.",
	.options = options,
	.run = run,
};
