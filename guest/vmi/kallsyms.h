/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Linux kernel's own table of its symbols, as scripts/kallsyms packs it (5.10 to now): names made
 * of 256 tokens, addresses as offsets. Pure; the tables are not trusted: what does not fit ends the
 * table.
 */
#pragma once

#include <stdbool.h>

#include "macro.h"

#define KALLSYMS_MAX 4000000
#define KALLSYMS_NAMES_MAX (64 * 1024 * 1024)
#define KALLSYMS_NAME_MAX 512

struct kallsyms_tables {
	const uint8_t *names; /* for each symbol its length and as many tokens */
	size_t names_len;
	const uint8_t *token_table; /* 256 texts, each with its NUL */
	size_t token_table_len;
	const uint8_t *token_index; /* 256 little-endian 16-bit offsets into it */
	const uint8_t *offsets;	    /* n little-endian numbers of 4 bytes, or of 8 if `absolute` */
	size_t n;
	bool absolute;
	uint64_t relative_base;
};

struct kallsyms;

/* Copies what it needs. -EINVAL if the tables make no sense, -ENOMEM. */
int kallsyms_new(const struct kallsyms_tables *tables, struct kallsyms **ret) _must_check_;
struct kallsyms *kallsyms_free(struct kallsyms *k);
size_t kallsyms_count(const struct kallsyms *k);
/* The first symbol of that name. */
bool kallsyms_find(struct kallsyms *k, const char *name, uint64_t *ret_address);
/* The symbol that `address` is in: the last one at or below it. *ret_size: up to the next one. */
bool kallsyms_at(const struct kallsyms *k, uint64_t address, char name[KALLSYMS_NAME_MAX],
		 uint64_t *ret_start, uint64_t *ret_size);
/* Symbol number `i`; the type as in nm(1). False behind the last one. */
bool kallsyms_get(const struct kallsyms *k, size_t i, char name[KALLSYMS_NAME_MAX], char *ret_type,
		  uint64_t *ret_address);
