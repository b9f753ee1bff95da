/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dvm ssh: OpenSSH into a session's D-VM. The bytes go through `dvm proxy`, the host key comes from
 * the session through `dvm known-hosts`; nothing is written to the user's files.
 */
#include <signal.h>
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "parse.h"
#include "session.h"
#include "ssh_key.h"
#include "ssh_options.h"
#include "view.h"

/* A command line in the making; it is for execvp() only, so what it holds is never freed. */
struct argv {
	const char *words[ARGS_OPTIONS_MAX * 2 + 64];
	size_t n;
};

static void push(struct argv *a, const char *word)
{
	assert(a->n + 1 < ARRAY_SIZE(a->words));
	a->words[a->n++] = word;
}

static void push_option(struct argv *a, const char *option)
{
	push(a, "-o");
	push(a, option);
}

static int push_identities(struct argv *a, const struct args *args, struct fault *fault)
{
	const char *key = args_value(args, "key");
	char *identities[SSH_IDENTITIES_MAX + 1];
	int r;

	if (key) {
		push(a, "-i");
		push(a, key);
		return 0;
	}
	r = ssh_key_identities(identities, fault);
	for (size_t i = 0; r == 0 && identities[i]; i++) {
		push(a, "-i");
		push(a, identities[i]);
	}
	return r;
}

static int host_key_pass(const char *host, const char *key)
{
	_cleanup_free_ char *known = strf("%s %s", host, key);

	return known && setenv(SSH_HOST_KEY_ENV, known, 1) == 0 ? 0 : -ENOMEM;
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *session = NULL;
	_cleanup_free_ const char **command = NULL;
	struct ssh_options options = { 0 };
	struct argv a = { 0 };
	const char *host;
	int r;

	r = session_get(cli, args_word(args, 0), &session, fault);
	if (r < 0) {
		return r;
	}
	if (session_is_over(session)) {
		return fault_set(fault, FAULT_SESSION_ENDED, "session %s has ended",
				 json_text(session, "id"));
	}
	host = json_text(session, "address");
	if (!host || !json_text(session, "host_key")) {
		return fault_set(fault, FAULT_SESSION_NOT_READY, "session %s is still %s",
				 json_text(session, "id"), json_text(session, "state"));
	}
	r = ssh_options_make(&options, fault);
	if (r < 0) {
		return r;
	}
	push(&a, "ssh");
	for (size_t i = 0; options.lines[i]; i++) {
		push_option(&a, options.lines[i]);
	}
	for (size_t i = 0; i < args->n_given; i++) {
		if (strcmp(args->given[i].def->name, "option") == 0) {
			push_option(&a, args->given[i].value);
		}
	}
	r = push_identities(&a, args, fault);
	if (r < 0) {
		ssh_options_fini(&options);
		return r;
	}
	push(&a, "-l");
	push(&a, "root");
	push(&a, "--");
	push(&a, host);

	command = calloc(a.n + args->n_words, sizeof(command[0]));
	if (!command) {
		ssh_options_fini(&options);
		return -ENOMEM;
	}
	memcpy(command, a.words, a.n * sizeof(command[0]));
	memcpy(command + a.n, args->words + 1, args->n_words * sizeof(command[0]));
	r = host_key_pass(host, json_text(session, "host_key"));
	if (r < 0) {
		ssh_options_fini(&options);
		return r;
	}
	fflush(stdout);
	signal(SIGPIPE, SIG_DFL);
	execvp(command[0], (char *const *)command);
	r = fault_set(fault, FAULT_NOT_SUPPORTED, "cannot start ssh: %s", strerror(errno));
	ssh_options_fini(&options);
	return r;
}

static const struct option_def options_table[] = {
	{ "key", 'k', "FILE", "SSH key, where it is not the default one of dvm debug" },
	{ "option", 'o', "OPTION", "an option for ssh(1), as its own -o; may repeat" },
	OPTION_END,
};

const struct command cmd_ssh = {
	.name = "ssh",
	.words = "SESSION [COMMAND...]",
	.summary = "log in to a session's D-VM with OpenSSH",
	.text = "The D-VM's host key was made in it and is pinned; no agent, no password and no "
		"entry in known_hosts is "
		"needed. The exit status is ssh's.",
	.options = options_table,
	.pass_after = 1,
	.run = run,
};
