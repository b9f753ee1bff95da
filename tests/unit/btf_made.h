/* SPDX-License-Identifier: Apache-2.0 */
/* BTF sections made by a test, type by type. */
#pragma once

#include <string.h>

#include "btf.h"

struct btf_made {
	uint8_t types[2048];
	char strings[1024];
	uint8_t bytes[4096]; /* whole, after made_finish() */
	size_t types_len, strings_len, len;
	uint32_t n, first_name;
};

static inline void made_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++) {
		p[i] = (uint8_t)(v >> 8 * i);
	}
}

static inline void made_init(struct btf_made *m)
{
	*m = (struct btf_made){ .strings_len = 1 };
}

static inline uint32_t made_name(struct btf_made *m, const char *name)
{
	uint32_t at = (uint32_t)m->strings_len;

	if (!name[0]) {
		return 0;
	}
	memcpy(m->strings + at, name, strlen(name) + 1);
	m->strings_len += strlen(name) + 1;
	return m->first_name + at;
}

static inline void made_word(struct btf_made *m, uint32_t v)
{
	made_u32(m->types + m->types_len, v);
	m->types_len += 4;
}

/* Returns the id (of the first ones: in a split section the base's come before). */
static inline uint32_t made_type(struct btf_made *m, const char *name, enum btf_kind kind,
				 bool flag, uint32_t vlen, uint32_t size_or_type)
{
	made_word(m, made_name(m, name));
	made_word(m, (uint32_t)kind << 24 | (uint32_t)flag << 31 | vlen);
	made_word(m, size_or_type);
	return ++m->n;
}

static inline uint32_t made_int(struct btf_made *m, const char *name, uint32_t bytes, uint32_t how)
{
	uint32_t id = made_type(m, name, BTF_INT, false, 0, bytes);

	made_word(m, how << 24 | bytes * 8);
	return id;
}

static inline void made_member(struct btf_made *m, const char *name, uint32_t type, uint32_t place)
{
	made_word(m, made_name(m, name));
	made_word(m, type);
	made_word(m, place);
}

static inline void made_finish(struct btf_made *m)
{
	static const uint8_t head[8] = { 0x9f, 0xeb, 1, 0, BTF_HEADER_BYTES, 0, 0, 0 };

	memcpy(m->bytes, head, sizeof(head));
	made_u32(m->bytes + 8, 0);
	made_u32(m->bytes + 12, (uint32_t)m->types_len);
	made_u32(m->bytes + 16, (uint32_t)m->types_len);
	made_u32(m->bytes + 20, (uint32_t)m->strings_len);
	memcpy(m->bytes + BTF_HEADER_BYTES, m->types, m->types_len);
	memcpy(m->bytes + BTF_HEADER_BYTES + m->types_len, m->strings, m->strings_len);
	m->len = BTF_HEADER_BYTES + m->types_len + m->strings_len;
}
