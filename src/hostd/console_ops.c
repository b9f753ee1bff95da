/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.*: a relay for each VM in the inventory, which has its console whenever the domain runs.
 *
 * Which run of the domain the relay's source belongs to stands in RUN/relay/VM/run, so a relay that
 * outlived us is not given the same console twice. Where that source is a file, RUN/relay/VM/log
 * names it: its writer may rotate it, also just before the domain ends.
 */
#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "history.h"
#include "log.h"
#include "log_chain.h"
#include "log_watch.h"
#include "methods.h"
#include "parse.h"
#include "unix.h"

#define HISTORY_TIMEOUT (5 * USEC_PER_SEC)
#define HISTORY_POLL_MS 5

static unsigned run_load(const struct hostd *h, const char *vm)
{
	_cleanup_free_ char *path = relay_path(h, vm, "run");
	_cleanup_free_ char *text = NULL;
	uint32_t run;
	size_t len;

	if (!path || file_read(path, 32, &text, &len) < 0 || parse_u32(text, &run) < 0) {
		return 0;
	}
	return run;
}

static void note_save(const struct hostd *h, const char *vm, const char *name, const char *text)
{
	_cleanup_free_ char *path = relay_path(h, vm, name);
	int r = path ? file_write_atomic(path, text, strlen(text), 0600) : -ENOMEM;

	if (r < 0) {
		log_warn("%s: console's %s not noted: %s, ignoring", vm, name, strerror(-r));
	}
}

static void run_save(const struct hostd *h, const char *vm, unsigned run)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", run);
	note_save(h, vm, "run", text);
}

/* The end of the file, as much as the scrollback holds, into a socket that somebody reads. */
static int history_copy(int file_fd, off_t max, int socket_fd)
{
	usec_t until = clock_monotonic() + HISTORY_TIMEOUT;
	off_t size = lseek(file_fd, 0, SEEK_END), at = MAX(size - max, (off_t)0);
	int unread = 1;

	while (at < size) {
		ssize_t n = sendfile(socket_fd, file_fd, &at, (size_t)(size - at));

		if (n == 0) {
			break; /* it became shorter */
		}
		if (n < 0 && errno != EAGAIN) {
			return -errno;
		}
		if (n < 0) {
			if (clock_monotonic() > until) {
				return -ETIMEDOUT;
			}
			usleep(HISTORY_POLL_MS * 1000);
		}
	}
	/* What a source has not been read of is lost when the next one takes its place. */
	while (ioctl(socket_fd, SIOCOUTQ, &unread) == 0 && unread > 0 &&
	       clock_monotonic() < until) {
		usleep(HISTORY_POLL_MS * 1000);
	}
	return 0;
}

/* A console nobody has listened to yet begins with what its log file kept. */
static void history_give(struct hostd *h, const char *vm, int history_fd)
{
	_cleanup_close_ int near_fd = -1, far_fd = -1;
	struct fault fault;
	int pair[2], r;

	r = unix_pair(pair);
	if (r == 0) {
		near_fd = pair[0];
		far_fd = pair[1];
		if (relay_call(h, vm, "hub.source",
			       json_pack("{sssbsb}", "kind", "stream", "writable", 0, "fresh", 0),
			       far_fd, -1, NULL, &fault) == 0) {
			far_fd = close_fd(far_fd);
			r = history_copy(history_fd, (off_t)h->config.scrollback_bytes, near_fd);
		}
	}
	if (r < 0) {
		log_warn("%s: history of the console not read: %s, ignoring", vm, strerror(-r));
	}
}

static int source_call(struct hostd *h, const char *vm, enum console_kind kind, bool writable,
		       bool fresh, int fd, struct fault *fault)
{
	return relay_call(h, vm, "hub.source",
			  json_pack("{sssbsb}", "kind", kind == CONSOLE_FILE ? "file" : "stream",
				    "writable", writable, "fresh", fresh),
			  fd, -1, NULL, fault);
}

/* What the relay says of its hub. */
struct hub_state {
	bool up, keeps;
	json_int_t offset;
	uint64_t device, inode; /* the file it followed last; 0 if none since a stream */
};

static int hub_state(struct hostd *h, const char *vm, struct hub_state *ret, struct fault *fault)
{
	json_auto_t *status = NULL;
	const json_t *hub, *file;
	int r;

	r = relay_call(h, vm, "status", NULL, -1, -1, &status, fault);
	if (r < 0) {
		return r;
	}
	hub = json_object_get(status, "hub");
	file = json_object_get(hub, "file");
	*ret = (struct hub_state){
		.up = json_is_true(json_object_get(hub, "source")),
		.keeps = !json_is_false(json_object_get(hub, "keep")),
		.offset = json_integer_value(json_object_get(hub, "offset")),
		.device = (uint64_t)json_integer_value(json_object_get(file, "device")),
		.inode = (uint64_t)json_integer_value(json_object_get(file, "inode")),
	};
	return 0;
}

/* Hands the relay the file it read last, if that is there still, and all that were begun since: it
 * reads each to its end before the next. */
static int files_give(struct hostd *h, const char *vm, const char *path, bool fresh,
		      const struct hub_state *hub, struct fault *fault)
{
	_cleanup_(log_chain_fini) struct log_chain chain = { 0 };
	size_t i = 0;
	int r;

	r = log_chain_open(path, hub->device, hub->inode, &chain);
	if (r < 0) {
		return fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The VM's console could not be opened: %s", strerror(-r));
	}
	if (!chain.known && chain.n_fds > 1) {
		fresh = false; /* more was written than is kept */
	}
	if (chain.known && hub->up) {
		i = 1; /* it has that one */
	}
	for (r = 0; i < chain.n_fds && r == 0; i++) {
		r = source_call(h, vm, CONSOLE_FILE, false, fresh || i > 0, chain.fds[i], fault);
	}
	if (r == 0) {
		log_watch_set(h, vm, chain.fds[chain.n_fds - 1]);
	}
	return r;
}

/* The log that the relay follows may have been rotated. What cannot be had now is no failure: the
 * relay goes on with what it has, and notes itself what it lost. */
static void files_follow(struct hostd *h, const char *vm, const struct hub_state *hub)
{
	_cleanup_free_ char *path = relay_path(h, vm, "log");
	_cleanup_free_ char *log = NULL;
	struct fault fault;
	size_t len;

	if (!hub->up || hub->inode == 0 || !path || file_read(path, PATH_MAX, &log, &len) < 0) {
		return;
	}
	if (files_give(h, vm, log, false, hub, &fault) < 0) {
		log_warn("%s: the console's file was not looked after: %s, ignoring", vm,
			 fault.message);
	}
}

static int source_give(struct hostd *h, const char *vm, const char *domain, bool fresh,
		       const struct hub_state *hub, struct fault *fault)
{
	_cleanup_(console_fini) struct console console = { .fd = -1, .history_fd = -1 };
	enum vm_port port = hub_port(vm);
	int r;

	r = port == VM_PORT_SERIAL0 ? h->hv->ops->console_open(h->hv, domain, &console, fault)
				    : h->hv->ops->port_open(h->hv, domain, port, &console, fault);
	if (r < 0) {
		return r;
	}
	if (hub->offset == 0 && !fresh && hub->keeps && console.history_fd >= 0) {
		history_give(h, vm, console.history_fd);
	}
	if (console.kind == CONSOLE_FILE) {
		note_save(h, vm, "log", console.path);
		r = files_give(h, vm, console.path, fresh, hub, fault);
	} else {
		log_watch_set(h, vm, -1);
		r = source_call(h, vm, console.kind, console.writable, fresh, console.fd, fault);
	}
	if (r == 0) {
		run_save(h, vm, console.run);
	}
	return r;
}

int console_refresh(struct hostd *h, const char *vm, bool fresh, struct fault *fault)
{
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	char domain[DOMAIN_UUID_LEN + 1];
	struct hub_state hub;
	bool has_it; /* the source of this run */
	int r;

	if (!relay_exists(h, vm, domain)) {
		return fault_set(fault, FAULT_NOT_ATTACHED, "The VM's console is not kept");
	}
	r = relay_need(h, vm, NULL, fault);
	if (r == 0) {
		if (hub_port(vm) == VM_PORT_SERIAL0) {
			history_refresh(h, vm, false);
		}
		r = hub_state(h, vm, &hub, fault);
	}
	if (r == 0) {
		r = h->hv->ops->get(h->hv, domain, &info, fault);
	}
	if (r < 0) {
		return r;
	}
	has_it = info.run != 0 && hub.up && info.run == run_load(h, vm);
	if (info.run != 0 && !has_it) {
		return source_give(h, vm, domain, fresh, &hub, fault);
	}
	files_follow(h, vm, &hub);
	return has_it || !hub.up ? 0 : relay_call(h, vm, "hub.lost", NULL, -1, -1, NULL, fault);
}

static int refresh_run(struct op *op)
{
	return console_refresh(op->hostd, op_string(op, "vm", hub_name_valid), false, &op->fault);
}

static const struct op_method refresh_method = { .name = "console refresh",
						 .key = "vm",
						 .run = refresh_run };

void console_refresh_start(struct hostd *h, const char *vm)
{
	op_start(h, &refresh_method, json_pack("{ss}", "vm", vm), NULL);
}

static int history_run(struct op *op)
{
	const char *vm = op_string(op, "vm", vm_id_valid);

	if (vm && relay_exists(op->hostd, vm, NULL)) {
		history_refresh(op->hostd, vm, op_true(op, "again"));
	}
	return 0;
}

static const struct op_method history_method = { .name = "console history",
						 .key = "vm",
						 .run = history_run };

void console_history_start(struct hostd *h, const char *vm, bool again)
{
	op_start(h, &history_method, json_pack("{sssb}", "vm", vm, "again", again), NULL);
}

static int trim_run(struct op *op)
{
	history_trim(op->hostd);
	return 0;
}

static const struct op_method trim_method = { .name = "console recordings", .run = trim_run };

void console_history_trim_start(struct hostd *h)
{
	op_start(h, &trim_method, NULL, NULL);
}

static bool uuid_valid(const char *s)
{
	return strlen(s) == DOMAIN_UUID_LEN &&
	       strspn(s, "0123456789abcdefABCDEF-") == DOMAIN_UUID_LEN;
}

static int break_run(struct op *op)
{
	return op->hostd->hv->ops->console_break(op->hostd->hv, op_string(op, "domain", uuid_valid),
						 &op->fault);
}

/* In no order with others of the VM: a guest that does not boot is just what it is for. */
static const struct op_method break_method = {
	.name = "console break", .key = "domain", .kind = "break", .run = break_run
};

void console_break_start(struct hostd *h, const char *vm, const char *domain,
			 struct rpc_request *request)
{
	log_info("%s: a break on its console", vm);
	op_start(h, &break_method, json_pack("{ss}", "domain", domain), request);
}

/* What a console's trouble means to the caller: an unusable console is a fact, not a failure. */
static bool console_absent(const struct fault *fault)
{
	return fault->code == FAULT_CONSOLE_UNSUPPORTED || fault->code == FAULT_VM_NOT_RUNNING ||
	       fault->code == FAULT_HYPERVISOR_AWAY || fault->code == FAULT_VM_GONE;
}

static int console_ensure(struct op *op)
{
	const char *vm = op_string(op, "vm", vm_id_valid);
	const char *domain = op_string(op, "domain", uuid_valid);
	bool keep = !json_is_false(json_object_get(op->params, "keep"));
	struct hub_state hub;
	int r;

	if (!vm || !domain) {
		return -EREMOTEIO;
	}
	r = op_failpoint(&op->fault, "hostd.console.begin");
	if (r == 0) {
		r = relay_need_kept(op->hostd, vm, domain, keep, &op->fault);
	}
	if (r < 0) {
		return r;
	}
	r = console_refresh(op->hostd, vm, false, &op->fault);
	if (r < 0 && !console_absent(&op->fault)) {
		return r;
	}
	r = hub_state(op->hostd, vm, &hub, &op->fault);
	if (r < 0) {
		return r;
	}
	op->result = json_pack("{sbsI}", "up", hub.up, "offset", hub.offset);
	return op->result ? 0 : op_no_memory(op);
}

static int console_drop(struct op *op)
{
	const char *vm = op_string(op, "vm", vm_id_valid);
	_cleanup_free_ char *folder = NULL;
	char domain[DOMAIN_UUID_LEN + 1];
	int r;

	if (!vm) {
		return -EREMOTEIO;
	}
	if (relay_exists(op->hostd, vm, domain)) {
		gdb_drop(op->hostd, vm, domain);
	}
	r = relay_stop(op->hostd, vm, &op->fault);
	if (r < 0) {
		return r;
	}
	folder = strf("%s/consoles/%s", op->hostd->state, vm);
	if (!folder) {
		return op_no_memory(op);
	}
	r = dir_remove(folder);
	return r < 0 ? fault_set(&op->fault, FAULT_INTERNAL,
				 "The console's history could not be removed")
		     : 0;
}

static int console_get(struct op *op)
{
	const char *vm = op_string(op, "vm", vm_id_valid);
	struct hub_state hub = { 0 };
	struct fault none;

	if (!vm) {
		return -EREMOTEIO;
	}
	if (hub_state(op->hostd, vm, &hub, &none) < 0) {
		hub = (struct hub_state){ 0 };
	}
	op->result = json_pack("{sbsIso}", "up", hub.up, "offset", hub.offset, "history",
			       history_summary(op->hostd, vm));
	return op->result ? 0 : op_no_memory(op);
}

struct list_job {
	struct hostd *hostd;
	json_t *consoles;
};

static int list_one(const char *vm, void *user)
{
	struct list_job *job = user;
	char domain[DOMAIN_UUID_LEN + 1];
	struct hub_state hub = { 0 };
	struct fault fault;

	if (!relay_exists(job->hostd, vm, domain)) {
		return 0;
	}
	if (hub_state(job->hostd, vm, &hub, &fault) < 0) {
		log_debug("%s: the state of its console is not known: %s", vm, fault.message);
	}
	return json_array_append_new(job->consoles,
				     json_pack("{sssssbsIsbss}", "vm", vm, "domain", domain, "up",
					       hub.up, "offset", hub.offset, "keep", hub.keeps,
					       "debugger", gdb_state_name(job->hostd, vm)));
}

static int console_list(struct op *op)
{
	struct list_job job = { .hostd = op->hostd, .consoles = json_array() };
	int r = relay_each(op->hostd, vm_id_valid, list_one, &job);

	op->result = json_pack("{so}", "consoles", job.consoles);
	return r == 0 && op->result ? 0 : op_no_memory(op);
}

const struct op_method console_methods[] = {
	{ .name = "console.ensure", .key = "vm", .run = console_ensure },
	{ .name = "console.drop", .key = "vm", .run = console_drop },
	{ .name = "console.get", .run = console_get },
	{ .name = "console.list", .run = console_list },
	{ .name = NULL },
};
