/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What workers ask of relays. A question is a struct relay_wait on the worker's stack, posted to
 * the loop; the loop answers it exactly once (result, fault or time-out), so the worker may wait
 * without a limit of its own.
 */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "dir_each.h"
#include "file.h"
#include "parse.h"
#include "relay_internal.h"
#include "relay_process.h"

#define UP_TIMEOUT (10 * USEC_PER_SEC)
#define STOP_TIMEOUT (3 * USEC_PER_SEC)

static int relay_lost(struct fault *fault)
{
	return fault_set(fault, FAULT_RELAY_LOST, "The stream's relay does not run");
}

/* --- loop's side
 * ----------------------------------------------------------------------------------------- */

/* After this the worker may have left its stack frame. */
static void wait_finish(struct relay_wait *w, const struct fault *fault)
{
	w->timer = sd_event_source_disable_unref(w->timer);
	list_del(&w->link);
	if (fault) {
		w->fault = *fault;
	}
	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

void relay_waits_finish(struct relay *r, const struct fault *fault)
{
	struct relay_wait *w, *next;

	list_for_each_safe (w, next, &r->waits, link) {
		wait_finish(w, fault);
	}
}

static int on_wait_timeout(sd_event_source *source, uint64_t now, void *user)
{
	struct fault fault;

	relay_lost(&fault);
	wait_finish(user, &fault);
	return 0;
}

/* Leaves `w` waiting for the relay's next turn. */
static void wait_add(struct relay_wait *w, struct relay *r, usec_t timeout)
{
	struct fault fault;

	list_add_tail(&r->waits, &w->link);
	if (sd_event_add_time_relative(w->hostd->event, &w->timer, CLOCK_MONOTONIC, timeout, 1000,
				       on_wait_timeout, w) < 0) {
		relay_lost(&fault);
		wait_finish(w, &fault);
	}
}

static void wait_up(struct relay_wait *w, bool sets_keep)
{
	struct fault fault;
	struct relay *r;

	if (w->hostd->stopping || relay_begin(w->hostd->relays, w->name, w->domain, &r) < 0 ||
	    (sets_keep && relay_keep_set(r, w->keep) < 0)) {
		relay_lost(&fault);
		wait_finish(w, &fault);
	} else if (r->state == RELAY_UP) {
		wait_finish(w, NULL);
	} else {
		wait_add(w, r, UP_TIMEOUT);
	}
}

static void loop_need(void *arg)
{
	wait_up(arg, false);
}

static void loop_need_kept(void *arg)
{
	wait_up(arg, true);
}

static void loop_exists(void *arg)
{
	struct relay_wait *w = arg;
	struct relay *r = relay_find(w->hostd->relays, w->name);
	struct fault fault;

	if (!r) {
		relay_lost(&fault);
		wait_finish(w, &fault);
		return;
	}
	strcpy(w->found_domain, r->domain);
	wait_finish(w, NULL);
}

static void on_answer(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
		      void *user)
{
	struct relay_wait *w = user;
	struct fault lost;
	struct relay *r = relay_find(w->hostd->relays, w->name);

	if (fault && fault->code == FAULT_HOST_AWAY) {
		/* It ended under the call: its fault, not the host's. */
		relay_lost(&lost);
		fault = &lost;
	} else if (!fault) {
		w->result = json_incref((json_t *)result);
		if (r && strcmp(w->method, "status") == 0) {
			relay_status_read(r, result);
		}
	}
	wait_finish(w, fault);
}

static void loop_call(void *arg)
{
	struct relay_wait *w = arg;
	struct relay *r = relay_find(w->hostd->relays, w->name);
	struct fault fault;

	if (!r || r->state != RELAY_UP || w->hostd->stopping ||
	    rpc_peer_call(r->peer, w->method, json_incref(w->params), w->fds, w->n_fds,
			  RELAY_CALL_TIMEOUT, on_answer, w) < 0) {
		relay_lost(&fault);
		wait_finish(w, &fault);
	}
}

static void loop_stop(void *arg)
{
	struct relay_wait *w = arg;
	struct relay *r = relay_find(w->hostd->relays, w->name);
	bool up = r && r->state == RELAY_UP;

	if (r) {
		struct fault fault;

		relay_lost(&fault);
		relay_waits_finish(r, &fault);
		r->state = RELAY_STOPPING;
		r->timer = sd_event_source_disable_unref(r->timer);
	}
	if (up &&
	    rpc_peer_call(r->peer, "shutdown", NULL, NULL, 0, STOP_TIMEOUT, NULL, NULL) == 0) {
		wait_add(w, r, STOP_TIMEOUT); /* until the connection ends */
	} else {
		wait_finish(w, NULL);
	}
}

static void loop_forget(void *arg)
{
	struct relay_wait *w = arg;
	struct relay *r = relay_find(w->hostd->relays, w->name);

	if (r) {
		relay_forget(r);
	}
	wait_finish(w, NULL);
}

/* --- workers' side
 * --------------------------------------------------------------------------------------- */

/* Takes w->params and leaves w->result to the caller. */
static int wait_for(struct relay_wait *w, struct hostd *h, const char *name, worker_fn in_loop,
		    struct fault *fault)
{
	int r;

	w->hostd = h;
	w->name = name;
	list_init(&w->link);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	r = worker_post(h->workers, in_loop, w);
	if (r < 0) {
		fault_set(&w->fault, FAULT_INTERNAL, "Out of memory");
	} else {
		pthread_mutex_lock(&w->lock);
		while (!w->done) {
			pthread_cond_wait(&w->wake, &w->lock);
		}
		pthread_mutex_unlock(&w->lock);
	}
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	json_decref(w->params);
	if (w->fault.code != FAULT_NONE) {
		*fault = w->fault;
		return -EREMOTEIO;
	}
	return 0;
}

int relay_need(struct hostd *h, const char *name, const char *domain, struct fault *fault)
{
	struct relay_wait w = { .domain = domain };

	return wait_for(&w, h, name, loop_need, fault);
}

int relay_need_kept(struct hostd *h, const char *name, const char *domain, bool keep,
		    struct fault *fault)
{
	struct relay_wait w = { .domain = domain, .keep = keep };

	return wait_for(&w, h, name, loop_need_kept, fault);
}

bool relay_exists(struct hostd *h, const char *name, char ret_domain[DOMAIN_UUID_LEN + 1])
{
	struct relay_wait w = { 0 };
	struct fault fault;

	if (wait_for(&w, h, name, loop_exists, &fault) < 0) {
		return false;
	}
	if (ret_domain) {
		strcpy(ret_domain, w.found_domain);
	}
	return true;
}

int relay_call(struct hostd *h, const char *name, const char *method, json_t *params, int fd,
	       int fd2, json_t **ret, struct fault *fault)
{
	struct relay_wait w = {
		.method = method,
		.params = params ? params : json_object(),
		.fds = { fd, fd2 },
		.n_fds = (fd >= 0) + (fd2 >= 0),
	};
	int r;

	r = wait_for(&w, h, name, loop_call, fault);
	if (r == 0 && ret) {
		*ret = TAKE_PTR(w.result);
	}
	json_decref(w.result);
	return r;
}

int relay_stop(struct hostd *h, const char *name, struct fault *fault)
{
	_cleanup_free_ char *folder = relay_path(h, name, "");
	struct relay_wait stop = { 0 }, forget = { 0 };
	struct fault late;
	int r;

	if (!folder) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	wait_for(&stop, h, name, loop_stop, &late); /* a time-out is answered by the next line */
	relay_process_kill(folder);
	r = dir_remove(folder);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "A relay's folder could not be removed: %s",
				 strerror(-r));
	}
	return wait_for(&forget, h, name, loop_forget, fault);
}

int relay_each(const struct hostd *h, bool (*valid)(const char *),
	       int (*fn)(const char *name, void *user), void *user)
{
	_cleanup_free_ char *path = strf("%s/run/relay", h->state);

	return path ? dir_each(path, valid, fn, user) : -ENOMEM;
}
