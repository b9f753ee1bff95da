/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel's loaded modules. */
#include "modules.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "object.h"
#include "text.h"
#include "walk.h"

#define SYMBOLS_MAX 200000
#define STRINGS_MAX (8 * 1024 * 1024)

struct module_symbols {
	Elf64_Sym *list;
	size_t n;
	char *strings; /* ends with a NUL */
	size_t strings_len;
};

static void add_area(struct module *m, uint64_t base, uint64_t size)
{
	if (base && size && size <= UINT32_MAX && m->n_areas < MODULE_AREAS_MAX) {
		m->areas[m->n_areas++] = (struct module_area){ base, size };
		m->size_bytes += size;
	}
}

static void take_areas(struct kernel *k, struct module *m)
{
	if (object_has(k, "module", "mem")) { /* 6.4 and later: one for each use */
		uint64_t at = object_at(k, "module", m->address, "mem");
		uint64_t size = object_size(k, "module_memory", "");
		uint64_t n = size ? object_size(k, "module", "mem") / size : 0;

		for (uint64_t i = 0; i < MIN(n, (uint64_t)MODULE_AREAS_MAX); i++) {
			add_area(m, object_u64(k, "module_memory", at + i * size, "base"),
				 object_u64(k, "module_memory", at + i * size, "size"));
		}
		return;
	}
	add_area(m, object_u64(k, "module", m->address, "core_layout.base"),
		 object_u64(k, "module", m->address, "core_layout.size"));
	add_area(m, object_u64(k, "module", m->address, "init_layout.base"),
		 object_u64(k, "module", m->address, "init_layout.size"));
}

int modules_load(struct kernel *k, struct modules *m)
{
	uint64_t head = kernel_symbol_or_zero(k, "modules"), entry;
	struct walk walk;

	*m = (struct modules){ 0 };
	m->list = calloc(MODULES_MAX, sizeof(*m->list));
	if (!m->list) {
		return -ENOMEM;
	}
	if (!head || !object_has(k, "module", "list")) {
		return 0;
	}
	list_begin(&walk, k, head, object_offset(k, "module", "list"));
	while (m->n < MODULES_MAX && list_next(&walk, &entry)) {
		struct module *module = &m->list[m->n];
		uint64_t state = object_u64(k, "module", entry, "state");

		if (state >= MODULE_UNFORMED) {
			continue;
		}
		*module = (struct module){ .address = entry, .users = -1 };
		module->state = (enum module_state)state;
		object_text(k, "module", entry, "name", module->name, sizeof(module->name));
		if (object_has(k, "module", "refcnt")) {
			/* one is the kernel's own */
			module->users =
				(int32_t)object_u64(k, "module", entry, "refcnt.counter") - 1;
		}
		if (object_has(k, "module", "taints")) {
			module->taints = object_u64(k, "module", entry, "taints");
		}
		take_areas(k, module);
		m->n++;
	}
	return 0;
}

void modules_fini(struct modules *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct module_symbols *s = m->list[i].symbols;

		if (s) {
			free(s->list);
			free(s->strings);
			free(s);
		}
	}
	free(m->list);
	*m = (struct modules){ 0 };
}

struct module *modules_at(const struct modules *m, uint64_t address)
{
	for (size_t i = 0; i < m->n; i++) {
		struct module *module = &m->list[i];

		for (size_t a = 0; a < module->n_areas; a++) {
			if (address - module->areas[a].base < module->areas[a].size) {
				return module;
			}
		}
	}
	return NULL;
}

static void read_symbols(struct kernel *k, struct module *m, struct module_symbols *s)
{
	uint64_t symbols = object_u64(k, "module", m->address, "kallsyms->symtab"),
		 n = object_u64(k, "module", m->address, "kallsyms->num_symtab"),
		 strings = object_u64(k, "module", m->address, "kallsyms->strtab");
	size_t len = 0;

	if (!symbols || !strings || n == 0 || n > SYMBOLS_MAX) {
		return;
	}
	s->list = malloc(n * sizeof(*s->list));
	if (!s->list || kernel_read(k, symbols, s->list, n * sizeof(*s->list)) < 0) {
		return;
	}
	for (size_t i = 0; i < n; i++) {
		len = MAX(len, (size_t)s->list[i].st_name);
	}
	len += 256; /* the last one's text */
	if (len > STRINGS_MAX) {
		return;
	}
	s->strings = calloc(1, len + 1);
	if (!s->strings) {
		return;
	}
	/* page by page: the room behind the last text may not be there */
	for (size_t at = 0; at < len;) {
		size_t part =
			MIN(len - at, (size_t)(PAGE_BYTES - ((strings + at) & (PAGE_BYTES - 1))));

		if (kernel_read(k, strings + at, s->strings + at, part) < 0) {
			break;
		}
		at += part;
	}
	s->strings_len = len;
	s->n = n;
}

static struct module_symbols *symbols_of(struct kernel *k, struct module *m)
{
	if (!m->symbols) {
		m->symbols = calloc(1, sizeof(*m->symbols));
		if (m->symbols) {
			read_symbols(k, m, m->symbols);
		}
	}
	return m->symbols;
}

static bool useful(const struct module_symbols *s, const Elf64_Sym *symbol)
{
	return symbol->st_shndx != SHN_UNDEF && symbol->st_name < s->strings_len &&
	       s->strings[symbol->st_name] != '\0';
}

bool module_symbol_at(struct kernel *k, struct module *m, uint64_t address,
		      char name[KALLSYMS_NAME_MAX], uint64_t *ret_start, uint64_t *ret_size)
{
	struct module_symbols *s = symbols_of(k, m);
	const Elf64_Sym *best = NULL;
	uint64_t next = 0;

	for (size_t i = 0; s && i < s->n; i++) {
		const Elf64_Sym *symbol = &s->list[i];

		if (!useful(s, symbol)) {
			continue;
		}
		if (symbol->st_value <= address && (!best || symbol->st_value > best->st_value)) {
			best = symbol;
		}
		if (symbol->st_value > address && (next == 0 || symbol->st_value < next)) {
			next = symbol->st_value;
		}
	}
	if (!best) {
		return false;
	}
	if (next == 0) { /* the last of its area */
		for (size_t a = 0; a < m->n_areas; a++) {
			if (address - m->areas[a].base < m->areas[a].size) {
				next = m->areas[a].base + m->areas[a].size;
			}
		}
	}
	snprintf(name, KALLSYMS_NAME_MAX, "%s", s->strings + best->st_name);
	text_clean(name, false);
	*ret_start = best->st_value;
	*ret_size = next > best->st_value ? next - best->st_value : 0;
	return true;
}

bool module_symbol_find(struct kernel *k, struct module *m, const char *name, uint64_t *ret_address)
{
	struct module_symbols *s = symbols_of(k, m);

	for (size_t i = 0; s && i < s->n; i++) {
		if (useful(s, &s->list[i]) && strcmp(s->strings + s->list[i].st_name, name) == 0) {
			*ret_address = s->list[i].st_value;
			return true;
		}
	}
	return false;
}

void module_users(struct kernel *k, const struct module *m,
		  void (*each)(const char *name, void *user), void *user)
{
	uint64_t entry;
	struct walk walk;

	if (!object_has(k, "module", "source_list") || !object_has(k, "module_use", "source")) {
		return;
	}
	list_begin(&walk, k, object_at(k, "module", m->address, "source_list"),
		   object_offset(k, "module_use", "source_list"));
	for (int i = 0; i < 256 && list_next(&walk, &entry); i++) {
		char name[64];

		object_text(k, "module_use", entry, "source->name", name, sizeof(name));
		each(name, user);
	}
}
