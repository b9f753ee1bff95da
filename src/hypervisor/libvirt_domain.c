/* SPDX-License-Identifier: Apache-2.0 */
/* A domain of libvirt's: found, read, its power switched. */
#include "libvirt_domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static enum domain_state state_of(int state)
{
	switch (state) {
	case VIR_DOMAIN_RUNNING:
	case VIR_DOMAIN_BLOCKED:
	case VIR_DOMAIN_SHUTDOWN: /* still running its shutdown */
		return DOMAIN_RUNNING;
	case VIR_DOMAIN_PAUSED:
	case VIR_DOMAIN_PMSUSPENDED:
		return DOMAIN_PAUSED;
	case VIR_DOMAIN_SHUTOFF:
		return DOMAIN_OFF;
	case VIR_DOMAIN_CRASHED:
		return DOMAIN_CRASHED;
	default:
		return DOMAIN_UNKNOWN;
	}
}

/* DOMAIN_OFF for a transient domain that has just gone. `ret_starting`: it is being started. */
static enum domain_state domain_state_starting(virDomainPtr domain, bool *ret_starting)
{
	int state, reason;

	*ret_starting = false;
	if (virDomainGetState(domain, &state, &reason, 0) < 0) {
		virErrorPtr error = virGetLastError();

		return error && error->code == VIR_ERR_NO_DOMAIN ? DOMAIN_OFF : DOMAIN_UNKNOWN;
	}
	*ret_starting = state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_STARTING_UP;
	return state_of(state);
}

enum domain_state libvirt_domain_state(virDomainPtr domain)
{
	bool starting;

	return domain_state_starting(domain, &starting);
}

bool libvirt_state_active(enum domain_state state)
{
	return state == DOMAIN_RUNNING || state == DOMAIN_PAUSED || state == DOMAIN_CRASHED;
}

/* By UUID, else by name. */
int libvirt_domain_find(struct libvirt_link *l, virConnectPtr conn, const char *name,
			virDomainPtr *ret, struct fault *fault)
{
	virDomainPtr domain = NULL;

	if (strlen(name) == DOMAIN_UUID_LEN) {
		domain = virDomainLookupByUUIDString(conn, name);
	}
	if (!domain) {
		domain = virDomainLookupByName(conn, name);
	}
	if (!domain) {
		return libvirt_link_fault(l, fault, "find the VM");
	}
	*ret = domain;
	return 0;
}

/* The domain keeps the connection it came by for as long as it is there. */
int libvirt_domain_get(struct hypervisor *hv, const char *name, virDomainPtr *ret,
		       struct fault *fault)
{
	_cleanup_connection_ virConnectPtr conn = NULL;
	int r = libvirt_link_get(libvirt_link_of(hv), &conn, fault);

	return r < 0 ? r : libvirt_domain_find(libvirt_link_of(hv), conn, name, ret, fault);
}

/* Whose D-VM it is; false if it is none. */
bool libvirt_domain_metadata(virDomainPtr domain, char session[DVM_SESSION_MAX + 1],
			     char owner[DVM_OWNER_MAX + 1])
{
	_cleanup_free_ char *metadata = NULL;

	if (strncmp(virDomainGetName(domain), DVM_DOMAIN_PREFIX, strlen(DVM_DOMAIN_PREFIX)) != 0) {
		return false;
	}
	metadata = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, DVM_XML_NAMESPACE, 0);
	return metadata && domain_xml_read_metadata(metadata, session, owner) == 0;
}

int libvirt_domain_xml(struct libvirt_link *l, virDomainPtr domain, char **ret, struct fault *fault)
{
	char *xml = virDomainGetXMLDesc(domain, 0);

	if (!xml) {
		return libvirt_link_fault(l, fault, "describe the VM");
	}
	*ret = xml;
	return 0;
}

int libvirt_read_fault(int r, struct fault *fault)
{
	return fault_set(fault, r == -ENOMEM ? FAULT_INTERNAL : FAULT_HYPERVISOR_FAILED,
			 "The hypervisor's description of the VM could not be read");
}

int libvirt_domain_info(struct libvirt_link *l, virDomainPtr domain, struct domain_info *ret,
			struct console_place *ret_place, struct fault *fault)
{
	_cleanup_free_ char *xml = NULL;
	bool starting;
	int r;

	r = libvirt_domain_xml(l, domain, &xml, fault);
	if (r < 0) {
		return r;
	}
	r = domain_xml_read(xml, ret, ret_place);
	if (r < 0) {
		return libvirt_read_fault(r, fault);
	}
	virDomainGetUUIDString(domain, ret->uuid);
	ret->state = domain_state_starting(domain, &starting);
	if (starting) {
		/* Its devices are not there yet, though it has its id: STARTED tells when. */
		ret->run = 0;
	}
	return 0;
}

/* Whether a verb that failed is fulfilled all the same: the domain changed while libvirt was asked.
 * One that is being started, for a caller who died since, reads as paused until it runs. */
static bool power_done(virDomainPtr domain, enum power_verb verb)
{
	enum domain_state state = libvirt_domain_state(domain);

	switch (verb) {
	case POWER_ON:
	case POWER_RESUME:
		return state == DOMAIN_RUNNING;
	case POWER_OFF:
	case POWER_SHUTDOWN:
		return state == DOMAIN_OFF;
	case POWER_PAUSE:
		return state == DOMAIN_PAUSED;
	default:
		return false;
	}
}

/* What a verb needs the domain to be. */
int libvirt_domain_power(struct libvirt_link *l, virDomainPtr domain, enum power_verb verb,
			 enum domain_state state, struct fault *fault)
{
	static const char *const what[] = {
		[POWER_ON] = "start the VM",
		[POWER_OFF] = "switch the VM off",
		[POWER_SHUTDOWN] = "ask the VM to shut down",
		[POWER_REBOOT] = "ask the VM to reboot",
		[POWER_RESET] = "reset the VM",
		[POWER_PAUSE] = "pause the VM",
		[POWER_RESUME] = "resume the VM",
		[POWER_NMI] = "send the VM an NMI",
	};
	bool active = libvirt_state_active(state);
	int r = 0;

	if (!active && verb != POWER_ON && verb != POWER_OFF && verb != POWER_SHUTDOWN) {
		return fault_set(fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	switch (verb) {
	case POWER_ON:
		r = active ? 0 : virDomainCreateWithFlags(domain, VIR_DOMAIN_START_PAUSED);
		break;
	case POWER_OFF:
		r = active ? virDomainDestroy(domain) : 0;
		break;
	case POWER_SHUTDOWN:
		r = active ? virDomainShutdown(domain) : 0;
		break;
	case POWER_REBOOT:
		r = virDomainReboot(domain, 0);
		break;
	case POWER_RESET:
		r = virDomainReset(domain, 0);
		break;
	case POWER_PAUSE:
		r = state == DOMAIN_PAUSED ? 0 : virDomainSuspend(domain);
		break;
	case POWER_RESUME:
		r = state == DOMAIN_PAUSED ? virDomainResume(domain) : 0;
		break;
	case POWER_NMI:
		r = virDomainInjectNMI(domain, 0);
		break;
	case _POWER_VERB_MAX:
		break;
	}
	if (r == 0) {
		return 0;
	}
	/* First, since asking for the state clears libvirt's error. */
	r = libvirt_link_fault(l, fault, what[verb]);
	return power_done(domain, verb) ? 0 : r;
}
