/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dvm-gate, the public edge: TLS, streams by one-time tickets, everything else to dvmd. It keeps no
 * state and no credential but the TLS key; it may die and come back at any time.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "cleanup.h"
#include "config.h"
#include "file.h"
#include "gate.h"
#include "listen.h"
#include "log.h"
#include "parse.h"
#include "sandbox.h"
#include "tls_cert.h"
#include "unix.h"

#define FDS_PER_CONN 2
#define FDS_SPARE 64

struct program {
	struct gate_config config;
	sd_event *event;
	struct tls_server *tls;
	struct gate *gate;
	int lock_fd;
};

static void program_fini(struct program *p)
{
	gate_free(p->gate);
	sd_event_unref(p->event);
	tls_server_free(p->tls);
	gate_config_fini(&p->config);
	close_fd(p->lock_fd);
}

static int open_tls(struct program *p, struct fault *fault)
{
	_cleanup_free_ char *dir = strf("%s/tls", p->config.state);
	_cleanup_free_ char *crt = strf("%s/tls/gate.crt", p->config.state);
	_cleanup_free_ char *key = strf("%s/tls/gate.key", p->config.state);
	int r;

	if (!dir || !crt || !key) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory.");
	}
	r = tls_cert_ensure(dir, (const char *const *)p->config.names, p->config.n_names, fault);
	return r < 0 ? r : tls_server_new(crt, key, &p->tls, fault);
}

/* STATE/run becomes the working folder: dvmd's and the relays' sockets are reached relative to it.
 */
static int enter_run(struct program *p, struct fault *fault)
{
	_cleanup_free_ char *dir = strf("%s/run", p->config.state);
	int r;

	if (!dir) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory.");
	}
	r = dir_make(dir, 0711);
	if (r == 0 && chdir(dir) < 0) {
		r = -errno;
	}
	if (r == 0) {
		r = pid_lock("dvm-gate.lock", &p->lock_fd);
	}
	if (r == -EEXIST) {
		return fault_set(fault, FAULT_CONFLICT,
				 "A gate runs already in this state folder.");
	}
	return r < 0 ? fault_set(fault, FAULT_INTERNAL, "The run folder: %s", strerror(-r)) : 0;
}

/* As many fds as the connections may take, where the hard limit allows it. */
static void raise_limit(const struct gate_config *c)
{
	rlim_t need = (rlim_t)c->connections * FDS_PER_CONN + FDS_SPARE;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < need) {
		limit.rlim_cur = MIN(need, limit.rlim_max);
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < need) {
			log_warn("fewer files may be open than connections need, ignoring");
		}
	}
}

static int start(struct program *p, struct fault *fault)
{
	int fds[GATE_LISTENERS_MAX];
	sigset_t signals;
	size_t n_fds;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	r = open_tls(p, fault);
	if (r == 0) {
		r = enter_run(p, fault);
	}
	if (r == 0) {
		raise_limit(&p->config);
		r = listen_open(p->config.listen, "gate.port", fds, &n_fds, fault);
	}
	if (r < 0) {
		return r;
	}
	r = sd_event_new(&p->event);
	if (r >= 0) {
		r = gate_new(p->event, &p->config, p->tls, fds, n_fds, &p->gate);
	}
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "The loop: %s", strerror(-r));
	}
	/* The sockets listen: whoever connects from now on is served. */
	sd_notify(1, "READY=1");
	return sandbox_enter(fault);
}

int main(int argc, char **argv)
{
	_cleanup_(program_fini) struct program p = { .lock_fd = -1 };
	struct fault fault = { 0 };
	int r;

	log_open("dvm-gate");
	r = gate_config_read(argc, argv, &p.config, &fault);
	if (r > 0) {
		return EXIT_SUCCESS;
	}
	if (r == 0) {
		r = start(&p, &fault);
	}
	if (r < 0) {
		log_err("%s", fault.message);
		return EXIT_FAILURE;
	}
	r = sd_event_loop(p.event);
	if (r < 0) {
		log_err("the loop: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
