/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A D-VM: the real agent as a child, its channel joined to a unix socket as by a virtio-serial
 * port.
 *
 * Theory of operation: a socket pair is the port; it lives as long as the D-VM, whether or not an
 * agent has one end open or a relay is connected to the tunnel's socket. Bytes are only read from
 * one side when those of before left on the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "fakevirt.h"
#include "file.h"
#include "log.h"
#include "parse.h"
#include "unix.h"

#define PIPE_MAX (256 * 1024)
#define AGENT_FD 3

static void agent_poll(struct fake_domain *d)
{
	bool read_it = fake_port_connected(&d->tunnel) && buf_len(&d->tunnel.out) == 0;

	if (d->agent_io) {
		sd_event_source_set_io_events(d->agent_io,
					      (read_it ? EPOLLIN : 0) |
						      (buf_len(&d->to_agent) ? EPOLLOUT : 0));
	}
}

static int on_agent_io(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct fake_domain *d = user;
	uint8_t bytes[16384];

	if (events & EPOLLIN) {
		ssize_t n = read(fd, bytes, sizeof(bytes));

		if (n > 0) {
			fake_port_write(&d->tunnel, bytes, (size_t)n);
		}
	}
	if (events & EPOLLOUT && buf_len(&d->to_agent) > 0) {
		ssize_t n = buf_write_fd(&d->to_agent, fd);

		if (n < 0 && n != -EAGAIN) {
			buf_clear(&d->to_agent);
		}
	}
	if (events & (EPOLLHUP | EPOLLERR)) {
		/* Its end is told by SIGCHLD. */
		d->agent_io = sd_event_source_disable_unref(d->agent_io);
	}
	agent_poll(d);
	return 0;
}

static void on_tunnel_input(struct fake_port *p, const uint8_t *bytes, size_t len)
{
	struct fake_domain *d = container_of(p, struct fake_domain, tunnel);

	if (buf_append(&d->to_agent, bytes, len) < 0) {
		log_warn("%s: agent does not read; %zu bytes lost", d->name, len);
	}
	agent_poll(d);
}

static void on_tunnel_drained(struct fake_port *p)
{
	agent_poll(container_of(p, struct fake_domain, tunnel));
}

/* The fd keeps its number in the child if source and target differ, and loses close-on-exec then.
 */
static int agent_exec(struct fake_domain *d, pid_t *ret_pid)
{
	_cleanup_free_ char *run = strf("%s/agent-%s", d->f->folder, d->session);
	_cleanup_close_ int far_fd = fcntl(d->agent_far_fd, F_DUPFD_CLOEXEC, AGENT_FD + 1);
	char *argv[] = {
		d->f->agent,	     "--fd",  "3", "--ssh-exec", d->f->ssh_exec,
		"--no-config-apply", "--run", run, NULL,
	};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int r;

	if (!run || far_fd < 0 || dir_make(run, 0700) < 0) {
		return -ENOMEM;
	}
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&actions);
	r = posix_spawn_file_actions_adddup2(&actions, far_fd, AGENT_FD);
	if (r == 0) {
		r = posix_spawn(ret_pid, d->f->agent, &actions, &attr, argv, environ);
	}
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -r;
}

static int agent_start(struct fake_domain *d);

static int on_agent_end(sd_event_source *source, const siginfo_t *info, void *user)
{
	struct fake_domain *d = user;

	log_info("%s: agent ended", d->name);
	d->agent_pid = 0;
	d->agent_child = sd_event_source_disable_unref(d->agent_child);
	if (!d->agent_again || agent_start(d) < 0) {
		fake_domain_off(d, DOMAIN_EVENT_STOPPED);
	}
	return 0;
}

static int agent_start(struct fake_domain *d)
{
	int r;

	d->agent_again = false;
	r = agent_exec(d, &d->agent_pid);
	if (r == 0) {
		r = sd_event_add_child(d->f->event, &d->agent_child, d->agent_pid, WEXITED,
				       on_agent_end, d);
	}
	return r < 0 ? r : 0;
}

int fake_dvm_start(struct fake_domain *d, struct fault *fault)
{
	_cleanup_free_ char *path = strf("%s/tunnel-%s.sock", d->f->folder, d->session);
	int pair[2], r;

	buf_init(&d->to_agent, PIPE_MAX);
	d->tunnel.input = on_tunnel_input;
	d->tunnel.drained = on_tunnel_drained;
	r = path ? fake_port_open(&d->tunnel, d->f, path) : -ENOMEM;
	if (r == 0) {
		r = unix_pair(pair);
	}
	if (r == 0) {
		d->agent_fd = pair[0];
		d->agent_far_fd = pair[1];
		r = d->f->silent ? 0 : agent_start(d);
	}
	if (r == 0) {
		r = sd_event_add_io(d->f->event, &d->agent_io, d->agent_fd, 0, on_agent_io, d);
	}
	if (r < 0) {
		fake_dvm_stop(d);
		return fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The debug VM's agent could not be started: %s", strerror(-r));
	}
	d->state = DOMAIN_RUNNING;
	d->run = ++d->f->next_run;
	fake_domain_event(d, DOMAIN_EVENT_STARTED);
	return 0;
}

void fake_dvm_restart_agent(struct fake_domain *d)
{
	if (d->agent_pid > 0) {
		d->agent_again = true;
		kill(-d->agent_pid, SIGKILL);
	}
}

void fake_dvm_stop(struct fake_domain *d)
{
	if (!d->session[0]) {
		return;
	}
	d->agent_child = sd_event_source_disable_unref(d->agent_child);
	d->agent_io = sd_event_source_disable_unref(d->agent_io);
	if (d->agent_pid > 0) {
		kill(-d->agent_pid, SIGKILL); /* with what serves its connections */
		waitpid(d->agent_pid, NULL, 0);
		d->agent_pid = 0;
	}
	d->agent_fd = close_fd(d->agent_fd);
	d->agent_far_fd = close_fd(d->agent_far_fd);
	fake_port_close(&d->tunnel);
	buf_fini(&d->to_agent);
}
