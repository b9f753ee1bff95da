/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BTF: a kernel's types as it carries them in its own memory
 * (Documentation/bpf/btf.rst). Pure. Nothing in it is trusted: a wrong number ends the table there,
 * chains of types are followed for a bounded number of steps.
 *
 * A module's BTF is split: its type ids and strings go on where its base's end.
 */
#pragma once

#include <stdbool.h>

#include "macro.h"

#define BTF_MAX_BYTES (64 * 1024 * 1024)
#define BTF_HEADER_BYTES 24
#define BTF_VOID 0u

enum btf_kind {
	BTF_UNKNOWN,
	BTF_INT,
	BTF_PTR,
	BTF_ARRAY,
	BTF_STRUCT,
	BTF_UNION,
	BTF_ENUM,
	BTF_FWD,
	BTF_TYPEDEF,
	BTF_VOLATILE,
	BTF_CONST,
	BTF_RESTRICT,
	BTF_FUNC,
	BTF_FUNC_PROTO,
	BTF_VAR,
	BTF_DATASEC,
	BTF_FLOAT,
	BTF_DECL_TAG,
	BTF_TYPE_TAG,
	BTF_ENUM64,
	_BTF_KIND_MAX,
};

struct btf;

struct btf_member {
	const char *name; /* "" if anonymous */
	uint32_t type;
	uint32_t offset_bits;
	uint32_t bits; /* of a bit field, else 0 */
};

/* How many bytes the header at `head` says it has with all; 0 if it is none. */
size_t btf_extent(const uint8_t head[BTF_HEADER_BYTES]);
/*
 * Takes a copy of `bytes`. `base` (NULL: none) must outlive it. -EINVAL if it is no BTF, -ENOMEM.
 */
int btf_new(const uint8_t *bytes, size_t len, const struct btf *base,
	    struct btf **ret) _must_check_;
struct btf *btf_free(struct btf *b);

/* All ids are below this; those of the base are known here too. */
uint32_t btf_count(const struct btf *b);
/* BTF_UNKNOWN for an id that is none. */
enum btf_kind btf_kind(const struct btf *b, uint32_t id);
/* "" if it has none. */
const char *btf_name(const struct btf *b, uint32_t id);
/* A struct, union, enum or typedef of that name ("struct x" names no typedef); BTF_VOID: none. */
uint32_t btf_find(const struct btf *b, const char *name);
/* A variable that the kernel's types know (per-CPU ones, since pahole 1.29 all); its type is what
 * btf_target() says. BTF_VOID: none. */
uint32_t btf_find_variable(const struct btf *b, const char *name);
/* Through typedefs, const, volatile …; BTF_VOID also where the chain does not end. */
uint32_t btf_resolve(const struct btf *b, uint32_t id);
/* What a pointer, array, typedef … is of; BTF_VOID for others. */
uint32_t btf_target(const struct btf *b, uint32_t id);
/* Bytes; 0 if it has none or is no sane one. */
uint64_t btf_size(const struct btf *b, uint32_t id);
uint32_t btf_array_length(const struct btf *b, uint32_t id);
bool btf_int_signed(const struct btf *b, uint32_t id);
bool btf_int_char(const struct btf *b, uint32_t id);
/* How many members, enumerators or parameters. */
uint32_t btf_vlen(const struct btf *b, uint32_t id);
/* Member `i` of a struct or union. */
bool btf_member_at(const struct btf *b, uint32_t id, uint32_t i, struct btf_member *ret);
/* By name, also in its anonymous structs and unions; ret->offset_bits is from the outermost. */
bool btf_member_find(const struct btf *b, uint32_t id, const char *name, size_t name_len,
		     struct btf_member *ret);
/* The enumerator with that value; NULL: none. */
const char *btf_enum_name(const struct btf *b, uint32_t id, int64_t value);
/* The value of an enumerator of an enum type by its name. */
bool btf_enum_value(const struct btf *b, uint32_t id, const char *name, int64_t *ret);
/* "struct task_struct *", "char[16]": as in C, cut to the size. */
void btf_describe(const struct btf *b, uint32_t id, char *out, size_t size);
