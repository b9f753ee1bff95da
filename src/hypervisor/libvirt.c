/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor driver for libvirt's QEMU driver: what any domain can do. */
#include <errno.h>
#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "console_open.h"
#include "libvirt_domain.h"
#include "libvirt_dvm.h"
#include "libvirt_gdb.h"
#include "libvirt_memory.h"
#include "parse.h"

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
		libvirt_link_free(libvirt_link_of(hv));
		free(container_of(hv, struct libvirt, base));
	}
	return NULL;
}

static bool libvirt_alive(struct hypervisor *hv)
{
	return libvirt_link_alive(libvirt_link_of(hv));
}

static int brief_fill(virDomainPtr domain, struct domain_brief *brief)
{
	*brief = (struct domain_brief){ .state = libvirt_domain_state(domain) };
	if (virDomainGetUUIDString(domain, brief->uuid) < 0) {
		return -EREMOTEIO;
	}
	brief->name = strdup(virDomainGetName(domain));
	if (!brief->name) {
		return -ENOMEM;
	}
	if (!libvirt_domain_metadata(domain, brief->session, brief->owner)) {
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

	r = libvirt_link_get(libvirt_link_of(hv), &conn, fault);
	if (r < 0) {
		return r;
	}
	n = virConnectListAllDomains(conn, &domains, 0);
	if (n < 0) {
		return libvirt_link_fault(libvirt_link_of(hv), fault, "list its VMs");
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

/* The domain, running, and what it is made of; `ret_place` may be NULL. */
static int running_get(struct hypervisor *hv, const char *name, struct domain_info *ret_info,
		       struct console_place *ret_place, virDomainPtr *ret, struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r = libvirt_domain_get(hv, name, &domain, fault);

	if (r == 0) {
		r = libvirt_domain_info(libvirt_link_of(hv), domain, ret_info, ret_place, fault);
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

	r = libvirt_domain_get(hv, name, &domain, fault);
	if (r == 0) {
		r = libvirt_domain_info(libvirt_link_of(hv), domain, ret, NULL, fault);
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

static int libvirt_power(struct hypervisor *hv, const char *name, enum power_verb verb,
			 enum domain_state *ret_state, struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	r = libvirt_domain_get(hv, name, &domain, fault);
	if (r == 0) {
		r = libvirt_domain_power(libvirt_link_of(hv), domain, verb,
					 libvirt_domain_state(domain), fault);
	}
	if (r == 0) {
		*ret_state = libvirt_domain_state(domain);
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
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(console_place_fini) struct console_place place = { 0 };
	_cleanup_free_ char *xml = NULL;
	unsigned id;
	int r;

	r = libvirt_domain_get(hv, name, &domain, fault);
	if (r == 0) {
		r = libvirt_domain_xml(libvirt_link_of(hv), domain, &xml, fault);
	}
	if (r < 0) {
		return r;
	}
	r = domain_xml_read_port(xml, port, &place);
	if (r < 0) {
		return libvirt_read_fault(r, fault);
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
		return libvirt_link_fault(libvirt_link_of(hv), fault, "send a break to the VM");
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
	struct libvirt_link *l = libvirt_link_of(hv);
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
	struct libvirt_link *l = libvirt_link_of(hv);
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
	struct libvirt_link *l = libvirt_link_of(hv);
	_cleanup_domain_ virDomainPtr domain = NULL;
	unsigned keys[CHORD_KEYS_MAX];
	int r;

	static_assert(CHORD_KEYS_MAX <= VIR_DOMAIN_SEND_KEY_MAX_KEYS, "libvirt takes that many");
	assert(n >= 1 && n <= CHORD_KEYS_MAX);
	memcpy(keys, codes, n * sizeof(keys[0]));
	r = libvirt_domain_get(hv, name, &domain, fault);
	if (r < 0) {
		return r;
	}
	if (!libvirt_state_active(libvirt_domain_state(domain))) {
		return fault_set(fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	if (virDomainSendKey(domain, VIR_KEYCODE_SET_LINUX, hold_ms, keys, (int)n, 0) < 0) {
		return libvirt_link_fault(l, fault, "press the VM's keys");
	}
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
	.memory_open = libvirt_memory_open,
	.registers = libvirt_registers,
	.gdb_open = libvirt_gdb_open,
	.gdb_close = libvirt_gdb_close,
	.dvm_shape = libvirt_dvm_shape,
	.dvm_create = libvirt_dvm_create,
	.dvm_settled = libvirt_dvm_settled,
	.dvm_save = libvirt_dvm_save,
	.dvm_destroy = libvirt_dvm_destroy,
	.dvm_get = libvirt_dvm_get,
	.dvm_resume = libvirt_dvm_resume,
	.dvm_pause = libvirt_dvm_pause,
	.dvm_adopt = libvirt_dvm_adopt,
	.dvm_tunnel_open = libvirt_dvm_tunnel_open,
	.dvm_disk_attach = libvirt_dvm_disk_attach,
	.dvm_disk_detach = libvirt_dvm_disk_detach,
	.dvm_port_attach = libvirt_dvm_port_attach,
	.dvm_port_open = libvirt_dvm_port_open,
	.dvm_port_detach = libvirt_dvm_port_detach,
};
