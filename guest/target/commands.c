/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: help, parsing and completion all read it. */
#include "target.h"

const struct command commands[] = {
	{ "help", "[COMMAND]", "this list, or one command's use", cmd_help, 2 },
	{ "info", "", "the session: targets, lease, what is attached", cmd_info, 0 },
	{ "console",
	  "[--read-only] [--take] [--history BYTES] [--dump] [--until TEXT] [--timeout SECONDS]",
	  "the target's serial console, on a terminal as it stands (leave with Ctrl-])", cmd_console, 10 },
	{ "power on", "", "start the target", cmd_power, 0 },
	{ "power off", "", "pull the target's plug", cmd_power, 0 },
	{ "power shutdown", "", "ask the target to shut down", cmd_power, 0 },
	{ "power reboot", "", "ask the target to reboot", cmd_power, 0 },
	{ "power reset", "", "press the target's reset button", cmd_power, 0 },
	{ "power pause", "", "stop the target's CPUs where they are", cmd_power, 0 },
	{ "power resume", "", "let a paused target go on", cmd_power, 0 },
	{ "disk attach", "[--read-only]", "plug the disks of a switched-off target in here",
	  cmd_disk_attach, 1 },
	{ "disk detach", "", "give the disks back", cmd_disk_detach, 0 },
	{ "disk list", "", "the target's disks that are here", cmd_disk_list, 0 },
	{ "port attach", "serial0|serial1|serial2|serial3|parallel0",
	  "plug a port of the target in here: a serial port as a tty, a parallel port to read from",
	  cmd_port, 1 },
	{ "port detach", "serial0|serial1|serial2|serial3|parallel0", "take it away again", cmd_port,
	  1 },
	{ "port list", "", "the target's ports that are here", cmd_port_list, 0 },
	{ "session renew", "", "start the lease anew", cmd_session, 0 },
	{ "session end", "", "end the session: everything is undone, this machine too", cmd_session,
	  0 },
};

const size_t n_commands = ARRAY_SIZE(commands);
