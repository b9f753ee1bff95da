/* SPDX-License-Identifier: Apache-2.0 */
/* target doctor: what is wrong with the target, in plain words. */
#include <jansson.h>
#include <stdio.h>

#include "doctor.h"
#include "memory.h"

static const char *const severities[] = { "critical", "warning", "note" };

struct findings {
	json_t *lists[3]; /* by severity */
};

static void collect(const struct finding *f, void *user)
{
	struct findings *all = user;
	json_t *o = json_pack("{s:s, s:s, s:s}", "severity", severities[f->severity], "kind",
			      f->kind, "text", f->text);

	json_object_set_new(o, "more", f->more[0] ? json_string(f->more) : json_null());
	json_array_append_new(all->lists[f->severity], o);
}

static void print_text(const struct findings *all)
{
	for (size_t s = 0; s < ARRAY_SIZE(all->lists); s++) {
		const json_t *f;
		size_t i;

		json_array_foreach(all->lists[s], i, f)
		{
			const char *more = json_string_value(json_object_get(f, "more"));

			printf("%-9s %s\n", severities[s],
			       json_string_value(json_object_get(f, "text")));
			if (more) {
				printf("%-9s   %s\n", "", more);
			}
		}
	}
	if (json_array_size(all->lists[FINDING_CRITICAL]) +
		    json_array_size(all->lists[FINDING_WARNING]) ==
	    0) {
		printf("nothing wrong was found\n");
	}
}

int cmd_doctor(const struct command *c, struct invocation *in)
{
	struct findings all = { { json_array(), json_array(), json_array() } };
	struct fault fault = { 0 };
	struct stacks s;
	struct kernel *k;
	int r;

	if (memory_open_types(in, &k, &fault) < 0) {
		return complain(&fault);
	}
	r = stacks_open(k, &s, &fault);
	if (r == 0) {
		r = doctor_run(k, &s, collect, &all);
		if (r < 0) {
			fault_set(&fault, FAULT_INTERNAL, "no memory");
		}
		stacks_close(&s);
	}
	if (r == 0 && in->json) {
		json_t *root;

		json_array_extend(all.lists[0], all.lists[1]);
		json_array_extend(all.lists[0], all.lists[2]);
		root = json_pack("{s:O, s:s?}", "findings", all.lists[0], "partial",
				 memory_partial(k));
		json_dumpf(root, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(root);
	} else if (r == 0) {
		print_text(&all);
		if (memory_partial(k)) {
			fflush(stdout);
			fprintf(stderr, "target: this is not all: %s\n", memory_partial(k));
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(all.lists); i++) {
		json_decref(all.lists[i]);
	}
	kernel_free(k);
	return r < 0 ? complain(&fault) : 0;
}
