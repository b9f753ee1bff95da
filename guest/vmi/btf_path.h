/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A way from an object to one of its parts, as written in C: "mm->exe_file->f_path.dentry",
 * "vm_stat[3].counter". Pure.
 */
#pragma once

#include "btf.h"

#define BTF_PATH_STEPS 8

struct btf_path {
	/* To the part: add offsets[0]; for each further one read a pointer there, then add it. */
	uint64_t offsets[BTF_PATH_STEPS];
	unsigned n;
	uint32_t type; /* of the part */
	uint64_t size_bytes;
	uint8_t bit_offset, bits; /* bits 0: no bit field */
	bool is_signed;
};

/* False if the type has no such part. "" is the object itself. */
bool btf_path_find(const struct btf *b, uint32_t type, const char *path, struct btf_path *ret);
