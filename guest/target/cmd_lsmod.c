/* SPDX-License-Identifier: Apache-2.0 */
/* target lsmod: the modules that the target's kernel has loaded. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "modules.h"
#include "table.h"

static const struct column columns[] = {
	{ "name", "MODULE", false },	 { "size_bytes", "SIZE", true },
	{ "users", "USED", true },	 { "used_by", "BY", false },
	{ "state", "STATE", false },	 { "taints", "TAINTS", false },
	{ "address", "ADDRESS", false },
};

static const char *const states[] = { "live", "loading", "unloading" };

struct users {
	char text[512];
	size_t len;
};

static void add_user(const char *name, void *user)
{
	struct users *u = user;
	int n = snprintf(u->text + u->len, sizeof(u->text) - u->len, "%s%s", u->len ? "," : "",
			 name);

	u->len = n > 0 ? MIN(u->len + (size_t)n, sizeof(u->text) - 1) : u->len;
}

static void row(struct table *table, struct kernel *k, const struct module *m)
{
	struct users users = { .text = "" };

	module_users(k, m, add_user, &users);
	table_text(table, "%s", m->name);
	table_number(table, (int64_t)m->size_bytes);
	if (m->users >= 0) {
		table_number(table, m->users);
	} else {
		table_none(table);
	}
	if (users.len) {
		table_text(table, "%s", users.text);
	} else {
		table_none(table);
	}
	table_text(table, "%s", states[m->state]);
	/* the letters are those of the kernel's own list, in its order */
	if (m->taints) {
		static const char letters[] = "PFSRMBUDAWCIOELKXTN";
		char text[sizeof(letters)];
		size_t n = 0;

		for (size_t i = 0; i + 1 < sizeof(letters); i++) {
			if (m->taints >> i & 1) {
				text[n++] = letters[i];
			}
		}
		text[n] = '\0';
		table_text(table, "%s", text);
	} else {
		table_none(table);
	}
	table_text(table, "0x%016" PRIx64, m->n_areas ? m->areas[0].base : 0);
}

int cmd_lsmod(const struct command *c, struct invocation *in)
{
	struct fault fault = { 0 };
	struct modules modules;
	struct table *table;
	struct kernel *k;

	if (memory_open_types(in, &k, &fault) < 0) {
		return complain(&fault);
	}
	if (modules_load(k, &modules) < 0) {
		kernel_free(k);
		fault_set(&fault, FAULT_INTERNAL, "no memory");
		return complain(&fault);
	}
	table = table_new("modules", columns, ARRAY_SIZE(columns));
	for (size_t i = 0; i < modules.n; i++) {
		row(table, k, &modules.list[i]);
	}
	table_print(table, in->json, memory_partial(k));
	table_free(table);
	modules_fini(&modules);
	kernel_free(k);
	return 0;
}
