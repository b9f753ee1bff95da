/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the agent for as long as the D-VM lives. */
#pragma once

/* Exit codes by which the agent asks for the end of the D-VM; any other end of it is followed by a
 * restart. */
enum agent_exit {
	AGENT_EXIT_POWEROFF = 100,
	AGENT_EXIT_REBOOT = 101,
};

/* Starts `agent`, restarts it when it dies, reaps orphans; returns the reboot(2) command to end
 * with. */
int supervise_agent(char *const argv[]);
