/* SPDX-License-Identifier: Apache-2.0 */
/* dvm-gate's command line and configuration. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "ini.h"
#include "parse.h"

#define CONNECTIONS_MAX 100000

static const char usage[] =
	"Usage: dvm-gate --state DIR [--listen ADDRESS:PORT]\n"
	"\n"
	"The public edge of dvm: TLS, streams by one-time tickets, everything else to dvmd.\n"
	"\n"
	"  --state DIR             the state folder; its dvm.ini may have a section [gate]:\n"
	"                            listen = ADDRESS:PORT   (127.0.0.1:0)\n"
	"                            names = NAME, ...       further names in the certificate\n"
	"                            connections = N         at once (1024)\n"
	"                            per-address = N         at once from one address (256)\n"
	"  --listen ADDRESS:PORT   numeric; port 0: any, the same after a restart\n"
	"  --help\n"
	"\n"
	"Sockets handed over by a supervisor (LISTEN_FDS) come before --listen.\n";

static int set_listen(struct gate_config *c, const char *value, struct fault *fault)
{
	if (strlen(value) >= sizeof(c->listen)) {
		return fault_set(fault, FAULT_BAD_VALUE, "The address to listen on is too long.");
	}
	strcpy(c->listen, value);
	return 0;
}

static int set_count(const char *key, const char *value, uint32_t *ret, struct fault *fault)
{
	uint32_t n;

	if (parse_u32(value, &n) < 0 || n == 0 || n > CONNECTIONS_MAX) {
		return fault_set(fault, FAULT_BAD_VALUE, "\"%s\" takes a number from 1 to %d.", key,
				 CONNECTIONS_MAX);
	}
	*ret = n;
	return 0;
}

static int set_names(struct gate_config *c, const char *value, struct fault *fault)
{
	_cleanup_free_ char *copy = strdup(value);
	char *save = NULL;

	if (!copy) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory.");
	}
	for (char *name = strtok_r(copy, ", \t", &save); name;
	     name = strtok_r(NULL, ", \t", &save)) {
		if (c->n_names == TLS_NAMES_MAX || strlen(name) > 253 || !text_valid(name, 253)) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "\"names\" takes at most %d host names or addresses.",
					 TLS_NAMES_MAX);
		}
		c->names[c->n_names] = strdup(name);
		if (!c->names[c->n_names]) {
			return fault_set(fault, FAULT_INTERNAL, "Out of memory.");
		}
		c->n_names++;
	}
	return 0;
}

static int on_key(const char *section, const char *key, const char *value, unsigned line,
		  void *user, struct fault *fault)
{
	struct gate_config *c = user;

	if (strcmp(section, "gate") != 0) {
		return 0; /* another program's */
	}
	if (strcmp(key, "listen") == 0) {
		return set_listen(c, value, fault);
	}
	if (strcmp(key, "names") == 0) {
		return set_names(c, value, fault);
	}
	if (strcmp(key, "connections") == 0) {
		return set_count(key, value, &c->connections, fault);
	}
	if (strcmp(key, "per-address") == 0) {
		return set_count(key, value, &c->per_address, fault);
	}
	return fault_set(fault, FAULT_UNKNOWN_FIELD, "line %u: [gate] has no key \"%s\".", line,
			 key);
}

static int read_file(struct gate_config *c, struct fault *fault)
{
	_cleanup_free_ char *path = strf("%s/dvm.ini", c->state);
	int r;

	if (!path) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory.");
	}
	r = ini_parse_file(path, on_key, c, fault);
	return r == -ENOENT ? 0 : r;
}

static int read_options(int argc, char **argv, struct gate_config *c, const char **ret_listen,
			struct fault *fault)
{
	static const struct option options[] = {
		{ "state", required_argument, NULL, 's' },
		{ "listen", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 's':
			if (strlen(optarg) >= sizeof(c->state)) {
				return fault_set(fault, FAULT_BAD_VALUE,
						 "The state folder's path is too long.");
			}
			strcpy(c->state, optarg);
			break;
		case 'l':
			*ret_listen = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			return fault_set(fault, FAULT_BAD_REQUEST, "Try --help.");
		}
	}
	if (optind < argc || c->state[0] == '\0') {
		return fault_set(fault, FAULT_BAD_REQUEST,
				 "--state DIR is needed, and no other words.");
	}
	return 0;
}

int gate_config_read(int argc, char **argv, struct gate_config *ret, struct fault *fault)
{
	struct gate_config c = { .listen = "127.0.0.1:0", .connections = 1024, .per_address = 256 };
	const char *listen = NULL;
	int r;

	r = read_options(argc, argv, &c, &listen, fault);
	if (r == 0) {
		r = read_file(&c, fault);
	}
	if (r == 0 && listen) {
		r = set_listen(&c, listen, fault);
	}
	if (r != 0) {
		gate_config_fini(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void gate_config_fini(struct gate_config *c)
{
	while (c->n_names > 0) {
		free(c->names[--c->n_names]);
	}
}
