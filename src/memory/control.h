/* SPDX-License-Identifier: Apache-2.0 */
/* The way to dvm-hostd: a thread with a loop of its own. */
#pragma once

#include "clock.h"
#include "cpu_state.h"

struct server;
struct control;

/* Takes `fd`, a listening socket on which only `uid` is let in. `end` is called, from the thread,
 * when the server is to end. */
int control_start_take(struct server *server, int fd, uid_t uid, void (*end)(void),
		       struct control **ret) _must_check_;
/* From any other thread: the VM's registers as they are now; `ret` has room for CPUS_MAX.
 * -ETIMEDOUT, -EHOSTDOWN. */
int control_registers(struct control *c, usec_t patience, struct cpu_state *ret,
		      size_t *ret_n) _must_check_;
