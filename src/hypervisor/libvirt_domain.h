/* SPDX-License-Identifier: Apache-2.0 */
/* A domain of libvirt's: found, read, its power switched. Functions with `fault` return -EREMOTEIO
 * with it filled. */
#pragma once

#include "domain_xml.h"
#include "libvirt_link.h"

struct libvirt {
	struct hypervisor base;
	struct libvirt_link *link;
};

static inline struct libvirt_link *libvirt_link_of(struct hypervisor *hv)
{
	return container_of(hv, struct libvirt, base)->link;
}

/* By UUID, else by name. */
int libvirt_domain_find(struct libvirt_link *l, virConnectPtr conn, const char *name,
			virDomainPtr *ret, struct fault *fault) _must_check_;
/* The same on a connection that the domain keeps for as long as it is there. */
int libvirt_domain_get(struct hypervisor *hv, const char *name, virDomainPtr *ret,
		       struct fault *fault) _must_check_;
/* Whose D-VM it is; false if it is none. */
bool libvirt_domain_metadata(virDomainPtr domain, char session[DVM_SESSION_MAX + 1],
			     char owner[DVM_OWNER_MAX + 1]);

/* DOMAIN_OFF for a transient domain that has just gone. */
enum domain_state libvirt_domain_state(virDomainPtr domain);
bool libvirt_state_active(enum domain_state state);
int libvirt_domain_xml(struct libvirt_link *l, virDomainPtr domain, char **ret,
		       struct fault *fault) _must_check_;
/* For -errno of domain_xml_*(). */
int libvirt_read_fault(int r, struct fault *fault);
/* As domain_xml_read(), with uuid and state. */
int libvirt_domain_info(struct libvirt_link *l, virDomainPtr domain, struct domain_info *ret,
			struct console_place *ret_place, struct fault *fault) _must_check_;
/* `state`: what it is now. */
int libvirt_domain_power(struct libvirt_link *l, virDomainPtr domain, enum power_verb verb,
			 enum domain_state state, struct fault *fault);
