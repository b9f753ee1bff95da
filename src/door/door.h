/* SPDX-License-Identifier: Apache-2.0 */
/* The three parts of dvm-door: each is a process of its own. */
#pragma once

#include "macro.h"

/* What `listen` writes into sshd's configuration, and sshd hands to the others. No secrets. */
struct door_place {
	const char *socket; /* dvmd's RUN/door.sock */
	const char *dvm;    /* the program dvm */
	const char *url;    /* the gate's, as dvm on this machine reaches it */
	const char *pin;    /* its key's hash */
};

/* Takes connections and starts an sshd for each, until SIGTERM. Exit statuses, as of all three. */
int door_listen(const char *state, const char *account, const char *dvm, const char *url);
/* Prints the line of authorized_keys for a key, or nothing. */
int door_keys(const struct door_place *place, const char *type, const char *key);
/* One login. */
int door_serve(const struct door_place *place, const char *ticket);
