/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One login: the ticket becomes a token, the user's command one of dvm(1)'s, run with that token.
 *
 * Theory of operation: the connection to dvmd is what the token lives by, so this process stays
 * beside the command and holds it, connects again when dvmd was restarted, and ends the command
 * when the login is over there, or when the user has hung up. The command ends with us, whatever we
 * die of.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call.h"
#include "cleanup.h"
#include "clock.h"
#include "command.h"
#include "door.h"
#include "parse.h"
#include "sandbox.h"

#define PATIENCE (5 * USEC_PER_SEC)
#define HOLD_EVERY (180 * USEC_PER_SEC)
#define RECONNECT_EVERY (500 * USEC_PER_MSEC)
#define TOKEN_TTL (600 * USEC_PER_SEC) /* without dvmd, the login lasts as long as its token */
#define END_PATIENCE (5 * USEC_PER_SEC)
#define ENV_MAX 10

struct login {
	const struct door_place *place;
	char *token;
	int fd;	     /* to dvmd; -1: away */
	usec_t held; /* when dvmd last said that the login is good */
	usec_t next; /* when to say door.hold, or connect, again */
	bool over;
};

static int say(const struct fault *fault)
{
	fprintf(stderr, "dvm: %s\n", fault->message);
	if (fault->hint[0]) {
		fprintf(stderr, "hint: %s\n", fault->hint);
	}
	return fault_code_exit_status(fault->code);
}

/* ---- the login at dvmd */

static int log_in(struct login *l, const char *ticket, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *answer = NULL;
	const char *token;
	int r = door_connect(l->place->socket, PATIENCE, &l->fd, fault);

	if (r == 0) {
		r = door_call(l->fd, "door.login", json_pack("{s:s}", "ticket", ticket), &answer,
			      fault);
	}
	if (r < 0) {
		return r;
	}
	token = json_string_value(json_object_get(answer, "token"));
	l->token = token ? strdup(token) : NULL;
	l->held = clock_monotonic();
	l->next = l->held + HOLD_EVERY;
	return l->token ? 0 : fault_set(fault, FAULT_PROTOCOL, "dvm's answer is not understood");
}

/* Connects where needed and says that the login goes on. */
static void hold(struct login *l)
{
	_cleanup_(json_decrefp) json_t *answer = NULL;
	struct fault fault = { 0 };
	int r = l->fd >= 0 ? 0 : door_connect(l->place->socket, 0, &l->fd, &fault);

	if (r == 0) {
		r = door_call(l->fd, "door.hold", json_pack("{s:s}", "token", l->token), &answer,
			      &fault);
	}
	if (r == 0) {
		l->held = clock_monotonic();
		l->next = l->held + HOLD_EVERY;
		return;
	}
	/* An answer may be late; to hang up would end the login. The next call reads it over. */
	if (fault.code != FAULT_TIMEOUT) {
		l->fd = close_fd(l->fd);
	}
	l->next = clock_monotonic() + RECONNECT_EVERY;
	l->over = fault.code == FAULT_UNAUTHENTICATED || clock_monotonic() > l->held + TOKEN_TTL;
}

static void login_fini(struct login *l)
{
	if (l->token) {
		explicit_bzero(l->token, strlen(l->token));
	}
	free(l->token);
	close_fd(l->fd);
}

/* ---- the command */

/* All that dvm is told: nothing of the user's but the kind of his terminal. */
static int make_env(const struct login *l, char *env[ENV_MAX + 1])
{
	const char *term = getenv("TERM");
	size_t n = 0;

	if (!term || strlen(term) > 32 ||
	    term[strspn(term,
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.+-")]) {
		term = "dumb";
	}
	env[n++] = strf("TERM=%s", term);
	env[n++] = strdup("LC_ALL=C.UTF-8");
	env[n++] = strdup("PATH=/usr/bin:/bin");
	env[n++] = strdup("HOME=/");
	env[n++] = strdup("DVM_DOOR=1");
	env[n++] = strf("DVM_URL=%s", l->place->url);
	env[n++] = strf("DVM_PIN=%s", l->place->pin);
	env[n++] = strf("DVM_TOKEN=%s", l->token);
	env[n] = NULL;
	for (size_t i = 0; i < n; i++) {
		if (!env[i]) {
			return -ENOMEM;
		}
	}
	return 0;
}

static void free_env(char *env[ENV_MAX + 1])
{
	for (size_t i = 0; i < ENV_MAX && env[i]; i++) {
		explicit_bzero(env[i], strlen(env[i]));
		free(env[i]);
	}
}

static int start(const struct login *l, const char *const *words, pid_t *ret_pid)
{
	const char *argv[DOOR_ARGV_MAX + 2] = { "dvm" };
	char *env[ENV_MAX + 1] = { NULL };
	pid_t self = getpid(), pid;
	int r = make_env(l, env);

	for (size_t i = 0; words[i]; i++) {
		assert(i + 2 < ARRAY_SIZE(argv));
		argv[i + 1] = words[i];
	}
	pid = r == 0 ? fork() : -1;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != self) {
			_exit(EXIT_FAILURE);
		}
		signal(SIGPIPE, SIG_DFL);
		execve(l->place->dvm, (char *const *)argv, env);
		fprintf(stderr, "dvm: it cannot be started: %s\n", strerror(errno));
		_exit(EXIT_FAILURE);
	}
	if (r == 0 && pid < 0) {
		r = -errno;
	}
	free_env(env);
	if (r == 0) {
		*ret_pid = pid;
	}
	return r;
}

/* SIGTERM, and SIGKILL for what does not heed it. */
static void end(pid_t pid, int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	kill(pid, SIGTERM);
	if (poll(&p, 1, (int)(END_PATIENCE / USEC_PER_MSEC)) == 0) {
		kill(pid, SIGKILL);
	}
}

static void watch(struct login *l, pid_t pid, int pidfd)
{
	for (;;) {
		usec_t now = clock_monotonic();
		struct pollfd fds[] = {
			{ .fd = pidfd, .events = POLLIN },
			/* Nothing is ever said to us unasked: the end, or what was late. */
			{ .fd = l->fd, .events = POLLIN },
			/* The user: only that he is gone. */
			{ .fd = STDOUT_FILENO },
		};
		int timeout = l->next <= now ? 0 : (int)((l->next - now) / USEC_PER_MSEC) + 1;

		if (poll(fds, ARRAY_SIZE(fds), timeout) < 0 && errno != EINTR) {
			end(pid, pidfd);
			return;
		}
		if (fds[0].revents) {
			return;
		}
		if (fds[2].revents & (POLLHUP | POLLERR | POLLNVAL)) {
			end(pid, pidfd);
			return;
		}
		if (fds[1].revents & ~POLLIN) {
			l->fd = close_fd(l->fd);
		}
		if (fds[1].revents) {
			l->next = 0;
		}
		if (l->next <= clock_monotonic()) {
			hold(l);
		}
		if (l->over) {
			end(pid, pidfd);
			return;
		}
	}
}

/* Its exit status. */
static int run(struct login *l, const char *const *words)
{
	_cleanup_close_ int pidfd = -1;
	struct fault fault;
	int status = 0, r;
	pid_t pid = 0;

	fflush(stdout);
	r = start(l, words, &pid);
	if (r < 0) {
		fault_set(&fault, FAULT_INTERNAL, "The command cannot be started: %s",
			  strerror(-r));
		return say(&fault);
	}
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0) {
		kill(pid, SIGTERM);
	} else {
		watch(l, pid, pidfd);
	}
	waitpid(pid, &status, 0);
	if (l->over) {
		fault_set(&fault, FAULT_UNAUTHENTICATED, "This login is over");
		fault_hint(&fault, "Its key was removed, or dvm was away for too long.");
		return say(&fault);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int list(struct login *l)
{
	static const char *const vms[] = { "vm", "list", NULL };
	static const char *const sessions[] = { "session", "list", NULL };
	int status;

	puts("Your VMs:");
	status = run(l, vms);
	if (status != 0) {
		return status;
	}
	puts("\nYour sessions:");
	status = run(l, sessions);
	if (status != 0) {
		return status;
	}
	puts("\nGo on with: console VM (with ssh -t), debug VM, end SESSION, power VERB VM, help");
	return 0;
}

static int obey(struct login *l)
{
	struct door_command command;
	struct fault fault = { 0 };
	int r = door_command_parse(getenv("SSH_ORIGINAL_COMMAND"), &command, &fault);

	if (r < 0) {
		return say(&fault);
	}
	/* OpenSSH allows a terminal before it is known what for. */
	if (!command.terminal && isatty(STDIN_FILENO)) {
		fault_set(&fault, FAULT_BAD_REQUEST, "Only the console takes a terminal");
		fault_hint(&fault, "Leave out ssh's -t.");
		return say(&fault);
	}
	switch (command.verb) {
	case DOOR_LIST:
		return list(l);
	case DOOR_HELP:
		fputs(door_help, stdout);
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	default:
		return run(l, command.argv);
	}
}

int door_serve(const struct door_place *place, const char *ticket)
{
	_cleanup_(login_fini) struct login l = { .place = place, .fd = -1 };
	struct fault fault = { 0 };
	int r = sandbox_enter(place->dvm);

	if (r < 0) {
		fault_set(&fault, FAULT_INTERNAL, "Rights cannot be given up: %s", strerror(-r));
		return say(&fault);
	}
	/* A user who went away is seen by poll(), not by our death. */
	signal(SIGPIPE, SIG_IGN);
	r = log_in(&l, ticket, &fault);
	return r < 0 ? say(&fault) : obey(&l);
}
