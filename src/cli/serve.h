/* SPDX-License-Identifier: Apache-2.0 */
/* A port of this machine that is served for as long as the user's program for it runs, or until a
 * signal. */
#pragma once

#include <sys/types.h>

#include "args.h"
#include "forward.h"

struct serve {
	struct forward *forward;
	int signal_fd;
	uint16_t port;
	pid_t program;	      /* 0: none, or gone; the caller starts it */
	int status;	      /* of one that is gone; -1: of none */
	bool interrupts_pass; /* while it runs, an interrupt from the terminal is the program's */
	bool (*is_over)(const struct serve *s);
};

/* The port that --listen says; 0, any that is free, where it is not there. */
int serve_port(const struct args *args, uint16_t *ret, struct fault *fault) _must_check_;
/* Listens on it. `request` and what it points to are the caller's. After that signals come in
 * serve_run(). */
int serve_begin(struct serve *s, struct cli *cli, const struct ticket_request *request,
		uint16_t port, struct fault *fault) _must_check_;
/* Until is_over(), which is asked whenever something happened, or a signal. */
int serve_run(struct serve *s) _must_check_;
/* Whatever became of serve_begin(). */
void serve_end(struct serve *s);
