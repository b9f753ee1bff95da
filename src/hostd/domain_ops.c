/* SPDX-License-Identifier: Apache-2.0 */
/* host.* and domain.*: what the host and its VMs are, and their power. */
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "hostinfo.h"
#include "log.h"
#include "methods.h"
#include "parse.h"

static int host_info(struct op *op)
{
	uint64_t free_mib = 0, total_mib = 0;

	host_memory(&free_mib, &total_mib);
	op->result = json_pack("{sssIsIsI}", "hypervisor",
			       op->hostd->hv->ops->alive(op->hostd->hv) ? "up" : "down",
			       "memory_free_mib", (json_int_t)free_mib, "memory_total_mib",
			       (json_int_t)total_mib, "vcpus",
			       (json_int_t)sysconf(_SC_NPROCESSORS_ONLN));
	return op->result ? 0 : op_no_memory(op);
}

static int domain_list(struct op *op)
{
	_cleanup_(domain_list_fini) struct domain_list list = { 0 };
	json_t *domains;
	int r;

	r = op->hostd->hv->ops->list(op->hostd->hv, &list, &op->fault);
	if (r < 0) {
		return r;
	}
	domains = json_array();
	for (size_t i = 0; i < list.n_domains; i++) {
		const struct domain_brief *d = &list.domains[i];

		json_array_append_new(
			domains, json_pack("{ssssssss?}", "uuid", d->uuid, "name", d->name, "state",
					   domain_state_name(d->state), "dvm_session",
					   domain_is_our_dvm(op->hostd, d) ? d->session : NULL));
	}
	op->result = json_pack("{so}", "domains", domains);
	return op->result ? 0 : op_no_memory(op);
}

static json_t *disks_json(const struct domain_info *info)
{
	json_t *disks = json_array();

	for (size_t i = 0; i < info->n_disks; i++) {
		const struct domain_disk *disk = &info->disks[i];

		json_array_append_new(disks, json_pack("{sssIsbss}", "dev", disk->dev, "size_bytes",
						       (json_int_t)disk->size_bytes, "readonly",
						       disk->readonly, "kind",
						       disk->cdrom ? "cdrom" : "disk"));
	}
	return disks;
}

static int domain_get(struct op *op)
{
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	const char *domain = op_string(op, "domain", domain_ref_valid);
	json_t *consoles, *graphics;
	int r;

	if (!domain) {
		return -EREMOTEIO;
	}
	r = op->hostd->hv->ops->get(op->hostd->hv, domain, &info, &op->fault);
	if (r < 0) {
		return r;
	}
	consoles = json_array();
	graphics = json_array();
	for (size_t i = 0; i < info.n_consoles; i++) {
		json_array_append_new(consoles, json_pack("{sssb}", "type", info.consoles[i].type,
							  "usable", info.consoles[i].usable));
	}
	for (size_t i = 0; i < info.n_graphics; i++) {
		json_array_append_new(graphics, json_string(info.graphics[i]));
	}
	op->result =
		json_pack("{sssssssIsIsososo}", "uuid", info.uuid, "name", info.name, "state",
			  domain_state_name(info.state), "memory_mib", (json_int_t)info.memory_mib,
			  "vcpus", (json_int_t)info.vcpus, "disks", disks_json(&info), "consoles",
			  consoles, "graphics", graphics);
	return op->result ? 0 : op_no_memory(op);
}

static int power(struct op *op, const char *domain, enum power_verb verb, enum domain_state *ret)
{
	return op->hostd->hv->ops->power(op->hostd->hv, domain, verb, ret, &op->fault);
}

/* Starts it held, lets the console listen, then lets it run: the firmware's first byte is not lost.
 * A console that cannot be had does not keep the VM from running. Converges from any point at which
 * it was broken off. */
static int power_on(struct op *op, const char *vm, const char *domain, bool hold,
		    enum domain_state *ret)
{
	struct hostd *h = op->hostd;
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	struct fault console;
	int r;

	r = h->hv->ops->get(h->hv, domain, &info, &op->fault);
	if (r < 0 || info.state == DOMAIN_RUNNING) {
		*ret = info.state;
		return r;
	}
	if (disks_lent(h, info.uuid)) {
		fault_set(&op->fault, FAULT_VM_FENCED,
			  "A disk of the VM is attached to a debug VM");
		fault_hint(&op->fault, "Detach it first.");
		return -EREMOTEIO;
	}
	r = power(op, domain, POWER_ON, ret);
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.power.held");
	}
	if (r < 0) {
		return r;
	}
	if (relay_exists(h, vm, NULL) &&
	    console_refresh(h, vm, info.state == DOMAIN_OFF, &console) < 0) {
		log_warn("%s: starting without its console: %s", vm, console.message);
	}
	ports_refresh(h, vm, info.state == DOMAIN_OFF);
	return hold ? 0 : power(op, domain, POWER_RESUME, ret);
}

/* It is at its first instruction then, and waits. */
static int reset_held(struct op *op, const char *domain, enum domain_state *ret)
{
	int r = power(op, domain, POWER_PAUSE, ret);

	return r < 0 ? r : power(op, domain, POWER_RESET, ret);
}

static int domain_power(struct op *op)
{
	const char *domain = op_string(op, "domain", domain_ref_valid);
	const char *vm = op_string(op, "vm", vm_id_valid);
	const char *name = op_string(op, "verb", name_valid);
	enum domain_state state = DOMAIN_UNKNOWN;
	enum power_verb verb;
	int r;

	if (!domain || !vm || !name) {
		return -EREMOTEIO;
	}
	if (power_verb_parse(name, &verb) < 0) {
		return fault_set(&op->fault, FAULT_BAD_VALUE, "There is no power verb \"%s\"",
				 name);
	}
	if (verb == POWER_RESUME && gdb_let_go(op->hostd, vm)) {
		op->result = json_pack("{ss}", "state", domain_state_name(DOMAIN_RUNNING));
		return op->result ? 0 : op_no_memory(op);
	}
	if (verb == POWER_ON) {
		r = power_on(op, vm, domain, op_true(op, "hold"), &state);
	} else if (verb == POWER_RESET && op_true(op, "hold")) {
		r = reset_held(op, domain, &state);
	} else {
		r = power(op, domain, verb, &state);
	}
	if (r < 0) {
		return r;
	}
	op->result = json_pack("{ss}", "state", domain_state_name(state));
	return op->result ? 0 : op_no_memory(op);
}

const struct op_method domain_methods[] = {
	{ .name = "host.info", .run = host_info },
	{ .name = "domain.list", .run = domain_list },
	{ .name = "domain.get", .run = domain_get },
	{ .name = "domain.power", .key = "vm", .run = domain_power },
	{ .name = NULL },
};
