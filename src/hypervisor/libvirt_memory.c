/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A domain's memory and registers at libvirt.
 *
 * libvirt tells neither: the emulator's own monitor does (`info mtree -f`, `gpa2hva`, `info
 * registers -a`), none of which stops the guest. A monitor command taints the domain
 * ("custom-monitor"), which only says so in the operator's log. Which of the address space's memory
 * is the guest's RAM say the names of the memory objects: a display's memory and firmware have
 * none.
 */
#include "libvirt_memory.h"

#include <errno.h>
#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "emulator_process.h"
#include "libvirt_domain.h"
#include "monitor_text.h"
#include "parse.h"

#define PAGE 4096
/* While it is being read the layout may change under us: then it is read again. */
#define TRIES 5

static int monitor(struct hypervisor *hv, virDomainPtr domain, const char *command, bool for_people,
		   char **ret, struct fault *fault)
{
	if (virDomainQemuMonitorCommand(domain, command, ret,
					for_people ? VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP : 0) < 0) {
		return libvirt_link_fault(libvirt_link_of(hv), fault, "look at the VM's memory");
	}
	return 0;
}

static int no_sense(struct fault *fault)
{
	return fault_set(fault, FAULT_NOT_SUPPORTED,
			 "The memory of this VM cannot be read while it runs");
}

/* Where the emulator has one page. */
static int page_find(struct hypervisor *hv, virDomainPtr domain, uint64_t address, const char *name,
		     uint64_t *ret, struct fault *fault)
{
	_cleanup_free_ char *command = strf("gpa2hva 0x%llx", (unsigned long long)address);
	_cleanup_free_ char *text = NULL;
	char found[64];
	int r;

	if (!command) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	r = monitor(hv, domain, command, true, &text, fault);
	if (r < 0) {
		return r;
	}
	if (monitor_read_hva(text, found, ret) < 0 || strcmp(found, name) != 0) {
		return no_sense(fault);
	}
	return 0;
}

/* A piece is one mapping of the emulator's: the first page that is surely seen and the last must
 * say so. */
static int piece_place(struct hypervisor *hv, virDomainPtr domain, const struct memory_piece *piece,
		       struct domain_range *ret, struct fault *fault)
{
	uint64_t first, last;
	int r = page_find(hv, domain, piece->address + piece->sure, piece->name, &first, fault);

	if (r == 0) {
		r = page_find(hv, domain, piece->address + piece->length - PAGE, piece->name, &last,
			      fault);
	}
	if (r < 0) {
		return r;
	}
	first -= piece->sure;
	if (first % PAGE != 0 || last - first != piece->length - PAGE) {
		return no_sense(fault);
	}
	*ret = (struct domain_range){ .address = piece->address,
				      .length = piece->length,
				      .place = first };
	return 0;
}

static int layout_read(struct hypervisor *hv, virDomainPtr domain, struct domain_memory *ret,
		       struct fault *fault)
{
	_cleanup_free_ char *devices = NULL, *tree = NULL;
	struct memory_piece pieces[DOMAIN_RANGES_MAX];
	json_auto_t *answer = NULL;
	struct memory_names names;
	int r = monitor(hv, domain, "{\"execute\":\"query-memdev\"}", false, &devices, fault);

	if (r == 0) {
		r = monitor(hv, domain, "info mtree -f", true, &tree, fault);
	}
	if (r < 0) {
		return r;
	}
	answer = json_loads(devices, 0, NULL);
	if (monitor_read_memdev(answer, &names) < 0 ||
	    monitor_read_mtree(tree, &names, pieces, &ret->n_ranges) < 0) {
		return no_sense(fault);
	}
	for (size_t i = 0; r == 0 && i < ret->n_ranges; i++) {
		r = piece_place(hv, domain, &pieces[i], &ret->ranges[i], fault);
	}
	return r;
}

static bool ranges_equal(const struct domain_memory *a, const struct domain_memory *b)
{
	return a->n_ranges == b->n_ranges &&
	       memcmp(a->ranges, b->ranges, a->n_ranges * sizeof(a->ranges[0])) == 0;
}

/* Twice the same, so that no plugging in or out of memory fell between the questions. */
static int layout_settle(struct hypervisor *hv, virDomainPtr domain, struct domain_memory *ret,
			 struct fault *fault)
{
	struct domain_memory again = { 0 };
	int r = layout_read(hv, domain, ret, fault);

	for (unsigned i = 0; r == 0 && i < TRIES; i++) {
		r = layout_read(hv, domain, &again, fault);
		if (r < 0 || ranges_equal(ret, &again)) {
			return r;
		}
		memcpy(ret->ranges, again.ranges, sizeof(again.ranges));
		ret->n_ranges = again.n_ranges;
	}
	return r < 0 ? r : no_sense(fault);
}

/* Where libvirt keeps the pid files: of the system's daemon, or of the user's own. */
static char *run_folder(virDomainPtr domain)
{
	_cleanup_free_ char *uri = virConnectGetURI(virDomainGetConnect(domain));
	const char *runtime = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");

	if (!uri || !strstr(uri, "/session")) {
		return strdup("/run/libvirt/qemu");
	}
	return runtime ? strf("%s/libvirt/qemu/run", runtime)
		       : strf("%s/.cache/libvirt/qemu/run", home ? home : "");
}

static int process_open(virDomainPtr domain, const struct domain_info *info, int *ret_fd,
			struct fault *fault)
{
	_cleanup_free_ char *folder = run_folder(domain);
	int r = folder ? emulator_memory_open(folder, info->name, info->uuid, ret_fd) : -ENOMEM;

	if (r == -EACCES || r == -EPERM) {
		return fault_set(fault, FAULT_NOT_SUPPORTED,
				 "The host does not let the memory of this VM be read");
	}
	return r < 0 ? fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The VM's memory could not be opened: %s", strerror(-r))
		     : 0;
}

/* The domain, if it runs: on, or stopped with its memory as it is. */
static int running_get(struct hypervisor *hv, const char *name, struct domain_info *ret_info,
		       virDomainPtr *ret, struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r = libvirt_domain_get(hv, name, &domain, fault);

	if (r == 0) {
		r = libvirt_domain_info(libvirt_link_of(hv), domain, ret_info, NULL, fault);
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

int libvirt_memory_open(struct hypervisor *hv, const char *name, struct domain_memory *ret,
			struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	struct domain_memory memory = { .fd = -1 };
	_cleanup_close_ int fd = -1;
	int r = running_get(hv, name, &info, &domain, fault);

	if (r == 0) {
		r = process_open(domain, &info, &fd, fault);
	}
	if (r == 0) {
		r = layout_settle(hv, domain, &memory, fault);
	}
	if (r < 0) {
		return r;
	}
	/* What the monitor said was this run's, if it is this run still. */
	if (virDomainGetID(domain) != info.run) {
		return fault_set(fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	memory.run = info.run;
	memory.vcpus = MAX(info.vcpus, 1u);
	*ret = memory;
	ret->fd = TAKE_FD(fd);
	return 0;
}

int libvirt_registers(struct hypervisor *hv, const char *name, struct cpu_state *ret, size_t *ret_n,
		      struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_free_ char *text = NULL;
	int r = libvirt_domain_get(hv, name, &domain, fault);

	if (r == 0 && virDomainGetID(domain) == (unsigned)-1) {
		r = fault_set(fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	if (r == 0) {
		r = monitor(hv, domain, "info registers -a", true, &text, fault);
	}
	if (r < 0) {
		return r;
	}
	return monitor_read_registers(text, ret, ret_n) < 0 ? no_sense(fault) : 0;
}
