/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of objects in a kernel's memory. */
#include "object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "le.h"
#include "object_private.h"

#define MEMO_SIZE 2048 /* a power of two; verbs ask for some hundreds of parts */
#define KEY_MAX 120

struct memo {
	char key[KEY_MAX]; /* TYPE NUL PATH, "" if free */
	uint32_t hash;
	bool used, found;
	const struct btf *btf;
	struct btf_path path;
};

struct object_memo {
	struct memo memos[MEMO_SIZE];
	struct memo last; /* when the table is full */
};

struct object_memo *object_memo_new(void)
{
	return calloc(1, sizeof(struct object_memo));
}

struct object_memo *object_memo_free(struct object_memo *m)
{
	free(m);
	return NULL;
}

static uint32_t hash_key(const char *type, const char *path)
{
	uint32_t h = 2166136261u;

	for (; *type; type++) {
		h = (h ^ (uint8_t)*type) * 16777619u;
	}
	for (; *path; path++) {
		h = (h ^ (uint8_t)*path) * 16777619u;
	}
	return h ^ h >> 16;
}

static bool same_key(const struct memo *m, const char *type, const char *path)
{
	size_t len = strlen(type);

	return strcmp(m->key, type) == 0 && strcmp(m->key + len + 1, path) == 0;
}

static const struct memo *find(struct kernel *k, const char *type, const char *path)
{
	struct object_memo *all = kernel_memo(k);
	uint32_t hash = hash_key(type, path), id;
	struct memo *m = &all->last;

	for (uint32_t i = 0; i < 16; i++) {
		struct memo *at = &all->memos[(hash + i) & (MEMO_SIZE - 1)];

		if (at->used && at->hash == hash && same_key(at, type, path)) {
			return at;
		}
		if (!at->used) {
			m = at;
			break;
		}
	}
	*m = (struct memo){ .hash = hash };
	if (strlen(type) + strlen(path) + 2 <= sizeof(m->key)) {
		strcpy(m->key, type);
		strcpy(m->key + strlen(type) + 1, path);
		m->used = true;
	}
	m->btf = kernel_type(k, type, &id);
	/* finding a module's type may itself have come here, and taken the place */
	m->found = m->btf && btf_path_find(m->btf, id, path, &m->path);
	return m;
}

bool object_has(struct kernel *k, const char *type, const char *path)
{
	return find(k, type, path)->found;
}

static uint64_t go(struct kernel *k, const struct memo *m, uint64_t address)
{
	address += m->path.offsets[0];
	for (unsigned i = 1; i < m->path.n; i++) {
		uint64_t next = kernel_u64(k, address);

		if (next == 0) {
			return 0;
		}
		address = next + m->path.offsets[i];
	}
	return address;
}

static const struct memo *need(struct kernel *k, const char *type, uint64_t address,
			       const char *path)
{
	const struct memo *m = find(k, type, path);

	if (!m->found) {
		kernel_mark(k, "this kernel has no %s.%s", type, path);
		return NULL;
	}
	if (address == 0) {
		return NULL;
	}
	return m;
}

uint64_t object_at(struct kernel *k, const char *type, uint64_t address, const char *path)
{
	const struct memo *m = need(k, type, address, path);

	return m ? go(k, m, address) : 0;
}

uint64_t object_u64(struct kernel *k, const char *type, uint64_t address, const char *path)
{
	const struct memo *m = need(k, type, address, path);
	uint64_t at = m ? go(k, m, address) : 0, value;
	uint8_t bytes[8] = { 0 };
	unsigned bits;

	if (at == 0) {
		return 0;
	}
	if (m->path.size_bytes == 0 || m->path.size_bytes > 8 ||
	    kernel_read(k, at, bytes, (size_t)m->path.size_bytes) < 0) {
		kernel_mark(k, "%s.%s at 0x%llx cannot be read", type, path,
			    (unsigned long long)address);
		return 0;
	}
	value = le_u64(bytes);
	bits = m->path.bits ? m->path.bits : (unsigned)m->path.size_bytes * 8;
	value >>= m->path.bit_offset;
	if (bits < 64) {
		value &= ((uint64_t)1 << bits) - 1;
		if (m->path.is_signed && value >> (bits - 1)) {
			value |= ~(((uint64_t)1 << bits) - 1);
		}
	}
	return value;
}

uint64_t object_offset(struct kernel *k, const char *type, const char *path)
{
	const struct memo *m = find(k, type, path);

	if (!m->found || m->path.n != 1) {
		kernel_mark(k, "this kernel has no %s.%s", type, path);
		return 0;
	}
	return m->path.offsets[0];
}

uint64_t object_size(struct kernel *k, const char *type, const char *path)
{
	const struct memo *m = find(k, type, path);

	return m->found ? m->path.size_bytes : 0;
}

void object_text(struct kernel *k, const char *type, uint64_t address, const char *path, char *out,
		 size_t size)
{
	const struct memo *m = need(k, type, address, path);
	uint64_t at = m ? go(k, m, address) : 0;

	out[0] = '\0';
	if (at == 0) {
		return;
	}
	if (btf_kind(m->btf, btf_resolve(m->btf, m->path.type)) == BTF_PTR) {
		at = kernel_u64(k, at);
		if (at == 0) {
			return;
		}
	} else if (m->path.size_bytes > 0 && m->path.size_bytes + 1 < size) {
		size = (size_t)m->path.size_bytes + 1;
	}
	kernel_text(k, at, out, size);
}

int64_t object_enum(struct kernel *k, const char *type, const char *name, int64_t otherwise)
{
	const struct btf *btf;
	int64_t value;
	uint32_t id;

	btf = kernel_type(k, type, &id);
	return btf && btf_enum_value(btf, id, name, &value) ? value : otherwise;
}
