/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relays of this host: started, adopted, watched, stopped. One for each session ("s-…") and
 * each kept console
 * ("v-…", and "v-….PORT" for an attached port); see interfaces/PROTOCOL.relay. The servers of live
 * memory ("m-…-N", PROTOCOL.memory) live the same life, and are looked after as relays are.
 *
 * Theory of operation: a relay is its folder RUN/relay/NAME. Its control socket is made before it
 * starts, so connecting succeeds at once exactly while the process lives. DOWN → STARTING (connect,
 * or start and connect; then hello, status, listen, hub.open) → UP. When the connection ends while
 * the relay is wanted, it is started again, more and more slowly; each time it comes UP again,
 * restored() tells what it has lost besides its own memory: fds.
 */
#pragma once

#include <jansson.h>

#include "hostd.h"
#include "rpc_peer.h"

#define RELAY_CALL_TIMEOUT (10 * USEC_PER_SEC)

enum relay_agent { RELAY_AGENT_NONE, RELAY_AGENT_WAIT, RELAY_AGENT_UP };

struct relay;

/* From the loop's thread. */
struct relay_ops {
	/* It died, or was found dead; already being brought back. */
	void (*lost)(struct relay *r, struct hostd *h);
	/* It is there again and needs its fds. */
	void (*restore)(struct relay *r, struct hostd *h);
	void (*notice)(struct relay *r, const char *method, const json_t *params, struct hostd *h);
	/* A call of the relay: answer the request. */
	void (*call)(struct relay *r, const char *method, json_t *params,
		     struct rpc_request *request, struct hostd *h);
};

/* Finds what was left by a predecessor and begins to adopt it. */
int relays_new(struct hostd *h, const struct relay_ops *ops, struct relays **ret) _must_check_;
/* Forgets them all, leaving the processes alone. Open calls get FAULT_CANCELLED, later ones
 * FAULT_RELAY_LOST. */
void relays_close(struct relays *rs);
struct relays *relays_free(struct relays *rs); /* when no worker runs any more */

const char *relay_name(const struct relay *r);
bool relay_is_console(const struct relay *r);
bool relay_is_memory(const struct relay *r);	 /* not a relay: PROTOCOL.memory */
const char *relay_domain(const struct relay *r); /* UUID; "" for a session's */
enum relay_agent relay_agent(const struct relay *r);
const char *relay_host_key(const struct relay *r); /* NULL if not known */
const char *relay_failed(const struct relay *r);   /* the agent's last word; NULL if none */
bool relay_is_up(const struct relay *r);
bool relay_is_debugged(const struct relay *r); /* a console's: its VM has a gdb stub */
struct relay *relay_find(struct relays *rs, const char *name);
/* Iteration: *it = 0 first. */
struct relay *relay_next(struct relays *rs, size_t *it);

/* --- for workers only: these block --------------------------------------------------------------
 */

/* Makes sure that a relay of that name runs and answers. `domain`: for a console (NULL: as it is);
 * it is kept over restarts. FAULT_RELAY_LOST. */
int relay_need(struct hostd *h, const char *name, const char *domain, struct fault *fault);
/* The same for a console, whose scrollback is to be kept, or not, over restarts too. */
int relay_need_kept(struct hostd *h, const char *name, const char *domain, bool keep,
		    struct fault *fault);
/* Whether there is one, running or not, and the domain of a console (may be NULL). */
bool relay_exists(struct hostd *h, const char *name, char ret_domain[DOMAIN_UUID_LEN + 1]);
/* Takes `params` (NULL: {}); `ret` may be NULL. FAULT_RELAY_LOST while it is not up. */
int relay_call(struct hostd *h, const char *name, const char *method, json_t *params, int fd,
	       int fd2, json_t **ret, struct fault *fault);
/* Ends it and removes its folder. Fine when there is none. */
int relay_stop(struct hostd *h, const char *name, struct fault *fault);

/* Calls `fn` with the name of each relay that `valid` accepts, running or not; see dir_each(). */
int relay_each(const struct hostd *h, bool (*valid)(const char *),
	       int (*fn)(const char *name, void *user), void *user);

/* RUN/relay/NAME/FILE; NULL when out of memory. */
char *relay_path(const struct hostd *h, const char *name, const char *file);
