/* SPDX-License-Identifier: Apache-2.0 */
/* What a login gives up before it reads what its user sent. */
#pragma once

/*
 * No new privileges, no core, and, where the kernel has landlock, files only to be read and run,
 * and only the system's and dvm's own. A landlock domain can also not look into the processes of
 * another one: all logins have one user on this machine, and must not see each other's tokens.
 * `dvm`: the program. 0, or -errno for what every kernel gives.
 */
int sandbox_enter(const char *dvm);
