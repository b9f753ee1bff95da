/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor driver for libvirt's QEMU driver: any domain's power and console, and the life of
 * D-VMs. */
#include <errno.h>
#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "cleanup.h"
#include "clock.h"
#include "console_open.h"
#include "domain_xml.h"
#include "emulator_user.h"
#include "libvirt_link.h"
#include "parse.h"
#include "unix.h"

#define POLL_MS 50
#define FORCED_PATIENCE_MS 5000

struct libvirt {
	struct hypervisor base;
	struct libvirt_link *link;
};

static struct libvirt_link *link_of(struct hypervisor *hv)
{
	return container_of(hv, struct libvirt, base)->link;
}

static int libvirt_open(const char *uri, const struct hypervisor_events *events, void *user,
			struct hypervisor **ret, struct fault *fault)
{
	struct libvirt *lv = calloc(1, sizeof(*lv));

	if (!lv || libvirt_link_new(uri, events, user, &lv->link) < 0) {
		free(lv);
		return fault_set(fault, FAULT_INTERNAL, "libvirt's client could not be started");
	}
	lv->base.ops = &hypervisor_libvirt;
	*ret = &lv->base;
	return 0;
}

static struct hypervisor *libvirt_free(struct hypervisor *hv)
{
	if (hv) {
		libvirt_link_free(link_of(hv));
		free(container_of(hv, struct libvirt, base));
	}
	return NULL;
}

static bool libvirt_alive(struct hypervisor *hv)
{
	return libvirt_link_alive(link_of(hv));
}

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

static enum domain_state domain_state(virDomainPtr domain)
{
	bool starting;

	return domain_state_starting(domain, &starting);
}

static bool state_active(enum domain_state state)
{
	return state == DOMAIN_RUNNING || state == DOMAIN_PAUSED || state == DOMAIN_CRASHED;
}

/* By UUID, else by name. */
static int domain_find(struct libvirt_link *l, virConnectPtr conn, const char *name,
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
static int domain_get(struct hypervisor *hv, const char *name, virDomainPtr *ret,
		      struct fault *fault)
{
	_cleanup_connection_ virConnectPtr conn = NULL;
	int r = libvirt_link_get(link_of(hv), &conn, fault);

	return r < 0 ? r : domain_find(link_of(hv), conn, name, ret, fault);
}

/* Whose D-VM it is; false if it is none. */
static bool metadata_read(virDomainPtr domain, char session[DVM_SESSION_MAX + 1],
			  char owner[DVM_OWNER_MAX + 1])
{
	_cleanup_free_ char *metadata = NULL;

	if (strncmp(virDomainGetName(domain), DVM_DOMAIN_PREFIX, strlen(DVM_DOMAIN_PREFIX)) != 0) {
		return false;
	}
	metadata = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, DVM_XML_NAMESPACE, 0);
	return metadata && domain_xml_read_metadata(metadata, session, owner) == 0;
}

static int dvm_find(struct libvirt_link *l, virConnectPtr conn, const char *session,
		    virDomainPtr *ret, struct fault *fault)
{
	char name[sizeof(DVM_DOMAIN_PREFIX) + DVM_SESSION_MAX];
	char found[DVM_SESSION_MAX + 1], owner[DVM_OWNER_MAX + 1];
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	snprintf(name, sizeof(name), DVM_DOMAIN_PREFIX "%s", session);
	r = domain_find(l, conn, name, &domain, fault);
	if (r < 0 && fault->code != FAULT_VM_GONE) {
		return r;
	}
	/* A name alone makes no D-VM of somebody else's domain. */
	if (r < 0 || !metadata_read(domain, found, owner) || strcmp(found, session) != 0) {
		return fault_set(fault, FAULT_DVM_LOST, "The session's debug VM is gone");
	}
	*ret = TAKE_PTR(domain);
	return 0;
}

static int dvm_get(struct hypervisor *hv, const char *session, virDomainPtr *ret,
		   struct fault *fault)
{
	_cleanup_connection_ virConnectPtr conn = NULL;
	int r = libvirt_link_get(link_of(hv), &conn, fault);

	return r < 0 ? r : dvm_find(link_of(hv), conn, session, ret, fault);
}

static int xml_of(struct libvirt_link *l, virDomainPtr domain, char **ret, struct fault *fault)
{
	char *xml = virDomainGetXMLDesc(domain, 0);

	if (!xml) {
		return libvirt_link_fault(l, fault, "describe the VM");
	}
	*ret = xml;
	return 0;
}

static int read_fault(int r, struct fault *fault)
{
	return fault_set(fault, r == -ENOMEM ? FAULT_INTERNAL : FAULT_HYPERVISOR_FAILED,
			 "The hypervisor's description of the VM could not be read");
}

static int brief_fill(virDomainPtr domain, struct domain_brief *brief)
{
	*brief = (struct domain_brief){ .state = domain_state(domain) };
	if (virDomainGetUUIDString(domain, brief->uuid) < 0) {
		return -EREMOTEIO;
	}
	brief->name = strdup(virDomainGetName(domain));
	if (!brief->name) {
		return -ENOMEM;
	}
	if (!metadata_read(domain, brief->session, brief->owner)) {
		brief->session[0] = 0;
	}
	return 0;
}

static int libvirt_list(struct hypervisor *hv, struct domain_list *ret, struct fault *fault)
{
	_cleanup_connection_ virConnectPtr conn = NULL;
	_cleanup_(domain_list_fini) struct domain_list list = { 0 };
	virDomainPtr *domains = NULL;
	int n, r;

	r = libvirt_link_get(link_of(hv), &conn, fault);
	if (r < 0) {
		return r;
	}
	n = virConnectListAllDomains(conn, &domains, 0);
	if (n < 0) {
		return libvirt_link_fault(link_of(hv), fault, "list its VMs");
	}
	list.domains = calloc((size_t)n + 1, sizeof(*list.domains));
	for (int i = 0; i < n; i++) {
		/* One that vanished between the list and now is left out. */
		if (list.domains && brief_fill(domains[i], &list.domains[list.n_domains]) == 0) {
			list.n_domains++;
		}
		virDomainFree(domains[i]);
	}
	free(domains);
	if (!list.domains) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	*ret = list;
	list = (struct domain_list){ 0 };
	return 0;
}

static int info_fill(struct libvirt_link *l, virDomainPtr domain, struct domain_info *ret,
		     struct console_place *ret_place, struct fault *fault)
{
	_cleanup_free_ char *xml = NULL;
	bool starting;
	int r;

	r = xml_of(l, domain, &xml, fault);
	if (r < 0) {
		return r;
	}
	r = domain_xml_read(xml, ret, ret_place);
	if (r < 0) {
		return read_fault(r, fault);
	}
	virDomainGetUUIDString(domain, ret->uuid);
	ret->state = domain_state_starting(domain, &starting);
	if (starting) {
		/* Its devices are not there yet, though it has its id: STARTED tells when. */
		ret->run = 0;
	}
	return 0;
}

/* The domain, running, and what it is made of; `ret_place` may be NULL. */
static int running_get(struct hypervisor *hv, const char *name, struct domain_info *ret_info,
		       struct console_place *ret_place, virDomainPtr *ret, struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r = domain_get(hv, name, &domain, fault);

	if (r == 0) {
		r = info_fill(link_of(hv), domain, ret_info, ret_place, fault);
	}
	if (r < 0) {
		return r;
	}
	if (ret_info->run == 0) {
		return fault_set(fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	*ret = TAKE_PTR(domain);
	return 0;
}

static int libvirt_get(struct hypervisor *hv, const char *name, struct domain_info *ret,
		       struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	r = domain_get(hv, name, &domain, fault);
	if (r == 0) {
		r = info_fill(link_of(hv), domain, ret, NULL, fault);
	}
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < ret->n_disks; i++) {
		virDomainBlockInfo block;

		if (ret->disks[i].source &&
		    virDomainGetBlockInfo(domain, ret->disks[i].dev, &block, 0) == 0) {
			ret->disks[i].size_bytes = block.capacity;
		}
	}
	return 0;
}

/* Whether a verb that failed is fulfilled all the same: the domain changed while libvirt was asked.
 * One that is being started, for a caller who died since, reads as paused until it runs. */
static bool power_done(virDomainPtr domain, enum power_verb verb)
{
	enum domain_state state = domain_state(domain);

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
static int power_apply(struct libvirt_link *l, virDomainPtr domain, enum power_verb verb,
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
	bool active = state_active(state);
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

static int libvirt_power(struct hypervisor *hv, const char *name, enum power_verb verb,
			 enum domain_state *ret_state, struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	r = domain_get(hv, name, &domain, fault);
	if (r == 0) {
		r = power_apply(link_of(hv), domain, verb, domain_state(domain), fault);
	}
	if (r == 0) {
		*ret_state = domain_state(domain);
	}
	return r;
}

static int libvirt_console_open(struct hypervisor *hv, const char *name, struct console *ret,
				struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	_cleanup_(console_place_fini) struct console_place place = { 0 };
	int r;

	r = running_get(hv, name, &info, &place, &domain, fault);
	if (r < 0) {
		return r;
	}
	r = console_place_open(&place, ret, fault);
	if (r == 0) {
		ret->run = info.run;
	}
	return r;
}

static int libvirt_port_open(struct hypervisor *hv, const char *name, enum vm_port port,
			     struct console *ret, struct fault *fault)
{
	_cleanup_connection_ virConnectPtr conn = NULL;
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(console_place_fini) struct console_place place = { 0 };
	_cleanup_free_ char *xml = NULL;
	unsigned id;
	int r;

	r = libvirt_link_get(link_of(hv), &conn, fault);
	if (r == 0) {
		r = domain_find(link_of(hv), conn, name, &domain, fault);
	}
	if (r == 0) {
		r = xml_of(link_of(hv), domain, &xml, fault);
	}
	if (r < 0) {
		return r;
	}
	r = domain_xml_read_port(xml, port, &place);
	if (r < 0) {
		return read_fault(r, fault);
	}
	if (place.backend == CONSOLE_BACKEND_NONE) {
		fault_set(fault, FAULT_CONSOLE_UNSUPPORTED, "The VM has no port %s",
			  vm_port_name(port));
		fault_hint(fault, "A port must be in the VM's definition when it is started.");
		return -EREMOTEIO;
	}
	id = virDomainGetID(domain);
	if (id == (unsigned)-1) {
		return fault_set(fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	r = console_place_open(&place, ret, fault);
	if (r == 0) {
		ret->run = id;
		/* A printer says nothing that a guest of ours would read. */
		ret->writable = ret->writable && !vm_port_is_parallel(port);
	}
	return r;
}

/*
 * The emulator raises the break inside its UART, whatever the console's backend: libvirt has no
 * call of its own for it. A monitor command taints the domain ("custom-monitor"), which only says
 * so in the operator's log.
 */
static int libvirt_console_break(struct hypervisor *hv, const char *name, struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	_cleanup_(console_place_fini) struct console_place place = { 0 };
	_cleanup_free_ char *command = NULL, *answer = NULL;
	json_auto_t *result = NULL;
	int r;

	r = running_get(hv, name, &info, &place, &domain, fault);
	if (r < 0) {
		return r;
	}
	if (!place.alias[0]) {
		return fault_set(fault, FAULT_NOT_SUPPORTED, "The VM's console can have no break");
	}
	/* An alias is libvirt's own word, or one that its schema let in: no quotes, no backslash.
	 */
	command = strf("{\"execute\":\"chardev-send-break\",\"arguments\":{\"id\":\"char%s\"}}",
		       place.alias);
	if (!command) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	if (virDomainQemuMonitorCommand(domain, command, &answer, 0) < 0) {
		return libvirt_link_fault(link_of(hv), fault, "send a break to the VM");
	}
	result = json_loads(answer, 0, NULL);
	return json_object_get(result, "return") ? 0
						 : fault_set(fault, FAULT_NOT_SUPPORTED,
							     "The VM's console can have no break");
}

static int no_display(struct fault *fault)
{
	return fault_set(fault, FAULT_DISPLAY_UNSUPPORTED,
			 "The VM has no display that can be opened");
}

static int libvirt_display_open(struct hypervisor *hv, const char *name, int *ret_fd,
				struct fault *fault)
{
	struct libvirt_link *l = link_of(hv);
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	unsigned i = 0;
	int r, fd;

	r = running_get(hv, name, &info, NULL, &domain, fault);
	if (r < 0) {
		return r;
	}
	while (i < info.n_graphics && strcmp(info.graphics[i], "vnc") != 0) {
		i++;
	}
	if (i == info.n_graphics) {
		return no_display(fault);
	}
	/* Who may come here has been decided: the password is for those who come past us. */
	fd = virDomainOpenGraphicsFD(domain, i, VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH);
	if (fd < 0) {
		return libvirt_link_fault(l, fault, "open the VM's display");
	}
	*ret_fd = fd;
	return 0;
}

/* All of a stream. -EREMOTEIO: libvirt's error; -EFBIG, -ENOMEM. */
static int stream_read(virStreamPtr stream, uint8_t **ret, size_t *ret_len)
{
	_cleanup_(buf_fini) struct buf bytes;

	buf_init(&bytes, SCREENSHOT_BYTES_MAX);
	for (;;) {
		size_t room = MIN(buf_room(&bytes), (size_t)256 * 1024);
		uint8_t *p, more;
		int n;

		if (room == 0) {
			n = virStreamRecv(stream, (char *)&more, 1);
			if (n > 0) {
				return -EFBIG;
			}
		} else if (buf_reserve(&bytes, room, &p) < 0) {
			return -ENOMEM;
		} else {
			n = virStreamRecv(stream, (char *)p, room);
			buf_commit(&bytes, n > 0 ? (size_t)n : 0);
		}
		if (n < 0) {
			return -EREMOTEIO;
		}
		if (n == 0) {
			break;
		}
	}
	if (virStreamFinish(stream) < 0) {
		return -EREMOTEIO;
	}
	*ret = buf_take(&bytes, ret_len);
	return 0;
}

static int libvirt_screenshot(struct hypervisor *hv, const char *name, uint8_t **ret,
			      size_t *ret_len, struct fault *fault)
{
	struct libvirt_link *l = link_of(hv);
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	virStreamPtr stream;
	char *type;
	int r;

	r = running_get(hv, name, &info, NULL, &domain, fault);
	if (r < 0) {
		return r;
	}
	stream = virStreamNew(virDomainGetConnect(domain), 0);
	if (!stream) {
		return libvirt_link_fault(l, fault, "take a picture of the screen");
	}
	type = virDomainScreenshot(domain, stream, 0, 0);
	if (!type) {
		virErrorPtr error = virGetLastError();
		/* What libvirt says of a domain without a video device. */
		bool blind = error && (error->code == VIR_ERR_OPERATION_INVALID ||
				       error->code == VIR_ERR_OPERATION_UNSUPPORTED);

		r = libvirt_link_fault(l, fault, "take a picture of the screen");
		if (blind || info.n_graphics == 0) {
			r = no_display(fault);
		}
	} else {
		r = stream_read(stream, ret, ret_len);
		if (r == -EREMOTEIO) {
			libvirt_link_fault(l, fault, "take a picture of the screen");
		} else if (r < 0) {
			r = fault_set(fault, r == -EFBIG ? FAULT_TOO_LARGE : FAULT_INTERNAL,
				      "The picture of the screen is too large");
		}
		if (r < 0) {
			virStreamAbort(stream);
		}
		free(type);
	}
	virStreamFree(stream);
	return r;
}

static int libvirt_keys_press(struct hypervisor *hv, const char *name, const unsigned *codes,
			      size_t n, unsigned hold_ms, struct fault *fault)
{
	struct libvirt_link *l = link_of(hv);
	_cleanup_domain_ virDomainPtr domain = NULL;
	unsigned keys[CHORD_KEYS_MAX];
	int r;

	static_assert(CHORD_KEYS_MAX <= VIR_DOMAIN_SEND_KEY_MAX_KEYS, "libvirt takes that many");
	assert(n >= 1 && n <= CHORD_KEYS_MAX);
	memcpy(keys, codes, n * sizeof(keys[0]));
	r = domain_get(hv, name, &domain, fault);
	if (r < 0) {
		return r;
	}
	if (!state_active(domain_state(domain))) {
		return fault_set(fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	if (virDomainSendKey(domain, VIR_KEYCODE_SET_LINUX, hold_ms, keys, (int)n, 0) < 0) {
		return libvirt_link_fault(l, fault, "press the VM's keys");
	}
	return 0;
}

static int libvirt_dvm_create(struct hypervisor *hv, const struct dvm_spec *spec,
			      struct fault *fault)
{
	_cleanup_connection_ virConnectPtr conn = NULL;
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_free_ char *xml = NULL;
	struct dvm_spec spec_here = *spec;
	bool kvm = kvm_usable();
	struct fault none;
	int r;

	r = libvirt_link_get(link_of(hv), &conn, fault);
	if (r < 0) {
		return r;
	}
	if (dvm_find(link_of(hv), conn, spec->session, &domain, &none) == 0) {
		return 0;
	}
	if (spec->uid) {
		r = emulator_folder_open(EMULATOR_FOLDER);
		if (r < 0) {
			return fault_set(fault, FAULT_HYPERVISOR_FAILED,
					 "The debug VM's user cannot be let in: %s", strerror(-r));
		}
		if (kvm) {
			spec_here.gid = emulator_group("/dev/kvm", spec->gid);
		}
	}
	r = domain_xml_dvm(&spec_here, kvm, &xml);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	domain = virDomainCreateXML(conn, xml, 0);
	if (!domain) {
		return libvirt_link_fault(link_of(hv), fault, "start the debug VM");
	}
	return 0;
}

static int libvirt_dvm_destroy(struct hypervisor *hv, const char *session, struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	r = dvm_get(hv, session, &domain, fault);
	if (r < 0) {
		return fault->code == FAULT_DVM_LOST ? 0 : r;
	}
	if (virDomainDestroy(domain) < 0 && domain_state(domain) != DOMAIN_OFF) {
		return libvirt_link_fault(link_of(hv), fault, "remove the debug VM");
	}
	return 0;
}

/* What goes wrong because the D-VM has just ended is told as that. */
static int dvm_lost(virDomainPtr domain, int r, struct fault *fault)
{
	return r < 0 && domain_state(domain) == DOMAIN_OFF
		       ? fault_set(fault, FAULT_DVM_LOST, "The session's debug VM is gone")
		       : r;
}

static int libvirt_dvm_get(struct hypervisor *hv, const char *session, struct domain_info *ret,
			   struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	r = dvm_get(hv, session, &domain, fault);
	if (r == 0) {
		r = dvm_lost(domain, info_fill(link_of(hv), domain, ret, NULL, fault), fault);
	}
	return r;
}

static int libvirt_dvm_resume(struct hypervisor *hv, const char *session, struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	r = dvm_get(hv, session, &domain, fault);
	if (r == 0) {
		r = power_apply(link_of(hv), domain, POWER_RESUME, domain_state(domain), fault);
		r = dvm_lost(domain, r, fault);
	}
	return r;
}

static int libvirt_dvm_tunnel_open(struct hypervisor *hv, const char *session, int *ret_fd,
				   struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_free_ char *xml = NULL, *path = NULL;
	int r;

	r = dvm_get(hv, session, &domain, fault);
	if (r == 0) {
		r = xml_of(link_of(hv), domain, &xml, fault);
	}
	if (r < 0) {
		return r;
	}
	r = domain_xml_read_tunnel(xml, &path);
	if (r < 0) {
		return read_fault(r, fault);
	}
	r = unix_connect(path, ret_fd);
	if (r < 0) {
		return fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The debug VM's channel could not be opened: %s", strerror(-r));
	}
	return 0;
}

static const struct domain_disk *disk_with_serial(const struct domain_info *info,
						  const char *serial)
{
	for (size_t i = 0; i < info->n_disks; i++) {
		if (strcmp(info->disks[i].serial, serial) == 0) {
			return &info->disks[i];
		}
	}
	return NULL;
}

static int libvirt_dvm_disk_attach(struct hypervisor *hv, const struct dvm_disk *disk,
				   struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	_cleanup_free_ char *xml = NULL;
	const struct domain_disk *there;
	char dev[16];
	int r;

	r = dvm_get(hv, disk->session, &domain, fault);
	if (r == 0) {
		r = info_fill(link_of(hv), domain, &info, NULL, fault);
	}
	if (r < 0) {
		return r;
	}
	there = disk_with_serial(&info, disk->serial);
	if (there && there->readonly == disk->readonly) {
		return 0;
	}
	if (there) {
		fault_set(fault, FAULT_ALREADY_ATTACHED, "The disk is attached in another mode");
		fault_hint(fault, "Detach it first.");
		return -EREMOTEIO;
	}
	r = domain_free_dev(&info, dev);
	if (r < 0) {
		return fault_set(fault, FAULT_NO_CAPACITY,
				 "The debug VM has no place for another disk");
	}
	r = domain_xml_disk(disk, dev, &xml);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	if (virDomainAttachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		return libvirt_link_fault(link_of(hv), fault, "attach the disk");
	}
	return 0;
}

/* libvirt drops a disk from the live XML when the emulator says DEVICE_DELETED, and not before.
 * Looking there instead of waiting for the event also works across a reconnect. 1: gone, 0: still
 * there. */
static int disk_wait_gone(struct libvirt_link *l, virDomainPtr domain, const char *serial,
			  unsigned patience_ms, struct fault *fault)
{
	usec_t until = clock_monotonic() + patience_ms * USEC_PER_MSEC;

	for (;;) {
		_cleanup_free_ char *xml = NULL, *disk = NULL;
		int r;

		r = xml_of(l, domain, &xml, fault);
		if (r < 0) {
			return fault->code == FAULT_VM_GONE ? 1 : r;
		}
		r = domain_xml_read_disk(xml, serial, &disk);
		if (r == -ENOENT) {
			return 1;
		}
		if (r < 0) {
			return read_fault(r, fault);
		}
		if (clock_monotonic() >= until) {
			return 0;
		}
		usleep(POLL_MS * 1000);
	}
}

static int libvirt_dvm_disk_detach(struct hypervisor *hv, const char *session, const char *serial,
				   unsigned patience_ms, struct fault *fault)
{
	struct libvirt_link *l = link_of(hv);
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_free_ char *xml = NULL, *disk = NULL;
	int r;

	r = dvm_get(hv, session, &domain, fault);
	if (r == 0) {
		r = xml_of(l, domain, &xml, fault);
	}
	if (r < 0) {
		return fault->code == FAULT_DVM_LOST || fault->code == FAULT_VM_GONE ? 0 : r;
	}
	r = domain_xml_read_disk(xml, serial, &disk);
	if (r == -ENOENT) {
		return 0;
	}
	if (r < 0) {
		return read_fault(r, fault);
	}
	/* A paused guest never answers an unplug request. An error here may mean "asked already":
	 * wait all the same. */
	power_apply(l, domain, POWER_RESUME, domain_state(domain), fault);
	if (virDomainDetachDeviceFlags(domain, disk, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		libvirt_link_fault(l, fault, "detach the disk");
	}
	r = disk_wait_gone(l, domain, serial, patience_ms, fault);
	if (r != 0) {
		return r < 0 ? r : 0;
	}
	/* The emulator completes pending unplugs at a reset, whatever the guest does. */
	if (virDomainReset(domain, 0) == 0) {
		r = disk_wait_gone(l, domain, serial, FORCED_PATIENCE_MS, fault);
		if (r != 0) {
			return r < 0 ? r : 0;
		}
	}
	return libvirt_dvm_destroy(hv, session, fault);
}

/* Beside the tunnel's socket, in a folder of the domain's own: where the emulator's user may make
 * it. */
static int dvm_port_path(const char *xml, const struct dvm_port *port, char **ret,
			 struct fault *fault)
{
	_cleanup_free_ char *tunnel = NULL;
	char *path, *slash;
	int r = domain_xml_read_tunnel(xml, &tunnel);

	if (r < 0) {
		return read_fault(r, fault);
	}
	slash = strrchr(tunnel, '/');
	path = slash ? strf("%.*s/%s", (int)(slash - tunnel), tunnel, port->name) : NULL;
	if (!path) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	*ret = path;
	return 0;
}

struct dvm_port_state {
	char *path;
	char *xml; /* of the device; NULL: it is not there */
	char place[DVM_PORT_PLACE_MAX + 1];
};

static void dvm_port_state_fini(struct dvm_port_state *s)
{
	free(s->path);
	free(s->xml);
}

static int dvm_port_look(struct libvirt_link *l, virDomainPtr domain, const struct dvm_port *port,
			 struct dvm_port_state *ret, struct fault *fault)
{
	_cleanup_free_ char *xml = NULL;
	int r = xml_of(l, domain, &xml, fault);

	dvm_port_state_fini(ret);
	*ret = (struct dvm_port_state){ 0 };
	if (r == 0) {
		r = dvm_port_path(xml, port, &ret->path, fault);
	}
	if (r < 0) {
		return r;
	}
	r = domain_xml_read_dvm_port(xml, ret->path, &ret->xml, ret->place);
	return r == -ENOENT || r == 0 ? 0 : read_fault(r, fault);
}

/* The D-VM and how the port stands in it. */
static int dvm_port_find(struct libvirt_link *l, const struct dvm_port *port,
			 virConnectPtr *ret_conn, virDomainPtr *ret_domain,
			 struct dvm_port_state *ret, struct fault *fault)
{
	int r = libvirt_link_get(l, ret_conn, fault);

	if (r == 0) {
		r = dvm_find(l, *ret_conn, port->session, ret_domain, fault);
	}
	if (r == 0) {
		r = dvm_lost(*ret_domain, dvm_port_look(l, *ret_domain, port, ret, fault), fault);
	}
	return r;
}

static int libvirt_dvm_port_attach(struct hypervisor *hv, const struct dvm_port *port,
				   char ret_place[DVM_PORT_PLACE_MAX + 1], struct fault *fault)
{
	struct libvirt_link *l = link_of(hv);
	_cleanup_connection_ virConnectPtr conn = NULL;
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(dvm_port_state_fini) struct dvm_port_state state = { 0 };
	_cleanup_free_ char *xml = NULL;
	int r = dvm_port_find(l, port, &conn, &domain, &state, fault);

	if (r == 0 && !state.xml) {
		if (domain_xml_dvm_port(port, state.path, &xml) < 0) {
			return fault_set(fault, FAULT_INTERNAL, "Out of memory");
		}
		if (virDomainAttachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_LIVE) < 0) {
			r = libvirt_link_fault(l, fault, "attach the port");
		} else {
			r = dvm_port_look(l, domain, port, &state, fault);
		}
	}
	if (r < 0) {
		return dvm_lost(domain, r, fault);
	}
	if (!state.xml) {
		return fault_set(fault, FAULT_HYPERVISOR_FAILED, "The port did not appear");
	}
	strcpy(ret_place, state.place);
	return 0;
}

static int libvirt_dvm_port_open(struct hypervisor *hv, const struct dvm_port *port, int *ret_fd,
				 struct fault *fault)
{
	_cleanup_connection_ virConnectPtr conn = NULL;
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(dvm_port_state_fini) struct dvm_port_state state = { 0 };
	int r = dvm_port_find(link_of(hv), port, &conn, &domain, &state, fault);

	if (r < 0) {
		return r;
	}
	r = unix_connect(state.path, ret_fd);
	return r < 0 ? fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The debug VM's port could not be opened: %s", strerror(-r))
		     : 0;
}

static int libvirt_dvm_port_detach(struct hypervisor *hv, const struct dvm_port *port,
				   unsigned patience_ms, struct fault *fault)
{
	struct libvirt_link *l = link_of(hv);
	_cleanup_connection_ virConnectPtr conn = NULL;
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(dvm_port_state_fini) struct dvm_port_state state = { 0 };
	usec_t until = clock_monotonic() + patience_ms * USEC_PER_MSEC;
	int r = dvm_port_find(l, port, &conn, &domain, &state, fault);

	if (r < 0) {
		return fault->code == FAULT_DVM_LOST || fault->code == FAULT_VM_GONE ? 0 : r;
	}
	if (!state.xml) {
		return 0;
	}
	/* An error here may mean "asked already": it is looked at all the same. */
	if (virDomainDetachDeviceFlags(domain, state.xml, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		libvirt_link_fault(l, fault, "detach the port");
	}
	do {
		r = dvm_port_look(l, domain, port, &state, fault);
		if (r < 0) {
			return fault->code == FAULT_VM_GONE ? 0 : r;
		}
		if (!state.xml) {
			break;
		}
		usleep(POLL_MS * 1000);
	} while (clock_monotonic() < until);
	return 0;
}

const struct hypervisor_ops hypervisor_libvirt = {
	.open = libvirt_open,
	.free = libvirt_free,
	.alive = libvirt_alive,
	.list = libvirt_list,
	.get = libvirt_get,
	.power = libvirt_power,
	.console_open = libvirt_console_open,
	.console_break = libvirt_console_break,
	.display_open = libvirt_display_open,
	.screenshot = libvirt_screenshot,
	.keys_press = libvirt_keys_press,
	.port_open = libvirt_port_open,
	.dvm_create = libvirt_dvm_create,
	.dvm_destroy = libvirt_dvm_destroy,
	.dvm_get = libvirt_dvm_get,
	.dvm_resume = libvirt_dvm_resume,
	.dvm_tunnel_open = libvirt_dvm_tunnel_open,
	.dvm_disk_attach = libvirt_dvm_disk_attach,
	.dvm_disk_detach = libvirt_dvm_disk_detach,
	.dvm_port_attach = libvirt_dvm_port_attach,
	.dvm_port_open = libvirt_dvm_port_open,
	.dvm_port_detach = libvirt_dvm_port_detach,
};
