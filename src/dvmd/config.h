/* SPDX-License-Identifier: Apache-2.0 */
/* STATE/dvm.ini as dvmd reads it. Every key has a default; an unknown one is an error. */
#pragma once

#include <stdbool.h>

#include "fault.h"

struct config {
	/* [session] */
	unsigned sessions_per_project;
	usec_t lease_default, lease_max;
	usec_t provision_deadline; /* transient faults are retried that long */
	/* [dvm] */
	unsigned dvm_memory_mib, dvm_vcpus;
	usec_t dvm_boot_timeout;
	bool dvm_memory_images; /* make them, for D-VMs to start from */
	/* D-VMs that wait for a session: how many, for how much memory, one made how often */
	unsigned pool_min, pool_max, pool_memory_mib;
	usec_t pool_refill;
	char image[80]; /* "": the newest */
	/* [record] */
	uint64_t events_max, audit_max;
	usec_t events_age, audit_age;
};

/* Defaults, then `path` where it exists. */
int config_load(const char *path, struct config *ret, struct fault *fault) _must_check_;
