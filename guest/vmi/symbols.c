/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as people read them. */
#include "symbols.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image_scan.h"
#include "text.h"

struct symbols {
	struct kernel *k;
	struct modules modules;
	uint64_t start, end; /* of the kernel's image */
};

int symbols_new(struct kernel *k, struct symbols **ret)
{
	struct symbols *s = calloc(1, sizeof(*s));

	if (!s || modules_load(k, &s->modules) < 0) {
		free(s);
		return -ENOMEM;
	}
	s->k = k;
	s->start = kernel_symbol_or_zero(k, "_text");
	s->end = kernel_symbol_or_zero(k, "_end");
	if (s->end <= s->start) { /* without CONFIG_KALLSYMS_ALL neither is there */
		s->start = IMAGE_START;
		s->end = IMAGE_END;
	}
	*ret = s;
	return 0;
}

struct symbols *symbols_free(struct symbols *s)
{
	if (s) {
		modules_fini(&s->modules);
		free(s);
	}
	return NULL;
}

const struct modules *symbols_modules(const struct symbols *s)
{
	return &s->modules;
}

bool symbols_find(struct symbols *s, const char *name, uint64_t *ret_address)
{
	if (kernel_symbol(s->k, name, ret_address)) {
		return true;
	}
	for (size_t i = 0; i < s->modules.n; i++) {
		if (module_symbol_find(s->k, &s->modules.list[i], name, ret_address)) {
			return true;
		}
	}
	return false;
}

bool symbols_at(struct symbols *s, uint64_t address, char name[KALLSYMS_NAME_MAX],
		uint64_t *ret_start, uint64_t *ret_size, const struct module **ret_module)
{
	struct kallsyms *table = kernel_kallsyms(s->k);
	struct module *module;

	*ret_module = NULL;
	if (table && address >= s->start && address < s->end) {
		if (!kallsyms_at(table, address, name, ret_start, ret_size)) {
			return false;
		}
		text_clean(name, false);
		return true;
	}
	module = modules_at(&s->modules, address);
	*ret_module = module;
	return module && module_symbol_at(s->k, module, address, name, ret_start, ret_size);
}

void symbols_text(struct symbols *s, uint64_t address, char out[SYMBOL_TEXT_MAX])
{
	char name[KALLSYMS_NAME_MAX];
	const struct module *module;
	uint64_t start, size;

	if (!symbols_at(s, address, name, &start, &size, &module)) {
		snprintf(out, SYMBOL_TEXT_MAX, "0x%016" PRIx64 "%s%s%s", address,
			 module ? " [" : "", module ? module->name : "", module ? "]" : "");
		return;
	}
	snprintf(out, SYMBOL_TEXT_MAX, "%.120s+0x%" PRIx64 "/0x%" PRIx64 "%s%s%s", name,
		 address - start, size, module ? " [" : "", module ? module->name : "",
		 module ? "]" : "");
}

void symbols_name(struct symbols *s, uint64_t address, char out[SYMBOL_TEXT_MAX])
{
	char name[KALLSYMS_NAME_MAX];
	const struct module *module;
	uint64_t start, size;

	if (symbols_at(s, address, name, &start, &size, &module) && start == address) {
		snprintf(out, SYMBOL_TEXT_MAX, "%.120s%s%s%s", name, module ? " [" : "",
			 module ? module->name : "", module ? "]" : "");
	} else {
		symbols_text(s, address, out);
	}
}
