/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as people read them: "schedule+0x5e/0xd0", "ext4_iget+0x1f/0x300 [ext4]". */
#pragma once

#include "modules.h"

#define SYMBOL_TEXT_MAX 256

struct symbols;

/* `k` is borrowed. -ENOMEM. */
int symbols_new(struct kernel *k, struct symbols **ret) _must_check_;
struct symbols *symbols_free(struct symbols *s);
const struct modules *symbols_modules(const struct symbols *s);
/* By name, of the kernel or of a module. */
bool symbols_find(struct symbols *s, const char *name, uint64_t *ret_address);
/* Name, start and module (NULL: the kernel); false for an address that is of none. */
bool symbols_at(struct symbols *s, uint64_t address, char name[KALLSYMS_NAME_MAX],
		uint64_t *ret_start, uint64_t *ret_size, const struct module **ret_module);
/* With offset and size; a plain number for an address that is of none. */
void symbols_text(struct symbols *s, uint64_t address, char out[SYMBOL_TEXT_MAX]);
/* The name only: for functions that are named by a pointer to them. */
void symbols_name(struct symbols *s, uint64_t address, char out[SYMBOL_TEXT_MAX]);
