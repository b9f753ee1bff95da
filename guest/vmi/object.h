/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of objects in a kernel's memory, by the names that they have in its source. Where each is
 * the kernel's own types say: no offset is known beforehand.
 *
 * A part that the kernel's types lack is marked, as memory that cannot be read is: ask object_has()
 * first where kernels differ.
 */
#pragma once

#include "btf_path.h"
#include "kernel.h"

bool object_has(struct kernel *k, const char *type, const char *path);
/* An integer, pointer, enum or bit field of up to 8 bytes; signed ones are extended. 0 if it cannot
 * be read. A NULL pointer on the way is no fault: 0. */
uint64_t object_u64(struct kernel *k, const char *type, uint64_t address, const char *path);
/* Where the part is; 0 if that cannot be found out. */
uint64_t object_at(struct kernel *k, const char *type, uint64_t address, const char *path);
/* Bytes from the object's start; only for paths without "->". */
uint64_t object_offset(struct kernel *k, const char *type, const char *path);
/* Bytes of the part ("" the whole); 0 if unknown. */
uint64_t object_size(struct kernel *k, const char *type, const char *path);
/* A text: of an array of char, or where a pointer to char points. */
void object_text(struct kernel *k, const char *type, uint64_t address, const char *path, char *out,
		 size_t size);
/* The value of an enumerator of an enum type; `otherwise` if there is none. */
int64_t object_enum(struct kernel *k, const char *type, const char *name, int64_t otherwise);
