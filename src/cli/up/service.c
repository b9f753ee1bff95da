/* SPDX-License-Identifier: Apache-2.0 */
/* One program under the supervisor: start, readiness, restart, stop. */
#include "service.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "parse.h"
#include "unix.h"

#define PROBE_EVERY (20 * USEC_PER_MSEC)
#define BACKOFF_FIRST (100 * USEC_PER_MSEC)
#define BACKOFF_MAX (10 * USEC_PER_SEC)
/* Running for so long forgives former failures. */
#define BACKOFF_FORGIVE (30 * USEC_PER_SEC)

static const char *const state_names[] = {
	[SERVICE_DOWN] = "down",       [SERVICE_STARTING] = "starting", [SERVICE_READY] = "ready",
	[SERVICE_WAITING] = "waiting", [SERVICE_STOPPING] = "stopping",
};

struct service {
	sd_event *event; /* borrowed */
	char *name, *log, *probe;
	char *argv[SERVICE_ARGV_MAX];
	char *notify_address;
	int listen_fd;
	service_changed_fn changed;
	void *user;

	enum service_state state;
	pid_t pid;
	int pidfd; /* only of an adopted process */
	sd_event_source *adopted_source;
	sd_event_source *timer;
	usec_t started, backoff;
	off_t log_start; /* where this run's output begins in the log file */
};

static void set_state(struct service *s, enum service_state to)
{
	enum service_state from = s->state;

	if (from == to) {
		return;
	}
	s->state = to;
	log_debug("%s: %s -> %s", s->name, state_names[from], state_names[to]);
	s->changed(s, from, to, s->user);
}

static char *copy(const char *s, int *io_r)
{
	char *c = s ? strdup(s) : NULL;

	if (s && !c) {
		*io_r = -ENOMEM;
	}
	return c;
}

int service_new(sd_event *event, const struct service_spec *spec, const char *notify_address,
		service_changed_fn changed, void *user, struct service **ret)
{
	struct service *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s) {
		return -ENOMEM;
	}
	s->event = event;
	s->name = copy(spec->name, &r);
	s->log = copy(spec->log, &r);
	s->probe = copy(spec->probe, &r);
	s->notify_address = copy(notify_address, &r);
	for (size_t i = 0; spec->argv[i]; i++) {
		assert(i + 1 < SERVICE_ARGV_MAX);
		s->argv[i] = copy(spec->argv[i], &r);
	}
	s->listen_fd = spec->listen_fd;
	s->changed = changed;
	s->user = user;
	s->pidfd = -1;
	s->backoff = BACKOFF_FIRST;
	if (r < 0) {
		service_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct service *service_free(struct service *s)
{
	if (s) {
		sd_event_source_disable_unref(s->timer);
		sd_event_source_disable_unref(s->adopted_source);
		close_fd(s->pidfd);
		for (size_t i = 0; i < SERVICE_ARGV_MAX; i++) {
			free(s->argv[i]);
		}
		free(s->name);
		free(s->log);
		free(s->probe);
		free(s->notify_address);
		free(s);
	}
	return NULL;
}

enum service_state service_state(const struct service *s)
{
	return s->state;
}

const char *service_name(const struct service *s)
{
	return s->name;
}

const char *service_log(const struct service *s, off_t *ret_start)
{
	if (ret_start) {
		*ret_start = s->log_start;
	}
	return s->log;
}

pid_t service_pid(const struct service *s)
{
	return s->pid;
}

static void stop_timer(struct service *s)
{
	s->timer = sd_event_source_disable_unref(s->timer);
}

static int set_timer(struct service *s, usec_t after, sd_event_time_handler_t fn)
{
	stop_timer(s);
	return sd_event_add_time_relative(s->event, &s->timer, CLOCK_MONOTONIC, after, 0, fn, s);
}

static void send_signal(const struct service *s, int sig)
{
	if (s->pidfd >= 0) {
		pidfd_send_signal(s->pidfd, sig, NULL, 0);
	} else if (s->pid > 0) {
		kill(s->pid, sig); /* a child of ours, not waited for yet */
	}
}

/* In the child. Nothing here may return. */
static void exec_child(const struct service *s, int log_fd, int null_fd)
{
	char number[16];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* A ^C for the supervisor is not one for its programs. */
	setpgid(0, 0);
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("NOTIFY_SOCKET");
	if (!s->probe) {
		setenv("NOTIFY_SOCKET", s->notify_address, 1);
	}
	dup2(null_fd, STDIN_FILENO);
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	if (s->listen_fd >= 0) {
		/* dup2() onto itself would keep close-on-exec. */
		if (s->listen_fd == 3) {
			fcntl(3, F_SETFD, 0);
		} else {
			dup2(s->listen_fd, 3);
		}
		snprintf(number, sizeof(number), "%d", (int)getpid());
		setenv("LISTEN_PID", number, 1);
		setenv("LISTEN_FDS", "1", 1);
	}
	execv(s->argv[0], s->argv);
	dprintf(STDERR_FILENO, "cannot start %s: %s\n", s->name, strerror(errno));
	_exit(127);
}

static int on_start_timeout(sd_event_source *source, uint64_t usec, void *user)
{
	struct service *s = user;

	log_err("%s is not ready after %u seconds", s->name,
		(unsigned)(SERVICE_START_TIMEOUT / USEC_PER_SEC));
	send_signal(s, SIGKILL);
	return 0;
}

static int on_probe(sd_event_source *source, uint64_t usec, void *user)
{
	struct service *s = user;
	_cleanup_close_ int fd = -1;

	if (unix_connect(s->probe, &fd) == 0) {
		service_notified(s);
		return 0;
	}
	if (clock_monotonic() - s->started > SERVICE_START_TIMEOUT) {
		return on_start_timeout(source, usec, user);
	}
	return set_timer(s, PROBE_EVERY, on_probe);
}

static int open_log(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

int service_start(struct service *s)
{
	_cleanup_close_ int log_fd = open_log(s->log);
	_cleanup_close_ int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t pid;
	int r;

	if (log_fd < 0 || null_fd < 0) {
		return log_fd < 0 ? log_fd : -errno;
	}
	s->log_start = lseek(log_fd, 0, SEEK_END);
	pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		exec_child(s, log_fd, null_fd);
	}
	s->pid = pid;
	s->started = clock_monotonic();
	r = s->probe ? set_timer(s, PROBE_EVERY, on_probe)
		     : set_timer(s, SERVICE_START_TIMEOUT, on_start_timeout);
	if (r < 0) {
		kill(pid, SIGKILL);
		return r;
	}
	set_state(s, SERVICE_STARTING);
	return 0;
}

static int on_adopted_exit(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	service_exited(user, CLD_EXITED, 0);
	return 0;
}

int service_adopt(struct service *s, pid_t pid)
{
	int r;

	s->pidfd = pidfd_open(pid, 0);
	if (s->pidfd < 0) {
		return -errno;
	}
	r = sd_event_add_io(s->event, &s->adopted_source, s->pidfd, EPOLLIN, on_adopted_exit, s);
	if (r < 0) {
		s->pidfd = close_fd(s->pidfd);
		return r;
	}
	s->pid = pid;
	s->started = clock_monotonic();
	set_state(s, SERVICE_READY);
	return 0;
}

void service_notified(struct service *s)
{
	if (s->state == SERVICE_STARTING) {
		stop_timer(s);
		set_state(s, SERVICE_READY);
	}
}

static int on_backoff(sd_event_source *source, uint64_t usec, void *user)
{
	struct service *s = user;
	int r;

	s->state = SERVICE_DOWN;
	r = service_start(s);
	if (r < 0) {
		log_err("cannot start %s: %s; trying again", s->name, strerror(-r));
		s->state = SERVICE_WAITING;
		return set_timer(s, BACKOFF_MAX, on_backoff);
	}
	return 0;
}

void service_exited(struct service *s, int wait_code, int wait_status)
{
	bool stopping = s->state == SERVICE_STOPPING;
	usec_t ran = clock_monotonic() - s->started;

	s->adopted_source = sd_event_source_disable_unref(s->adopted_source);
	s->pidfd = close_fd(s->pidfd);
	s->pid = 0;
	stop_timer(s);
	if (stopping) {
		set_state(s, SERVICE_DOWN);
		return;
	}
	if (ran > BACKOFF_FORGIVE) {
		s->backoff = BACKOFF_FIRST;
	}
	log_warn("%s %s %d", s->name,
		 wait_code == CLD_EXITED ? "ended with status" : "was ended by signal",
		 wait_status);
	if (set_timer(s, s->backoff, on_backoff) < 0) {
		log_err("%s: no memory for a timer", s->name);
	}
	s->backoff = MIN(s->backoff * 2, BACKOFF_MAX);
	set_state(s, SERVICE_WAITING);
}

static int on_stop_timeout(sd_event_source *source, uint64_t usec, void *user)
{
	struct service *s = user;

	log_warn("%s does not end; killing it", s->name);
	send_signal(s, SIGKILL);
	return 0;
}

void service_stop(struct service *s)
{
	switch (s->state) {
	case SERVICE_DOWN:
	case SERVICE_STOPPING:
		return;
	case SERVICE_WAITING:
		stop_timer(s);
		set_state(s, SERVICE_DOWN);
		return;
	case SERVICE_STARTING:
	case SERVICE_READY:
		s->state = SERVICE_STOPPING;
		send_signal(s, SIGTERM);
		if (set_timer(s, SERVICE_STOP_TIMEOUT, on_stop_timeout) < 0) {
			send_signal(s, SIGKILL);
		}
		return;
	}
}

void service_trim_log(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	_cleanup_close_ int old = -1;
	_cleanup_free_ char *old_path = NULL;
	struct stat st;
	off_t left;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < SERVICE_LOG_MAX) {
		return;
	}
	old_path = strf("%s.1", path);
	if (!old_path) {
		return;
	}
	old = open(old_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (left = st.st_size; old >= 0 && left > 0;) {
		ssize_t n = sendfile(old, fd, NULL, (size_t)left);

		if (n <= 0) {
			break;
		}
		left -= n;
	}
	/* The writer appends, so it goes on at the new end. */
	if (ftruncate(fd, 0) < 0) {
		log_warn("cannot shorten a log: %s", strerror(errno));
	}
}
