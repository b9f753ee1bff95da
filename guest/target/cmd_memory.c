/* SPDX-License-Identifier: Apache-2.0 */
/* target memory attach|detach|status */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach_memory.h"
#include "cleanup.h"
#include "client.h"
#include "disk.h"
#include "parse.h"
#include "target.h"

#define HEAD_BYTES 4096

/* Whether the memory itself can be read now, past what is cached of it: 0, -errno. */
static int memory_try(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	_cleanup_free_ void *head = NULL;

	if (fd < 0) {
		return -errno;
	}
	if (posix_memalign(&head, HEAD_BYTES, HEAD_BYTES) != 0) {
		return -ENOMEM;
	}
	return pread(fd, head, HEAD_BYTES, 0) == HEAD_BYTES ? 0 : -errno;
}

static void status_print(const char *name, const char *path, bool json)
{
	int r = memory_try(path);
	const char *state = r == 0 ? "readable" : r == -ENOENT ? "detached" : "away";
	_cleanup_free_ char *device = realpath(path, NULL);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	char text[24];

	if (json) {
		json_t *status = json_pack("{s:s, s:s, s:s?, s:s?, s:I}", "target", name, "state",
					   state, "path", device ? path : NULL, "device", device,
					   "size_bytes", (json_int_t)(size > 0 ? size : 0));

		json_dumpf(status, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(status);
		return;
	}
	if (r == -ENOENT) {
		printf("%s: its memory is not here; `target memory attach` plugs it in\n", name);
		return;
	}
	size_format((uint64_t)(size > 0 ? size : 0), text);
	printf("%-32s %10s  %s\n", path, text,
	       r == 0 ? "readable"
		      : "cannot be read: the target is off, or has another amount of memory now");
}

/* "memory attach", "memory detach", "memory status" */
int cmd_memory(const struct command *c, struct invocation *in)
{
	bool attach = strcmp(c->words, "memory attach") == 0;
	bool status = strcmp(c->words, "memory status") == 0;
	_cleanup_free_ char *line = NULL, *text = NULL, *path = NULL;
	struct fault fault = { 0 };
	char name[NAME_BYTES];

	if (client_target(in->name, name, &fault) < 0) {
		return complain(&fault);
	}
	line = strf("%s %s", c->words, name);
	path = memory_path(name);
	if (!line || !path) {
		fault_set(&fault, FAULT_INTERNAL, "no memory");
		return complain(&fault);
	}
	if (attach ? memory_attach(name, &fault) < 0
		   : !status && client_verb(line, &text, &fault) < 0) {
		return complain(&fault);
	}
	if (attach || status) {
		status_print(name, path, in->json);
	} else if (in->json) {
		printf("{\"target\":\"%s\",\"detached\":true}\n", name);
	} else {
		printf("%s: its memory is no longer here\n", name);
	}
	return 0;
}
