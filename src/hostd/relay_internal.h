/* SPDX-License-Identifier: Apache-2.0 */
/* What relay.c and relay_call.c share; belongs to the loop's thread. */
#pragma once

#include <pthread.h>

#include "list.h"
#include "relay.h"

enum relay_state {
	RELAY_DOWN,
	RELAY_STARTING,
	RELAY_UP,
	RELAY_STOPPING, /* its end is wanted */
};

enum relay_setup { SETUP_HELLO, SETUP_STATUS, SETUP_LISTEN, SETUP_HUB };

struct relay {
	struct relays *rs;
	char *name;
	char domain[DOMAIN_UUID_LEN + 1];
	uid_t uid;
	enum relay_state state;
	enum relay_setup setup;
	struct rpc_peer *peer;
	bool peer_dead; /* `peer` is closed, to be freed when none of its callbacks runs */
	bool hub_open;
	uint64_t hub_size; /* of its ring, in bytes; 0: not told */
	bool hub_keeps;	   /* what it has is kept */
	bool no_keep;	   /* what is wanted; over our restarts */
	bool hub_asked_no_keep;
	bool hub_asked;	    /* for it as the configuration wants it, on this connection */
	bool needs_restore; /* when it is up */
	bool lost_told;
	bool debugged; /* its VM has a gdb stub, or is about to */
	usec_t retry;  /* pause before the next start */
	sd_event_source *timer;
	enum relay_agent agent;
	char *host_key, *failed;
	struct list waits; /* struct relay_wait: workers that wait for it to be up, or at its end */
};

/* A worker that waits for the loop. Lives on the worker's stack until `done`. */
struct relay_wait {
	struct hostd *hostd;
	const char *name;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;	  /* under the lock */
	struct list link; /* in struct relay's waits */
	sd_event_source *timer;

	/* what is asked for */
	const char *domain, *method;
	bool keep;
	json_t *params;
	int fds[2];
	size_t n_fds;

	/* the answer */
	struct fault fault; /* FAULT_NONE: success */
	json_t *result;
	char found_domain[DOMAIN_UUID_LEN + 1];
};

struct relays {
	struct hostd *hostd;
	const struct relay_ops *ops;
	struct map *map; /* name -> struct relay */
};

int relay_add(struct relays *rs, const char *name, struct relay **ret) _must_check_;
/* Drops all memory of it. */
void relay_forget(struct relay *r);
/* Makes it exist and come up. */
int relay_begin(struct relays *rs, const char *name, const char *domain,
		struct relay **ret) _must_check_;
/* What it has is to be kept, or not: it is not up again before that is so. */
int relay_keep_set(struct relay *r, bool keep) _must_check_;
void relay_status_read(struct relay *r, const json_t *status);
/* Wakes those who wait; `fault` NULL: they got what they waited for. */
void relay_waits_finish(struct relay *r, const struct fault *fault);
