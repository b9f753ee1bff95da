/* SPDX-License-Identifier: Apache-2.0 */
/* target port attach|detach|list */
#include <dirent.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "clock.h"
#include "parse.h"
#include "target.h"

#define APPEAR_TIMEOUT (15 * USEC_PER_SEC)
#define PORTS_MAX 16
#define DEVICE_BYTES 32

static const char *const ports[] = { "serial0", "serial1", "serial2", "serial3", "parallel0" };

static bool is_device(const char *name)
{
	return strncmp(name, "ttyS", 4) == 0 || strncmp(name, "lp", 2) == 0;
}

static int compare(const void *a, const void *b)
{
	return strverscmp(a, b);
}

/* The names below /dev/target/TARGET that are ports, in order. */
static size_t devices_of(const char *target, char ret[PORTS_MAX][DEVICE_BYTES])
{
	_cleanup_free_ char *folder = strf("/dev/target/%s", target);
	DIR *dir = folder ? opendir(folder) : NULL;
	struct dirent *entry;
	size_t n = 0;

	while (dir && n < PORTS_MAX && (entry = readdir(dir))) {
		if (is_device(entry->d_name) && strlen(entry->d_name) < DEVICE_BYTES) {
			strcpy(ret[n++], entry->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	qsort(ret, n, DEVICE_BYTES, compare);
	return n;
}

static void print_device(const char *target, const char *device, json_t *list)
{
	_cleanup_free_ char *path = strf("/dev/target/%s/%s", target, device);
	_cleanup_free_ char *here = path ? realpath(path, NULL) : NULL;

	if (list) {
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s*, s:s*}", "target", target, "name",
						device, "path", path, "device", here));
	} else {
		printf("%-32s %s\n", path ? path : device, here ? here : "");
	}
}

static void print_list_end(json_t *list)
{
	if (list) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(list);
	}
}

/* Waits until each of {"devices":["ttyS1"]} has its link, and prints it. */
static int wait_and_print(const char *target, const char *answer, bool json,
			  struct fault *ret_fault)
{
	usec_t until = clock_monotonic() + APPEAR_TIMEOUT;
	json_t *root = json_loads(answer, 0, NULL), *item, *list = json ? json_array() : NULL;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(root, "devices"), i, item)
	{
		const char *device = json_string_value(item);
		_cleanup_free_ char *path =
			device ? strf("/dev/target/%s/%s", target, device) : NULL;

		while (r == 0 && path && access(path, F_OK) < 0) {
			if (clock_monotonic() > until) {
				r = fault_set(ret_fault, FAULT_TIMEOUT,
					      "the port was plugged in but did not appear here");
				fault_hint(ret_fault, "`dmesg` may say why; `target port detach` "
						      "takes it away again.");
			}
			poll(NULL, 0, 20);
		}
		if (r == 0 && device) {
			print_device(target, device, list);
		}
	}
	json_decref(root);
	print_list_end(list);
	return r;
}

static bool port_valid(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		if (strcmp(ports[i], name) == 0) {
			return true;
		}
	}
	return false;
}

/* "port attach" and "port detach". */
int cmd_port(const struct command *c, struct invocation *in)
{
	bool attach = strcmp(c->words, "port attach") == 0;
	_cleanup_free_ char *line = NULL, *text = NULL;
	struct fault fault = { 0 };
	char name[NAME_BYTES];

	if (in->argc != 1 || !port_valid(in->argv[0])) {
		return usage(c);
	}
	if (client_target(in->name, name, &fault) < 0) {
		return complain(&fault);
	}
	line = strf("%s %s %s", c->words, name, in->argv[0]);
	if (!line) {
		fault_set(&fault, FAULT_INTERNAL, "no memory");
		return complain(&fault);
	}
	if (client_verb(line, &text, &fault) < 0 ||
	    (attach && wait_and_print(name, text, in->json, &fault) < 0)) {
		return complain(&fault);
	}
	if (!attach && in->json) {
		printf("{\"target\":\"%s\",\"port\":\"%s\",\"detached\":true}\n", name,
		       in->argv[0]);
	} else if (!attach) {
		printf("%s: %s is no longer here\n", name, in->argv[0]);
	}
	return 0;
}

int cmd_port_list(const struct command *c, struct invocation *in)
{
	json_t *list = in->json ? json_array() : NULL;
	char devices[PORTS_MAX][DEVICE_BYTES];
	struct fault fault = { 0 };
	char name[NAME_BYTES];
	size_t n;

	if (client_target(in->name, name, &fault) < 0) {
		json_decref(list);
		return complain(&fault);
	}
	n = devices_of(name, devices);
	for (size_t i = 0; i < n; i++) {
		print_device(name, devices[i], list);
	}
	print_list_end(list);
	if (n == 0 && !in->json) {
		printf("%s: no port is here; `target port attach` plugs them in\n", name);
	}
	return 0;
}
