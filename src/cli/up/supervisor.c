/* SPDX-License-Identifier: Apache-2.0 */
/* dvm's programs on one machine: start in order, keep running, stop. */
#include "supervisor.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "layout.h"
#include "leftover.h"
#include "libvirtd.h"
#include "listener.h"
#include "log.h"
#include "parent.h"
#include "parse.h"
#include "service.h"
#include "state.h"
#include "unix.h"

#define SERVICES_MAX 8
#define TRIM_EVERY (30 * USEC_PER_SEC)
#define LOG_TAIL 2048

struct supervisor {
	const struct supervisor_options *options;
	sd_event *event;
	struct service *services[SERVICES_MAX];
	size_t n_services;
	struct layout_up up;
	int lock_fd, listen_fd, ssh_fd, notify_fd;
	char notify_address[64]; /* as in NOTIFY_SOCKET: @… is the abstract namespace */
	bool begun;		 /* all services are in the list */
	bool ready;		 /* all were ready once */
	bool stopping;
	struct fault *fault; /* of the start */
	int result;
};

/* ---- start and stop, one after the other */

/* The end of what a program said that did not start, for whoever called `dvm up`. */
static void show_log_tail(const struct service *service)
{
	off_t start, size;
	_cleanup_close_ int fd = open(service_log(service, &start), O_RDONLY | O_CLOEXEC);
	char tail[LOG_TAIL];
	ssize_t n;

	size = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
	if (size < 0) {
		return;
	}
	n = pread(fd, tail, sizeof(tail), MAX(start, size - LOG_TAIL));
	if (n > 0 && write_all(STDERR_FILENO, tail, (size_t)n) == 0 && tail[n - 1] != '\n') {
		fputc('\n', stderr);
	}
}

static void begin_stop(struct supervisor *s);

static void give_up(struct supervisor *s, const struct service *culprit, int error)
{
	show_log_tail(culprit);
	fault_set(s->fault, FAULT_INTERNAL, "%s did not start%s%s", service_name(culprit),
		  error ? ": " : "", error ? strerror(-error) : "");
	fault_hint(s->fault, "its log is %s", service_log(culprit, NULL));
	s->result = -EREMOTEIO;
	begin_stop(s);
}

static void all_ready(struct supervisor *s)
{
	int r;

	r = layout_write_up(s->options->state, &s->up, s->fault);
	if (r < 0) {
		s->result = r;
		begin_stop(s);
		return;
	}
	s->ready = true;
	log_info("ready");
	if (s->options->log_fd >= 0) {
		dup2(s->options->log_fd, STDERR_FILENO);
	}
	if (s->options->ready_fd >= 0) {
		if (write(s->options->ready_fd, "", 1) < 0) {
			log_debug("whoever started us is gone: %s", strerror(errno));
		}
		close(s->options->ready_fd);
	}
}

/* Starts the first service that is not ready yet. */
static void advance_start(struct supervisor *s)
{
	for (size_t i = 0; i < s->n_services; i++) {
		int r;

		if (service_state(s->services[i]) == SERVICE_READY) {
			continue;
		}
		if (service_state(s->services[i]) == SERVICE_DOWN) {
			r = service_start(s->services[i]);
			if (r < 0) {
				give_up(s, s->services[i], r);
			}
		}
		return;
	}
	all_ready(s);
}

/* Stops the last service that is not down yet. */
static void advance_stop(struct supervisor *s)
{
	for (size_t i = s->n_services; i-- > 0;) {
		if (service_state(s->services[i]) != SERVICE_DOWN) {
			service_stop(s->services[i]);
			if (service_state(s->services[i]) != SERVICE_DOWN) {
				return;
			}
		}
	}
	sd_event_exit(s->event, 0);
}

static void begin_stop(struct supervisor *s)
{
	if (!s->stopping) {
		s->stopping = true;
		advance_stop(s);
	}
}

static void on_changed(struct service *service, enum service_state from, enum service_state to,
		       void *user)
{
	struct supervisor *s = user;

	if (s->stopping) {
		if (to == SERVICE_DOWN) {
			advance_stop(s);
		}
	} else if (!s->begun) {
		return; /* adopted while the list is still being made */
	} else if (!s->ready) {
		if (to == SERVICE_READY) {
			advance_start(s);
		} else if (to == SERVICE_WAITING) {
			give_up(s, service, 0);
		}
	} else if (to == SERVICE_READY) {
		log_info("%s is back", service_name(service));
	}
}

/* ---- what comes from outside */

static struct service *find(struct supervisor *s, pid_t pid)
{
	for (size_t i = 0; i < s->n_services; i++) {
		if (pid > 0 && service_pid(s->services[i]) == pid) {
			return s->services[i];
		}
	}
	return NULL;
}

/* Reaps services, and what libvirt's daemon leaves behind: virDomainDestroy waits until somebody
 * did. */
static int on_child(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
	struct supervisor *s = user;

	for (;;) {
		siginfo_t si = { 0 };
		struct service *service;

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG) < 0 || si.si_pid == 0) {
			return 0;
		}
		service = find(s, si.si_pid);
		if (service) {
			service_exited(service, si.si_code, si.si_status);
		}
	}
}

static int on_end(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
	begin_stop(user);
	return 0;
}

static bool has_line(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (const char *p = text; p; p = strchr(p, '\n'), p += p != NULL) {
		if (strncmp(p, line, len) == 0 && (p[len] == '\0' || p[len] == '\n')) {
			return true;
		}
	}
	return false;
}

static int on_notify(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct supervisor *s = user;
	char text[1024];
	union {
		char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * 16)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct service *service = NULL;

	if (n < 0) {
		return 0;
	}
	text[n] = '\0';
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred cred;

			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			service = find(s, cred.pid);
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			int fds[16];
			size_t n_fds =
				MIN((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), ARRAY_SIZE(fds));

			memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
			for (size_t i = 0; i < n_fds; i++) {
				close(fds[i]);
			}
		}
	}
	if (service && has_line(text, "READY=1")) {
		service_notified(service);
	}
	return 0;
}

static int on_trim(sd_event_source *source, uint64_t usec, void *user)
{
	struct supervisor *s = user;
	_cleanup_free_ char *own = layout_path(s->options->state, "log/up.log");

	for (size_t i = 0; i < s->n_services; i++) {
		service_trim_log(service_log(s->services[i], NULL));
	}
	if (own) {
		service_trim_log(own);
	}
	return sd_event_source_set_time_relative(source, TRIM_EVERY);
}

/* An abstract address: the state folder's path may be longer than a socket's may be. Who sends is
 * known by his credentials, so that the address need not be secret. */
static int open_notify(struct supervisor *s)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	_cleanup_free_ char *id = random_id("dvm-up", 16);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int one = 1, n;

	if (fd < 0 || !id) {
		return fd < 0 ? -errno : -ENOMEM;
	}
	n = snprintf(s->notify_address, sizeof(s->notify_address), "@%s", id);
	memcpy(a.sun_path + 1, s->notify_address + 1, (size_t)n - 1);
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&a,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)) < 0) {
		return -errno;
	}
	s->notify_fd = TAKE_FD(fd);
	return sd_event_add_io(s->event, NULL, s->notify_fd, EPOLLIN, on_notify, s);
}

/* ---- the services */

/* Adds a service whose name is that of its program; `lock` (may be NULL): whoever holds it is
 * adopted. */
static int add(struct supervisor *s, struct service_spec *spec, const char *lock,
	       struct fault *fault)
{
	_cleanup_free_ char *log_name = strf("log/%s.log", spec->name);
	_cleanup_free_ char *log = log_name ? layout_path(s->options->state, log_name) : NULL;
	pid_t owner = lock ? pid_lock_owner(lock) : 0;
	int r;

	assert(s->n_services < SERVICES_MAX);
	if (!log) {
		return -ENOMEM;
	}
	spec->log = log;
	r = service_new(s->event, spec, s->notify_address, on_changed, s,
			&s->services[s->n_services]);
	if (r < 0) {
		return r;
	}
	s->n_services++;
	return owner > 0 ? service_adopt(s->services[s->n_services - 1], owner) : 0;
}

static int add_libvirt(struct supervisor *s, struct fault *fault)
{
	struct libvirtd_plan p;
	int r;

	r = libvirtd_plan(s->options->state, &p, fault);
	if (r < 0) {
		return r;
	}
	if (p.log_program) {
		struct service_spec log_spec = {
			.name = "virtlogd",
			.argv = { p.log_program, "--config", p.log_config, "--pid-file",
				  p.log_pid_file, NULL },
			.probe = p.log_socket,
			.listen_fd = -1,
		};

		r = add(s, &log_spec, p.log_pid_file, fault);
	}
	if (r == 0 && !p.foreign) {
		struct service_spec spec = {
			.name = "libvirtd",
			.argv = { p.program, "--config", p.config, "--pid-file", p.pid_file, NULL },
			.probe = p.socket,
			.listen_fd = -1,
		};

		r = add(s, &spec, p.pid_file, fault);
	}
	libvirtd_plan_fini(&p);
	return r;
}

static int add_fake(struct supervisor *s, char **ret_uri, struct fault *fault)
{
	_cleanup_free_ char *program = NULL;
	_cleanup_free_ char *socket = layout_path(s->options->state, "run/fakevirt.sock");
	_cleanup_free_ char *lock = layout_path(s->options->state, "run/fakevirt.lock");
	struct service_spec spec = { .name = "dvm-fakevirt", .listen_fd = -1 };
	int r;

	if (!socket || !lock) {
		return -ENOMEM;
	}
	r = state_program("dvm-fakevirt", &program, fault);
	if (r < 0) {
		return r;
	}
	spec.argv[0] = program;
	spec.argv[1] = "--socket";
	spec.argv[2] = socket;
	r = add(s, &spec, lock, fault);
	if (r < 0) {
		return r;
	}
	*ret_uri = strf("fake:%s", socket);
	return *ret_uri ? 0 : -ENOMEM;
}

/* One of dvm's own programs: NAME --state DIR [OPTION VALUE]. */
static int add_program(struct supervisor *s, const char *name, const char *option,
		       const char *value, int listen_fd, struct fault *fault)
{
	_cleanup_free_ char *program = NULL;
	struct service_spec spec = { .name = name, .listen_fd = listen_fd };
	int r;

	r = state_program(name, &program, fault);
	if (r < 0) {
		return r;
	}
	spec.argv[0] = program;
	spec.argv[1] = "--state";
	spec.argv[2] = s->options->state;
	spec.argv[3] = option;
	spec.argv[4] = value;
	return add(s, &spec, NULL, fault);
}

/* dvmd, which is told who the SSH door is. */
static int add_dvmd(struct supervisor *s, struct fault *fault)
{
	const struct door_options *door = s->options->door;
	char users[32];

	if (!door) {
		return add_program(s, "dvmd", NULL, NULL, -1, fault);
	}
	snprintf(users, sizeof(users), "%u:%u", (unsigned)door->lookup, (unsigned)door->login);
	return add_program(s, "dvmd", "--door", users, -1, fault);
}

static int add_door(struct supervisor *s, struct fault *fault)
{
	_cleanup_free_ char *program = NULL;
	_cleanup_free_ char *self = realpath("/proc/self/exe", NULL);
	struct service_spec spec = { .name = "dvm-door", .listen_fd = s->ssh_fd };
	int r = state_program("dvm-door", &program, fault);

	if (r < 0 || !self) {
		return r < 0 ? r : -ENOMEM;
	}
	spec.argv[0] = program;
	spec.argv[1] = "listen";
	spec.argv[2] = "--state";
	spec.argv[3] = s->options->state;
	spec.argv[4] = "--account";
	spec.argv[5] = s->options->door->account;
	spec.argv[6] = "--dvm";
	spec.argv[7] = self;
	spec.argv[8] = "--url";
	spec.argv[9] = s->up.url;
	return add(s, &spec, NULL, fault);
}

static int add_all(struct supervisor *s, struct fault *fault)
{
	const char *state = s->options->state, *uri = s->options->uri;
	_cleanup_free_ char *fake_uri = NULL;
	int r;

	if (strcmp(uri, "fake:") == 0) {
		r = add_fake(s, &fake_uri, fault);
		uri = fake_uri;
	} else if (strcmp(uri, libvirtd_default_uri()) == 0) {
		r = add_libvirt(s, fault);
	} else {
		r = 0; /* somebody else's hypervisor */
	}
	if (r == 0) {
		r = layout_bootstrap_token(state, fault);
	}
	if (r == 0) {
		r = add_dvmd(s, fault);
	}
	if (r == 0) {
		r = add_program(s, "dvm-hostd", "--uri", uri, -1, fault);
	}
	if (r == 0) {
		r = add_program(s, "dvm-gate", NULL, NULL, s->listen_fd, fault);
	}
	if (r == 0 && s->options->door) {
		r = add_door(s, fault);
	}
	return r;
}

/* ---- the whole */

static int take_over(struct supervisor *s, struct fault *fault)
{
	const struct supervisor_options *o = s->options;
	_cleanup_free_ char *lock = layout_path(o->state, "run/up.lock");
	_cleanup_free_ char *up = layout_path(o->state, "run/up.json");
	_cleanup_free_ char *port = layout_path(o->state, "run/gate.port");
	_cleanup_free_ char *ssh_port = layout_path(o->state, "run/door.port");
	int r;

	if (!lock || !up || !port || !ssh_port) {
		return -ENOMEM;
	}
	r = pid_lock(lock, &s->lock_fd);
	if (r < 0) {
		return r;
	}
	if (leftover_stop(o->state, LEFTOVER_PROGRAMS) > 0) {
		log_info("programs of a supervisor that was killed are replaced");
	}
	s->up.uri = strdup(o->uri);
	s->up.listen = o->listen ? strdup(o->listen) : NULL;
	if (!s->up.uri || (o->listen && !s->up.listen)) {
		return -ENOMEM;
	}
	/* Without an URL it says: not ready yet; but how to start again, should we be killed
	 * before. */
	r = layout_write_up(o->state, &s->up, fault);
	if (r == 0) {
		r = listener_open(o->listen, port, &s->listen_fd, &s->up.url, fault);
	}
	if (r == 0 && o->door) {
		r = listener_open_ssh(o->listen, o->door->port, o->door->account, ssh_port,
				      &s->ssh_fd, &s->up.ssh, fault);
	}
	return r;
}

static int set_up_loop(struct supervisor *s)
{
	int r = parent_loop_new(on_child, on_end, s, &s->event);

	if (r == 0) {
		r = sd_event_add_time_relative(s->event, NULL, CLOCK_MONOTONIC, TRIM_EVERY, 0,
					       on_trim, s);
	}
	return r < 0 ? r : open_notify(s);
}

int supervisor_run(const struct supervisor_options *options, struct fault *fault)
{
	struct supervisor s = {
		.options = options,
		.lock_fd = -1,
		.listen_fd = -1,
		.ssh_fd = -1,
		.notify_fd = -1,
		.fault = fault,
	};
	int r;

	r = layout_make(options->state, fault);
	if (r == 0) {
		r = take_over(&s, fault);
	}
	if (r == 0) {
		r = set_up_loop(&s);
	}
	if (r >= 0) {
		r = add_all(&s, fault);
	}
	if (r == 0) {
		s.begun = true;
		advance_start(&s);
		r = sd_event_loop(s.event);
		r = r < 0 ? r : s.result;
		log_info("stopped");
	}
	for (size_t i = 0; i < s.n_services; i++) {
		service_free(s.services[i]);
	}
	sd_event_unref(s.event);
	layout_up_fini(&s.up);
	close_fd(s.notify_fd);
	close_fd(s.listen_fd);
	close_fd(s.ssh_fd);
	close_fd(s.lock_fd);
	return r;
}
