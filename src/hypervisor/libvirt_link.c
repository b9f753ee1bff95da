/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to libvirt: made, watched, made again.
 *
 * Theory of operation: two threads. "events" runs libvirt's own event loop, which is where every
 * callback comes from (libvirt may call its loop from any thread, which sd-event forbids).
 * "connect" opens the connection, which can block for ever, and sleeps until the close callback
 * says that it died; then it drops its reference and tries again, more and more slowly up to
 * RETRY_MAX_MS. Workers take references of their own, so a connection that died under a call is
 * closed when the call returns.
 */
#include "libvirt_link.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "adopted.h"
#include "domain_xml.h"
#include "libvirt_domain.h"
#include "parse.h"

#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 3000
/* A dead peer is noticed after interval × (count + 1) seconds. */
#define KEEPALIVE_INTERVAL_S 3
#define KEEPALIVE_COUNT 3

struct libvirt_link {
	char *uri;
	const struct hypervisor_events *events;
	void *user;
	struct adopted *adopted;
	pthread_t events_thread, connect_thread;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock */
	virConnectPtr conn; /* NULL while away */
	bool closed;	    /* the close callback ran for `conn` */
	bool stop;
};

static void on_error(void *user, virErrorPtr error)
{
	/* libvirt prints errors to stderr unless somebody takes them. */
}

static void on_close(virConnectPtr conn, int reason, void *user)
{
	struct libvirt_link *l = user;

	pthread_mutex_lock(&l->lock);
	if (l->conn == conn) {
		l->closed = true;
		pthread_cond_broadcast(&l->changed);
	}
	pthread_mutex_unlock(&l->lock);
}

static bool event_kind(int event, enum domain_event_kind *ret_kind, enum domain_state *ret_state)
{
	static const struct {
		int event;
		enum domain_event_kind kind;
		enum domain_state state;
	} table[] = {
		{ VIR_DOMAIN_EVENT_DEFINED, DOMAIN_EVENT_DEFINED, DOMAIN_UNKNOWN },
		{ VIR_DOMAIN_EVENT_UNDEFINED, DOMAIN_EVENT_UNDEFINED, DOMAIN_UNKNOWN },
		{ VIR_DOMAIN_EVENT_STARTED, DOMAIN_EVENT_STARTED, DOMAIN_RUNNING },
		{ VIR_DOMAIN_EVENT_SUSPENDED, DOMAIN_EVENT_PAUSED, DOMAIN_PAUSED },
		{ VIR_DOMAIN_EVENT_RESUMED, DOMAIN_EVENT_RESUMED, DOMAIN_RUNNING },
		{ VIR_DOMAIN_EVENT_STOPPED, DOMAIN_EVENT_STOPPED, DOMAIN_OFF },
		{ VIR_DOMAIN_EVENT_CRASHED, DOMAIN_EVENT_CRASHED, DOMAIN_CRASHED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].event == event) {
			*ret_kind = table[i].kind;
			*ret_state = table[i].state;
			return true;
		}
	}
	return false;
}

static void event_tell(struct libvirt_link *l, virDomainPtr domain, enum domain_event_kind kind,
		       enum domain_state state)
{
	struct domain_event e = { .kind = kind, .state = state };
	const char *name = virDomainGetName(domain);
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (virDomainGetUUIDString(domain, uuid) < 0) {
		return;
	}
	memcpy(e.uuid, uuid, sizeof(e.uuid));
	if (!adopted_session(l->adopted, uuid, e.session) &&
	    strncmp(name, DVM_DOMAIN_PREFIX, strlen(DVM_DOMAIN_PREFIX)) == 0 &&
	    strlen(name) < sizeof(e.session)) {
		strcpy(e.session, name + strlen(DVM_DOMAIN_PREFIX));
	}
	l->events->domain(&e, l->user);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *user)
{
	enum domain_event_kind kind;
	enum domain_state state;

	if (event_kind(event, &kind, &state)) {
		event_tell(user, domain, kind, state);
	}
	return 0;
}

static void on_unplugged(virConnectPtr conn, virDomainPtr domain, const char *alias, void *user)
{
	event_tell(user, domain, DOMAIN_EVENT_UNPLUGGED, DOMAIN_UNKNOWN);
}

static void on_nothing(int timer, void *user)
{
}

static void *events_run(void *arg)
{
	struct libvirt_link *l = arg;
	bool stop = false;

	while (!stop && virEventRunDefaultImpl() == 0) {
		pthread_mutex_lock(&l->lock);
		stop = l->stop;
		pthread_mutex_unlock(&l->lock);
	}
	return NULL;
}

/* Who has which D-VM, as the hypervisor kept it while we were not there. */
static int adopted_read(struct libvirt_link *l, virConnectPtr conn)
{
	virDomainPtr *domains = NULL;
	int n = virConnectListAllDomains(conn, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	int r = n < 0 ? -EREMOTEIO : 0;

	adopted_clear(l->adopted);
	for (int i = 0; i < n; i++) {
		char session[DVM_SESSION_MAX + 1], owner[DVM_OWNER_MAX + 1];
		char uuid[VIR_UUID_STRING_BUFLEN];

		if (r == 0 && libvirt_domain_metadata(domains[i], session, owner) &&
		    strcmp(virDomainGetName(domains[i]) + strlen(DVM_DOMAIN_PREFIX), session) !=
			    0 &&
		    virDomainGetUUIDString(domains[i], uuid) == 0) {
			r = adopted_put(l->adopted, session, uuid);
		}
		virDomainFree(domains[i]);
	}
	free(domains);
	return r;
}

static int link_connect(struct libvirt_link *l, virConnectPtr *ret)
{
	_cleanup_connection_ virConnectPtr conn = virConnectOpen(l->uri);

	if (!conn) {
		return -EREMOTEIO;
	}
	if (virConnectRegisterCloseCallback(conn, on_close, l, NULL) < 0 ||
	    virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
					     VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), l,
					     NULL) < 0 ||
	    virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
					     VIR_DOMAIN_EVENT_CALLBACK(on_unplugged), l,
					     NULL) < 0) {
		virConnectUnregisterCloseCallback(conn, on_close);
		return -EREMOTEIO;
	}
	if (adopted_read(l, conn) < 0) {
		virConnectUnregisterCloseCallback(conn, on_close);
		return -EREMOTEIO;
	}
	/* -1: a driver inside this process, which needs none. */
	virConnectSetKeepAlive(conn, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT);
	*ret = TAKE_PTR(conn);
	return 0;
}

static void wait_ms(struct libvirt_link *l, unsigned ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (!l->stop && pthread_cond_timedwait(&l->changed, &l->lock, &until) != ETIMEDOUT) {
	}
}

static void *connect_run(void *arg)
{
	struct libvirt_link *l = arg;
	unsigned retry_ms = RETRY_MIN_MS;

	pthread_mutex_lock(&l->lock);
	while (!l->stop) {
		virConnectPtr conn = NULL;
		int r;

		pthread_mutex_unlock(&l->lock);
		r = link_connect(l, &conn);
		pthread_mutex_lock(&l->lock);
		if (r < 0) {
			wait_ms(l, retry_ms);
			retry_ms = MIN(retry_ms * 2, (unsigned)RETRY_MAX_MS);
			continue;
		}
		retry_ms = RETRY_MIN_MS;
		l->conn = conn;
		/* A connection that died before it was ours to watch made no callback. */
		l->closed = virConnectIsAlive(conn) != 1;
		pthread_mutex_unlock(&l->lock);
		l->events->contact(true, l->user);
		pthread_mutex_lock(&l->lock);
		while (!l->closed && !l->stop) {
			pthread_cond_wait(&l->changed, &l->lock);
		}
		l->conn = NULL;
		pthread_mutex_unlock(&l->lock);
		virConnectUnregisterCloseCallback(conn, on_close);
		virConnectClose(conn);
		l->events->contact(false, l->user);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

int libvirt_link_new(const char *uri, const struct hypervisor_events *events, void *user,
		     struct libvirt_link **ret)
{
	struct libvirt_link *l;
	pthread_condattr_t attr;

	if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0) {
		return -ENOMEM;
	}
	virSetErrorFunc(NULL, on_error);
	l = calloc(1, sizeof(*l));
	if (!l) {
		return -ENOMEM;
	}
	*l = (struct libvirt_link){ .uri = strdup(uri), .events = events, .user = user };
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (!l->uri || adopted_new(&l->adopted) < 0 ||
	    pthread_create(&l->events_thread, NULL, events_run, l) != 0) {
		adopted_free(l->adopted);
		free(l->uri);
		free(l);
		return -ENOMEM;
	}
	if (pthread_create(&l->connect_thread, NULL, connect_run, l) != 0) {
		l->connect_thread = 0;
		libvirt_link_free(l);
		return -ENOMEM;
	}
	*ret = l;
	return 0;
}

struct libvirt_link *libvirt_link_free(struct libvirt_link *l)
{
	struct timespec until;

	if (!l) {
		return NULL;
	}
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 2;
	if (l->connect_thread && pthread_timedjoin_np(l->connect_thread, NULL, &until) != 0) {
		/* It hangs in virConnectOpen() and will look at `l` when it comes back: leave both
		 * behind. */
		return NULL;
	}
	virEventAddTimeout(0, on_nothing, NULL, NULL); /* wakes the loop up */
	pthread_join(l->events_thread, NULL);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	adopted_free(l->adopted);
	free(l->uri);
	free(l);
	return NULL;
}

struct adopted *libvirt_link_adopted(struct libvirt_link *l)
{
	return l->adopted;
}

bool libvirt_link_alive(struct libvirt_link *l)
{
	bool alive;

	pthread_mutex_lock(&l->lock);
	alive = l->conn && !l->closed;
	pthread_mutex_unlock(&l->lock);
	return alive;
}

int libvirt_link_get(struct libvirt_link *l, virConnectPtr *ret, struct fault *fault)
{
	virConnectPtr conn = NULL;

	pthread_mutex_lock(&l->lock);
	if (l->conn && !l->closed && virConnectRef(l->conn) == 0) {
		conn = l->conn;
	}
	pthread_mutex_unlock(&l->lock);
	if (!conn) {
		return fault_set(fault, FAULT_HYPERVISOR_AWAY, "The hypervisor does not answer");
	}
	*ret = conn;
	return 0;
}

int libvirt_link_fault(struct libvirt_link *l, struct fault *fault, const char *what)
{
	virErrorPtr error = virGetLastError();
	int code = error ? error->code : VIR_ERR_INTERNAL_ERROR;
	_cleanup_free_ char *text =
		strf("could not %s: %s", what,
		     error && error->message ? error->message : "unknown error");

	if (code == VIR_ERR_NO_DOMAIN) {
		return fault_set(fault, FAULT_VM_GONE, "The hypervisor has no such VM");
	}
	if (text) {
		l->events->trouble(text, l->user);
	}
	if (!libvirt_link_alive(l) || code == VIR_ERR_NO_CONNECT ||
	    (error && error->domain == VIR_FROM_RPC)) {
		return fault_set(fault, FAULT_HYPERVISOR_AWAY,
				 "The hypervisor went away meanwhile");
	}
	if (error && error->message && strstr(error->message, "annot allocate memory")) {
		return fault_set(fault, FAULT_NO_CAPACITY, "There is not enough memory for it");
	}
	if (error && error->message && strstr(error->message, "\" lock")) {
		return fault_set(fault, FAULT_VM_FENCED, "A disk of the VM is in use elsewhere");
	}
	return fault_set(fault, FAULT_HYPERVISOR_FAILED, "The hypervisor could not %s", what);
}
