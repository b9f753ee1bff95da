/* SPDX-License-Identifier: Apache-2.0 */
/* The methods of PROTOCOL.host §2, by file; each table ends with an entry without a name. */
#pragma once

#include "op.h"
#include "relay.h"

extern const struct op_method domain_methods[];	 /* host.*, domain.* */
extern const struct op_method console_methods[]; /* console.* */
extern const struct op_method image_methods[];	 /* image.* */
extern const struct op_method dvm_methods[];	 /* dvm.prepare */
extern const struct op_method pool_methods[];	 /* pool.set */
extern const struct op_method
	session_methods[]; /* dvm.ensure, dvm.config, session.*, attach.console */
extern const struct op_method disk_methods[]; /* attach.disk, detach.disk */
extern const struct op_method port_methods[]; /* attach.port, detach.port */
extern const struct op_method live_methods[]; /* attach.memory, detach.memory */
extern const struct op_method
	display_methods[]; /* domain.screenshot, screenshot.read, domain.keys */
extern const struct op_method stream_methods[]; /* stream.*, recording.* */

/* Brings the console's relay in line with the domain: gives it the source, opened anew where the
 * domain was started since, or tells it that there is none. `fresh`: the domain has not run since
 * the last source. Tells FAULT_CONSOLE_UNSUPPORTED where it has no console. In a worker. */
int console_refresh(struct hostd *h, const char *vm, bool fresh, struct fault *fault);
/* The same, later, as an operation of its own. In the loop's thread. */
void console_refresh_start(struct hostd *h, const char *vm);
/* The relay's recording of its console has stopped; `again`: still. In the loop's thread. */
void console_history_start(struct hostd *h, const char *vm, bool again);
/* history_trim(), later. In the loop's thread. */
void console_history_trim_start(struct hostd *h);
/* Answers `request`: a serial break on the console of that relay's VM. In the loop's thread. */
void console_break_start(struct hostd *h, const char *vm, const char *domain,
			 struct rpc_request *request);

/* A connection to the domain's display, for its relay: the answer to the request has it. In the
 * loop's thread. */
void display_open_start(struct hostd *h, const char *domain, struct rpc_request *request);
/* A connection to the gdb stub of the VM, for its relay: the answer has it; `control`: the VM may
 * be stopped for it. Then: the relay has let go of it, perhaps without a word (`lost`: it is known
 * to be dead), or tells how the VM is. In the loop's thread. */
void gdb_open_start(struct hostd *h, const char *vm, const char *domain, bool control,
		    struct rpc_request *request);
void gdb_close_start(struct hostd *h, const char *vm, const char *domain,
		     struct rpc_request *request);
void gdb_look_start(struct hostd *h, const char *vm, const char *domain, bool lost);
void gdb_state(struct hostd *h, const char *vm, const char *domain, const json_t *params);
/* The VM is to run, whatever its debugger wants: true when there is one, which sees to it. In a
 * worker. */
bool gdb_let_go(struct hostd *h, const char *vm);
/* "off", "running", "stopped", as told last. In a worker. */
const char *gdb_state_name(struct hostd *h, const char *vm);
/* The relay is stopped for good; before its folder goes. In a worker. */
void gdb_drop(struct hostd *h, const char *vm, const char *domain);
/* The same for the VM's other ports, as far as they are attached somewhere. In a worker. */
void ports_refresh(struct hostd *h, const char *vm, bool fresh);
/* The hubs of a session's ports, where no other session has them. In a worker, when the D-VM is
 * gone. */
int ports_drop_all(struct hostd *h, const char *session, const json_t *state, struct fault *fault);
/* [{"vm","port"}] of session.list. */
json_t *ports_list(const json_t *state);

/* Verifies the default image ahead of its first use, which need not wait for it then. In the loop's
 * thread. */
void images_warm_start(struct hostd *h);

/* Brings relay and D-VM of a session in line with its file: agent, consoles, recordings. In the
 * loop's thread. */
void session_restore_start(struct hostd *h, const char *session);
/* Every session and console of the host. In the loop's thread. */
void restore_all_start(struct hostd *h);

/* Lets go of all disks of targets. In a worker, when the D-VM is gone. */
void disks_return_all(struct hostd *h, const json_t *state);
/* Brings the server of that name in line with its session's file and its target, or ends it where
 * the session is gone. In the loop's thread. */
void live_refresh_start(struct hostd *h, const char *name);
/* Answers `request`: the registers of the domain. In the loop's thread. */
void live_registers_start(struct hostd *h, const char *domain, struct rpc_request *request);
/* Ends the servers of a session. In a worker, when the D-VM is gone. */
int live_drop_all(struct hostd *h, const char *session, const json_t *state, struct fault *fault);
/* [VM id] of session.list. */
json_t *live_list(const json_t *state);
/* The session that holds a disk of the domain; false if none. In a worker. */
bool disks_lent(struct hostd *h, const char *domain_uuid);
