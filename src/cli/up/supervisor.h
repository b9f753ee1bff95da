/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dvm's programs on one machine: starts them in order, keeps them running, stops them.
 *
 * Theory of operation: one process, one sd-event loop, and a short list of services. At first they
 * are started one after the other, each when the one before is ready; a program that ends before it
 * was ready once ends the start. After that whatever dies is started again. The order back is the
 * reverse. Nothing here is needed by the programs to go on: when the supervisor is killed they
 * stay, and the next one replaces them, found by the locks they hold.
 */
#pragma once

#include "door_options.h"
#include "fault.h"

struct supervisor_options {
	const char *state;
	const char *uri; /* libvirt's, "fake:SOCKET", or "fake:" for a fake hypervisor of our own */
	const char *listen;		 /* or NULL */
	const struct door_options *door; /* NULL: no SSH door */
	int ready_fd;			 /* one byte when all is ready, then closed; -1: none */
	int log_fd; /* takes the place of stderr once all is ready; -1: stays */
};

/* Runs until SIGTERM or SIGINT. -EEXIST: another supervisor has this state folder. A fault: it
 * could not start. */
int supervisor_run(const struct supervisor_options *options, struct fault *fault) _must_check_;
