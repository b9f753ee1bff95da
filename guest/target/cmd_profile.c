/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target profile: where the target's kernel and its tasks spend their time, seen from outside.
 *
 * Registers and stacks are read again and again from the live memory. The target runs on meanwhile,
 * so a stack may have changed since its registers were read: such a one is counted by what of it
 * can be made out.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "memory.h"
#include "parse.h"
#include "profile.h"
#include "stacks.h"

#define SECONDS_DEFAULT 5
#define SECONDS_MAX 600
#define PAUSE_MS 5
#define LINES_MAX 5000
#define LINES_SHOWN 30

static const struct column columns[] = {
	{ "self_percent", "SELF", true }, { "total_percent", "TOTAL", true },
	{ "self", NULL, true },		  { "total", NULL, true },
	{ "name", "WHERE", false },
};

struct options {
	uint64_t seconds;
	const char *svg;
};

static bool parse_options(struct invocation *in, struct options *o)
{
	*o = (struct options){ .seconds = SECONDS_DEFAULT };
	for (int i = 0; i < in->argc; i += 2) {
		if (i + 1 == in->argc) {
			return false;
		}
		if (strcmp(in->argv[i], "-s") == 0) {
			if (parse_u64(in->argv[i + 1], &o->seconds) < 0 || o->seconds < 1 ||
			    o->seconds > SECONDS_MAX) {
				return false;
			}
		} else if (strcmp(in->argv[i], "--svg") == 0) {
			o->svg = in->argv[i + 1];
		} else {
			return false;
		}
	}
	return true;
}

/* What CPU `cpu` does now; from the task on, inwards. */
static int sample(struct kernel *k, struct stacks *s, unsigned cpu, struct profile *p)
{
	static char texts[UNWIND_FRAMES_MAX + 2][SYMBOL_TEXT_MAX];
	const char *names[UNWIND_FRAMES_MAX + 2];
	uint64_t address = task_of_cpu(k, cpu);
	const struct cpu_state *state = kernel_cpu_state(k, cpu);
	struct unwind u = { 0 };
	struct task t = { .name = "?" };
	size_t n = 0;

	if (!state) {
		return 0;
	}
	if (address) {
		task_read(k, address, &t);
	}
	if (t.pid == 0 && address) { /* one for each CPU */
		strcpy(t.name, "(idle)");
	}
	snprintf(texts[n], SYMBOL_TEXT_MAX, "%s", t.name);
	names[n] = texts[n];
	n++;
	unwind_cpu(s->unwinder, state, UNWIND_FRAMES_MAX, &u);
	if (u.n == 0) {
		strcpy(texts[n], "(its own code)");
		names[n] = texts[n];
		n++;
	}
	for (size_t i = u.n; i-- > 0;) {
		symbols_text(s->symbols, u.frames[i].ip, texts[n]);
		/* the place in the function would make a line for each instruction */
		if (strchr(texts[n], '+')) {
			char *module = strchr(texts[n], '[');
			size_t at = strcspn(texts[n], "+");

			if (module) {
				memmove(texts[n] + at + 1, module, strlen(module) + 1);
				texts[n][at] = ' ';
			} else {
				texts[n][at] = '\0';
			}
		}
		names[n] = texts[n];
		n++;
	}
	return profile_add(p, names, n);
}

static int run(struct kernel *k, struct stacks *s, uint64_t seconds, struct profile *p,
	       struct fault *fault)
{
	usec_t until = clock_monotonic() + seconds * USEC_PER_SEC;

	do {
		for (unsigned cpu = 0; cpu < kernel_cpu_count(k); cpu++) {
			if (kernel_cpu_online(k, cpu) && sample(k, s, cpu, p) == -ENOMEM) {
				return fault_set(fault, FAULT_INTERNAL, "no memory");
			}
		}
		poll(NULL, 0, PAUSE_MS);
		if (kernel_refresh(k) < 0) {
			return fault_set(fault, FAULT_VM_NOT_RUNNING,
					 "the target stopped or was started anew meanwhile");
		}
	} while (clock_monotonic() < until);
	kernel_unmark(k, 0); /* a stack that moved while it was read is no damage */
	return 0;
}

static int write_svg(const struct profile *p, const char *path, const char *release,
		     struct fault *fault)
{
	_cleanup_fclose_ FILE *out = fopen(path, "we");
	char title[160];

	if (!out) {
		return fault_set(fault, FAULT_BAD_VALUE, "%.150s cannot be written: %s", path,
				 strerror(errno));
	}
	snprintf(title, sizeof(title), "Linux %s, %" PRIu64 " samples", release,
		 profile_samples(p));
	profile_svg(p, out, title);
	if (fflush(out) != 0 || ferror(out)) {
		return fault_set(fault, FAULT_DISK_FULL, "%.150s could not be written", path);
	}
	return 0;
}

static void show(struct kernel *k, const struct profile *p, bool json)
{
	_cleanup_free_ struct profile_line *lines = calloc(LINES_MAX, sizeof(*lines));
	size_t n = lines ? profile_lines(p, lines, LINES_MAX) : 0;
	struct table *table = table_new("functions", columns, ARRAY_SIZE(columns));
	double all = (double)MAX(profile_samples(p), (uint64_t)1);

	for (size_t i = 0; i < n && (json || i < LINES_SHOWN); i++) {
		double self = 100.0 * (double)lines[i].self / all,
		       total = 100.0 * (double)lines[i].total / all;

		table_number_as(table, (int64_t)(self + 0.5), "%.1f%%", self);
		table_number_as(table, (int64_t)(total + 0.5), "%.1f%%", total);
		table_number(table, (int64_t)lines[i].self);
		table_number(table, (int64_t)lines[i].total);
		table_text(table, "%s", lines[i].name);
	}
	if (!json) {
		printf("%" PRIu64 " samples of all CPUs\n", profile_samples(p));
	}
	table_print(table, json, memory_partial(k));
	table_free(table);
}

int cmd_profile(const struct command *c, struct invocation *in)
{
	struct profile *p = NULL;
	struct fault fault = { 0 };
	struct options options;
	struct stacks s;
	struct kernel *k;
	int r;

	if (!parse_options(in, &options)) {
		return usage(c);
	}
	if (memory_open_types(in, &k, &fault) < 0) {
		return complain(&fault);
	}
	r = stacks_open(k, &s, &fault);
	if (r < 0) {
		kernel_free(k);
		return complain(&fault);
	}
	if (!core_is_live(kernel_core(k))) {
		r = fault_set(&fault, FAULT_NOT_SUPPORTED,
			      "a dump does not go on: there is nothing to sample");
		fault_hint(&fault, "`target bt --all` shows its stacks.");
	} else if (!s.unwinder) {
		r = fault_set(&fault, FAULT_NOT_SUPPORTED,
			      "kernel %s carries no tables (ORC) to read stacks by",
			      kernel_release(k));
	} else if (profile_new(&p) < 0) {
		r = fault_set(&fault, FAULT_INTERNAL, "no memory");
	}
	if (r == 0) {
		r = run(k, &s, options.seconds, p, &fault);
	}
	if (r == 0 && options.svg) {
		r = write_svg(p, options.svg, kernel_release(k), &fault);
	}
	if (r == 0) {
		show(k, p, in->json);
	}
	profile_free(p);
	stacks_close(&s);
	kernel_free(k);
	return r < 0 ? complain(&fault) : 0;
}
