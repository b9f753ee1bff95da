/* SPDX-License-Identifier: Apache-2.0 */
/* A domain's gdb stub, in the hypervisor driver for libvirt. As the vtable says (hypervisor.h). */
#pragma once

#include "libvirt_domain.h"

int libvirt_gdb_open(struct hypervisor *hv, const char *name, bool may_stop, int *ret_fd,
		     struct fault *fault) _must_check_;
int libvirt_gdb_close(struct hypervisor *hv, const char *name, bool left, bool resume,
		      struct fault *fault) _must_check_;
