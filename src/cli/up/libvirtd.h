/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libvirt daemon of our own, for machines where none answers.
 *
 * It uses libvirt's usual sockets and folders, so that virsh and everybody else find it; only its
 * configuration and its pid file are ours. libvirt locks its pid file, so who holds that lock is
 * the daemon we once started.
 */
#pragma once

#include <stdbool.h>

#include "fault.h"

struct libvirtd_plan {
	bool foreign;	   /* one answers that is not ours */
	char *program;	   /* libvirtd */
	char *log_program; /* virtlogd, or NULL where one answers that is not ours */
	char *socket, *log_socket;
	char *config; /* STATE/run/libvirtd.conf, written here */
	char *log_config;
	char *pid_file, *log_pid_file;
};

/* The URI that this user's libvirt has. */
const char *libvirtd_default_uri(void);
int libvirtd_plan(const char *state, struct libvirtd_plan *ret, struct fault *fault) _must_check_;
void libvirtd_plan_fini(struct libvirtd_plan *p);
