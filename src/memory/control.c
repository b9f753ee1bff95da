/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to dvm-hostd (PROTOCOL.memory).
 *
 * Theory of operation: all of RPC happens in one thread. A thread that wants the registers leaves a
 * wish, wakes the loop through an eventfd and waits on a condition. A wish is answered by the first
 * answer that was asked for after it.
 */
/* #syscalls: accept4 getsockopt close epoll_create1 epoll_ctl eventfd2 gettid getrandom */
#include "control.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <systemd/sd-event.h>

#include "cleanup.h"
#include "file.h"
#include "log.h"
#include "rpc_peer.h"
#include "server.h"
#include "unix.h"

#define ALONE_USEC (600 * USEC_PER_SEC)

struct control {
	struct server *server;
	void (*end)(void);
	uid_t uid;
	pthread_t thread;

	/* the thread's */
	sd_event *event;
	int listen_fd;
	sd_event_source *alone;
	struct rpc_peer *peer;
	uint64_t asking; /* the wish that is being asked for; 0: none */

	int wake_fd;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	/* under the lock */
	uint64_t wished, done; /* numbers */
	bool failed;	       /* the last one */
	struct cpu_state *cpus;
	size_t n_cpus;
};

/* --- registers
 */

/* Ends the wish that was asked for; `cpus` NULL: it failed. */
static void answer(struct control *c, uint64_t number, const json_t *cpus)
{
	const json_t *cpu;
	size_t i;

	pthread_mutex_lock(&c->lock);
	c->failed = !json_is_array(cpus) || json_array_size(cpus) == 0 ||
		    json_array_size(cpus) > CPUS_MAX;
	if (!c->failed) {
		json_array_foreach(cpus, i, cpu)
		{
			c->failed = c->failed || cpu_state_of_json(cpu, &c->cpus[i]) < 0;
		}
		c->n_cpus = json_array_size(cpus);
	}
	c->done = number;
	pthread_cond_broadcast(&c->answered);
	pthread_mutex_unlock(&c->lock);
}

static void ask(struct control *c);

static void on_registers(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
			 void *user)
{
	struct control *c = user;

	answer(c, c->asking, fault ? NULL : json_object_get(result, "cpus"));
	c->asking = 0;
	ask(c);
}

/* Asks when somebody wishes for it, once at a time. */
static void ask(struct control *c)
{
	uint64_t wished, done;

	if (c->asking) {
		return;
	}
	pthread_mutex_lock(&c->lock);
	wished = c->wished;
	done = c->done;
	pthread_mutex_unlock(&c->lock);
	if (wished == done) {
		return;
	}
	c->asking = wished;
	if (!c->peer || rpc_peer_call(c->peer, "registers", NULL, NULL, 0, 2 * USEC_PER_SEC,
				      on_registers, c) < 0) {
		answer(c, wished, NULL);
		c->asking = 0;
	}
}

static int on_wake(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	eventfd_t value;

	if (eventfd_read(fd, &value) == 0) {
		ask(user);
	}
	return 0;
}

int control_registers(struct control *c, usec_t patience, struct cpu_state *ret, size_t *ret_n)
{
	usec_t until = clock_monotonic() + patience;
	struct timespec end = { .tv_sec = (time_t)(until / USEC_PER_SEC),
				.tv_nsec = (long)(until % USEC_PER_SEC * 1000) };
	uint64_t mine;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	mine = ++c->wished;
	eventfd_write(c->wake_fd, 1);
	while (c->done < mine && r == 0) {
		r = pthread_cond_timedwait(&c->answered, &c->lock, &end);
	}
	if (c->done < mine) {
		r = -ETIMEDOUT;
	} else if (c->failed) {
		r = -EHOSTDOWN;
	} else {
		memcpy(ret, c->cpus, c->n_cpus * sizeof(*ret));
		*ret_n = c->n_cpus;
		r = 0;
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* --- methods
 */

static void refuse(struct rpc_request *request, enum fault_code code, const char *message)
{
	struct fault fault;

	fault_set(&fault, code, "%s", message);
	rpc_request_fault(request, &fault);
}

static bool number_read(const json_t *json, uint64_t *ret)
{
	*ret = (uint64_t)json_integer_value(json);
	return json_is_integer(json) && json_integer_value(json) >= 0;
}

static int shape_read(const json_t *params, struct core *ret)
{
	const json_t *list = json_object_get(params, "ranges"), *pair;
	struct core_range ranges[CORE_RANGES_MAX];
	uint64_t vcpus;
	size_t i;

	if (json_array_size(list) > CORE_RANGES_MAX ||
	    !number_read(json_object_get(params, "vcpus"), &vcpus) || vcpus > CPUS_MAX) {
		return -EINVAL;
	}
	json_array_foreach(list, i, pair)
	{
		if (!number_read(json_array_get(pair, 0), &ranges[i].address) ||
		    !number_read(json_array_get(pair, 1), &ranges[i].length)) {
			return -EINVAL;
		}
	}
	return core_init(ret, ranges, json_array_size(list), (unsigned)vcpus);
}

static void method_shape(struct control *c, struct rpc_request *request, const json_t *params,
			 int *fds, size_t n_fds)
{
	struct core core;

	if (shape_read(params, &core) < 0) {
		refuse(request, FAULT_BAD_VALUE, "That is no memory");
	} else if (server_shape(c->server, &core) < 0) {
		refuse(request, FAULT_CONFLICT, "The device has another shape");
	} else {
		rpc_request_reply(request, NULL);
	}
}

static void method_open(struct control *c, struct rpc_request *request, const json_t *params,
			int *fds, size_t n_fds)
{
	const json_t *list = json_object_get(params, "places"), *place;
	uint64_t places[CORE_RANGES_MAX];
	bool good = c->server->shaped && n_fds == 1 &&
		    json_array_size(list) == c->server->core.n_ranges;
	size_t i;

	json_array_foreach(list, i, place)
	{
		good = good && number_read(place, &places[i]);
	}
	if (!good) {
		refuse(request, FAULT_BAD_VALUE, "A file and a place for each range are needed");
		return;
	}
	server_open_take(c->server, TAKE_FD(fds[0]), places);
	rpc_request_reply(request, NULL);
}

static void method_close(struct control *c, struct rpc_request *request, const json_t *params,
			 int *fds, size_t n_fds)
{
	server_close(c->server);
	rpc_request_reply(request, NULL);
}

static void method_status(struct control *c, struct rpc_request *request, const json_t *params,
			  int *fds, size_t n_fds)
{
	struct server *s = c->server;
	json_t *status;

	pthread_mutex_lock(&s->lock);
	status = json_pack("{sssisbsbsbsbsIsIsI}", "name", s->name, "pid", (int)getpid(), "shape",
			   s->shaped, "open", s->fd >= 0, "registers", s->registers, "vmcoreinfo",
			   s->info.found, "reads", (json_int_t)s->reads, "bytes",
			   (json_int_t)s->bytes, "failed", (json_int_t)s->failed);
	pthread_mutex_unlock(&s->lock);
	rpc_request_reply(request, status);
}

static void method_hello(struct control *c, struct rpc_request *request, const json_t *params,
			 int *fds, size_t n_fds)
{
	rpc_request_reply(request, json_pack("{siss}", "protocol", 1, "program", "dvm-memory"));
}

static void method_shutdown(struct control *c, struct rpc_request *request, const json_t *params,
			    int *fds, size_t n_fds)
{
	rpc_request_reply(request, NULL);
	sd_event_exit(c->event, 0);
}

static const struct {
	const char *name;
	void (*run)(struct control *c, struct rpc_request *request, const json_t *params, int *fds,
		    size_t n_fds);
} methods[] = {
	{ "hello", method_hello },	  { "status", method_status },
	{ "memory.shape", method_shape }, { "memory.open", method_open },
	{ "memory.close", method_close }, { "shutdown", method_shutdown },
};

static void on_call(struct rpc_peer *p, struct rpc_request *request, const char *method,
		    json_t *params, int *fds, size_t n_fds, void *user)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(methods[i].name, method) == 0) {
			methods[i].run(user, request, params, fds, n_fds);
			return;
		}
	}
	refuse(request, FAULT_NOT_SUPPORTED, "There is no such method");
}

static void on_notice(struct rpc_peer *p, const char *method, json_t *params, void *user)
{
}

/* --- the connection
 */

static void alone_since_now(struct control *c)
{
	if (sd_event_source_set_time_relative(c->alone, ALONE_USEC) < 0 ||
	    sd_event_source_set_enabled(c->alone, SD_EVENT_ONESHOT) < 0) {
		log_warn("cannot set the timer that ends an abandoned server, ignoring");
	}
}

static void on_closed(struct rpc_peer *p, void *user)
{
	struct control *c = user;

	c->peer = rpc_peer_free(c->peer);
	alone_since_now(c);
}

static const struct rpc_peer_ops peer_ops = {
	.call = on_call,
	.notice = on_notice,
	.closed = on_closed,
};

static int connection_take(struct control *c, int fd)
{
	_cleanup_close_ int owned = fd;
	uid_t uid;
	pid_t pid;
	int r = unix_peer(fd, &pid, &uid);

	if (r < 0) {
		return r;
	}
	if (uid != c->uid) {
		return -EPERM;
	}
	c->peer = rpc_peer_free(c->peer);
	return rpc_peer_new_take(c->event, TAKE_FD(owned), &peer_ops, c, &c->peer);
}

static int on_listen(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct control *c = user;
	int conn, r = unix_accept(fd, &conn);

	if (r == 0) {
		r = connection_take(c, conn);
	}
	if (r < 0 && r != -EAGAIN) {
		log_warn("control connection refused (%d), ignoring", -r);
	}
	if (c->peer) {
		(void)sd_event_source_set_enabled(c->alone, SD_EVENT_OFF);
	} else {
		alone_since_now(c);
	}
	return 0;
}

static int on_alone(sd_event_source *source, uint64_t now, void *user)
{
	struct control *c = user;

	log_info("nobody is in control any more: end");
	return sd_event_exit(c->event, 0);
}

static void *control_run(void *user)
{
	struct control *c = user;
	int r = sd_event_new(&c->event);

	if (r >= 0) {
		r = sd_event_add_io(c->event, NULL, c->listen_fd, EPOLLIN, on_listen, c);
	}
	if (r >= 0) {
		r = sd_event_add_io(c->event, NULL, c->wake_fd, EPOLLIN, on_wake, c);
	}
	if (r >= 0) {
		r = sd_event_add_time_relative(c->event, &c->alone, CLOCK_MONOTONIC, ALONE_USEC, 0,
					       on_alone, c);
	}
	if (r >= 0) {
		r = sd_event_loop(c->event);
	}
	if (r < 0) {
		log_err("control ended: %s", strerror(-r));
	}
	c->end();
	return NULL;
}

int control_start_take(struct server *server, int fd, uid_t uid, void (*end)(void),
		       struct control **ret)
{
	struct control *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int r;

	if (!c) {
		close_fd(fd);
		return -ENOMEM;
	}
	*c = (struct control){ .server = server, .listen_fd = fd, .uid = uid, .end = end };
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->cpus = calloc(CPUS_MAX, sizeof(*c->cpus));
	if (c->wake_fd < 0 || !c->cpus) {
		return -ENOMEM; /* the process ends with it */
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->answered, &attr);
	pthread_condattr_destroy(&attr);
	r = fd_set_nonblock(fd);
	*ret = c;
	return r < 0 ? r : -pthread_create(&c->thread, NULL, control_run, c);
}
