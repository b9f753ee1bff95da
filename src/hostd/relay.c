/* SPDX-License-Identifier: Apache-2.0 */
/* The relays of this host; see relay.h. This file is the loop's side; relay_call.c the workers'. */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "map.h"
#include "parse.h"
#include "relay_internal.h"
#include "relay_process.h"
#include "ring_file.h"
#include "session_file.h"
#include "unix.h"

#define RETRY_MIN (100 * USEC_PER_MSEC)
#define RETRY_MAX (5 * USEC_PER_SEC)
#define SETUP_TIMEOUT (5 * USEC_PER_SEC)
/* Making a large scrollback another size may take a while. */
#define HUB_TIMEOUT (60 * USEC_PER_SEC)

static void relay_connect(struct relay *r);

char *relay_path(const struct hostd *h, const char *name, const char *file)
{
	return strf("%s/run/relay/%s/%s", h->state, name, file);
}

const char *relay_name(const struct relay *r)
{
	return r->name;
}

bool relay_is_console(const struct relay *r)
{
	return r->name[0] == 'v';
}

bool relay_is_memory(const struct relay *r)
{
	return r->name[0] == 'm';
}

const char *relay_domain(const struct relay *r)
{
	return r->domain;
}

enum relay_agent relay_agent(const struct relay *r)
{
	return r->agent;
}

const char *relay_host_key(const struct relay *r)
{
	return r->host_key;
}

const char *relay_failed(const struct relay *r)
{
	return r->failed;
}

bool relay_is_up(const struct relay *r)
{
	return r->state == RELAY_UP;
}

bool relay_is_debugged(const struct relay *r)
{
	return r->debugged;
}

struct relay *relay_find(struct relays *rs, const char *name)
{
	return map_get(rs->map, name);
}

struct relay *relay_next(struct relays *rs, size_t *it)
{
	return map_next(rs->map, it, NULL);
}

/* --- what is kept over our restarts: RUN/relay/NAME/meta.json
 * -------------------------------------------- */

static int meta_save(struct relay *r)
{
	_cleanup_free_ char *path = relay_path(r->rs->hostd, r->name, "meta.json");
	_cleanup_free_ char *text = NULL;
	json_auto_t *json =
		json_pack("{sssisb}", "domain", r->domain, "uid", (int)r->uid, "keep", !r->no_keep);

	if (json) {
		text = json_dumps(json, JSON_COMPACT);
	}
	return path && text ? file_write_atomic(path, text, strlen(text), 0600) : -ENOMEM;
}

static void meta_load(struct relay *r)
{
	_cleanup_free_ char *path = relay_path(r->rs->hostd, r->name, "meta.json");
	_cleanup_free_ char *text = NULL;
	json_auto_t *json = NULL;
	const char *domain;
	size_t len;

	if (!path || file_read(path, 4096, &text, &len) < 0) {
		return;
	}
	json = json_loadb(text, len, 0, NULL);
	domain = json_string_value(json_object_get(json, "domain"));
	if (domain && strlen(domain) <= DOMAIN_UUID_LEN) {
		strcpy(r->domain, domain);
	}
	r->uid = (uid_t)json_integer_value(json_object_get(json, "uid"));
	r->no_keep = json_is_false(json_object_get(json, "keep"));
}

/* A user of its own: by the name's hash, or the next that no other relay has. */
static uid_t uid_choose(struct relays *rs, const char *name)
{
	unsigned hash = 5381;

	if (!rs->hostd->root) {
		return getuid();
	}
	for (const char *p = name; *p; p++) {
		hash = hash * 33 + (unsigned char)*p;
	}
	for (unsigned i = 0; i < UIDS_EACH; i++) {
		uid_t uid = RELAY_UID_FIRST + (hash + i) % UIDS_EACH;
		bool used = false;
		struct relay *other;
		size_t it = 0;

		while ((other = relay_next(rs, &it))) {
			used |= other->uid == uid;
		}
		if (!used) {
			return uid;
		}
	}
	return RELAY_UID_FIRST;
}

/* --- life of one
 * ----------------------------------------------------------------------------------------- */

static struct relay *relay_free(struct relay *r)
{
	struct fault fault;

	if (r) {
		fault_set(&fault, FAULT_CANCELLED, "The host's service is stopping");
		relay_waits_finish(r, &fault);
		rpc_peer_free(r->peer);
		sd_event_source_disable_unref(r->timer);
		free(r->host_key);
		free(r->failed);
		free(r->name);
		free(r);
	}
	return NULL;
}

int relay_add(struct relays *rs, const char *name, struct relay **ret)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r) {
		return -ENOMEM;
	}
	r->rs = rs;
	list_init(&r->waits);
	r->name = strdup(name);
	if (!r->name || map_put(rs->map, name, r, NULL) < 0) {
		relay_free(r);
		return -ENOMEM;
	}
	meta_load(r);
	if (r->uid == 0) {
		r->uid = uid_choose(rs, name);
	}
	*ret = r;
	return 0;
}

void relay_forget(struct relay *r)
{
	map_remove(r->rs->map, r->name);
	relay_free(r);
}

static int on_retry(sd_event_source *source, uint64_t now, void *user)
{
	struct relay *r = user;

	relay_connect(r);
	return 0;
}

static void replace_string(char **field, const char *value)
{
	free(*field);
	*field = value ? strdup(value) : NULL;
}

static void relay_down(struct relay *r, const char *why)
{
	bool was_up = r->state == RELAY_UP;

	if (r->state == RELAY_STOPPING) {
		relay_waits_finish(r, NULL);
		return;
	}
	if (r->timer) {
		return; /* known, and the next start is due */
	}
	log_debug("relay %s: down: %s", r->name, why);
	r->state = RELAY_DOWN;
	r->agent = RELAY_AGENT_NONE;
	r->peer_dead = true;
	r->retry = r->retry ? MIN(r->retry * 2, RETRY_MAX) : RETRY_MIN;
	if (was_up) {
		r->needs_restore = true;
		r->lost_told = true;
		r->rs->ops->lost(r, r->rs->hostd);
	}
	sd_event_add_time_relative(r->rs->hostd->event, &r->timer, CLOCK_MONOTONIC, r->retry, 10000,
				   on_retry, r);
}

/* This start has failed. Who waits goes on waiting for the next, unless that makes no sense. */
static void relay_give_up(struct relay *r, int error)
{
	struct fault fault;

	if (error == -ENOSPC || error == -EDQUOT) {
		fault_set(&fault, FAULT_DISK_FULL, "The host's disk is full");
		relay_waits_finish(r, &fault);
	}
	relay_down(r, strerror(-error));
}

void relay_status_read(struct relay *r, const json_t *status)
{
	const char *agent = json_string_value(json_object_get(status, "agent"));

	r->agent = !agent || strcmp(agent, "none") == 0 ? RELAY_AGENT_NONE
		   : strcmp(agent, "up") == 0		? RELAY_AGENT_UP
							: RELAY_AGENT_WAIT;
	replace_string(&r->host_key, json_string_value(json_object_get(status, "host_key")));
	replace_string(&r->failed, json_string_value(json_object_get(status, "failed")));
	r->debugged |= json_is_true(json_object_get(status, "gdb"));
	r->hub_open = json_is_object(json_object_get(status, "hub"));
	r->hub_size = (uint64_t)json_integer_value(
		json_object_get(json_object_get(status, "hub"), "size_bytes"));
	r->hub_keeps = !json_is_false(json_object_get(json_object_get(status, "hub"), "keep"));
}

static int listen_send(struct relay *r, rpc_answer_fn answer)
{
	_cleanup_free_ char *path = relay_path(r->rs->hostd, r->name, "stream.sock");
	_cleanup_close_ int fd = -1;
	int k;

	if (!path) {
		return -ENOMEM;
	}
	k = unix_listen(path, 0660, &fd);
	if (k == 0 && r->rs->hostd->root && chown(path, 0, GATE_GID) < 0) {
		k = -errno;
	}
	if (k < 0) {
		return k;
	}
	return rpc_peer_call(r->peer, "listen", NULL, &fd, 1, SETUP_TIMEOUT, answer, r);
}

static int hub_send(struct relay *r, rpc_answer_fn answer)
{
	struct hostd *h = r->rs->hostd;
	struct ring_files files;
	int fds[2], k;

	k = ring_files_open(h, r->name, r->hub_open || r->no_keep, &files);
	if (k < 0) {
		return k;
	}
	fds[0] = files.fd;
	fds[1] = files.next_fd;
	r->hub_asked = true;
	r->hub_asked_no_keep = r->no_keep;
	k = rpc_peer_call(r->peer, "hub.open",
			  json_pack("{sIsbsb}", "size_bytes",
				    (json_int_t)h->config.scrollback_bytes, "writable", 1, "keep",
				    !r->no_keep),
			  fds, files.next_fd >= 0 ? 2 : 1, HUB_TIMEOUT, answer, r);
	close_fd(files.fd);
	close_fd(files.next_fd);
	return k;
}

/* Whether the relay's hub is other than it is to be. One that says no size is of an older relay's,
 * and left alone. */
static bool hub_is_due(const struct relay *r)
{
	return r->hub_size != 0 &&
	       (r->hub_size != r->rs->hostd->config.scrollback_bytes || r->hub_keeps == r->no_keep);
}

/* The next thing to do about the hub: true when it was begun, false when there is none. */
static int hub_next(struct relay *r, rpc_answer_fn answer, bool *ret_begun)
{
	struct hostd *h = r->rs->hostd;
	int k = 0;

	*ret_begun = false;
	if (!relay_is_console(r)) {
		return 0;
	}
	if (r->hub_open && !r->hub_asked && r->hub_size != 0) {
		k = ring_files_settle_by_size(h, r->name, r->hub_keeps ? r->hub_size : 0);
	}
	if (k == 0 && (!r->hub_open || (!r->hub_asked && hub_is_due(r)))) {
		k = hub_send(r, answer);
		*ret_begun = k == 0;
	}
	return k;
}

static int hub_answer(struct relay *r, const json_t *result)
{
	struct hostd *h = r->rs->hostd;
	bool next = json_is_true(json_object_get(result, "next"));
	int k = ring_files_settle(h, r->name, next);

	r->hub_open = true;
	r->hub_size = (uint64_t)json_integer_value(json_object_get(result, "size_bytes"));
	r->hub_keeps = json_is_true(json_object_get(result, "keep"));
	/* The second file was found to be ahead, and has a size of its own; or something else is
	 * wanted by now. */
	r->hub_asked = !next && r->hub_asked_no_keep == r->no_keep;
	if (k == 0 && r->hub_asked && hub_is_due(r)) {
		log_warn(
			"%s: the console's scrollback keeps its size, there is no room for another",
			r->name);
	}
	return k;
}

static void relay_up(struct relay *r)
{
	r->state = RELAY_UP;
	r->retry = 0;
	r->lost_told = false;
	relay_waits_finish(r, NULL);
	log_debug("relay %s: up", r->name);
	if (r->needs_restore) {
		r->needs_restore = false;
		r->rs->ops->restore(r, r->rs->hostd);
	}
}

static void on_setup(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
		     void *user);

/* The next thing to say to a relay we are connected to. */
static void setup_next(struct relay *r)
{
	bool begun;
	int k = 0;

	switch (r->setup) {
	case SETUP_HELLO:
		k = rpc_peer_call(r->peer, "hello",
				  json_pack("{siss}", "protocol", 1, "program", "dvm-hostd"), NULL,
				  0, SETUP_TIMEOUT, on_setup, r);
		break;
	case SETUP_STATUS:
		k = rpc_peer_call(r->peer, "status", NULL, NULL, 0, SETUP_TIMEOUT, on_setup, r);
		break;
	case SETUP_LISTEN:
		if (relay_is_memory(r)) {
			relay_up(r); /* it was started with its socket */
			break;
		}
		k = listen_send(r, on_setup);
		if (k == -EADDRINUSE) {
			/* It has its socket from our predecessor. */
			k = 0;
			on_setup(NULL, NULL, NULL, 0, r);
		}
		break;
	case SETUP_HUB:
		k = hub_next(r, on_setup, &begun);
		if (k == 0 && !begun) {
			relay_up(r);
		}
		break;
	}
	if (k < 0) {
		relay_give_up(r, k);
	}
}

static void on_setup(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
		     void *user)
{
	struct relay *r = user;

	if (r->state != RELAY_STARTING) {
		return;
	}
	if (fault) {
		if (fault->code == FAULT_TIMEOUT) {
			/* It lives but does not answer. */
			_cleanup_free_ char *folder = relay_path(r->rs->hostd, r->name, "");

			if (folder) {
				relay_process_kill(folder);
			}
		}
		log_warn("relay %s: %s", r->name, fault->message);
		if (fault->code == FAULT_DISK_FULL) {
			relay_waits_finish(r, fault);
		}
		relay_down(r, fault->message);
		return;
	}
	if (r->setup == SETUP_STATUS) {
		relay_status_read(r, result);
	}
	if (r->setup == SETUP_HUB) {
		int k = hub_answer(r, result);

		if (k < 0) {
			relay_give_up(r, k);
			return;
		}
	} else {
		r->setup++;
	}
	setup_next(r);
}

static void on_call(struct rpc_peer *p, struct rpc_request *request, const char *method,
		    json_t *params, int *fds, size_t n_fds, void *user)
{
	struct relay *r = user;

	r->rs->ops->call(r, method, params, request, r->rs->hostd);
}

static void on_notice(struct rpc_peer *p, const char *method, json_t *params, void *user)
{
	struct relay *r = user;

	if (strcmp(method, "agent.up") == 0) {
		r->agent = RELAY_AGENT_UP;
		replace_string(&r->host_key,
			       json_string_value(json_object_get(params, "host_key")));
		replace_string(&r->failed, NULL);
	} else if (strcmp(method, "agent.down") == 0) {
		r->agent = RELAY_AGENT_NONE;
	} else if (strcmp(method, "agent.failed") == 0) {
		const char *text = json_string_value(json_object_get(params, "text"));

		replace_string(&r->failed,
			       text && text_valid(text, 160) ? text : "no reason given");
	}
	r->rs->ops->notice(r, method, params, r->rs->hostd);
}

static void on_closed(struct rpc_peer *p, void *user)
{
	relay_down(user, "connection ended");
}

static const struct rpc_peer_ops peer_ops = { .call = on_call,
					      .notice = on_notice,
					      .closed = on_closed };

/* Whoever may connect to the server is the session's D-VM. */
static int memory_spawn(struct relay *r, struct relay_start *start)
{
	struct hostd *h = r->rs->hostd;
	char session[DVM_SESSION_MAX + 1];
	json_auto_t *state = NULL;
	struct fault fault;

	memory_session(r->name, session);
	if (session_load(h, session, &state, &fault) < 0) {
		return -ESRCH;
	}
	start->program = h->memory_plugin;
	return memory_process_start(
		start, h->root ? (uid_t)json_integer_value(json_object_get(state, "uid")) : 0);
}

static int relay_spawn(struct relay *r)
{
	struct hostd *h = r->rs->hostd;
	_cleanup_free_ char *folder = relay_path(h, r->name, "");
	_cleanup_free_ char *log_path = strf("%s/log/dvm-relay.log", h->state);
	struct relay_start start = {
		.program = h->relay,
		.name = r->name,
		.folder = folder,
		.log_path = log_path,
		.uid = r->uid,
	};
	int k;

	if (!folder || !log_path) {
		return -ENOMEM;
	}
	k = dir_make(folder, 0711);
	if (k == 0) {
		k = meta_save(r);
	}
	if (k == 0) {
		k = relay_is_memory(r) ? memory_spawn(r, &start) : relay_process_start(&start);
	}
	return k;
}

static void relay_connect(struct relay *r)
{
	_cleanup_free_ char *path = relay_path(r->rs->hostd, r->name, "control.sock");
	_cleanup_close_ int fd = -1;
	int k = path ? unix_connect(path, &fd) : -ENOMEM;

	r->timer = sd_event_source_disable_unref(r->timer);
	if (r->peer_dead) {
		r->peer = rpc_peer_free(r->peer);
		r->peer_dead = false;
	}
	if (k == -ENOENT || k == -ECONNREFUSED) {
		if (!r->lost_told && k == -ECONNREFUSED) {
			/* Died while nobody watched. */
			r->lost_told = true;
			r->needs_restore = true;
			r->rs->ops->lost(r, r->rs->hostd);
		}
		k = relay_spawn(r);
		if (k == 0) {
			k = unix_connect(path, &fd);
		}
	}
	if (k == 0) {
		k = rpc_peer_new_take(r->rs->hostd->event, TAKE_FD(fd), &peer_ops, r, &r->peer);
	}
	if (k < 0) {
		log_warn("relay %s could not be started: %s", r->name, strerror(-k));
		relay_give_up(r, k);
		return;
	}
	r->state = RELAY_STARTING;
	r->setup = SETUP_HELLO;
	r->hub_asked = false;
	setup_next(r);
}

int relay_begin(struct relays *rs, const char *name, const char *domain, struct relay **ret)
{
	struct relay *r = relay_find(rs, name);
	int k;

	if (!r) {
		k = relay_add(rs, name, &r);
		if (k < 0) {
			return k;
		}
		r->lost_told = true; /* nothing was there to be lost */
	}
	if (domain && strcmp(domain, r->domain) != 0) {
		strcpy(r->domain, domain);
		if (r->state != RELAY_DOWN) {
			meta_save(r);
		}
	}
	if (r->state == RELAY_DOWN) {
		relay_connect(r);
	}
	*ret = r;
	return 0;
}

int relay_keep_set(struct relay *r, bool keep)
{
	int k = 0;

	if (r->no_keep == !keep) {
		return 0;
	}
	r->no_keep = !keep;
	if (r->state != RELAY_DOWN) {
		k = meta_save(r);
	}
	if (k == 0 && r->state == RELAY_UP) {
		r->state = RELAY_STARTING;
		r->setup = SETUP_HUB;
		r->hub_asked = false;
		setup_next(r);
	}
	return k;
}

static bool relay_name_valid(const char *s)
{
	return session_id_valid(s) || hub_name_valid(s) || memory_name_valid(s);
}

static int adopt_one(const char *name, void *user)
{
	struct relay *r;
	int k;

	k = relay_add(user, name, &r);
	if (k == 0) {
		/* One that outlived us may have lost a source or the agent meanwhile. */
		r->needs_restore = true;
		relay_connect(r);
	}
	return k;
}

int relays_new(struct hostd *h, const struct relay_ops *ops, struct relays **ret)
{
	struct relays *rs = calloc(1, sizeof(*rs));
	int k;

	if (!rs) {
		return -ENOMEM;
	}
	*rs = (struct relays){ .hostd = h, .ops = ops, .map = map_new() };
	if (!rs->map) {
		free(rs);
		return -ENOMEM;
	}
	h->relays = rs;
	k = relay_each(h, relay_name_valid, adopt_one, rs);
	if (k < 0) {
		h->relays = relays_free(rs);
		return k;
	}
	*ret = rs;
	return 0;
}

void relays_close(struct relays *rs)
{
	const char *name;
	struct relay *r;
	size_t it = 0;

	while (rs && (r = map_next(rs->map, &it, &name))) {
		map_remove(rs->map, name);
		relay_free(r);
	}
}

struct relays *relays_free(struct relays *rs)
{
	if (rs) {
		relays_close(rs);
		map_free(rs->map);
		free(rs);
	}
	return NULL;
}
