/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to libvirt: made, watched, made again; and what libvirt says, as faults. */
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "cleanup.h"
#include "hypervisor.h"

struct libvirt_link;

int libvirt_link_new(const char *uri, const struct hypervisor_events *events, void *user,
		     struct libvirt_link **ret) _must_check_;
struct libvirt_link *libvirt_link_free(struct libvirt_link *l);
bool libvirt_link_alive(struct libvirt_link *l);
struct adopted *libvirt_link_adopted(struct libvirt_link *l);
/* A reference to be closed by the caller; FAULT_HYPERVISOR_AWAY. */
int libvirt_link_get(struct libvirt_link *l, virConnectPtr *ret, struct fault *fault) _must_check_;
/* Turns libvirt's last error of this thread into `fault`; its text goes to trouble(). `what`
 * completes "The hypervisor could not …". Always -EREMOTEIO. */
int libvirt_link_fault(struct libvirt_link *l, struct fault *fault, const char *what);

static inline void libvirt_connection_closep(virConnectPtr *conn)
{
	if (*conn) {
		virConnectClose(*conn);
	}
}

static inline void libvirt_domain_freep(virDomainPtr *domain)
{
	if (*domain) {
		virDomainFree(*domain);
	}
}

#define _cleanup_connection_ _cleanup_(libvirt_connection_closep)
#define _cleanup_domain_ _cleanup_(libvirt_domain_freep)
