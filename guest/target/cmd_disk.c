/* SPDX-License-Identifier: Apache-2.0 */
/* target disk attach|detach|list */
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "clock.h"
#include "disk.h"
#include "parse.h"
#include "target.h"

#define APPEAR_TIMEOUT (15 * USEC_PER_SEC)
#define SETTLE_MS 150 /* partitions are announced right after their disk */

static void print_disks(const char *target, const struct disk *disks, size_t n, bool json)
{
	if (json) {
		json_t *list = json_array();

		for (size_t i = 0; i < n; i++) {
			const struct disk *d = &disks[i];

			json_array_append_new(list,
					      json_pack("{s:s, s:s, s:s, s:b, s:b, s:I, s:s?}",
							"target", target, "name", d->name, "path",
							d->path, "partition", d->partition,
							"read_only", d->read_only, "size_bytes",
							(json_int_t)d->size_bytes, "mounted_on",
							d->mounted_on[0] ? d->mounted_on : NULL));
		}
		json_dumpf(list, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(list);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const struct disk *d = &disks[i];
		char size[24];

		size_format(d->size_bytes, size);
		printf("%-32s %10s  %s%s%s\n", d->path, size,
		       d->read_only ? "read-only" : "read-write",
		       d->mounted_on[0] ? ", mounted on " : "", d->mounted_on);
	}
}

/* Waits until each serial of {"devices":["t0-vda", …]} has its link. */
static int wait_for_links(const char *target, const char *answer, struct fault *ret_fault)
{
	usec_t until = clock_monotonic() + APPEAR_TIMEOUT;
	json_t *root = json_loads(answer, 0, NULL);
	const json_t *devices = json_object_get(root, "devices"), *item;
	size_t i;
	int r = 0;

	json_array_foreach(devices, i, item)
	{
		const char *serial = json_string_value(item);
		const char *dash = serial ? strchr(serial, '-') : NULL;
		_cleanup_free_ char *path =
			dash ? strf("/dev/target/%s/%s", target, dash + 1) : NULL;

		while (path && access(path, F_OK) < 0) {
			if (clock_monotonic() > until) {
				r = fault_set(ret_fault, FAULT_TIMEOUT,
					      "disk %s was plugged in but did not appear here",
					      dash + 1);
				fault_hint(
					ret_fault,
					"`dmesg` may say why; `target disk detach` gives it back.");
				break;
			}
			poll(NULL, 0, 20);
		}
	}
	json_decref(root);
	return r;
}

int cmd_disk_attach(const struct command *c, struct invocation *in)
{
	_cleanup_free_ char *line = NULL, *text = NULL;
	struct disk disks[DISKS_MAX];
	struct fault fault = { 0 };
	char name[NAME_BYTES];
	bool read_only = false;

	if (in->argc == 1) {
		if (strcmp(in->argv[0], "--read-only") != 0) {
			return usage(c);
		}
		read_only = true;
	}
	if (client_target(in->name, name, &fault) < 0) {
		return complain(&fault);
	}
	line = strf("disk attach %s %s", name, read_only ? "ro" : "rw");
	if (!line) {
		fault_set(&fault, FAULT_INTERNAL, "no memory");
		return complain(&fault);
	}
	if (client_verb(line, &text, &fault) < 0 || wait_for_links(name, text, &fault) < 0) {
		return complain(&fault);
	}
	poll(NULL, 0, SETTLE_MS);
	print_disks(name, disks, disks_of(name, disks), in->json);
	return 0;
}

int cmd_disk_detach(const struct command *c, struct invocation *in)
{
	_cleanup_free_ char *line = NULL, *text = NULL;
	struct disk disks[DISKS_MAX];
	struct fault fault = { 0 };
	char name[NAME_BYTES];
	size_t n;

	if (client_target(in->name, name, &fault) < 0) {
		return complain(&fault);
	}
	n = disks_of(name, disks);
	for (size_t i = 0; i < n; i++) {
		if (disks[i].mounted_on[0]) {
			fault_set(&fault, FAULT_CONFLICT, "%s is mounted on %.100s", disks[i].path,
				  disks[i].mounted_on);
			fault_hint(&fault, "Unmount it first: umount %.100s", disks[i].mounted_on);
			return complain(&fault);
		}
	}
	/* what fsck or an editor wrote must be on the disk before it goes */
	sync();
	line = strf("disk detach %s", name);
	if (!line) {
		fault_set(&fault, FAULT_INTERNAL, "no memory");
		return complain(&fault);
	}
	if (client_verb(line, &text, &fault) < 0) {
		return complain(&fault);
	}
	if (in->json) {
		printf("{\"target\":\"%s\",\"detached\":true}\n", name);
	} else {
		printf("%s: disks given back\n", name);
	}
	return 0;
}

int cmd_disk_list(const struct command *c, struct invocation *in)
{
	struct disk disks[DISKS_MAX];
	struct fault fault = { 0 };
	char name[NAME_BYTES];
	size_t n;

	if (client_target(in->name, name, &fault) < 0) {
		return complain(&fault);
	}
	n = disks_of(name, disks);
	if (n == 0 && !in->json) {
		printf("%s: no disk is here; `target disk attach` plugs them in while it is off\n",
		       name);
		return 0;
	}
	print_disks(name, disks, n, in->json);
	return 0;
}
