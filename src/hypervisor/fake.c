/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor driver for dvm-fakevirt (PROTOCOL.fakevirt): each verb is one RPC call on a
 * connection of its own; one more connection, read by a thread, carries the events.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "buf.h"
#include "cleanup.h"
#include "file.h"
#include "hypervisor.h"
#include "parse.h"
#include "rpc.h"
#include "rpc_peer.h"
#include "unix.h"

#define CALL_TIMEOUT (60 * USEC_PER_SEC)
#define RETRY_MS 100
#define EVENTS_BUF_MAX (2 * RPC_BODY_MAX)

struct fake {
	struct hypervisor base;
	char *path;
	const struct hypervisor_events *events;
	void *user;
	pthread_t thread;
	int stop_fd;
	atomic_bool alive;
};

static struct fake *fake_of(struct hypervisor *hv)
{
	return container_of(hv, struct fake, base);
}

/* Takes `params`. `ret` may be NULL. */
static int fake_call(struct hypervisor *hv, const char *method, json_t *params, json_t **ret,
		     struct fault *fault)
{
	_cleanup_close_ int fd = -1;
	json_auto_t *result = NULL;
	int r;

	if (unix_connect(fake_of(hv)->path, &fd) < 0) {
		json_decref(params);
		return fault_set(fault, FAULT_HYPERVISOR_AWAY, "The hypervisor does not answer");
	}
	r = rpc_call_sync(fd, method, params, NULL, 0, CALL_TIMEOUT, &result, fault);
	if (r < 0) {
		if (fault->code == FAULT_HOST_AWAY) {
			fault_set(fault, FAULT_HYPERVISOR_AWAY,
				  "The hypervisor went away meanwhile");
		}
		return r;
	}
	if (ret) {
		*ret = TAKE_PTR(result);
	}
	return 0;
}

static int answer_fault(struct fault *fault)
{
	return fault_set(fault, FAULT_HYPERVISOR_FAILED,
			 "The hypervisor gave an answer that makes no sense");
}

static void copy_field(char *field, size_t size, const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	field[0] = 0;
	if (value && strlen(value) < size) {
		strcpy(field, value);
	}
}
#define COPY_FIELD(field, object, key) copy_field((field), sizeof(field), (object), (key))

static int copy_string(char **field, const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	*field = value ? strdup(value) : NULL;
	return value && !*field ? -ENOMEM : 0;
}

static enum domain_state state_field(const json_t *object)
{
	const char *name = json_string_value(json_object_get(object, "state"));

	return name ? domain_state_parse(name) : DOMAIN_UNKNOWN;
}

static int fake_list(struct hypervisor *hv, struct domain_list *ret, struct fault *fault)
{
	json_auto_t *result = NULL;
	_cleanup_(domain_list_fini) struct domain_list list = { 0 };
	const json_t *domains, *object;
	size_t i;
	int r;

	r = fake_call(hv, "domain.list", NULL, &result, fault);
	if (r < 0) {
		return r;
	}
	domains = json_object_get(result, "domains");
	list.domains = calloc(json_array_size(domains) + 1, sizeof(*list.domains));
	json_array_foreach(domains, i, object)
	{
		struct domain_brief *brief = &list.domains[list.n_domains];

		COPY_FIELD(brief->uuid, object, "uuid");
		COPY_FIELD(brief->session, object, "session");
		COPY_FIELD(brief->owner, object, "owner");
		brief->state = state_field(object);
		if (copy_string(&brief->name, object, "name") < 0 || !brief->name) {
			return answer_fault(fault);
		}
		list.n_domains++;
	}
	*ret = list;
	list = (struct domain_list){ 0 };
	return 0;
}

static int disk_read(const json_t *object, struct domain_disk *disk)
{
	*disk = (struct domain_disk){ .backend = DISK_BACKEND_FILE };
	COPY_FIELD(disk->dev, object, "dev");
	COPY_FIELD(disk->format, object, "format");
	COPY_FIELD(disk->serial, object, "serial");
	disk->cdrom = json_is_true(json_object_get(object, "cdrom"));
	disk->readonly = json_is_true(json_object_get(object, "readonly"));
	disk->size_bytes = (uint64_t)json_integer_value(json_object_get(object, "size_bytes"));
	return copy_string(&disk->source, object, "source");
}

/* Takes `params`. */
static int info_call(struct hypervisor *hv, const char *method, json_t *params,
		     struct domain_info *ret, struct fault *fault)
{
	json_auto_t *result = NULL;
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	const json_t *object;
	size_t i;
	int r;

	r = fake_call(hv, method, params, &result, fault);
	if (r < 0) {
		return r;
	}
	COPY_FIELD(info.uuid, result, "uuid");
	info.state = state_field(result);
	info.run = (unsigned)json_integer_value(json_object_get(result, "run"));
	info.memory_mib = (uint64_t)json_integer_value(json_object_get(result, "memory_mib"));
	info.vcpus = (unsigned)json_integer_value(json_object_get(result, "vcpus"));
	json_array_foreach(json_object_get(result, "disks"), i, object)
	{
		if (i < DOMAIN_DISKS_MAX) {
			r = disk_read(object, &info.disks[info.n_disks]);
			info.n_disks += r == 0;
		}
	}
	strcpy(info.graphics[0], "vnc");
	info.n_graphics = 1;
	strcpy(info.consoles[0].type, "pty");
	info.consoles[0].usable = true;
	info.n_consoles = 1;
	if (copy_string(&info.name, result, "name") < 0 || !info.name) {
		return answer_fault(fault);
	}
	*ret = info;
	info = (struct domain_info){ 0 };
	return 0;
}

static int fake_get(struct hypervisor *hv, const char *domain, struct domain_info *ret,
		    struct fault *fault)
{
	return info_call(hv, "domain.get", json_pack("{ss}", "domain", domain), ret, fault);
}

static int fake_power(struct hypervisor *hv, const char *domain, enum power_verb verb,
		      enum domain_state *ret_state, struct fault *fault)
{
	json_auto_t *result = NULL;
	int r;

	r = fake_call(hv, "domain.power",
		      json_pack("{ssss}", "domain", domain, "verb", power_verb_name(verb)), &result,
		      fault);
	if (r == 0) {
		*ret_state = state_field(result);
	}
	return r;
}

static int connect_answer(const json_t *result, int *ret_fd, struct fault *fault)
{
	const char *path = json_string_value(json_object_get(result, "path"));
	int r;

	if (!path) {
		return answer_fault(fault);
	}
	r = unix_connect(path, ret_fd);
	if (r < 0) {
		return fault_set(fault, FAULT_HYPERVISOR_FAILED, "It could not be opened: %s",
				 strerror(-r));
	}
	return 0;
}

static int fake_console_open(struct hypervisor *hv, const char *domain, struct console *ret,
			     struct fault *fault)
{
	json_auto_t *result = NULL;
	struct console console = { .history_fd = -1, .kind = CONSOLE_STREAM, .writable = true };
	int r;

	r = fake_call(hv, "domain.console", json_pack("{ss}", "domain", domain), &result, fault);
	if (r == 0) {
		r = connect_answer(result, &console.fd, fault);
	}
	if (r == 0) {
		console.run = (unsigned)json_integer_value(json_object_get(result, "run"));
		*ret = console;
	}
	return r;
}

static int fake_console_break(struct hypervisor *hv, const char *domain, struct fault *fault)
{
	return fake_call(hv, "domain.break", json_pack("{ss}", "domain", domain), NULL, fault);
}

static int fake_display_open(struct hypervisor *hv, const char *domain, int *ret_fd,
			     struct fault *fault)
{
	json_auto_t *result = NULL;
	int r;

	r = fake_call(hv, "domain.display", json_pack("{ss}", "domain", domain), &result, fault);
	return r < 0 ? r : connect_answer(result, ret_fd, fault);
}

static int fake_screenshot(struct hypervisor *hv, const char *domain, uint8_t **ret,
			   size_t *ret_len, struct fault *fault)
{
	json_auto_t *result = NULL;
	const char *path;
	char *bytes;
	int r;

	r = fake_call(hv, "domain.screenshot", json_pack("{ss}", "domain", domain), &result, fault);
	if (r < 0) {
		return r;
	}
	path = json_string_value(json_object_get(result, "path"));
	if (!path || file_read(path, SCREENSHOT_BYTES_MAX, &bytes, ret_len) < 0) {
		return answer_fault(fault);
	}
	*ret = (uint8_t *)bytes;
	return 0;
}

static int fake_keys_press(struct hypervisor *hv, const char *domain, const unsigned *codes,
			   size_t n, unsigned hold_ms, struct fault *fault)
{
	json_t *keys = json_array();

	for (size_t i = 0; i < n; i++) {
		json_array_append_new(keys, json_integer((json_int_t)codes[i]));
	}
	return fake_call(hv, "domain.keys", json_pack("{ssso}", "domain", domain, "codes", keys),
			 NULL, fault);
}

static int fake_port_open(struct hypervisor *hv, const char *domain, enum vm_port port,
			  struct console *ret, struct fault *fault)
{
	json_auto_t *result = NULL;
	struct console console = { .history_fd = -1,
				   .kind = CONSOLE_STREAM,
				   .writable = !vm_port_is_parallel(port) };
	int r;

	r = fake_call(hv, "domain.port",
		      json_pack("{ssss}", "domain", domain, "port", vm_port_name(port)), &result,
		      fault);
	if (r == 0) {
		r = connect_answer(result, &console.fd, fault);
	}
	if (r == 0) {
		console.run = (unsigned)json_integer_value(json_object_get(result, "run"));
		*ret = console;
	}
	return r;
}

static int fake_memory_open(struct hypervisor *hv, const char *domain, struct domain_memory *ret,
			    struct fault *fault)
{
	json_auto_t *result = NULL;
	struct domain_memory memory = { .fd = -1 };
	const char *path;
	const json_t *range;
	size_t i;
	int r;

	r = fake_call(hv, "domain.memory", json_pack("{ss}", "domain", domain), &result, fault);
	if (r < 0) {
		return r;
	}
	path = json_string_value(json_object_get(result, "path"));
	memory.run = (unsigned)json_integer_value(json_object_get(result, "run"));
	memory.vcpus = (unsigned)json_integer_value(json_object_get(result, "vcpus"));
	json_array_foreach(json_object_get(result, "ranges"), i, range)
	{
		if (memory.n_ranges < DOMAIN_RANGES_MAX) {
			memory.ranges[memory.n_ranges++] = (struct domain_range){
				.address = (uint64_t)json_integer_value(json_array_get(range, 0)),
				.length = (uint64_t)json_integer_value(json_array_get(range, 1)),
				.place = (uint64_t)json_integer_value(json_array_get(range, 2)),
			};
		}
	}
	memory.fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (memory.fd < 0) {
		return answer_fault(fault);
	}
	*ret = memory;
	return 0;
}

static int fake_registers(struct hypervisor *hv, const char *domain, struct cpu_state *ret,
			  size_t *ret_n, struct fault *fault)
{
	json_auto_t *result = NULL;
	const json_t *cpu;
	size_t i, n = 0;
	int r;

	r = fake_call(hv, "domain.registers", json_pack("{ss}", "domain", domain), &result, fault);
	if (r < 0) {
		return r;
	}
	json_array_foreach(json_object_get(result, "cpus"), i, cpu)
	{
		if (n == CPUS_MAX || cpu_state_of_json(cpu, &ret[n++]) < 0) {
			return answer_fault(fault);
		}
	}
	*ret_n = n;
	return 0;
}

static int fake_gdb_open(struct hypervisor *hv, const char *domain, bool may_stop, int *ret_fd,
			 struct fault *fault)
{
	json_auto_t *result = NULL;
	int r = fake_call(hv, "domain.gdb",
			  json_pack("{sssb}", "domain", domain, "may_stop", may_stop), &result,
			  fault);

	return r < 0 ? r : connect_answer(result, ret_fd, fault);
}

static int fake_gdb_close(struct hypervisor *hv, const char *domain, bool left, bool resume,
			  struct fault *fault)
{
	return fake_call(hv, "domain.gdb_off",
			 json_pack("{sssbsb}", "domain", domain, "left", left, "resume", resume),
			 NULL, fault);
}

static int fake_dvm_shape(struct hypervisor *hv, const struct dvm_spec *spec, char **ret,
			  struct fault *fault)
{
	*ret = strf("fake %s %u %u %zu", spec->image, spec->memory_mib, spec->vcpus,
		    spec->n_layers);
	return *ret ? 0 : fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

static int fake_dvm_create(struct hypervisor *hv, const struct dvm_spec *spec, struct fault *fault)
{
	return fake_call(hv, "dvm.create",
			 json_pack("{sssssssisiss?sb}", "session", spec->session, "image",
				   spec->image, "owner", spec->owner, "memory_mib",
				   (int)spec->memory_mib, "vcpus", (int)spec->vcpus, "memory",
				   spec->memory, "paused", spec->paused),
			 NULL, fault);
}

static int fake_dvm_destroy(struct hypervisor *hv, const char *session, struct fault *fault)
{
	return fake_call(hv, "dvm.destroy", json_pack("{ss}", "session", session), NULL, fault);
}

static int fake_dvm_get(struct hypervisor *hv, const char *session, struct domain_info *ret,
			struct fault *fault)
{
	return info_call(hv, "dvm.get", json_pack("{ss}", "session", session), ret, fault);
}

static int fake_dvm_settled(struct hypervisor *hv, const char *session, bool *ret,
			    struct fault *fault)
{
	json_auto_t *result = NULL;
	int r;

	r = fake_call(hv, "dvm.settled", json_pack("{ss}", "session", session), &result, fault);
	*ret = json_is_true(json_object_get(result, "settled"));
	return r;
}

static int fake_dvm_save(struct hypervisor *hv, const char *session, const char *path,
			 struct fault *fault)
{
	return fake_call(hv, "dvm.save", json_pack("{ssss}", "session", session, "path", path),
			 NULL, fault);
}

static int fake_dvm_resume(struct hypervisor *hv, const char *session, struct fault *fault)
{
	return fake_call(hv, "dvm.resume", json_pack("{ss}", "session", session), NULL, fault);
}

static int fake_dvm_pause(struct hypervisor *hv, const char *session, struct fault *fault)
{
	return fake_call(hv, "dvm.pause", json_pack("{ss}", "session", session), NULL, fault);
}

static int fake_dvm_adopt(struct hypervisor *hv, const struct dvm_adoption *adoption,
			  struct fault *fault)
{
	return fake_call(hv, "dvm.adopt",
			 json_pack("{ssss}", "session", adoption->member, "by", adoption->session),
			 NULL, fault);
}

static int fake_dvm_tunnel_open(struct hypervisor *hv, const char *session, int *ret_fd,
				struct fault *fault)
{
	json_auto_t *result = NULL;
	int r;

	r = fake_call(hv, "dvm.tunnel", json_pack("{ss}", "session", session), &result, fault);
	return r < 0 ? r : connect_answer(result, ret_fd, fault);
}

static int fake_dvm_disk_attach(struct hypervisor *hv, const struct dvm_disk *disk,
				struct fault *fault)
{
	return fake_call(hv, "dvm.disk.attach",
			 json_pack("{sssssssssb}", "session", disk->session, "serial", disk->serial,
				   "source", disk->source, "format", disk->format, "readonly",
				   disk->readonly),
			 NULL, fault);
}

static int fake_dvm_disk_detach(struct hypervisor *hv, const char *session, const char *serial,
				unsigned patience_ms, struct fault *fault)
{
	return fake_call(hv, "dvm.disk.detach",
			 json_pack("{sssssi}", "session", session, "serial", serial, "patience_ms",
				   (int)patience_ms),
			 NULL, fault);
}

static json_t *port_params(const struct dvm_port *port)
{
	return json_pack("{sssssb}", "session", port->session, "port", port->name, "parallel",
			 port->parallel);
}

static int fake_dvm_port_attach(struct hypervisor *hv, const struct dvm_port *port,
				char ret_place[DVM_PORT_PLACE_MAX + 1], struct fault *fault)
{
	json_auto_t *result = NULL;
	int r = fake_call(hv, "dvm.port.attach", port_params(port), &result, fault);

	if (r == 0) {
		copy_field(ret_place, DVM_PORT_PLACE_MAX + 1, result, "place");
	}
	return r;
}

static int fake_dvm_port_open(struct hypervisor *hv, const struct dvm_port *port, int *ret_fd,
			      struct fault *fault)
{
	json_auto_t *result = NULL;
	int r = fake_call(hv, "dvm.port.open", port_params(port), &result, fault);

	return r < 0 ? r : connect_answer(result, ret_fd, fault);
}

static int fake_dvm_port_detach(struct hypervisor *hv, const struct dvm_port *port,
				unsigned patience_ms, struct fault *fault)
{
	return fake_call(hv, "dvm.port.detach", port_params(port), NULL, fault);
}

static void event_tell(struct fake *f, const struct rpc_message *m)
{
	struct domain_event event = { .state = state_field(m->body) };
	const char *kind = json_string_value(json_object_get(m->body, "event"));

	COPY_FIELD(event.uuid, m->body, "uuid");
	COPY_FIELD(event.session, m->body, "session");
	for (unsigned i = 0; kind && i < _DOMAIN_EVENT_MAX; i++) {
		if (strcmp(kind, domain_event_name((enum domain_event_kind)i)) == 0) {
			event.kind = (enum domain_event_kind)i;
			f->events->domain(&event, f->user);
			return;
		}
	}
}

/* 0 when told to stop, -errno when the connection ended. */
static int events_read(struct fake *f, int fd)
{
	_cleanup_(buf_fini) struct buf in;
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
				{ .fd = f->stop_fd, .events = POLLIN } };

	buf_init(&in, EVENTS_BUF_MAX);
	for (;;) {
		struct rpc_message m;
		size_t used;
		ssize_t n;
		int r;

		while ((r = rpc_decode(buf_data(&in), buf_len(&in), &m, &used)) > 0) {
			buf_consume(&in, used);
			if (m.kind == RPC_NOTICE && strcmp(m.method, "domain.event") == 0) {
				event_tell(f, &m);
			}
			rpc_message_fini(&m);
		}
		if (r < 0) {
			return r;
		}
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR) {
			return -errno;
		}
		if (fds[1].revents) {
			return 0;
		}
		n = buf_read_fd(&in, fd, 65536);
		if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR)) {
			return n == 0 ? -EPIPE : (int)n;
		}
	}
}

static void *events_run(void *arg)
{
	struct fake *f = arg;
	struct pollfd stop = { .fd = f->stop_fd, .events = POLLIN };

	do {
		_cleanup_close_ int fd = -1;
		json_auto_t *result = NULL;
		struct fault fault;

		if (unix_connect(f->path, &fd) == 0 &&
		    rpc_call_sync(fd, "events.subscribe", NULL, NULL, 0, CALL_TIMEOUT, &result,
				  &fault) == 0) {
			int r;

			f->alive = true;
			f->events->contact(true, f->user);
			r = events_read(f, fd);
			f->alive = false;
			f->events->contact(false, f->user);
			if (r == 0) {
				return NULL;
			}
		}
	} while (poll(&stop, 1, RETRY_MS) == 0);
	return NULL;
}

static struct hypervisor *fake_free(struct hypervisor *hv)
{
	struct fake *f;

	if (!hv) {
		return NULL;
	}
	f = fake_of(hv);
	if (f->thread) {
		eventfd_write(f->stop_fd, 1);
		pthread_join(f->thread, NULL);
	}
	close_fd(f->stop_fd);
	free(f->path);
	free(f);
	return NULL;
}

static int fake_open(const char *uri, const struct hypervisor_events *events, void *user,
		     struct hypervisor **ret, struct fault *fault)
{
	struct fake *f = calloc(1, sizeof(*f));

	if (!f) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	*f = (struct fake){
		.base = { .ops = &hypervisor_fake },
		.path = strdup(uri + strlen("fake:")),
		.events = events,
		.user = user,
		.stop_fd = eventfd(0, EFD_CLOEXEC),
	};
	if (!f->path || f->stop_fd < 0 || pthread_create(&f->thread, NULL, events_run, f) != 0) {
		f->thread = 0;
		fake_free(&f->base);
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	*ret = &f->base;
	return 0;
}

static bool fake_alive(struct hypervisor *hv)
{
	return fake_of(hv)->alive;
}

const struct hypervisor_ops hypervisor_fake = {
	.open = fake_open,
	.free = fake_free,
	.alive = fake_alive,
	.list = fake_list,
	.get = fake_get,
	.power = fake_power,
	.console_open = fake_console_open,
	.console_break = fake_console_break,
	.display_open = fake_display_open,
	.screenshot = fake_screenshot,
	.keys_press = fake_keys_press,
	.port_open = fake_port_open,
	.memory_open = fake_memory_open,
	.registers = fake_registers,
	.gdb_open = fake_gdb_open,
	.gdb_close = fake_gdb_close,
	.dvm_shape = fake_dvm_shape,
	.dvm_create = fake_dvm_create,
	.dvm_settled = fake_dvm_settled,
	.dvm_save = fake_dvm_save,
	.dvm_destroy = fake_dvm_destroy,
	.dvm_get = fake_dvm_get,
	.dvm_resume = fake_dvm_resume,
	.dvm_pause = fake_dvm_pause,
	.dvm_adopt = fake_dvm_adopt,
	.dvm_tunnel_open = fake_dvm_tunnel_open,
	.dvm_disk_attach = fake_dvm_disk_attach,
	.dvm_disk_detach = fake_dvm_disk_detach,
	.dvm_port_attach = fake_dvm_port_attach,
	.dvm_port_open = fake_dvm_port_open,
	.dvm_port_detach = fake_dvm_port_detach,
};
