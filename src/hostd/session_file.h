/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session on this host is to be: RUN/dvm/SESSION/session.json, written before what it
 * describes is made, removed after all of it is gone. Read and written by workers, one at a time
 * for each session. One object:
 *
 * - image (id), stacks, memory_mib, vcpus: of the D-VM; uid: its user, 0 where we are not root
 * - member: the D-VM came from the pool, where that was its name; until `created`, it may have been
 * handed over or not
 * - created: the D-VM was started once; when it is not there later, it is lost, not missing
 * - agent: the configuration that the agent is to have, as dvmd gave it
 * - consoles: a list of {vm, name, mode, record}; no mode: rw
 * - displays: a list of {vm, name, mode}; may be missing
 * - gdbs: the same, of debuggers
 * - ports: a list of {vm, domain, index, port, mode, place}; `place`, where the D-VM has its
 * device, once that is there
 * - memories: a list of {vm, domain, index, ranges, vcpus, attached}; may be missing. `ranges`
 * ([[address, length]]) and `vcpus`: what the device looks like, which it keeps
 * - disks: a list of {vm, domain, index, mode, disks}; in `disks`, for each of the target's:
 *   {serial, source, format, block, readonly, lent}, `lent` as of lend.h
 */
#pragma once

#include <jansson.h>

#include "hostd.h"

/* RUN/dvm/SESSION/FILE; NULL when out of memory. */
char *session_path(const struct hostd *h, const char *session, const char *file);
/* FAULT_NOT_FOUND when there is no such session here. */
int session_load(const struct hostd *h, const char *session, json_t **ret,
		 struct fault *fault) _must_check_;
/* FAULT_DISK_FULL. */
int session_save(const struct hostd *h, const char *session, const json_t *state,
		 struct fault *fault) _must_check_;
/* Calls `fn` with each session's id; stops at the first result that is not 0 and returns it. */
int session_each(const struct hostd *h, int (*fn)(const char *session, void *user), void *user);
/* A member that is a string; "" for none. Borrowed. */
const char *session_string(const json_t *object, const char *key);
/* The entry of `list` ("consoles", "disks") whose member `vm` is that; NULL if none. Borrowed. */
json_t *session_entry(const json_t *state, const char *list, const char *vm);
void session_entry_remove(json_t *state, const char *list, const char *vm);
