/* SPDX-License-Identifier: Apache-2.0 */
/* dvm debug: from one broken VM to a shell beside it. */
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "parse.h"
#include "session.h"
#include "ssh_key.h"
#include "view.h"

#define READY_TIMEOUT (600 * USEC_PER_SEC)

/* "a,b,c" as an array of strings under `key`. */
static int put_list(json_t *body, const char *key, const char *list)
{
	json_t *array;

	if (!list) {
		return 0;
	}
	array = json_array();
	for (const char *p = list; *p;) {
		size_t len = strcspn(p, ",");

		if (len > 0 && json_array_append_new(array, json_stringn(p, len)) < 0) {
			json_decref(array);
			return -EINVAL;
		}
		p += len + (p[len] == ',');
	}
	return json_object_set_new(body, key, array) < 0 ? -ENOMEM : 0;
}

static int put_text(json_t *body, const char *key, const char *text)
{
	return text && json_object_set_new(body, key, json_string(text)) < 0 ? -EINVAL : 0;
}

static int make_request(const struct args *args, const char *key, json_t **ret, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *body = json_object();
	json_t *targets = json_array();
	const char *lease = args_value(args, "lease");
	usec_t lease_usec;
	int r = 0;

	if (json_object_set_new(body, "targets", targets) < 0) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < args->n_words && r == 0; i++) {
		r = json_array_append_new(targets, json_string(args->words[i])) < 0 ? -EINVAL : 0;
	}
	if (r == 0) {
		r = put_list(body, "stacks", args_value(args, "stack"));
	}
	if (r == 0) {
		r = put_list(body, "attach", args_value(args, "attach"));
	}
	if (r == 0) {
		r = put_text(body, "ssh_key", key);
	}
	if (r == 0) {
		r = put_text(body, "image", args_value(args, "image"));
	}
	if (r == 0) {
		r = put_text(body, "placement", args_value(args, "placement"));
	}
	if (r < 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "names must be UTF-8");
	}
	if (lease) {
		if (parse_duration(lease, &lease_usec) < 0 || lease_usec < USEC_PER_SEC) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "--lease \"%.40s\" is not a time such as 90m or 2h",
					 lease);
		}
		r = json_object_set_new(body, "lease_s",
					json_integer((json_int_t)(lease_usec / USEC_PER_SEC)));
		if (r < 0) {
			return -ENOMEM;
		}
	}
	*ret = TAKE_PTR(body);
	return 0;
}

/* What scripts read: the session, and how to log in to it. */
static int print_result(const struct cli *cli, const json_t *session, const char *key_option,
			bool as_json, usec_t elapsed)
{
	const char *id = json_text(session, "id"), *address = json_text(session, "address");
	_cleanup_free_ char *ssh = strf("dvm ssh%s%s %s", key_option ? " --key " : "",
					key_option ? key_option : "", id);
	_cleanup_(json_decrefp) json_t *out = NULL;

	if (!ssh) {
		return -ENOMEM;
	}
	if (!as_json) {
		if (cli->config.door) {
			printf("%s\n", id);
			fprintf(stderr,
				"\nLog in (GATE: how you came here, user, host and -p PORT) "
				"with\n\n"
				"    ssh -o ProxyCommand=\"ssh GATE proxy %%h\" root@%s\n\n"
				"Its host key is\n\n    %s\n\n"
				"`help` has what makes plain ssh, scp and -L work and checks that "
				"key.\n",
				address, json_text(session, "host_key") ?: "not made yet");
		} else if (cli->tty) {
			printf("\n%s is %s after %.1f s. Log in with\n\n    %s\n\n", id,
			       json_text(session, "state"), (double)elapsed / USEC_PER_SEC, ssh);
			printf("or, after `dvm ssh-config --install`, with    ssh root@%s\n",
			       address);
		} else {
			printf("%s\n", id);
		}
		return 0;
	}
	out = json_pack("{s:s, s:s, s:s, s:O, s:O, s:O, s:O, s:O}", "session", id, "address",
			address, "ssh", ssh, "state", json_object_get(session, "state"), "targets",
			json_object_get(session, "targets"), "stacks",
			json_object_get(session, "stacks"), "host_key",
			json_object_get(session, "host_key"), "lease_expires",
			json_object_get(session, "lease_expires"));
	if (!out || json_object_set_new(out, "elapsed_ms",
					json_integer((json_int_t)(elapsed / USEC_PER_MSEC))) < 0) {
		return -ENOMEM;
	}
	return cli_print_json(out);
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	bool as_json = args_has(args, "json");
	_cleanup_free_ char *key = NULL;
	_cleanup_free_ char *identity = NULL;
	_cleanup_(json_decrefp) json_t *session = NULL;
	_cleanup_(json_decrefp) json_t *ready = NULL;
	json_t *body = NULL;
	usec_t start = clock_monotonic();
	int r;

	r = args_has(args, "no-key")
		    ? 0
		    : ssh_key_for_session(args_value(args, "key"), &key, &identity, fault);
	if (r == 0) {
		r = make_request(args, key, &body, fault);
	}
	if (r == 0) {
		r = cli_call(cli, "POST", "/v1/sessions", body, &session, fault);
	}
	if (r < 0) {
		return r;
	}
	if (!json_text(session, "id") || !json_text(session, "address")) {
		return fault_set(fault, FAULT_PROTOCOL, "the server's answer is not a session");
	}
	if (!args_has(args, "no-wait")) {
		/* Whoever loses patience must know what to end. */
		if (!args_has(args, "quiet")) {
			_cleanup_free_ char *text = strf("session %s", json_text(session, "id"));

			cli_print_step(cli, 0, text ? text : "");
		}
		r = session_wait(cli, json_text(session, "id"), SESSION_WAIT_READY, READY_TIMEOUT,
				 !args_has(args, "quiet"), &ready, fault);
		if (r < 0) {
			return r;
		}
	}
	return print_result(cli, ready ? ready : session, args_value(args, "key") ? identity : NULL,
			    as_json, clock_monotonic() - start);
}

static const struct option_def options[] = {
	{ "stack", 's', "A,B", "stacks of tools in the D-VM besides base, e.g. disk" },
	{ "attach", 'a', "A,B",
	  "what to attach before it is ready: disk, memory, serial0, parallel0, ...; console and display "
	  "always are" },
	{ "lease", 'l', "TIME",
	  "how long the session may live unless renewed, e.g. 90m (default: 1h)" },
	{ "key", 'k', "FILE",
	  "SSH key to log in with (default: ~/.ssh/id_ed25519, or one made for dvm)" },
	{ "no-key", 0, NULL, "only with the keys of dvm key list, which log in in any case" },
	{ "image", 'i', "IMAGE", "image of the D-VM (default: the default image)" },
	{ "placement", 0, "WHERE", "same, other (host than the target's) or auto" },
	{ "no-wait", 0, NULL, "do not wait until the session is ready" },
	{ "quiet", 'q', NULL, "do not show the steps" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_debug = {
	.name = "debug",
	.words = "VM...",
	.summary = "start a session: a D-VM beside the broken VM, attached to it",
	.text = "Waits until one can log in and shows each step with its time on stderr. Without a "
		"terminal on stdout "
		"the session's id is all that is printed, with --json an object with \"session\", "
		"\"address\", "
		"\"ssh\" and more.\n\n"
		"Several VMs can be debugged from one D-VM; the first is the default in it.",
	.options = options,
	.run = run,
};
