/* SPDX-License-Identifier: Apache-2.0 */
/* What the drivers share: names, and the release of what they return. */
#include "hypervisor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

static const char *const state_names[] = {
	[DOMAIN_UNKNOWN] = "unknown", [DOMAIN_RUNNING] = "running", [DOMAIN_PAUSED] = "paused",
	[DOMAIN_OFF] = "off",	      [DOMAIN_CRASHED] = "crashed",
};
static_assert(ARRAY_SIZE(state_names) == _DOMAIN_STATE_MAX, "a name for each state");

static const char *const verb_names[] = {
	[POWER_ON] = "on",	   [POWER_OFF] = "off",	    [POWER_SHUTDOWN] = "shutdown",
	[POWER_REBOOT] = "reboot", [POWER_RESET] = "reset", [POWER_PAUSE] = "pause",
	[POWER_RESUME] = "resume", [POWER_NMI] = "nmi",
};
static_assert(ARRAY_SIZE(verb_names) == _POWER_VERB_MAX, "a name for each verb");

static const struct {
	const char *name, *device;
} ports[] = {
	[VM_PORT_SERIAL0] = { "serial0", "ttyS0" },   [VM_PORT_SERIAL1] = { "serial1", "ttyS1" },
	[VM_PORT_SERIAL2] = { "serial2", "ttyS2" },   [VM_PORT_SERIAL3] = { "serial3", "ttyS3" },
	[VM_PORT_PARALLEL0] = { "parallel0", "lp0" },
};
static_assert(ARRAY_SIZE(ports) == _VM_PORT_MAX, "a name for each port");

static const char *const event_names[] = {
	[DOMAIN_EVENT_STARTED] = "started",	[DOMAIN_EVENT_STOPPED] = "stopped",
	[DOMAIN_EVENT_PAUSED] = "paused",	[DOMAIN_EVENT_RESUMED] = "resumed",
	[DOMAIN_EVENT_CRASHED] = "crashed",	[DOMAIN_EVENT_DEFINED] = "defined",
	[DOMAIN_EVENT_UNDEFINED] = "undefined", [DOMAIN_EVENT_UNPLUGGED] = "unplugged",
};
static_assert(ARRAY_SIZE(event_names) == _DOMAIN_EVENT_MAX, "a name for each event");

const char *domain_state_name(enum domain_state state)
{
	return state_names[state];
}

enum domain_state domain_state_parse(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
		if (strcmp(state_names[i], name) == 0) {
			return (enum domain_state)i;
		}
	}
	return DOMAIN_UNKNOWN;
}

const char *power_verb_name(enum power_verb verb)
{
	return verb_names[verb];
}

int power_verb_parse(const char *name, enum power_verb *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(verb_names); i++) {
		if (strcmp(verb_names[i], name) == 0) {
			*ret = (enum power_verb)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *vm_port_name(enum vm_port port)
{
	return ports[port].name;
}

const char *vm_port_device(enum vm_port port)
{
	return ports[port].device;
}

bool vm_port_is_parallel(enum vm_port port)
{
	return port >= VM_PORT_PARALLEL0;
}

int vm_port_parse(const char *name, enum vm_port *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		if (strcmp(ports[i].name, name) == 0) {
			*ret = (enum vm_port)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *domain_event_name(enum domain_event_kind kind)
{
	return event_names[kind];
}

void domain_list_fini(struct domain_list *list)
{
	for (size_t i = 0; i < list->n_domains; i++) {
		free(list->domains[i].name);
	}
	free(list->domains);
	*list = (struct domain_list){ 0 };
}

void domain_info_fini(struct domain_info *info)
{
	for (size_t i = 0; i < info->n_disks; i++) {
		free(info->disks[i].source);
	}
	free(info->name);
	*info = (struct domain_info){ 0 };
}

void console_fini(struct console *console)
{
	close_fd(console->fd);
	close_fd(console->history_fd);
	free(console->path);
	*console = (struct console){ .fd = -1, .history_fd = -1 };
}

const struct hypervisor_ops *hypervisor_driver(const char *uri)
{
	return strncmp(uri, "fake:", 5) == 0 ? &hypervisor_fake : &hypervisor_libvirt;
}
