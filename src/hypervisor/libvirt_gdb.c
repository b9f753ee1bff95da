/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A domain's gdb stub, in the hypervisor driver for libvirt.
 *
 * libvirt knows nothing of stubs, so the emulator's monitor is asked through it, which taints the
 * domain ("custom-monitor") and says so in the operator's log. The stub's connection is one end of
 * a socket pair whose other end the emulator is handed: there is no name that anybody else could
 * connect to, and no file to be left. What the emulator does on connecting: it stops its guest.
 * `gdbserver none` takes the chardev with it.
 *
 * While there is a stub the guest's watchdog, which may well bark at a guest that is stepped
 * through, has no teeth.
 */
#include "libvirt_gdb.h"

#include <errno.h>
#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "gdb.h"
#include "parse.h"

#define STUB_NAME "dvm-gdb"
#define STUB_TIMEOUT_MS 5000

static int stub_fault(struct fault *fault)
{
	return fault_set(fault, FAULT_NOT_SUPPORTED, "The VM cannot be debugged by its hypervisor");
}

/* A command of the monitor for humans; its answer's text need not say whether it did it. */
static int monitor_line(virDomainPtr domain, const char *line, struct libvirt_link *l,
			struct fault *fault)
{
	_cleanup_free_ char *answer = NULL;

	if (virDomainQemuMonitorCommand(domain, line, &answer,
					VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) < 0) {
		return libvirt_link_fault(l, fault, "debug the VM");
	}
	return 0;
}

/* `fd` -1: none goes with it. */
static int monitor_json(virDomainPtr domain, const char *command, int fd, struct libvirt_link *l,
			struct fault *fault)
{
	_cleanup_free_ char *answer = NULL;
	json_auto_t *result = NULL;
	int files[] = { fd };
	int r;

	r = virDomainQemuMonitorCommandWithFiles(domain, command, fd >= 0 ? 1 : 0, files, NULL,
						 NULL, &answer, 0);
	if (r < 0) {
		return libvirt_link_fault(l, fault, "debug the VM");
	}
	result = json_loads(answer, 0, NULL);
	return json_object_get(result, "return") ? 0 : stub_fault(fault);
}

/* What the domain's watchdog does when it barks; `action` NULL: what its definition says. */
static int watchdog_set(virDomainPtr domain, const char *action, struct libvirt_link *l,
			struct fault *fault)
{
	_cleanup_free_ char *xml = NULL, *command = NULL;
	char own[WATCHDOG_ACTION_MAX + 1];
	int r;

	r = libvirt_domain_xml(l, domain, &xml, fault);
	if (r < 0) {
		return r;
	}
	r = domain_xml_read_watchdog(xml, own);
	if (r < 0) {
		return r == -ENOENT ? 0 : libvirt_read_fault(r, fault);
	}
	command = strf("{\"execute\":\"watchdog-set-action\",\"arguments\":{\"action\":\"%s\"}}",
		       action ? action : own);
	return command ? monitor_json(domain, command, -1, l, fault)
		       : fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

static int stub_connect(virDomainPtr domain, int *ret_fd, struct libvirt_link *l,
			struct fault *fault)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	int pair[2], r;

	r = monitor_line(domain, "gdbserver none", l, fault);
	if (r < 0) {
		return r;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return fault_set(fault, FAULT_INTERNAL, "No socket: %s", strerror(errno));
	}
	ours = pair[0];
	theirs = pair[1];
	r = monitor_json(domain,
			 "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"" STUB_NAME "\"}}",
			 theirs, l, fault);
	if (r == 0) {
		r = monitor_json(domain,
				 "{\"execute\":\"chardev-add\",\"arguments\":{\"id\":\"" STUB_NAME
				 "\",\"backend\":{\"type\":\"socket\",\"data\":{\"server\":false,"
				 "\"addr\":{\"type\":\"fd\",\"data\":{\"str\":\"" STUB_NAME
				 "\"}}}}}}",
				 -1, l, fault);
	}
	if (r == 0) {
		r = monitor_line(domain, "gdbserver chardev:" STUB_NAME, l, fault);
	}
	if (r == 0) {
		*ret_fd = TAKE_FD(ours);
	}
	return r;
}

int libvirt_gdb_open(struct hypervisor *hv, const char *name, bool may_stop, int *ret_fd,
		     struct fault *fault)
{
	struct libvirt_link *l = libvirt_link_of(hv);
	_cleanup_domain_ virDomainPtr domain = NULL;
	enum domain_state state;
	struct fault later;
	int r = libvirt_domain_get(hv, name, &domain, fault);

	if (r < 0) {
		return r;
	}
	state = libvirt_domain_state(domain);
	if (!libvirt_state_active(state) || state == DOMAIN_CRASHED) {
		return fault_set(fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	if (state != DOMAIN_PAUSED && !may_stop) {
		return fault_set(fault, FAULT_VM_NOT_STOPPED,
				 "The VM runs, and only who controls its debugger may stop it");
	}
	r = watchdog_set(domain, "none", l, fault);
	if (r == 0) {
		r = stub_connect(domain, ret_fd, l, fault);
	}
	if (r < 0) {
		r = libvirt_gdb_close(hv, name, false, state == DOMAIN_RUNNING, &later);
		return -EREMOTEIO;
	}
	return r;
}

/* Reads until the packet is whole. */
static int stub_answer(int fd)
{
	struct gdb_reader reader;
	enum gdb_event event = GDB_MORE;
	int r = 0;

	gdb_reader_init(&reader, true);
	while (r == 0 && event != GDB_PACKET) {
		struct pollfd poller = { .fd = fd, .events = POLLIN };
		uint8_t byte;
		size_t used;

		if (poll(&poller, 1, STUB_TIMEOUT_MS) <= 0 || read(fd, &byte, 1) != 1) {
			r = -EIO;
		} else {
			r = gdb_reader_input(&reader, &byte, 1, &used, &event);
		}
	}
	gdb_reader_fini(&reader);
	return r;
}

/* Breakpoints outlive a stub's connection: somebody died. The emulator removes all when a debugger
 * that comes asks why its guest has stopped. */
static int breakpoints_remove(virDomainPtr domain, struct libvirt_link *l, struct fault *fault)
{
	_cleanup_close_ int fd = -1;
	int r = stub_connect(domain, &fd, l, fault);

	if (r == 0 && (write_all(fd, "$?#3f", 5) < 0 || stub_answer(fd) < 0)) {
		r = fault_set(fault, FAULT_HYPERVISOR_FAILED,
			      "The VM's breakpoints could not be removed");
	}
	return r;
}

int libvirt_gdb_close(struct hypervisor *hv, const char *name, bool left, bool resume,
		      struct fault *fault)
{
	struct libvirt_link *l = libvirt_link_of(hv);
	_cleanup_domain_ virDomainPtr domain = NULL;
	struct fault later;
	int r = libvirt_domain_get(hv, name, &domain, fault), k;

	if (r < 0 || !libvirt_state_active(libvirt_domain_state(domain))) {
		return r;
	}
	/* Each is tried whatever became of the others. */
	r = left ? breakpoints_remove(domain, l, fault) : 0;
	k = monitor_line(domain, "gdbserver none", l, r < 0 ? &later : fault);
	r = r < 0 ? r : k;
	k = watchdog_set(domain, NULL, l, r < 0 ? &later : fault);
	r = r < 0 ? r : k;
	if (resume && libvirt_domain_state(domain) == DOMAIN_PAUSED) {
		k = libvirt_domain_power(l, domain, POWER_RESUME, DOMAIN_PAUSED,
					 r < 0 ? &later : fault);
		r = r < 0 ? r : k;
	}
	return r;
}
