/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Linux kernel says of itself for crash tools: lines "OSRELEASE=…", "SYMBOL(name)=hex",
 * "OFFSET(struct.member)=n", "SIZE(struct)=n", "NUMBER(name)=n", "LENGTH(name)=n". Pure; the text
 * is not trusted.
 */
#pragma once

#include <stdbool.h>

#include "macro.h"

#define VMCOREINFO_MAX 65536

struct vmcoreinfo {
	char *text; /* NULL: none */
	size_t len;
};

/* Copies the text. -EINVAL if it is too long or no such text at all, -ENOMEM. */
int vmcoreinfo_init(struct vmcoreinfo *v, const char *text, size_t len) _must_check_;
void vmcoreinfo_fini(struct vmcoreinfo *v);
/* The value of KEY=VALUE, cut to the size of `out`; false if there is none. */
bool vmcoreinfo_text(const struct vmcoreinfo *v, const char *key, char *out, size_t size);
/* `kind` is SYMBOL, OFFSET, SIZE, NUMBER or LENGTH. False if it is not there or is no number. */
bool vmcoreinfo_value(const struct vmcoreinfo *v, const char *kind, const char *name,
		      uint64_t *ret);
/* KEY=hex, as in KERNELOFFSET=1e000000. */
bool vmcoreinfo_hex(const struct vmcoreinfo *v, const char *key, uint64_t *ret);
