/* SPDX-License-Identifier: Apache-2.0 */
/* What tests order: domains that exist, calls that fail or take long, D-VMs that go away. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "fakevirt.h"
#include "file.h"
#include "log.h"
#include "parse.h"

#define SCRIPT_MAX (1024 * 1024)

/* The next `count` calls of a method fail, or wait. */
struct fake_rule {
	struct list link;
	char method[64];
	json_int_t count;
	usec_t delay; /* 0: fail */
	struct fault fault;
};

/* A call that waits: made again as if it came then. */
struct delayed {
	struct list link;
	struct fakevirt *f;
	sd_event_source *timer;
	struct rpc_request *request;
	struct rpc_peer *peer;
	json_t *params;
	char method[64];
};

static const char *text(const json_t *params, const char *key, const char *otherwise)
{
	const char *value = json_string_value(json_object_get(params, key));

	return value ? value : otherwise;
}

static void rule_free(struct fakevirt *f, struct fake_rule *rule)
{
	list_del(&rule->link);
	f->n_rules--;
	free(rule);
}

void fake_rules_free(struct fakevirt *f)
{
	struct fake_rule *rule, *next;

	list_for_each_safe (rule, next, &f->rules, link) {
		rule_free(f, rule);
	}
}

static int on_delayed(sd_event_source *source, uint64_t now, void *user)
{
	struct delayed *d = user;

	fake_call(d->f, d->request, d->method, d->params, d->peer);
	return 0;
}

static void delayed_free(void *user)
{
	struct delayed *d = user;

	list_del(&d->link);
	json_decref(d->params);
	free(d);
}

static bool delay(struct fakevirt *f, usec_t time, struct rpc_request *request, const char *method,
		  json_t *params, struct rpc_peer *peer)
{
	struct delayed *d = malloc(sizeof(*d));
	sd_event_source *timer;

	if (!d) {
		return false;
	}
	*d = (struct delayed){
		.f = f, .request = request, .peer = peer, .params = json_incref(params)
	};
	snprintf(d->method, sizeof(d->method), "%s", method);
	list_init(&d->link);
	if (sd_event_add_time_relative(f->event, &timer, CLOCK_MONOTONIC, time, 1, on_delayed, d) <
	    0) {
		delayed_free(d);
		return false;
	}
	sd_event_source_set_destroy_callback(timer, delayed_free);
	sd_event_source_set_floating(timer, true);
	sd_event_source_unref(timer);
	d->timer = timer;
	list_add_tail(&f->delayed, &d->link);
	return true;
}

bool fake_rule_apply(struct fakevirt *f, struct rpc_request *request, const char *method,
		     json_t *params, struct rpc_peer *peer)
{
	struct fake_rule *rule, *next;

	list_for_each_safe (rule, next, &f->rules, link) {
		struct fake_rule order = *rule;

		if (strcmp(rule->method, method) != 0) {
			continue;
		}
		if (--rule->count <= 0) {
			rule_free(f, rule);
		}
		if (order.delay) {
			return delay(f, order.delay, request, method, params, peer);
		}
		rpc_request_fault(request, &order.fault);
		return true;
	}
	return false;
}

static int rule_add(struct fakevirt *f, const json_t *params, usec_t time, struct fault *fault)
{
	enum fault_code code = fault_code_parse(text(params, "code", "hypervisor-failed"));
	struct fake_rule *rule = f->n_rules < FAKE_RULES_MAX ? calloc(1, sizeof(*rule)) : NULL;

	if (!rule) {
		return fault_set(fault, FAULT_NO_CAPACITY, "Too many orders");
	}
	snprintf(rule->method, sizeof(rule->method), "%s", text(params, "method", ""));
	rule->count = json_integer_value(json_object_get(params, "count"));
	rule->delay = time;
	fault_set(&rule->fault, code, "%s",
		  text(params, "message", "A test made the hypervisor fail"));
	list_add_tail(&f->rules, &rule->link);
	f->n_rules++;
	return 0;
}

static int script_fail(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	return rule_add(f, params, 0, fault);
}

static int script_delay(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	json_int_t ms = json_integer_value(json_object_get(params, "ms"));

	return rule_add(f, params, (usec_t)(ms > 0 ? ms : 1) * USEC_PER_MSEC, fault);
}

/* What waits goes on now, and nothing more waits. */
static int script_release(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_rule *rule, *next;
	struct delayed *d;

	list_for_each_safe (rule, next, &f->rules, link) {
		if (rule->delay) {
			rule_free(f, rule);
		}
	}
	list_for_each (d, &f->delayed, link) {
		sd_event_source_set_time(d->timer, 0);
	}
	return 0;
}

static unsigned number(const json_t *params, const char *key, unsigned otherwise)
{
	const json_t *value = json_object_get(params, key);

	return json_is_integer(value) ? (unsigned)json_integer_value(value) : otherwise;
}

static int define_disks(struct fake_domain *d, const json_t *disks, struct fault *fault)
{
	const json_t *disk;
	size_t i;
	int r;

	json_array_foreach(disks, i, disk)
	{
		r = fake_disk_add(d, disk, fault);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int define_ports(struct fake_domain *d, const json_t *ports, struct fault *fault)
{
	const json_t *name;
	enum vm_port port;
	size_t i;

	json_array_foreach(ports, i, name)
	{
		if (!json_is_string(name) || vm_port_parse(json_string_value(name), &port) < 0 ||
		    port == VM_PORT_SERIAL0) {
			return fault_set(fault, FAULT_BAD_VALUE, "There is no such port");
		}
		d->has_port[port] = true;
	}
	return 0;
}

static int script_define(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	const char *uuid = text(params, "uuid", "");
	struct fake_domain *d;
	int r;

	if (fake_domain_new(f, text(params, "name", "unnamed"), &d) < 0) {
		return fault_set(fault, FAULT_NO_CAPACITY, "Too many domains");
	}
	if (strlen(uuid) == DOMAIN_UUID_LEN) {
		strcpy(d->uuid, uuid);
	}
	d->memory_mib = number(params, "memory_mib", d->memory_mib);
	d->vcpus = number(params, "vcpus", d->vcpus);
	d->line_ms = number(params, "line_ms", d->line_ms);
	d->boot = json_incref(json_object_get(params, "boot"));
	r = define_disks(d, json_object_get(params, "disks"), fault);
	if (r == 0) {
		r = define_ports(d, json_object_get(params, "ports"), fault);
	}
	if (r < 0) {
		fake_domain_free(d);
		return r;
	}
	fake_domain_event(d, DOMAIN_EVENT_DEFINED);
	if (strcmp(text(params, "state", "off"), "running") == 0) {
		r = fake_domain_power(d, POWER_ON, fault);
		if (r == 0) {
			r = fake_domain_power(d, POWER_RESUME, fault);
		}
	}
	*ret = json_pack("{ss}", "uuid", d->uuid);
	return r;
}

static struct fake_domain *find(struct fakevirt *f, const json_t *params, struct fault *fault)
{
	struct fake_domain *d = fake_domain_find(f, text(params, "domain", ""));

	if (!d) {
		fault_set(fault, FAULT_VM_GONE, "There is no such domain");
	}
	return d;
}

static int script_undefine(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_domain *d = find(f, params, fault);

	if (!d) {
		return -EREMOTEIO;
	}
	if (d->state != DOMAIN_OFF) {
		fake_domain_off(d, DOMAIN_EVENT_STOPPED);
	}
	fake_domain_event(d, DOMAIN_EVENT_UNDEFINED);
	fake_domain_free(d);
	return 0;
}

static int script_print(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_domain *d = find(f, params, fault);
	const char *line = text(params, "text", "");

	if (!d) {
		return -EREMOTEIO;
	}
	fake_port_write(&d->console, line, strlen(line));
	return 0;
}

static int script_input(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_domain *d = find(f, params, fault);

	if (!d) {
		return -EREMOTEIO;
	}
	*ret = json_pack("{ss%}", "text",
			 buf_len(&d->typed) ? (const char *)buf_data(&d->typed) : "",
			 buf_len(&d->typed));
	return *ret ? 0 : fault_set(fault, FAULT_BAD_VALUE, "What was typed is no text");
}

static int script_screen(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_domain *d = find(f, params, fault);
	char *path = d ? strdup(text(params, "path", "")) : NULL;

	if (!path) {
		return -EREMOTEIO;
	}
	free(d->screen);
	d->screen = path;
	return 0;
}

static int script_display(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_domain *d = find(f, params, fault);

	if (!d) {
		return -EREMOTEIO;
	}
	if (!d->display) {
		return fault_set(fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	*ret = fake_display_json(d->display);
	return 0;
}

static struct fake_domain *find_gdb(struct fakevirt *f, json_t *params, struct fault *fault)
{
	struct fake_domain *d = find(f, params, fault);

	if (d && !d->gdb) {
		fault_set(fault, FAULT_NOT_FOUND, "There was no stub since the VM was started");
		return NULL;
	}
	return d;
}

static int script_gdb(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_domain *d = find_gdb(f, params, fault);

	if (!d) {
		return -EREMOTEIO;
	}
	*ret = fake_gdb_json(d->gdb);
	return 0;
}

static int script_gdb_hit(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_domain *d = find_gdb(f, params, fault);

	if (!d) {
		return -EREMOTEIO;
	}
	fake_gdb_hit(d->gdb);
	return 0;
}

static int script_unplug(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_domain *d = find(f, params, fault);
	json_int_t mib = number(params, "memory_mib", 0);

	if (!d) {
		return -EREMOTEIO;
	}
	if (mib < 2 || mib > d->memory_mib) {
		return fault_set(fault, FAULT_BAD_VALUE, "It has less memory, or needs more");
	}
	d->memory_mib = (unsigned)mib;
	fake_domain_event(d, DOMAIN_EVENT_UNPLUGGED);
	return 0;
}

/* A port of a domain, or one of a D-VM's devices. */
static struct fake_line *find_line(struct fakevirt *f, const json_t *params, struct fault *fault)
{
	const char *name = text(params, "port", "");
	struct fake_domain *d = fake_dvm_find(f, text(params, "session", ""));
	struct fake_dvm_port *device = d && name[0] ? fake_dvm_port_find(d, name) : NULL;
	enum vm_port port;

	if (device) {
		return &device->line;
	}
	d = fake_domain_find(f, text(params, "domain", ""));
	if (d && vm_port_parse(name, &port) == 0 && d->ports[port].port.path) {
		return &d->ports[port];
	}
	fault_set(fault, FAULT_NOT_FOUND, "There is no such port");
	return NULL;
}

static int script_port_say(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_line *line = find_line(f, params, fault);
	const char *what = text(params, "text", "");

	if (!line) {
		return -EREMOTEIO;
	}
	fake_port_write(&line->port, what, strlen(what));
	return 0;
}

static int script_port_heard(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_line *line = find_line(f, params, fault);

	if (!line) {
		return -EREMOTEIO;
	}
	*ret = json_pack("{ss%sb}", "text",
			 buf_len(&line->heard) ? (const char *)buf_data(&line->heard) : "",
			 buf_len(&line->heard), "connected", fake_port_connected(&line->port));
	return *ret ? 0 : fault_set(fault, FAULT_BAD_VALUE, "What was heard is no text");
}

static int script_dvm_end(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	struct fake_domain *d = fake_dvm_find(f, text(params, "session", ""));
	const char *how = text(params, "how", "off");

	if (!d) {
		return fault_set(fault, FAULT_DVM_LOST, "There is no such D-VM");
	}
	if (strcmp(how, "agent") == 0) {
		fake_dvm_restart_agent(d);
	} else {
		fake_domain_off(d, strcmp(how, "crash") == 0 ? DOMAIN_EVENT_CRASHED
							     : DOMAIN_EVENT_STOPPED);
	}
	return 0;
}

static int script_away(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	f->away = json_is_true(json_object_get(params, "away"));
	if (f->away) {
		fake_unsubscribe_all(f);
	}
	return 0;
}

static int script_agent(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault)
{
	char *exec = strdup(text(params, "ssh_exec", "cat"));

	if (!exec) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	free(f->ssh_exec);
	f->ssh_exec = exec;
	f->silent = json_is_true(json_object_get(params, "silent"));
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct fakevirt *f, json_t *params, json_t **ret, struct fault *fault);
} methods[] = {
	{ "script.agent", script_agent },
	{ "script.away", script_away },
	{ "script.define", script_define },
	{ "script.delay", script_delay },
	{ "script.display", script_display },
	{ "script.dvm_end", script_dvm_end },
	{ "script.fail", script_fail },
	{ "script.gdb", script_gdb },
	{ "script.gdb_hit", script_gdb_hit },
	{ "script.input", script_input },
	{ "script.port_heard", script_port_heard },
	{ "script.port_say", script_port_say },
	{ "script.print", script_print },
	{ "script.release", script_release },
	{ "script.screen", script_screen },
	{ "script.undefine", script_undefine },
	{ "script.unplug", script_unplug },
};

int fake_script(struct fakevirt *f, const char *method, json_t *params, json_t **ret,
		struct fault *fault)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(methods[i].name, method) == 0) {
			return methods[i].run(f, params, ret, fault);
		}
	}
	return -ENOENT;
}

int fake_script_file(struct fakevirt *f, const char *path)
{
	_cleanup_free_ char *file = NULL;
	json_auto_t *script = NULL;
	json_t *order;
	size_t len, i;
	int r;

	r = file_read(path, SCRIPT_MAX, &file, &len);
	if (r < 0) {
		log_err("%s: %s", path, strerror(-r));
		return r;
	}
	script = json_loadb(file, len, 0, NULL);
	if (!json_is_array(script)) {
		log_err("%s: not a list of {\"method\", \"params\"}", path);
		return -EBADMSG;
	}
	json_array_foreach(script, i, order)
	{
		const char *method = text(order, "method", "");
		json_auto_t *result = NULL;
		struct fault fault;

		fault_set(&fault, FAULT_NOT_SUPPORTED, "there is no such method");
		r = fake_script(f, method, json_object_get(order, "params"), &result, &fault);
		if (r < 0) {
			log_err("%s: %s: %s", path, method, fault.message);
			return r;
		}
	}
	return 0;
}
