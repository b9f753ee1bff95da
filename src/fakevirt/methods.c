/* SPDX-License-Identifier: Apache-2.0 */
/* The methods of the hypervisor that is pretended; see PROTOCOL.fakevirt. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "fakevirt.h"
#include "file.h"
#include "parse.h"

struct call {
	struct fakevirt *f;
	struct rpc_peer *peer;
	json_t *params, *result;
	struct fault fault;
};

static const char *param(const struct call *c, const char *key)
{
	const char *value = json_string_value(json_object_get(c->params, key));

	return value ? value : "";
}

static struct fake_domain *param_domain(struct call *c)
{
	struct fake_domain *d = fake_domain_find(c->f, param(c, "domain"));

	if (!d) {
		fault_set(&c->fault, FAULT_VM_GONE, "The hypervisor has no such VM");
	}
	return d;
}

static struct fake_domain *param_dvm(struct call *c)
{
	struct fake_domain *d = fake_dvm_find(c->f, param(c, "session"));

	if (!d) {
		fault_set(&c->fault, FAULT_DVM_LOST, "The session's debug VM is gone");
	}
	return d;
}

static int domain_list(struct call *c)
{
	json_t *list = json_array();
	struct fake_domain *d;

	list_for_each (d, &c->f->domains, link) {
		json_array_append_new(list, fake_domain_json(d));
	}
	c->result = json_pack("{so}", "domains", list);
	return 0;
}

static int domain_get(struct call *c)
{
	const struct fake_domain *d = param_domain(c);

	c->result = d ? fake_domain_json(d) : NULL;
	return d ? 0 : -EREMOTEIO;
}

static int domain_power(struct call *c)
{
	struct fake_domain *d = param_domain(c);
	char uuid[DOMAIN_UUID_LEN + 1];
	enum power_verb verb;
	int r;

	if (!d) {
		return -EREMOTEIO;
	}
	if (power_verb_parse(param(c, "verb"), &verb) < 0) {
		return fault_set(&c->fault, FAULT_BAD_VALUE, "There is no such verb");
	}
	memcpy(uuid, d->uuid, sizeof(uuid));
	r = fake_domain_power(d, verb, &c->fault);
	if (r == 0) {
		d = fake_domain_find(c->f, uuid); /* a transient one may have gone */
		c->result =
			json_pack("{ss}", "state", domain_state_name(d ? d->state : DOMAIN_OFF));
	}
	return r;
}

static int domain_console(struct call *c)
{
	const struct fake_domain *d = param_domain(c);

	if (!d) {
		return -EREMOTEIO;
	}
	if (d->state == DOMAIN_OFF) {
		return fault_set(&c->fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	c->result = json_pack("{sssi}", "path", d->console.path, "run", (int)d->run);
	return 0;
}

static int domain_port(struct call *c)
{
	const struct fake_domain *d = param_domain(c);
	enum vm_port port;

	if (!d) {
		return -EREMOTEIO;
	}
	if (vm_port_parse(param(c, "port"), &port) < 0 || !d->has_port[port]) {
		return fault_set(&c->fault, FAULT_CONSOLE_UNSUPPORTED, "The VM has no such port");
	}
	if (d->state == DOMAIN_OFF) {
		return fault_set(&c->fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	c->result = json_pack("{sssi}", "path", d->ports[port].port.path, "run", (int)d->run);
	return 0;
}

/* A file is the VM's memory, as long as it runs: two ranges with a hole between them. */
static int domain_memory(struct call *c)
{
	struct fake_domain *d = param_domain(c);
	json_int_t bytes = d ? (json_int_t)d->memory_mib << 20 : 0;

	if (!d) {
		return -EREMOTEIO;
	}
	if (d->state == DOMAIN_OFF) {
		return fault_set(&c->fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	if (fake_memory_make(d) < 0) {
		return fault_set(&c->fault, FAULT_HYPERVISOR_FAILED, "There is no memory");
	}
	c->result = json_pack("{sssisis[[III][III]]}", "path", d->memory, "run", (int)d->run,
			      "vcpus", (int)d->vcpus, "ranges", (json_int_t)0, (json_int_t)0xa0000,
			      (json_int_t)0, (json_int_t)0x100000, bytes - 0x100000,
			      (json_int_t)0x100000);
	return c->result ? 0 : -ENOMEM;
}

/* Each register has the number of its vCPU and its own in it, and rax how often one has looked. */
static int domain_registers(struct call *c)
{
	struct fake_domain *d = param_domain(c);
	json_t *cpus = json_array();

	if (!d || d->state == DOMAIN_OFF) {
		json_decref(cpus);
		return d ? fault_set(&c->fault, FAULT_VM_NOT_RUNNING, "The VM is off") : -EREMOTEIO;
	}
	d->looked++;
	for (unsigned i = 0; i < d->vcpus; i++) {
		json_t *cpu = json_array();

		for (unsigned k = 0; k < CPU_NUMBERS; k++) {
			json_array_append_new(
				cpu, json_integer(k == 0 ? d->looked : (json_int_t)i << 8 | k));
		}
		json_array_append_new(cpus, cpu);
	}
	c->result = json_pack("{so}", "cpus", cpus);
	return 0;
}

static int domain_break(struct call *c)
{
	struct fake_domain *d = param_domain(c);

	if (!d) {
		return -EREMOTEIO;
	}
	if (d->state == DOMAIN_OFF) {
		return fault_set(&c->fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	fake_port_write(&d->console, "[break]", 7);
	return 0;
}

static struct fake_domain *param_running(struct call *c)
{
	struct fake_domain *d = param_domain(c);

	if (d && d->state == DOMAIN_OFF) {
		fault_set(&c->fault, FAULT_VM_NOT_RUNNING, "The VM is off");
		return NULL;
	}
	if (d && !d->display) {
		fault_set(&c->fault, FAULT_DISPLAY_UNSUPPORTED, "The VM has no display");
		return NULL;
	}
	return d;
}

static int domain_display(struct call *c)
{
	const struct fake_domain *d = param_running(c);

	c->result = d ? json_pack("{ss}", "path", fake_display_path(d->display)) : NULL;
	return d ? 0 : -EREMOTEIO;
}

static int domain_gdb(struct call *c)
{
	struct fake_domain *d = param_domain(c);
	_cleanup_free_ char *path = NULL;

	if (!d) {
		return -EREMOTEIO;
	}
	if (d->state != DOMAIN_RUNNING && d->state != DOMAIN_PAUSED) {
		return fault_set(&c->fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	if (d->state == DOMAIN_RUNNING && !json_is_true(json_object_get(c->params, "may_stop"))) {
		return fault_set(&c->fault, FAULT_VM_NOT_STOPPED, "The VM runs");
	}
	path = strf("%s/gdb-%u.sock", c->f->folder, d->run);
	if (!path || fake_gdb_open(d, path) < 0 ||
	    fake_domain_power(d, POWER_PAUSE, &c->fault) < 0) {
		return fault_set(&c->fault, FAULT_HYPERVISOR_FAILED, "There is no stub");
	}
	c->result = json_pack("{ss}", "path", fake_gdb_path(d->gdb));
	return 0;
}

static int domain_gdb_off(struct call *c)
{
	struct fake_domain *d = param_domain(c);

	if (!d) {
		return -EREMOTEIO;
	}
	if (d->gdb && json_is_true(json_object_get(c->params, "left"))) {
		fake_gdb_clean(d->gdb);
	}
	if (d->gdb) {
		fake_gdb_off(d->gdb);
	}
	if (d->state == DOMAIN_PAUSED && json_is_true(json_object_get(c->params, "resume"))) {
		return fake_domain_power(d, POWER_RESUME, &c->fault);
	}
	return 0;
}

static int domain_screenshot(struct call *c)
{
	const struct fake_domain *d = param_running(c);
	_cleanup_free_ char *made = NULL;

	if (!d) {
		return -EREMOTEIO;
	}
	made = strf("%s/screen.png", c->f->folder);
	if (!made || (!d->screen && fake_screen_make(made) < 0)) {
		return fault_set(&c->fault, FAULT_HYPERVISOR_FAILED, "There is no picture");
	}
	c->result = json_pack("{ss}", "path", d->screen ? d->screen : made);
	return 0;
}

static int domain_keys(struct call *c)
{
	const struct fake_domain *d = param_running(c);

	if (d) {
		fake_display_key(d->display, json_object_get(c->params, "codes"));
	}
	return d ? 0 : -EREMOTEIO;
}

/* What stands in a memory image: all that a D-VM must be like to start from it. */
static char *memory_text(const struct fake_domain *d)
{
	return strf("memory of %s %u MiB %u\n", d->image, d->memory_mib, d->vcpus);
}

/* `path`: "" to boot. */
static int memory_check(struct fake_domain *d, const char *path, struct fault *fault)
{
	_cleanup_free_ char *wanted = memory_text(d), *text = NULL;
	size_t len;

	d->from_memory = path[0];
	if (path[0] &&
	    (!wanted || file_read(path, 4096, &text, &len) < 0 || strcmp(text, wanted) != 0)) {
		return fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The debug VM could not be started from its memory image");
	}
	return 0;
}

static int dvm_settled(struct call *c)
{
	const struct fake_domain *d = param_dvm(c);

	c->result = d ? json_pack("{sb}", "settled", d->agent_pid > 0) : NULL;
	return d ? 0 : -EREMOTEIO;
}

static int dvm_save(struct call *c)
{
	struct fake_domain *d = param_dvm(c);
	_cleanup_free_ char *text = d ? memory_text(d) : NULL;

	if (!d) {
		return -EREMOTEIO;
	}
	if (!text || file_write_atomic(param(c, "path"), text, strlen(text), 0600) < 0) {
		return fault_set(&c->fault, FAULT_HYPERVISOR_FAILED,
				 "The debug VM's memory image could not be saved");
	}
	fake_domain_off(d, DOMAIN_EVENT_STOPPED);
	return 0;
}

static int dvm_create(struct call *c)
{
	_cleanup_free_ char *name = strf("dvm-%s", param(c, "session"));
	struct fake_domain *d;
	int r;

	if (fake_dvm_find(c->f, param(c, "session"))) {
		return 0;
	}
	if (!name || strlen(param(c, "session")) > DVM_SESSION_MAX ||
	    strlen(param(c, "image")) > 64 || strlen(param(c, "owner")) > DVM_OWNER_MAX ||
	    fake_domain_new(c->f, name, &d) < 0) {
		return fault_set(&c->fault, FAULT_HYPERVISOR_FAILED,
				 "The hypervisor could not start the debug VM");
	}
	strcpy(d->session, param(c, "session"));
	strcpy(d->image, param(c, "image"));
	strcpy(d->owner, param(c, "owner"));
	d->memory_mib = (unsigned)json_integer_value(json_object_get(c->params, "memory_mib"));
	d->vcpus = (unsigned)json_integer_value(json_object_get(c->params, "vcpus"));
	r = memory_check(d, param(c, "memory"), &c->fault);
	if (r == 0) {
		r = fake_dvm_start(d, &c->fault);
	}
	if (r < 0) {
		fake_domain_free(d);
	} else if (json_is_true(json_object_get(c->params, "paused"))) {
		r = fake_domain_power(d, POWER_PAUSE, &c->fault);
	}
	return r;
}

static int dvm_adopt(struct call *c)
{
	struct fake_domain *d = param_dvm(c);

	if (!d) {
		return -EREMOTEIO;
	}
	if (!param(c, "by")[0] || strlen(param(c, "by")) > DVM_SESSION_MAX ||
	    fake_dvm_find(c->f, param(c, "by"))) {
		return fault_set(&c->fault, FAULT_HYPERVISOR_FAILED,
				 "The hypervisor could not hand the debug VM over");
	}
	strcpy(d->session, param(c, "by"));
	return 0;
}

static int dvm_destroy(struct call *c)
{
	struct fake_domain *d = fake_dvm_find(c->f, param(c, "session"));

	if (d) {
		fake_domain_off(d, DOMAIN_EVENT_STOPPED);
	}
	return 0;
}

static int dvm_get(struct call *c)
{
	const struct fake_domain *d = param_dvm(c);

	c->result = d ? fake_domain_json(d) : NULL;
	return d ? 0 : -EREMOTEIO;
}

static int dvm_resume(struct call *c)
{
	struct fake_domain *d = param_dvm(c);

	return d ? fake_domain_power(d, POWER_RESUME, &c->fault) : -EREMOTEIO;
}

static int dvm_pause(struct call *c)
{
	struct fake_domain *d = param_dvm(c);

	return d ? fake_domain_power(d, POWER_PAUSE, &c->fault) : -EREMOTEIO;
}

static int dvm_tunnel(struct call *c)
{
	const struct fake_domain *d = param_dvm(c);

	c->result = d ? json_pack("{ss}", "path", d->tunnel.path) : NULL;
	return d ? 0 : -EREMOTEIO;
}

static size_t disk_at(const struct fake_domain *d, const char *serial)
{
	size_t i = 0;

	while (i < d->n_disks && strcmp(d->disks[i].serial, serial) != 0) {
		i++;
	}
	return i;
}

static int dvm_disk_attach(struct call *c)
{
	struct fake_domain *d = param_dvm(c);
	size_t i;

	if (!d) {
		return -EREMOTEIO;
	}
	i = disk_at(d, param(c, "serial"));
	if (i == d->n_disks) {
		return fake_disk_add(d, c->params, &c->fault);
	}
	if (d->disks[i].readonly != json_is_true(json_object_get(c->params, "readonly"))) {
		return fault_set(&c->fault, FAULT_ALREADY_ATTACHED,
				 "The disk is attached in another mode");
	}
	return 0;
}

static int dvm_disk_detach(struct call *c)
{
	struct fake_domain *d = fake_dvm_find(c->f, param(c, "session"));
	size_t i = d ? disk_at(d, param(c, "serial")) : 0;

	if (d && i < d->n_disks) {
		free(d->disks[i].source);
		d->disks[i] = d->disks[--d->n_disks];
	}
	return 0;
}

static int dvm_port_attach(struct call *c)
{
	struct fake_domain *d = param_dvm(c);
	struct fake_dvm_port *port;
	bool parallel = json_is_true(json_object_get(c->params, "parallel"));

	if (!d || fake_dvm_port_attach(d, param(c, "port"), parallel, &port, &c->fault) < 0) {
		return -EREMOTEIO;
	}
	c->result = json_pack("{ss}", "place", port->place);
	return 0;
}

static int dvm_port_open(struct call *c)
{
	struct fake_domain *d = param_dvm(c);
	const struct fake_dvm_port *port;

	if (!d) {
		return -EREMOTEIO;
	}
	port = param(c, "port")[0] ? fake_dvm_port_find(d, param(c, "port")) : NULL;
	if (!port) {
		return fault_set(&c->fault, FAULT_HYPERVISOR_FAILED, "There is no such device");
	}
	c->result = json_pack("{ss}", "path", port->line.port.path);
	return 0;
}

static int dvm_port_detach(struct call *c)
{
	struct fake_domain *d = fake_dvm_find(c->f, param(c, "session"));

	if (d) {
		fake_dvm_port_detach(d, param(c, "port"));
	}
	return 0;
}

static int events_subscribe(struct call *c)
{
	fake_subscribe(c->f, c->peer);
	return 0;
}

static int hello(struct call *c)
{
	c->result = json_pack("{siss}", "protocol", 1, "program", "dvm-fakevirt");
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct call *c);
} methods[] = {
	{ "domain.break", domain_break },
	{ "domain.console", domain_console },
	{ "domain.display", domain_display },
	{ "domain.gdb", domain_gdb },
	{ "domain.gdb_off", domain_gdb_off },
	{ "domain.get", domain_get },
	{ "domain.keys", domain_keys },
	{ "domain.list", domain_list },
	{ "domain.memory", domain_memory },
	{ "domain.port", domain_port },
	{ "domain.power", domain_power },
	{ "domain.registers", domain_registers },
	{ "domain.screenshot", domain_screenshot },
	{ "dvm.adopt", dvm_adopt },
	{ "dvm.create", dvm_create },
	{ "dvm.destroy", dvm_destroy },
	{ "dvm.disk.attach", dvm_disk_attach },
	{ "dvm.disk.detach", dvm_disk_detach },
	{ "dvm.get", dvm_get },
	{ "dvm.pause", dvm_pause },
	{ "dvm.port.attach", dvm_port_attach },
	{ "dvm.port.detach", dvm_port_detach },
	{ "dvm.port.open", dvm_port_open },
	{ "dvm.resume", dvm_resume },
	{ "dvm.save", dvm_save },
	{ "dvm.settled", dvm_settled },
	{ "dvm.tunnel", dvm_tunnel },
	{ "events.subscribe", events_subscribe },
	{ "hello", hello },
};

static int run(struct call *c, const char *method)
{
	int r = fake_script(c->f, method, c->params, &c->result, &c->fault);

	if (r != -ENOENT) {
		return r;
	}
	if (c->f->away) {
		return fault_set(&c->fault, FAULT_HYPERVISOR_AWAY,
				 "The hypervisor does not answer");
	}
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(methods[i].name, method) == 0) {
			return methods[i].run(c);
		}
	}
	return fault_set(&c->fault, FAULT_NOT_SUPPORTED, "There is no such method");
}

void fake_call(struct fakevirt *f, struct rpc_request *request, const char *method, json_t *params,
	       struct rpc_peer *peer)
{
	struct call c = { .f = f, .peer = peer, .params = params };

	if (fake_rule_apply(f, request, method, params, peer)) {
		return;
	}
	if (run(&c, method) < 0) {
		json_decref(c.result);
		rpc_request_fault(request, &c.fault);
	} else {
		rpc_request_reply(request, c.result);
	}
}
