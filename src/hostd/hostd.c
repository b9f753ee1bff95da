/* SPDX-License-Identifier: Apache-2.0 */
/* Joins hypervisor, relays and dvmd: what each tells, and whom it concerns. */
#include "hostd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "boots.h"
#include "cleanup.h"
#include "clock.h"
#include "dvm.h"
#include "file.h"
#include "image.h"
#include "log.h"
#include "log_watch.h"
#include "memory.h"
#include "methods.h"
#include "once.h"
#include "parse.h"
#include "pool_ops.h"
#include "server.h"
#include "shots.h"

#define WORKERS 16
#define DOMAIN_REF_MAX 256
#define SOURCE_RETRY (500 * USEC_PER_MSEC)

static bool id_valid(const char *s, char kind)
{
	return s[0] == kind && s[1] == '-' && s[2] && strlen(s) <= DVM_SESSION_MAX - 4 &&
	       strspn(s + 2, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s + 2);
}

bool session_id_valid(const char *s)
{
	return id_valid(s, 's');
}

bool vm_id_valid(const char *s)
{
	return id_valid(s, 'v');
}

bool domain_ref_valid(const char *s)
{
	return s[0] && text_valid(s, DOMAIN_REF_MAX);
}

void hub_name(const char *vm, enum vm_port port, char ret[HUB_NAME_MAX + 1])
{
	snprintf(ret, HUB_NAME_MAX + 1, "%.*s%s%s", DVM_SESSION_MAX, vm,
		 port == VM_PORT_SERIAL0 ? "" : ".",
		 port == VM_PORT_SERIAL0 ? "" : vm_port_name(port));
}

enum vm_port hub_port(const char *name)
{
	const char *dot = strchr(name, '.');
	enum vm_port port;

	return dot && vm_port_parse(dot + 1, &port) == 0 ? port : VM_PORT_SERIAL0;
}

bool hub_name_valid(const char *s)
{
	const char *dot = strchr(s, '.');
	char vm[DVM_SESSION_MAX + 1];
	enum vm_port port;

	if (!dot) {
		return vm_id_valid(s);
	}
	snprintf(vm, sizeof(vm), "%.*s", (int)MIN(dot - s, DVM_SESSION_MAX), s);
	return vm_id_valid(vm) && strlen(vm) == (size_t)(dot - s) &&
	       vm_port_parse(dot + 1, &port) == 0 && port != VM_PORT_SERIAL0;
}

void memory_name(const char *session, unsigned index, char ret[HUB_NAME_MAX + 1])
{
	snprintf(ret, HUB_NAME_MAX + 1, "m%.*s-%u", DVM_SESSION_MAX - 1, session + 1, index);
}

bool memory_name_valid(const char *s)
{
	const char *dash = strrchr(s, '-');

	return id_valid(s, 'm') && dash > s + 2 && dash[1] &&
	       strspn(dash + 1, "0123456789") == strlen(dash + 1);
}

void memory_session(const char *name, char ret[DVM_SESSION_MAX + 1])
{
	snprintf(ret, DVM_SESSION_MAX + 1, "s%.*s", (int)(strrchr(name, '-') - name - 1), name + 1);
}

bool domain_is_our_dvm(const struct hostd *h, const struct domain_brief *domain)
{
	return domain->session[0] && strcmp(domain->owner, h->id) == 0;
}

/* --- the hypervisor, from its threads into the loop
 * ------------------------------------------------------ */

struct contact_post {
	struct hostd *hostd;
	bool up;
};

static void loop_contact(void *arg)
{
	struct contact_post *post = arg;

	log_info("hypervisor is %s", post->up ? "up" : "away");
	server_notify(post->hostd->server, "hypervisor", json_pack("{sb}", "up", post->up));
	if (post->up) {
		dvm_tidy_start(post->hostd);
		restore_all_start(post->hostd);
		pool_tend_start(post->hostd);
	}
	free(post);
}

static void hostd_on_contact(bool up, void *hostd)
{
	struct hostd *h = hostd;
	struct contact_post *post = malloc(sizeof(*post));

	if (post) {
		*post = (struct contact_post){ .hostd = h, .up = up };
	}
	if (!post || worker_post(h->workers, loop_contact, post) < 0) {
		log_err("out of memory; the hypervisor's state is not noted");
		free(post);
	}
}

struct domain_post {
	struct hostd *hostd;
	struct domain_event event;
};

static bool event_ends(enum domain_event_kind kind)
{
	return kind == DOMAIN_EVENT_STOPPED || kind == DOMAIN_EVENT_CRASHED;
}

/* A guest that is stepped through is paused and resumed a thousand times a second: its relay says
 * what of it counts. */
static bool event_is_debuggers(struct hostd *h, const struct domain_event *e)
{
	struct relay *r;
	size_t it = 0;

	if (e->kind != DOMAIN_EVENT_PAUSED && e->kind != DOMAIN_EVENT_RESUMED) {
		return false;
	}
	while ((r = relay_next(h->relays, &it))) {
		if (relay_is_debugged(r) && strcmp(relay_domain(r), e->uuid) == 0) {
			return true;
		}
	}
	return false;
}

static void relay_refresh(struct hostd *h, struct relay *r, enum domain_event_kind kind)
{
	bool anew = kind == DOMAIN_EVENT_STARTED || event_ends(kind);

	/* Where memory was, the emulator may soon have something else. */
	if (relay_is_memory(r) && (anew || kind == DOMAIN_EVENT_UNPLUGGED)) {
		live_refresh_start(h, relay_name(r));
	} else if (anew) {
		console_refresh_start(h, relay_name(r));
	}
}

static void loop_domain(void *arg)
{
	struct domain_post *post = arg;
	struct hostd *h = post->hostd;
	const struct domain_event *e = &post->event;
	struct fault fault;
	struct relay *r;
	size_t it = 0;

	if (e->kind != DOMAIN_EVENT_UNPLUGGED && !event_is_debuggers(h, e)) {
		server_notify(h->server, "domain.changed",
			      json_pack("{ssssss}", "uuid", e->uuid, "state",
					domain_state_name(e->state), "event",
					domain_event_name(e->kind)));
	}
	if (event_ends(e->kind) && relay_find(h->relays, e->session)) {
		fault_set(&fault, FAULT_DVM_LOST, "The debug VM stopped");
		boots_fail(h, e->session, &fault);
		server_notify(h->server, "dvm.lost",
			      json_pack("{ssss}", "session", e->session, "reason",
					domain_event_name(e->kind)));
	}
	if (event_ends(e->kind) && pool_lost(h->pool, e->session)) {
		pool_tend_start(h);
	}
	while ((r = relay_next(h->relays, &it))) {
		if (strcmp(relay_domain(r), e->uuid) == 0) {
			relay_refresh(h, r, e->kind);
		}
	}
	free(post);
}

static void hostd_on_domain(const struct domain_event *event, void *hostd)
{
	struct hostd *h = hostd;
	struct domain_post *post = malloc(sizeof(*post));

	if (post) {
		*post = (struct domain_post){ .hostd = h, .event = *event };
	}
	if (!post || worker_post(h->workers, loop_domain, post) < 0) {
		log_err("out of memory; an event of the hypervisor is lost");
		free(post);
	}
}

static void hostd_on_trouble(const char *text, void *hostd)
{
	log_warn("hypervisor: %s", text);
}

static const struct hypervisor_events hypervisor_events = {
	.contact = hostd_on_contact,
	.domain = hostd_on_domain,
	.trouble = hostd_on_trouble,
};

/* --- the relays
 * ------------------------------------------------------------------------------------------ */

static json_t *relay_names(const struct relay *r)
{
	bool console = relay_is_console(r);

	return json_pack("{ss?ss?}", "session", console ? NULL : relay_name(r), "vm",
			 console ? relay_name(r) : NULL);
}

static void on_relay_lost(struct relay *r, struct hostd *h)
{
	log_warn("relay %s is gone; starting it again", relay_name(r));
	if (!relay_is_memory(r) && hub_port(relay_name(r)) == VM_PORT_SERIAL0) {
		server_notify(h->server, "relay.lost", relay_names(r));
	}
	if (vm_id_valid(relay_name(r))) {
		gdb_look_start(h, relay_name(r), relay_domain(r), true);
	}
}

static void on_relay_restore(struct relay *r, struct hostd *h)
{
	struct relay *other;
	size_t it = 0;

	if (relay_is_memory(r)) {
		live_refresh_start(h, relay_name(r));
		return;
	}
	/* Of a port's hub dvmd knows nothing: it is there while the port is attached. */
	if (hub_port(relay_name(r)) == VM_PORT_SERIAL0) {
		server_notify(h->server, "relay.back", relay_names(r));
	}
	if (!relay_is_console(r)) {
		session_restore_start(h, relay_name(r));
		return;
	}
	console_refresh_start(h, relay_name(r));
	if (vm_id_valid(relay_name(r))) {
		gdb_look_start(h, relay_name(r), relay_domain(r), false);
	}
	/* Sessions had links to it. */
	while ((other = relay_next(h->relays, &it))) {
		if (!relay_is_console(other) && !relay_is_memory(other)) {
			session_restore_start(h, relay_name(other));
		}
	}
}

struct retry {
	struct hostd *hostd;
	bool console;
	char name[HUB_NAME_MAX + 1];
};

static void on_retry(void *user)
{
	const struct retry *retry = user;

	if (!relay_find(retry->hostd->relays, retry->name)) {
		return;
	}
	if (retry->console) {
		console_refresh_start(retry->hostd, retry->name);
	} else {
		session_restore_start(retry->hostd, retry->name);
	}
}

/* A stream ended while its VM may live on: look again in a moment, when the VM's own end is known.
 */
static void retry_later(struct hostd *h, const struct relay *r)
{
	struct retry *retry = calloc(1, sizeof(*retry));

	if (!retry) {
		return;
	}
	retry->hostd = h;
	retry->console = relay_is_console(r);
	strcpy(retry->name, relay_name(r));
	if (once_later(h->event, SOURCE_RETRY, on_retry, free, retry) < 0) {
		free(retry);
	}
}

static void on_relay_notice(struct relay *r, const char *method, const json_t *params,
			    struct hostd *h)
{
	const char *name = relay_name(r);

	if (strcmp(method, "agent.up") == 0 || strcmp(method, "agent.failed") == 0) {
		boots_check(h, name);
		if (relay_agent(r) == RELAY_AGENT_UP && relay_host_key(r)) {
			server_notify(h->server, "dvm.key",
				      json_pack("{ssss}", "session", name, "host_key",
						relay_host_key(r)));
		}
	} else if (strcmp(method, "hub.lost") == 0 || strcmp(method, "upstream.lost") == 0 ||
		   strcmp(method, "port.lost") == 0 || strcmp(method, "agent.down") == 0) {
		retry_later(h, r);
	} else if (strcmp(method, "gdb.state") == 0 && vm_id_valid(name)) {
		gdb_state(h, name, relay_domain(r), params);
	} else if (strcmp(method, "hub.panicked") == 0 && vm_id_valid(name)) {
		server_notify(
			h->server, "vm.panicked",
			json_pack("{sssO?}", "vm", name, "text", json_object_get(params, "text")));
	} else if (strcmp(method, "history.stopped") == 0 && relay_is_console(r)) {
		console_history_start(h, name, json_is_true(json_object_get(params, "again")));
	} else if (strcmp(method, "port.dropped") == 0) {
		server_notify(h->server, "port.dropped",
			      json_pack("{sssO?sO?}", "session", name, "name",
					json_object_get(params, "name"), "bytes",
					json_object_get(params, "bytes")));
	} else if (strcmp(method, "record.stopped") == 0) {
		server_notify(h->server, "recording.stopped",
			      json_pack("{sssO?sO?}", "session", name, "name",
					json_object_get(params, "name"), "code",
					json_object_get(params, "code")));
	}
}

static void on_relay_call(struct relay *r, const char *method, json_t *params,
			  struct rpc_request *request, struct hostd *h)
{
	struct fault fault;

	if (strcmp(method, "break") == 0 && vm_id_valid(relay_name(r))) {
		console_break_start(h, relay_name(r), relay_domain(r), request);
		return;
	}
	if (strcmp(method, "gdb.open") == 0 && vm_id_valid(relay_name(r))) {
		gdb_open_start(h, relay_name(r), relay_domain(r),
			       json_is_true(json_object_get(params, "control")), request);
		return;
	}
	if (strcmp(method, "gdb.close") == 0 && vm_id_valid(relay_name(r))) {
		gdb_close_start(h, relay_name(r), relay_domain(r), request);
		return;
	}
	if (strcmp(method, "display.open") == 0 && relay_is_console(r)) {
		display_open_start(h, relay_domain(r), request);
		return;
	}
	if (strcmp(method, "registers") == 0 && relay_is_memory(r)) {
		live_registers_start(h, relay_domain(r), request);
		return;
	}
	if (strcmp(method, "verb") != 0 || relay_is_console(r) || relay_is_memory(r)) {
		fault_set(&fault, FAULT_NOT_SUPPORTED, "There is no method \"%s\"", method);
		rpc_request_fault(request, &fault);
		return;
	}
	server_ask_take(h->server, "session.verb",
			json_pack("{sssO?sO?}", "session", relay_name(r), "verb",
				  json_object_get(params, "verb"), "words",
				  json_object_get(params, "words")),
			request);
}

static const struct relay_ops relay_ops = {
	.lost = on_relay_lost,
	.restore = on_relay_restore,
	.notice = on_relay_notice,
	.call = on_relay_call,
};

/* --- start and end
 * --------------------------------------------------------------------------------------- */

/* A user of a D-VM cannot pass a folder that is closed to others. */
static void warn_of_closed_folders(const struct hostd *h)
{
	_cleanup_free_ char *path = strdup(h->state);
	struct stat st;
	char *slash;

	while (path && (slash = strrchr(path, '/')) && slash != path) {
		*slash = 0;
		if (stat(path, &st) == 0 && !(st.st_mode & S_IXOTH)) {
			log_warn("debug VMs will not start: %s is closed to other users", path);
		}
	}
}

int hostd_make_folders(struct hostd *h)
{
	/* Open to pass: as root, D-VMs run as users of their own who must reach the images, and
	 * dvm-gate as one who must reach the relays' sockets. */
	static const struct {
		const char *name;
		mode_t mode;
	} folders[] = {
		{ ".", 0711 },		{ "images", 0755 },  { "run", 0711 },
		{ "run/relay", 0711 },	{ "run/dvm", 0700 }, { "consoles", 0700 },
		{ "recordings", 0700 }, { "log", 0700 },     { "memory", 0700 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_cleanup_free_ char *path = strf("%s/%s", h->state, folders[i].name);
		int r = path ? dir_make(path, folders[i].mode) : -ENOMEM;

		if (r == 0 && h->root && (folders[i].mode & S_IXOTH) &&
		    chmod(path, folders[i].mode) < 0) {
			r = -errno;
		}
		if (r < 0) {
			return r;
		}
	}
	if (h->root) {
		warn_of_closed_folders(h);
	}
	return 0;
}

/* Made once for a state folder. */
static int id_load(struct hostd *h)
{
	_cleanup_free_ char *path = strf("%s/host.id", h->state);
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	r = path ? file_read(path, DVM_OWNER_MAX, &text, &len) : -ENOMEM;
	if (r == -ENOENT) {
		text = random_id("h", 16);
		r = text ? file_write_atomic(path, text, strlen(text), 0600) : -ENOMEM;
	}
	if (r == 0) {
		strcpy(h->id, text);
	}
	return r;
}

int hostd_open(struct hostd *h, const char *uri)
{
	_cleanup_free_ char *images = strf("%s/images", h->state);
	_cleanup_free_ char *memory = strf("%s/memory", h->state);
	struct fault fault;
	int r;

	r = id_load(h);
	if (r == 0) {
		r = worker_pool_new(h->event, "work", WORKERS, &h->workers);
	}
	if (r == 0) {
		r = images ? image_store_new(images, &h->images) : -ENOMEM;
	}
	if (r == 0) {
		r = memory ? memory_store_new(memory, h->images, &h->memory) : -ENOMEM;
	}
	if (r == 0) {
		r = pool_new(&h->pool);
	}
	if (r == 0) {
		r = shots_new(&h->shots);
	}
	if (r == 0) {
		r = boots_new(h, &h->boots);
	}
	if (r == 0) {
		r = log_watches_new(h, &h->log_watches);
	}
	if (r == 0) {
		r = server_new(h, &h->server);
	}
	if (r == 0 &&
	    hypervisor_driver(uri)->open(uri, &hypervisor_events, h, &h->hv, &fault) < 0) {
		log_err("%s", fault.message);
		r = -EREMOTEIO;
	}
	if (r == 0) {
		r = relays_new(h, &relay_ops, &h->relays);
	}
	if (r == 0) {
		images_warm_start(h);
		console_history_trim_start(h);
	}
	return r;
}

void hostd_stop(struct hostd *h)
{
	pool_drain_start(h);
	h->stopping = true;
	memory_store_stop(h->memory);
	h->boots = boots_free(h->boots);
	relays_close(h->relays);
	if (h->ops_running == 0) {
		sd_event_exit(h->event, 0);
	}
}

void hostd_close(struct hostd *h)
{
	h->stopping = true;
	h->boots = boots_free(h->boots);
	relays_close(h->relays);
	h->hv = h->hv ? h->hv->ops->free(h->hv) : NULL;
	pool_timer_stop(h);
	h->workers = worker_pool_free(h->workers);
	h->pool = pool_free(h->pool);
	h->log_watches = log_watches_free(h->log_watches);
	h->relays = relays_free(h->relays);
	h->server = server_free(h->server);
	h->memory = memory_store_free(h->memory);
	h->images = image_store_free(h->images);
	h->shots = shots_free(h->shots);
}
