/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of a kernel's memory as values: numbers, texts, lists, structs by their members' names.
 */
#pragma once

#include <jansson.h>

#include "btf.h"
#include "symbols.h"

/* What is at `address` as one of type `type`; a pointer is a text with its symbol. NULL: no memory.
 */
json_t *value_read(struct kernel *k, struct symbols *s, const struct btf *btf, uint32_t type,
		   uint64_t address, unsigned bit_offset, unsigned bits);
/* As C writes it, over several lines. */
void value_print(const json_t *value);
