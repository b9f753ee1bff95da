/* SPDX-License-Identifier: Apache-2.0 */
/* The `target` command: what its parts share. */
#pragma once

#include <stdbool.h>

#include "fault.h"

#define NAME_BYTES 64
#define TARGETS_MAX 16

struct invocation {
	const char *name; /* -t NAME: NULL: the session's first target */
	const char *core; /* --core FILE: instead of the target's live memory; NULL: that */
	bool json;
	bool help;
	int argc; /* what stands after the command's words */
	char **argv;
};

/* One line of the table in commands.c. */
struct command {
	const char *words;     /* "disk attach" */
	const char *arguments; /* for the usage line, "" if none */
	const char *purpose;
	/* Returns the exit code. */
	int (*run)(const struct command *c, struct invocation *in);
	int argc_max;
};

extern const struct command commands[];
extern const size_t n_commands;

int cmd_help(const struct command *c, struct invocation *in);
int cmd_info(const struct command *c, struct invocation *in);
int cmd_console(const struct command *c, struct invocation *in);
int cmd_memory(const struct command *c, struct invocation *in);
int cmd_power(const struct command *c, struct invocation *in);
int cmd_disk_attach(const struct command *c, struct invocation *in);
int cmd_disk_detach(const struct command *c, struct invocation *in);
int cmd_disk_list(const struct command *c, struct invocation *in);
int cmd_port(const struct command *c, struct invocation *in);
int cmd_port_list(const struct command *c, struct invocation *in);
int cmd_dmesg(const struct command *c, struct invocation *in);
int cmd_ps(const struct command *c, struct invocation *in);
int cmd_bt(const struct command *c, struct invocation *in);
int cmd_lsmod(const struct command *c, struct invocation *in);
int cmd_read(const struct command *c, struct invocation *in);
int cmd_print(const struct command *c, struct invocation *in);
int cmd_mounts(const struct command *c, struct invocation *in);
int cmd_files(const struct command *c, struct invocation *in);
int cmd_maps(const struct command *c, struct invocation *in);
int cmd_net(const struct command *c, struct invocation *in);
int cmd_mem(const struct command *c, struct invocation *in);
int cmd_irq(const struct command *c, struct invocation *in);
int cmd_timers(const struct command *c, struct invocation *in);
int cmd_locks(const struct command *c, struct invocation *in);
int cmd_doctor(const struct command *c, struct invocation *in);
int cmd_gdb(const struct command *c, struct invocation *in);
int cmd_profile(const struct command *c, struct invocation *in);
int cmd_session(const struct command *c, struct invocation *in);

/* Prints the fault (message, then hint) to stderr; returns the exit code. */
int complain(const struct fault *f);
/* Prints how the command is used, to stderr; returns the exit code 2. */
int usage(const struct command *c);
