/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets, held by the supervisor so that no connection is refused while a program
 * restarts. */
#pragma once

#include "fault.h"

#define LISTENER_DEFAULT "127.0.0.1"

/* `listen`: "ADDRESS", "ADDRESS:PORT", "[ADDRESS]:PORT"; NULL: LISTENER_DEFAULT. Without a port the
 * one in `port_path` (of the last time), or else any. *ret_url: where clients on this machine reach
 * it. */
int listener_open(const char *listen, const char *port_path, int *ret_fd, char **ret_url,
		  struct fault *fault) _must_check_;
/* The SSH door's: on the address of `listen`, on `port` (0: as above). *ret_url: "ssh://ACCOUNT@…".
 */
int listener_open_ssh(const char *listen, uint16_t port, const char *account, const char *port_path,
		      int *ret_fd, char **ret_url, struct fault *fault) _must_check_;
