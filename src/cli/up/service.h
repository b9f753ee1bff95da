/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program under the supervisor.
 *
 * Theory of operation: DOWN -> STARTING -> READY; whatever dies goes to WAITING and is started
 * again after a pause that doubles from 100 ms to 10 s and is forgotten once it ran for a while.
 * STOPPING ends in DOWN. A program is ready when it says so (sd_notify), or, for programs that
 * cannot, when its socket takes connections. Its output goes straight into its log file, so that it
 * outlives us. Whoever owns the service hears of every change.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "fault.h"

enum service_state {
	SERVICE_DOWN,
	SERVICE_STARTING,
	SERVICE_READY,
	SERVICE_WAITING,
	SERVICE_STOPPING
};

#define SERVICE_ARGV_MAX 16
#define SERVICE_START_TIMEOUT (60 * USEC_PER_SEC)
#define SERVICE_STOP_TIMEOUT (20 * USEC_PER_SEC)
#define SERVICE_LOG_MAX (8 * 1024 * 1024)

struct service;

typedef void (*service_changed_fn)(struct service *s, enum service_state from,
				   enum service_state to, void *user);

/* Copied by service_new(). */
struct service_spec {
	const char *name;		    /* "dvmd": of its log file too */
	const char *argv[SERVICE_ARGV_MAX]; /* argv[0] is the program's path; NULL-ended */
	const char *log;		    /* path of its log file */
	const char *probe; /* ready when this unix socket takes connections; NULL: sd_notify */
	int listen_fd; /* handed over as LISTEN_FDS; -1: none; borrowed for as long as the service
			  lives */
};

int service_new(sd_event *event, const struct service_spec *spec, const char *notify_address,
		service_changed_fn changed, void *user, struct service **ret) _must_check_;
/* Does not stop what runs. */
struct service *service_free(struct service *s);

/* From DOWN. */
int service_start(struct service *s) _must_check_;
/* A process that runs already, a child of somebody else: READY at once. */
int service_adopt(struct service *s, pid_t pid) _must_check_;
/* SIGTERM, SIGKILL after SERVICE_STOP_TIMEOUT; DOWN is announced when it is gone. */
void service_stop(struct service *s);

enum service_state service_state(const struct service *s);
const char *service_name(const struct service *s);
/* Path of its log; *ret_start (may be NULL): where in it the present or last run begins. */
const char *service_log(const struct service *s, off_t *ret_start);
/* Process of the service, or 0. */
pid_t service_pid(const struct service *s);

/* For the owner of the notify socket and of SIGCHLD. */
void service_notified(struct service *s);
void service_exited(struct service *s, int wait_code, int wait_status);

/* Keeps a log file below SERVICE_LOG_MAX: what it holds goes to FILE.1. */
void service_trim_log(const char *path);
