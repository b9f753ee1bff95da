/* SPDX-License-Identifier: Apache-2.0 */
/* target dmesg: the target's kernel log, out of its memory. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "printk.h"

#define FOLLOW_MS 500

struct output {
	bool json, follow;
	json_t *list;
};

static const char *const levels[] = { "emerg", "alert",	 "crit", "err",
				      "warn",  "notice", "info", "debug" };

static int read_kernel(void *user, uint64_t address, void *p, size_t len)
{
	return kernel_read(user, address, p, len);
}

static json_t *record_json(const struct printk_record *r)
{
	json_t *o = json_pack("{s:I, s:f, s:s, s:i, s:s}", "sequence", (json_int_t)r->sequence,
			      "time", (double)r->time_ns / 1e9, "level", levels[r->level & 7],
			      "facility", (int)r->facility, "text", r->text);

	if (r->by_cpu || r->caller) {
		json_object_set_new(o, r->by_cpu ? "cpu" : "task", json_integer(r->caller));
	}
	return o;
}

static void print_record(const struct printk_record *r, void *user)
{
	struct output *out = user;
	const char *line = r->text;

	if (out->json && !out->follow) {
		json_array_append_new(out->list, record_json(r));
		return;
	}
	if (out->json) { /* one a line, for who reads along */
		json_t *o = record_json(r);

		json_dumpf(o, stdout, JSON_COMPACT);
		printf("\n");
		json_decref(o);
		return;
	}
	do { /* every line of it has the time in front, as dmesg does it */
		size_t len = strcspn(line, "\n");

		printf("[%5" PRIu64 ".%06" PRIu64 "] %.*s\n", r->time_ns / 1000000000,
		       r->time_ns / 1000 % 1000000, (int)len, line);
		line += len + (line[len] == '\n');
	} while (*line);
}

static int print_log(struct kernel *k, struct output *out, uint64_t *from, struct fault *fault)
{
	const struct printk_memory memory = { read_kernel, k };
	struct printk_result result;
	int r = printk_each(kernel_vmcoreinfo(k), &memory, *from, print_record, out, &result);

	if (r == -ENOENT) {
		return fault_set(fault, FAULT_NOT_SUPPORTED,
				 "kernel %s does not say where its log is", kernel_release(k));
	}
	if (r < 0) {
		return fault_set(fault, FAULT_NOT_SUPPORTED,
				 "the log of kernel %s is damaged and cannot be read",
				 kernel_release(k));
	}
	if (result.lost) {
		kernel_mark(k, "%llu records came and went meanwhile",
			    (unsigned long long)result.lost);
	}
	if (result.damaged) {
		kernel_mark(k, "%llu records are damaged", (unsigned long long)result.damaged);
	}
	*from = result.next;
	return 0;
}

/* One look for what is new. A target that is off, or boots, is waited for. */
static void follow(struct invocation *in, struct output *out, struct kernel **k, uint64_t *from)
{
	struct fault fault = { 0 };

	if (*k && kernel_refresh(*k) == 0 && print_log(*k, out, from, &fault) == 0) {
		return;
	}
	*k = kernel_free(*k);
	if (memory_open(in, k, &fault) < 0) {
		*k = NULL;
		return;
	}
	/* another kernel's log begins at its beginning */
	*from = 0;
	fprintf(stderr, "target: the target was started anew\n");
	if (print_log(*k, out, from, &fault) < 0) {
		*k = kernel_free(*k);
	}
}

int cmd_dmesg(const struct command *c, struct invocation *in)
{
	struct output out = { .json = in->json };
	struct fault fault = { 0 };
	struct kernel *k;
	uint64_t from = 0;
	int r;

	if (in->argc == 1) {
		if (strcmp(in->argv[0], "-w") != 0 && strcmp(in->argv[0], "--follow") != 0) {
			return usage(c);
		}
		out.follow = true;
	}
	if (memory_open(in, &k, &fault) < 0) {
		return complain(&fault);
	}
	out.list = json_array();
	r = print_log(k, &out, &from, &fault);
	while (r == 0 && out.follow) {
		if (fflush(stdout) < 0 || ferror(stdout)) {
			break; /* nobody reads any more */
		}
		poll(NULL, 0, FOLLOW_MS);
		follow(in, &out, &k, &from);
	}
	if (r == 0 && out.json && !out.follow) {
		const char *partial = memory_partial(k);
		json_t *root = json_pack("{s:O, s:s?}", "records", out.list, "partial", partial);

		json_dumpf(root, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(root);
	} else if (r == 0 && k && memory_partial(k)) {
		fflush(stdout);
		fprintf(stderr, "target: this is not all: %s\n", memory_partial(k));
	}
	json_decref(out.list);
	kernel_free(k);
	return r < 0 ? complain(&fault) : 0;
}
