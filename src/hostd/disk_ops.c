/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.disk and detach.disk: the disks of a target that is off, in the D-VM.
 *
 * The order makes every point safe to die at: what is to be lent, with the owners of now, stands in
 * session.json before an owner changes; it leaves the file when the D-VM has let go and the owners
 * are as they were.
 */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "lend.h"
#include "log.h"
#include "methods.h"
#include "parse.h"
#include "session_file.h"

#define TARGETS_MAX 64
#define UNPLUG_PATIENCE_MS 10000

static uid_t uid_of(const json_t *state)
{
	return (uid_t)json_integer_value(json_object_get(state, "uid"));
}

/* One disk's entry: {"serial", "source", "format", "block", "lent"}. */
static int disk_entry(const struct hostd *h, const struct domain_disk *disk, unsigned index,
		      bool readonly, json_t **ret, struct fault *fault)
{
	json_t *plan = NULL;
	char serial[DISK_SERIAL_MAX + 1];
	int r;

	if (snprintf(serial, sizeof(serial), "t%u-%s", index, disk->dev) >= (int)sizeof(serial)) {
		return fault_set(fault, FAULT_NOT_SUPPORTED,
				 "Disk %s has a name too long to attach it", disk->dev);
	}
	if (disk->backend == DISK_BACKEND_OTHER) {
		fault_set(fault, FAULT_NOT_SUPPORTED, "Disk %s is not a file or block device",
			  disk->dev);
		return -EREMOTEIO;
	}
	if (h->root) {
		r = lend_plan(disk, readonly, &plan, fault);
		if (r < 0) {
			return r;
		}
	}
	*ret = json_pack("{sssssssbso*}", "serial", serial, "source", disk->source, "format",
			 disk->format, "block", disk->backend == DISK_BACKEND_BLOCK, "lent", plan);
	return *ret ? 0 : fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

/* All disks of the target, CD-ROMs and empty drives left out. */
static int attach_plan(struct op *op, const char *vm, const struct domain_info *info,
		       uint64_t index, bool readonly, json_t **ret)
{
	json_auto_t *disks = json_array();

	for (size_t i = 0; i < info->n_disks; i++) {
		const struct domain_disk *disk = &info->disks[i];
		json_t *entry;
		int r;

		if (disk->cdrom || (!disk->source && disk->backend != DISK_BACKEND_OTHER)) {
			continue;
		}
		r = disk_entry(op->hostd, disk, (unsigned)index, readonly || disk->readonly, &entry,
			       &op->fault);
		if (r < 0) {
			return r;
		}
		json_object_set_new(entry, "readonly", json_boolean(readonly || disk->readonly));
		json_array_append_new(disks, entry);
	}
	if (json_array_size(disks) == 0) {
		return fault_set(&op->fault, FAULT_NOT_SUPPORTED,
				 "The VM has no disk that could be attached");
	}
	*ret = json_pack("{sssssIsssO}", "vm", vm, "domain", info->uuid, "index", (json_int_t)index,
			 "mode", readonly ? "ro" : "rw", "disks", disks);
	return *ret ? 0 : op_no_memory(op);
}

static int attach_one(struct hostd *h, const char *session, const json_t *state, const json_t *disk,
		      struct fault *fault)
{
	struct dvm_disk spec = {
		.session = session,
		.serial = session_string(disk, "serial"),
		.source = session_string(disk, "source"),
		.format = session_string(disk, "format"),
		.backend = json_is_true(json_object_get(disk, "block")) ? DISK_BACKEND_BLOCK
									: DISK_BACKEND_FILE,
		.readonly = json_is_true(json_object_get(disk, "readonly")),
	};
	int r;

	r = lend_give(json_object_get(disk, "lent"), uid_of(state), fault);
	if (r == 0) {
		r = op_failpoint(fault, "hostd.attach.disk.lent");
	}
	return r < 0 ? r : h->hv->ops->dvm_disk_attach(h->hv, &spec, fault);
}

static int detach_entry(struct hostd *h, const char *session, const json_t *state,
			const json_t *entry, struct fault *fault)
{
	const json_t *disk;
	size_t i;
	int r;

	json_array_foreach(json_object_get(entry, "disks"), i, disk)
	{
		r = h->hv->ops->dvm_disk_detach(h->hv, session, session_string(disk, "serial"),
						UNPLUG_PATIENCE_MS, fault);
		if (r == 0) {
			r = op_failpoint(fault, "hostd.detach.disk.gone");
		}
		if (r < 0) {
			return r;
		}
		lend_return(json_object_get(disk, "lent"), uid_of(state));
	}
	return 0;
}

static json_t *devices_json(const json_t *entry)
{
	json_t *devices = json_array();
	const json_t *disk;
	size_t i;

	json_array_foreach(json_object_get(entry, "disks"), i, disk)
	{
		json_array_append(devices, json_object_get(disk, "serial"));
	}
	return json_pack("{so}", "devices", devices);
}

static int target_off(struct op *op, const char *domain, bool readonly, struct domain_info *ret)
{
	int r;

	r = op->hostd->hv->ops->get(op->hostd->hv, domain, ret, &op->fault);
	if (r < 0) {
		return r;
	}
	if (ret->state != DOMAIN_OFF) {
		fault_set(&op->fault, FAULT_VM_RUNNING, "The VM is running: its disks are in use");
		fault_hint(
			&op->fault,
			readonly
				? "Reading the disk of a running VM is not possible yet; switch it "
				  "off first: dvm power off VM"
				: "Switch it off first: dvm power off VM");
		return -EREMOTEIO;
	}
	return 0;
}

static bool mode_valid(const char *s)
{
	return strcmp(s, "ro") == 0 || strcmp(s, "rw") == 0;
}

/* Undoes a first attachment that failed half-way, so that the target is not left fenced. */
static void attach_undo(struct op *op, const char *session, const char *vm, json_t *state,
			const json_t *entry)
{
	struct fault fault;

	if (detach_entry(op->hostd, session, state, entry, &fault) < 0) {
		log_warn("%s: disks of %s not detached: %s", session, vm, fault.message);
		return; /* the entry stays for detach.disk or session.release */
	}
	session_entry_remove(state, "disks", vm);
	if (session_save(op->hostd, session, state, &fault) < 0) {
		log_warn("%s: %s", session, fault.message);
	}
}

static int attach_disk(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *session = op_string(op, "session", session_id_valid);
	const char *vm = op_string(op, "vm", vm_id_valid);
	const char *domain = op_string(op, "domain", domain_ref_valid);
	const char *mode = op_string(op, "mode", mode_valid);
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	json_auto_t *state = NULL, *entry = NULL;
	const json_t *disk;
	uint64_t index;
	size_t i;
	int r;

	if (!session || !vm || !domain || !mode ||
	    op_number(op, "index", 0, TARGETS_MAX - 1, &index) < 0) {
		return -EREMOTEIO;
	}
	r = op_failpoint(&op->fault, "hostd.attach.disk.begin");
	if (r == 0) {
		r = session_load(h, session, &state, &op->fault);
	}
	if (r == 0) {
		r = target_off(op, domain, mode[1] == 'o', &info);
	}
	if (r < 0) {
		return r;
	}
	entry = json_incref(session_entry(state, "disks", vm));
	if (entry && strcmp(session_string(entry, "mode"), mode) != 0) {
		fault_set(&op->fault, FAULT_ALREADY_ATTACHED,
			  "The VM's disks are attached in another mode");
		fault_hint(&op->fault, "Detach them first.");
		return -EREMOTEIO;
	}
	if (!entry) {
		r = attach_plan(op, vm, &info, index, mode[1] == 'o', &entry);
		if (r < 0) {
			return r;
		}
		json_array_append(json_object_get(state, "disks"), entry);
		r = session_save(h, session, state, &op->fault);
	}
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.attach.disk.recorded");
	}
	json_array_foreach(json_object_get(entry, "disks"), i, disk)
	{
		if (r == 0) {
			r = attach_one(h, session, state, disk, &op->fault);
		}
	}
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.attach.disk.attached");
	}
	if (r < 0) {
		attach_undo(op, session, vm, state, entry);
		return r;
	}
	op->result = devices_json(entry);
	return op->result ? 0 : op_no_memory(op);
}

static int detach_disk(struct op *op)
{
	const char *session = op_string(op, "session", session_id_valid);
	const char *vm = op_string(op, "vm", vm_id_valid);
	json_auto_t *state = NULL;
	const json_t *entry;
	int r;

	if (!session || !vm) {
		return -EREMOTEIO;
	}
	r = op_failpoint(&op->fault, "hostd.detach.disk.begin");
	if (r == 0) {
		r = session_load(op->hostd, session, &state, &op->fault);
	}
	if (r < 0) {
		return op->fault.code == FAULT_NOT_FOUND ? 0 : r;
	}
	entry = session_entry(state, "disks", vm);
	if (!entry) {
		return 0;
	}
	r = detach_entry(op->hostd, session, state, entry, &op->fault);
	if (r < 0) {
		return r;
	}
	session_entry_remove(state, "disks", vm);
	return session_save(op->hostd, session, state, &op->fault);
}

void disks_return_all(struct hostd *h, const json_t *state)
{
	const json_t *entry, *disk;
	size_t i, j;

	json_array_foreach(json_object_get(state, "disks"), i, entry)
	{
		json_array_foreach(json_object_get(entry, "disks"), j, disk)
		{
			lend_return(json_object_get(disk, "lent"), uid_of(state));
		}
	}
}

struct lent_search {
	struct hostd *hostd;
	const char *domain;
};

static int lent_compare(const char *session, void *user)
{
	const struct lent_search *search = user;
	json_auto_t *state = NULL;
	const json_t *entry;
	struct fault fault;
	size_t i;

	if (session_load(search->hostd, session, &state, &fault) < 0) {
		return 0;
	}
	json_array_foreach(json_object_get(state, "disks"), i, entry)
	{
		if (strcmp(session_string(entry, "domain"), search->domain) == 0) {
			return 1;
		}
	}
	return 0;
}

bool disks_lent(struct hostd *h, const char *domain_uuid)
{
	struct lent_search search = { .hostd = h, .domain = domain_uuid };

	return session_each(h, lent_compare, &search) == 1;
}

const struct op_method disk_methods[] = {
	{ .name = "attach.disk", .key = "session", .run = attach_disk },
	{ .name = "detach.disk", .key = "session", .run = detach_disk },
	{ .name = NULL },
};
