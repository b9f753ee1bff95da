/* SPDX-License-Identifier: Apache-2.0 */
/* A domain's memory and registers at libvirt: the verbs memory_open and registers. */
#pragma once

#include "hypervisor.h"

int libvirt_memory_open(struct hypervisor *hv, const char *domain, struct domain_memory *ret,
			struct fault *fault) _must_check_;
int libvirt_registers(struct hypervisor *hv, const char *domain, struct cpu_state *ret,
		      size_t *ret_n, struct fault *fault) _must_check_;
