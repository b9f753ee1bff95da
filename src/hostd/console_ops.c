/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.*: a relay for each VM in the inventory, which has its console whenever the domain runs.
 *
 * Which run of the domain the relay's source belongs to stands in RUN/relay/VM/run, so a relay that
 * outlived us is not given the same console twice.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "methods.h"
#include "parse.h"
#include "unix.h"

#define HISTORY_BYTES_MAX ((off_t)1024 * 1024)
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

static void run_save(const struct hostd *h, const char *vm, unsigned run)
{
	_cleanup_free_ char *path = relay_path(h, vm, "run");
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%u", run);
	r = path ? file_write_atomic(path, text, strlen(text), 0600) : -ENOMEM;
	if (r < 0) {
		log_warn("%s: console's run not noted: %s, ignoring", vm, strerror(-r));
	}
}

/* The end of the file, as much as the scrollback holds, into a socket that somebody reads. */
static int history_copy(int file_fd, int socket_fd)
{
	usec_t until = clock_monotonic() + HISTORY_TIMEOUT;
	off_t size = lseek(file_fd, 0, SEEK_END), at = MAX(size - HISTORY_BYTES_MAX, (off_t)0);
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
			r = history_copy(history_fd, near_fd);
		}
	}
	if (r < 0) {
		log_warn("%s: history of the console not read: %s, ignoring", vm, strerror(-r));
	}
}

static int source_give(struct hostd *h, const char *vm, const char *domain, bool fresh, bool first,
		       struct fault *fault)
{
	_cleanup_close_ int fd = -1, history_fd = -1;
	struct console console;
	int r;

	r = h->hv->ops->console_open(h->hv, domain, &console, fault);
	if (r < 0) {
		return r;
	}
	fd = console.fd;
	history_fd = console.history_fd;
	if (first && !fresh && history_fd >= 0) {
		history_give(h, vm, history_fd);
	}
	r = relay_call(h, vm, "hub.source",
		       json_pack("{sssbsb}", "kind",
				 console.kind == CONSOLE_FILE ? "file" : "stream", "writable",
				 console.writable, "fresh", fresh),
		       fd, -1, NULL, fault);
	if (r == 0) {
		run_save(h, vm, console.run);
	}
	return r;
}

/* {"up", "offset"} as the relay sees it. */
static int hub_state(struct hostd *h, const char *vm, bool *ret_up, json_int_t *ret_offset,
		     struct fault *fault)
{
	json_auto_t *status = NULL;
	const json_t *hub;
	int r;

	r = relay_call(h, vm, "status", NULL, -1, -1, &status, fault);
	if (r < 0) {
		return r;
	}
	hub = json_object_get(status, "hub");
	*ret_up = json_is_true(json_object_get(hub, "source"));
	*ret_offset = json_integer_value(json_object_get(hub, "offset"));
	return 0;
}

int console_refresh(struct hostd *h, const char *vm, bool fresh, struct fault *fault)
{
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	char domain[DOMAIN_UUID_LEN + 1];
	json_int_t offset;
	bool up;
	int r;

	if (!relay_exists(h, vm, domain)) {
		return fault_set(fault, FAULT_NOT_ATTACHED, "The VM's console is not kept");
	}
	r = relay_need(h, vm, NULL, fault);
	if (r == 0) {
		r = hub_state(h, vm, &up, &offset, fault);
	}
	if (r == 0) {
		r = h->hv->ops->get(h->hv, domain, &info, fault);
	}
	if (r < 0) {
		return r;
	}
	if (info.run == 0) {
		return up ? relay_call(h, vm, "hub.lost", NULL, -1, -1, NULL, fault) : 0;
	}
	if (up && info.run == run_load(h, vm)) {
		return 0;
	}
	return source_give(h, vm, domain, fresh, offset == 0, fault);
}

static int refresh_run(struct op *op)
{
	return console_refresh(op->hostd, op_string(op, "vm", vm_id_valid), false, &op->fault);
}

static const struct op_method refresh_method = { .name = "console refresh",
						 .key = "vm",
						 .run = refresh_run };

void console_refresh_start(struct hostd *h, const char *vm)
{
	op_start(h, &refresh_method, json_pack("{ss}", "vm", vm), NULL);
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
static const struct op_method break_method = { .name = "console break", .run = break_run };

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
	json_int_t offset = 0;
	bool up = false;
	int r;

	if (!vm || !domain) {
		return -EREMOTEIO;
	}
	r = op_failpoint(&op->fault, "hostd.console.begin");
	if (r == 0) {
		r = relay_need(op->hostd, vm, domain, &op->fault);
	}
	if (r < 0) {
		return r;
	}
	r = console_refresh(op->hostd, vm, false, &op->fault);
	if (r < 0 && !console_absent(&op->fault)) {
		return r;
	}
	r = hub_state(op->hostd, vm, &up, &offset, &op->fault);
	if (r < 0) {
		return r;
	}
	op->result = json_pack("{sbsI}", "up", up, "offset", offset);
	return op->result ? 0 : op_no_memory(op);
}

static int console_drop(struct op *op)
{
	const char *vm = op_string(op, "vm", vm_id_valid);
	_cleanup_free_ char *folder = NULL;
	int r;

	if (!vm) {
		return -EREMOTEIO;
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

struct list_job {
	struct hostd *hostd;
	json_t *consoles;
};

static int list_one(const char *vm, void *user)
{
	struct list_job *job = user;
	char domain[DOMAIN_UUID_LEN + 1];
	json_int_t offset = 0;
	struct fault fault;
	bool up = false;

	if (!relay_exists(job->hostd, vm, domain)) {
		return 0;
	}
	if (hub_state(job->hostd, vm, &up, &offset, &fault) < 0) {
		up = false;
	}
	return json_array_append_new(job->consoles, json_pack("{sssssbsI}", "vm", vm, "domain",
							      domain, "up", up, "offset", offset));
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
	{ .name = "console.list", .run = console_list },
	{ .name = NULL },
};
