/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the agent for as long as the D-VM lives.
 *
 * As process 1 this also reaps what others left behind. Everything is driven by signals taken with
 * sigtimedwait(): SIGCHLD for ends, SIGTERM and SIGPWR for power off, SIGINT (ctrl-alt-del) for
 * reboot. An agent that keeps dying is restarted ever more slowly, up to RESTART_MAX_MS, so that a
 * broken one cannot eat the machine.
 */
#include "supervise.h"
#include "say.h"

#include <errno.h>
#include <linux/reboot.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RESTART_MIN_MS 50
#define RESTART_MAX_MS 5000
#define STEADY_AFTER_SEC 10 /* an agent that lived this long is restarted at once again */

struct supervisor {
	char *const *argv;
	pid_t agent; /* -1 while none runs */
	struct timespec started;
	int restart_ms;
};

static const char *const agent_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root",
	"TERM=linux",
	"LANG=C.UTF-8",
	NULL,
};

static void agent_start(struct supervisor *s)
{
	sigset_t none;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &s->started);
	pid = fork();
	if (pid < 0) {
		say("fork: %m; trying again");
		return;
	}
	if (pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setsid();
		execve(s->argv[0], s->argv, (char *const *)agent_env);
		say("%s: %m", s->argv[0]);
		_exit(127);
	}
	s->agent = pid;
}

/* Returns the reboot command the agent's end asks for, or -1 to go on. */
static int agent_ended(struct supervisor *s, int status)
{
	struct timespec now;

	s->agent = -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == AGENT_EXIT_POWEROFF) {
		return LINUX_REBOOT_CMD_POWER_OFF;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == AGENT_EXIT_REBOOT) {
		return LINUX_REBOOT_CMD_RESTART;
	}
	if (WIFSIGNALED(status)) {
		say("agent killed by signal %d; restarting", WTERMSIG(status));
	} else {
		say("agent ended with code %d; restarting", WEXITSTATUS(status));
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec - s->started.tv_sec >= STEADY_AFTER_SEC) {
		s->restart_ms = RESTART_MIN_MS;
	} else if (s->restart_ms < RESTART_MAX_MS) {
		s->restart_ms *= 2;
	}
	return -1;
}

static int reap(struct supervisor *s)
{
	int status, command = -1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->agent) {
			command = agent_ended(s, status);
		}
	}
	return command;
}

int supervise_agent(char *const argv[])
{
	struct supervisor s = { .argv = argv, .agent = -1, .restart_ms = RESTART_MIN_MS };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGPWR);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	agent_start(&s);
	for (;;) {
		struct timespec wait = { .tv_sec = s.restart_ms / 1000,
					 .tv_nsec = s.restart_ms % 1000 * 1000000L };
		int command = -1;
		int sig = s.agent > 0 ? sigwaitinfo(&signals, NULL)
				      : sigtimedwait(&signals, NULL, &wait);

		switch (sig) {
		case SIGCHLD:
			command = reap(&s);
			break;
		case SIGTERM:
		case SIGPWR:
			command = LINUX_REBOOT_CMD_POWER_OFF;
			break;
		case SIGINT:
			command = LINUX_REBOOT_CMD_RESTART;
			break;
		default:
			if (sig < 0 && errno == EAGAIN && s.agent < 0) {
				agent_start(&s);
			}
			break;
		}
		if (command >= 0) {
			return command;
		}
	}
}
