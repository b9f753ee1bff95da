/* SPDX-License-Identifier: Apache-2.0 */
/* target bt: the kernel stacks of the target's tasks and CPUs. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "parse.h"
#include "stacks.h"

struct output {
	struct stacks *s;
	json_t *list; /* NULL: text */
	bool any;
};

static const char *const ends[] = {
	[UNWIND_DONE] = "end",
	[UNWIND_USER] = "user",
	[UNWIND_LOST] = "lost",
	[UNWIND_FULL] = "cut",
};

static const char *const end_texts[] = {
	[UNWIND_DONE] = "",
	[UNWIND_USER] = "", /* said only where there is nothing above it */
	[UNWIND_LOST] = "      (what is below cannot be made out)\n",
	[UNWIND_FULL] = "      (and more)\n",
};

static void print_json(struct output *out, const struct task *t, bool known, const struct unwind *u)
{
	json_t *frames = json_array(), *o;

	for (size_t i = 0; known && i < u->n; i++) {
		char name[SYMBOL_TEXT_MAX], address[24];

		symbols_text(out->s->symbols, u->frames[i].ip, name);
		snprintf(address, sizeof(address), "0x%016" PRIx64, u->frames[i].ip);
		json_array_append_new(frames,
				      json_pack("{s:s, s:s, s:b, s:b}", "address", address,
						"symbol", name, "interrupted", u->frames[i].exact,
						"guessed", u->frames[i].guessed));
	}
	o = json_pack("{s:i, s:i, s:s, s:s#, s:o, s:s}", "pid", t->tgid, "tid", t->pid, "name",
		      t->name, "state", &t->state, 1, "frames", frames, "end",
		      known ? ends[u->end] : "unknown");
	json_object_set_new(o, "cpu", t->on_cpu >= 0 ? json_integer(t->on_cpu) : json_null());
	json_array_append_new(out->list, o);
}

static void print_text(struct output *out, const struct task *t, bool known, const struct unwind *u)
{
	printf("%s%d %s, ", out->any ? "\n" : "", t->pid, t->name);
	if (t->on_cpu >= 0) {
		printf("on CPU %d\n", t->on_cpu);
	} else {
		printf("%s\n", task_state_name(t->state));
	}
	for (size_t i = 0; known && i < u->n; i++) {
		char name[SYMBOL_TEXT_MAX];

		symbols_text(out->s->symbols, u->frames[i].ip, name);
		printf("  #%-2zu %s%s%s\n", i, u->frames[i].guessed ? "? " : "", name,
		       i > 0 && u->frames[i].exact ? "  (interrupted)" : "");
	}
	if (!known || (u->n == 0 && u->end == UNWIND_LOST)) {
		printf("      (its stack cannot be read)\n");
	} else if (u->n == 0) {
		printf("      (in the process's own code)\n");
	} else {
		printf("%s", end_texts[u->end]);
	}
}

static void print_task(struct output *out, const struct task *t)
{
	struct unwind u = { 0 };
	bool known;

	if (t->state == 'Z' || t->state == 'X') {
		return; /* its stack may have gone */
	}
	known = stacks_of(out->s, t, UNWIND_FRAMES_MAX, &u);
	if (!known || u.end == UNWIND_LOST) {
		kernel_mark(out->s->k, "the stack of task %d cannot be read whole", t->pid);
	}
	if (out->list) {
		print_json(out, t, known, &u);
	} else {
		print_text(out, t, known, &u);
	}
	out->any = true;
}

static int print_cpu(struct output *out, unsigned cpu, struct fault *fault)
{
	uint64_t address = task_of_cpu(out->s->k, cpu);
	struct task t;

	if (cpu >= kernel_cpu_count(out->s->k) || !address) {
		return fault_set(fault, FAULT_NOT_FOUND, "the target has no CPU %u", cpu);
	}
	task_read(out->s->k, address, &t);
	t.on_cpu = (int32_t)cpu;
	print_task(out, &t);
	return 0;
}

static int print_tasks(struct output *out, bool all, bool blocked, uint32_t pid,
		       struct fault *fault)
{
	struct tasks tasks;
	bool found = false;

	if (tasks_load(out->s->k, true, &tasks) < 0) {
		return fault_set(fault, FAULT_INTERNAL, "no memory");
	}
	for (size_t i = 0; i < tasks.n; i++) {
		const struct task *t = &tasks.list[i];

		if (all || (blocked ? t->state == 'D'
				    : t->pid == (int32_t)pid || t->tgid == (int32_t)pid)) {
			found = true;
			print_task(out, t);
		}
	}
	tasks_fini(&tasks);
	if (all) { /* the idle tasks are in no list */
		for (unsigned cpu = 0; cpu < kernel_cpu_count(out->s->k); cpu++) {
			uint64_t address =
				kernel_cpu_online(out->s->k, cpu) ? task_of_cpu(out->s->k, cpu) : 0;

			if (address &&
			    kernel_u32(out->s->k, address) != UINT32_MAX) { /* readable */
				struct task t;

				task_read(out->s->k, address, &t);
				if (t.pid == 0) {
					(void)print_cpu(out, cpu, fault);
				}
			}
		}
	}
	if (!found && blocked && !out->list) {
		printf("no task is blocked\n");
	} else if (!found && !blocked && !all) {
		return fault_set(fault, FAULT_NOT_FOUND, "the target has no task %u", pid);
	}
	return 0;
}

static int run(struct output *out, struct invocation *in, bool by_cpu, uint32_t number,
	       struct fault *fault)
{
	if (!out->s->unwinder) {
		return fault_set(fault, FAULT_NOT_SUPPORTED,
				 "kernel %s carries no tables (ORC) to read stacks by",
				 kernel_release(out->s->k));
	}
	if (by_cpu) {
		return print_cpu(out, number, fault);
	}
	return print_tasks(out, strcmp(in->argv[0], "--all") == 0,
			   strcmp(in->argv[0], "--blocked") == 0, number, fault);
}

int cmd_bt(const struct command *c, struct invocation *in)
{
	struct output out = { 0 };
	struct fault fault = { 0 };
	struct stacks s;
	struct kernel *k;
	uint32_t number = 0;
	bool by_cpu;
	int r;

	by_cpu = in->argc == 2 && strcmp(in->argv[0], "--cpu") == 0 &&
		 parse_u32(in->argv[1], &number) == 0;
	if (!by_cpu &&
	    !(in->argc == 1 &&
	      (strcmp(in->argv[0], "--all") == 0 || strcmp(in->argv[0], "--blocked") == 0 ||
	       (parse_u32(in->argv[0], &number) == 0 && number <= INT32_MAX)))) {
		return usage(c);
	}
	if (memory_open_types(in, &k, &fault) < 0) {
		return complain(&fault);
	}
	if (stacks_open(k, &s, &fault) < 0) {
		kernel_free(k);
		return complain(&fault);
	}
	out.s = &s;
	out.list = in->json ? json_array() : NULL;
	r = run(&out, in, by_cpu, number, &fault);
	if (r == 0 && in->json) {
		json_t *root =
			json_pack("{s:O, s:s?}", "stacks", out.list, "partial", memory_partial(k));

		json_dumpf(root, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(root);
	} else if (r == 0 && memory_partial(k)) {
		fflush(stdout);
		fprintf(stderr, "target: this is not all: %s\n", memory_partial(k));
	}
	json_decref(out.list);
	stacks_close(&s);
	kernel_free(k);
	return r < 0 ? complain(&fault) : 0;
}
