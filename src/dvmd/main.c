/* SPDX-License-Identifier: Apache-2.0 */
/* dvmd: policy, sessions and the record. Owns no byte stream. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "api.h"
#include "cloud.h"
#include "debuggers.h"
#include "dvmd.h"
#include "engine.h"
#include "events.h"
#include "file.h"
#include "host_link.h"
#include "log.h"
#include "parse.h"
#include "session_ops.h"
#include "stream_ops.h"
#include "unix.h"

#define VERB_WORDS_MAX 8

static const char usage[] =
	"Usage: dvmd --state DIR [--door LOOKUP:LOGIN] [--bootstrap-token]\n"
	"\n"
	"Policy, sessions and the record of dvm. Stays in the foreground.\n"
	"\n"
	"  --state DIR         state folder\n"
	"  --door LOOKUP:LOGIN the SSH door asks for keys and logs in as these users (numbers)\n"
	"  --bootstrap-token   make the first user, project and token, print the token, and end;\n"
	"                      status 3 when there is a token already\n"
	"  --help, --version\n";

enum { EXIT_HAS_TOKEN = 3 };

/* ---- what dvm-hostd tells and asks */

static void on_host_up(void *user)
{
	engine_host_up(((struct dvmd *)user)->engine);
}

static void on_host_down(void *user)
{
	engine_host_down(((struct dvmd *)user)->engine);
}

static void on_host_notice(const char *method, json_t *params, void *user)
{
	engine_notice(((struct dvmd *)user)->engine, method, params);
}

static void verb_answer(const json_t *result, const struct fault *fault, void *user)
{
	struct rpc_request *r = user;

	if (fault) {
		rpc_request_fault(r, fault);
	} else {
		rpc_request_reply(r, json_deep_copy(result));
	}
}

static void on_host_call(struct rpc_request *r, const char *method, json_t *params, void *user)
{
	const char *session = json_string_value(json_object_get(params, "session"));
	const char *verb = json_string_value(json_object_get(params, "verb"));
	const json_t *list = json_object_get(params, "words"), *item;
	const char *words[VERB_WORDS_MAX];
	struct fault fault;
	size_t n = 0, i;

	if (strcmp(method, "session.verb") != 0) {
		fault_set(&fault, FAULT_NOT_SUPPORTED, "There is no such method");
		rpc_request_fault(r, &fault);
		return;
	}
	json_array_foreach(list, i, item)
	{
		if (n < VERB_WORDS_MAX && json_is_string(item)) {
			words[n++] = json_string_value(item);
		}
	}
	if (!session || !verb || n != json_array_size(list)) {
		fault_set(&fault, FAULT_BAD_REQUEST, "Not a verb");
		rpc_request_fault(r, &fault);
		return;
	}
	session_verb(user, session, verb, words, n, verb_answer, r);
}

static const struct host_link_ops host_ops = {
	.up = on_host_up,
	.down = on_host_down,
	.notice = on_host_notice,
	.call = on_host_call,
};

/* ---- what the cloud needs */

static void cloud_host_call(void *user, const char *method, json_t *params, usec_t timeout,
			    cloud_json_fn fn, void *fn_user)
{
	host_link_call(((struct dvmd *)user)->host, method, params, timeout, fn, fn_user);
}

static int cloud_event(void *user, const char *type, const char *session, const struct vm_row *vm,
		       json_t *data, struct fault *fault)
{
	struct dvmd *d = user;

	return events_add(d->events, type, session, vm->id, vm->project, data, fault);
}

static void cloud_committed(void *user)
{
	events_committed(((struct dvmd *)user)->events);
}

static void cloud_changed(void *user, const struct vm_row *vm, bool outside)
{
	struct dvmd *d = user;

	log_info("%s is %s%s", vm->id, vm_state_name(vm->state), outside ? " (not by us)" : "");
	engine_vm_changed(d->engine, vm);
}

/* ---- start and end */

static void dvmd_fini(struct dvmd *d)
{
	/* Whoever waits for the host is answered first, while all that could answer is there. */
	host_link_free(d->host);
	api_free(d->api);
	engine_free(d->engine);
	cloud_free(d->cloud);
	tickets_free(d->tickets);
	debuggers_free(d->debuggers);
	identity_free(d->identity);
	events_free(d->events);
	store_close(d->store);
	metrics_free(d->metrics);
	free(d->run_dir);
	sd_event_unref(d->event);
}

static int no_memory(int r, struct fault *fault)
{
	return r < 0 ? fault_set(fault, FAULT_INTERNAL, "%s", strerror(-r)) : 0;
}

static int open_store(struct dvmd *d, struct fault *fault)
{
	_cleanup_free_ char *config = strf("%s/dvm.ini", d->state_dir);
	_cleanup_free_ char *path = strf("%s/store.sqlite", d->state_dir);
	int r;

	if (!config || !path) {
		return no_memory(-ENOMEM, fault);
	}
	r = config_load(config, &d->config, fault);
	return r < 0 ? r : store_open_sqlite(path, &d->store, fault);
}

static int start(struct dvmd *d, struct fault *fault)
{
	_cleanup_free_ char *hostd = strf("%s/hostd.sock", d->run_dir);
	const struct cloud_port port = {
		.host_call = cloud_host_call,
		.event = cloud_event,
		.committed = cloud_committed,
		.changed = cloud_changed,
		.user = d,
	};
	int r = hostd ? sd_event_default(&d->event) : -ENOMEM;

	if (r >= 0) {
		r = sd_event_add_signal(d->event, NULL, SIGTERM, NULL, NULL);
	}
	if (r >= 0) {
		r = sd_event_add_signal(d->event, NULL, SIGINT, NULL, NULL);
	}
	if (r >= 0) {
		r = metrics_new(&d->metrics);
	}
	if (r >= 0) {
		r = events_new(d->store, &d->config, d->metrics, &d->events);
	}
	if (r >= 0) {
		r = identity_local_new(d->store, &d->identity);
	}
	if (r >= 0) {
		r = tickets_new(&d->tickets);
	}
	if (r >= 0) {
		r = debuggers_new(&d->debuggers);
	}
	if (r >= 0) {
		r = cloud_local_new(d->event, d->store, &port, &d->cloud);
	}
	if (r >= 0) {
		r = engine_new(d, &d->engine);
	}
	if (r >= 0) {
		r = host_link_new(d->event, hostd, d->metrics, &host_ops, d, &d->host);
	}
	if (r < 0) {
		return no_memory(r, fault);
	}
	r = engine_start(d->engine, fault);
	return r < 0 ? r : api_new(d, &d->api, fault);
}

static int bootstrap(struct dvmd *d)
{
	char token[LOCAL_TOKEN_MAX];
	struct fault fault = { 0 };
	int r = local_bootstrap(d->store, token, &fault);

	if (r == -EEXIST) {
		log_err("there is a token already");
		return EXIT_HAS_TOKEN;
	}
	if (r < 0) {
		log_err("%s", fault.message);
		return EXIT_FAILURE;
	}
	return printf("%s\n", token) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(struct dvmd *d)
{
	struct fault fault = { 0 };
	int r;

	if (start(d, &fault) < 0) {
		log_err("%s", fault.message);
		return EXIT_FAILURE;
	}
	log_info("ready");
	sd_notify(0, "READY=1");
	r = sd_event_loop(d->event);
	sd_notify(0, "STOPPING=1");
	log_info("ending");
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_in(struct dvmd *d, bool bootstrap_only)
{
	_cleanup_free_ char *lock = NULL;
	_cleanup_close_ int lock_fd = -1;
	struct fault fault = { 0 };
	sigset_t ends;
	int r;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	d->run_dir = strf("%s/run", d->state_dir);
	lock = strf("%s/run/dvmd.lock", d->state_dir);
	if (!d->run_dir || !lock) {
		log_err("out of memory");
		return EXIT_FAILURE;
	}
	/* The gate, which is another user, passes through to its sockets. */
	umask(0);
	r = dir_make(d->run_dir, 0711);
	umask(077);
	if (r < 0) {
		log_err("cannot make %s: %s", d->run_dir, strerror(-r));
		return EXIT_FAILURE;
	}
	if (!bootstrap_only) {
		r = pid_lock(lock, &lock_fd);
		if (r < 0) {
			log_err("cannot lock %s: %s", lock, strerror(-r));
			return EXIT_FAILURE;
		}
		sigprocmask(SIG_BLOCK, &ends, NULL);
	}
	r = open_store(d, &fault);
	if (r < 0) {
		log_err("%s", fault.message);
		return EXIT_FAILURE;
	}
	return bootstrap_only ? bootstrap(d) : run(d);
}

/* "LOOKUP:LOGIN" */
static int parse_door(const char *text, struct dvmd *d)
{
	char first[16];
	const char *colon = strchr(text, ':');
	uint32_t lookup, login;

	if (!colon || (size_t)(colon - text) >= sizeof(first)) {
		return -EINVAL;
	}
	memcpy(first, text, (size_t)(colon - text));
	first[colon - text] = '\0';
	if (parse_u32(first, &lookup) < 0 || parse_u32(colon + 1, &login) < 0) {
		return -EINVAL;
	}
	d->door = true;
	d->door_lookup = lookup;
	d->door_login = login;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "state", required_argument, NULL, 's' },
		{ "door", required_argument, NULL, 'd' },
		{ "bootstrap-token", no_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	struct dvmd d = { 0 };
	bool bootstrap_only = false;
	int option, status;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			d.state_dir = optarg;
			break;
		case 'd':
			if (parse_door(optarg, &d) < 0) {
				fputs(usage, stderr);
				return 2;
			}
			break;
		case 'b':
			bootstrap_only = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'v':
			puts("dvmd " DVM_VERSION);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (!d.state_dir || optind != argc) {
		fputs(usage, stderr);
		return 2;
	}
	log_open("dvmd");
	status = run_in(&d, bootstrap_only);
	dvmd_fini(&d);
	return status;
}
