/* SPDX-License-Identifier: Apache-2.0 */
/* A way from an object to one of its parts. */
#include "btf_path.h"

#include <stdlib.h>
#include <string.h>

/* After "->": the pointer where the path stands now is followed. */
static bool follow(const struct btf *b, struct btf_path *p)
{
	uint32_t type = btf_resolve(b, p->type);

	if (btf_kind(b, type) != BTF_PTR || p->bits || p->n == BTF_PATH_STEPS) {
		return false;
	}
	p->offsets[p->n++] = 0;
	p->type = btf_target(b, type);
	return true;
}

static bool member(const struct btf *b, struct btf_path *p, const char *name, size_t len)
{
	struct btf_member m;

	if (p->bits || !btf_member_find(b, p->type, name, len, &m)) {
		return false;
	}
	p->offsets[p->n - 1] += m.offset_bits / 8;
	p->type = m.type;
	p->bits = (uint8_t)m.bits;
	p->bit_offset = m.bits ? m.offset_bits % 8 : 0;
	return true;
}

static bool element(const struct btf *b, struct btf_path *p, const char **path)
{
	uint32_t type;
	uint64_t size, index;
	char *end;

	if (**path < '0' || **path > '9') {
		return false;
	}
	index = strtoull(*path, &end, 0);
	if (*end != ']' || index > UINT32_MAX || p->bits) {
		return false;
	}
	*path = end + 1;
	type = btf_resolve(b, p->type);
	if (btf_kind(b, type) == BTF_PTR) {
		if (!follow(b, p)) {
			return false;
		}
	} else if (btf_kind(b, type) == BTF_ARRAY) {
		p->type = btf_target(b, type);
	} else {
		return false;
	}
	size = btf_size(b, p->type);
	p->offsets[p->n - 1] += index * size;
	return size > 0;
}

bool btf_path_find(const struct btf *b, uint32_t type, const char *path, struct btf_path *ret)
{
	struct btf_path p = { .n = 1, .type = type };
	bool want_name = true, whole = !*path;

	while (*path) {
		size_t len = strcspn(path, ".-[");

		if (path[0] == '.') {
			path++;
			want_name = true;
		} else if (path[0] == '-' && path[1] == '>') {
			path += 2;
			if (!follow(b, &p)) {
				return false;
			}
			want_name = true;
		} else if (path[0] == '[') {
			path++;
			if (!element(b, &p, &path)) {
				return false;
			}
			want_name = false;
		} else if (want_name && len > 0) {
			if (!member(b, &p, path, len)) {
				return false;
			}
			path += len;
			want_name = false;
		} else {
			return false;
		}
	}
	if (want_name && !whole) {
		return false; /* it ends in the middle */
	}
	type = btf_resolve(b, p.type);
	p.size_bytes = btf_size(b, type);
	p.is_signed = btf_int_signed(b, type);
	*ret = p;
	return true;
}
