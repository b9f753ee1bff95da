/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BTF.
 *
 * Theory of operation: types follow each other in the section, each with a length of its own, so
 * one pass notes where each begins. The same pass counts the named ones; a table hashed by name is
 * made of them. All else is read from the copy of the section when it is asked for.
 */
#include "btf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "le.h"

#define MAGIC 0xeb9f
#define TYPE_BYTES 12
#define CHAIN_MAX 32
#define NEST_MAX 8
#define PROBES_MAX 4096

struct btf {
	const struct btf *base;
	uint8_t *bytes;
	const uint8_t *types;
	size_t types_len;
	const char *strings; /* ends with a NUL: made so */
	size_t strings_len;
	uint32_t first;	     /* the id of the first type here */
	uint32_t first_name; /* the offset of the first string here */
	uint32_t *type_at;
	uint32_t n;
	uint32_t *table; /* ids, 0: empty */
	size_t table_size;
};

size_t btf_extent(const uint8_t head[BTF_HEADER_BYTES])
{
	uint64_t head_len = le_u32(head + 4), types = le_u32(head + 8),
		 types_len = le_u32(head + 12), strings = le_u32(head + 16),
		 strings_len = le_u32(head + 20);
	uint64_t len = head_len + MAX(types + types_len, strings + strings_len);

	if (le_u16(head) != MAGIC || head[2] != 1 || head_len < BTF_HEADER_BYTES ||
	    strings_len == 0 || len > BTF_MAX_BYTES) {
		return 0;
	}
	return (size_t)len;
}

static const uint8_t *type_of(const struct btf *b, uint32_t id)
{
	while (b && id < b->first) {
		b = b->base;
	}
	return b && id - b->first < b->n ? b->types + b->type_at[id - b->first] : NULL;
}

static enum btf_kind kind_of(const uint8_t *type)
{
	return (enum btf_kind)((le_u32(type + 4) >> 24) & 0x1f);
}

static uint32_t vlen_of(const uint8_t *type)
{
	return le_u32(type + 4) & 0xffff;
}

static bool kind_flag(const uint8_t *type)
{
	return le_u32(type + 4) >> 31;
}

/* What follows the twelve bytes that each type has; SIZE_MAX for a kind that is not known. */
static size_t extra_bytes(const uint8_t *type)
{
	size_t vlen = vlen_of(type);

	switch (kind_of(type)) {
	case BTF_INT:
	case BTF_VAR:
	case BTF_DECL_TAG:
		return 4;
	case BTF_ARRAY:
		return 12;
	case BTF_STRUCT:
	case BTF_UNION:
	case BTF_DATASEC:
	case BTF_ENUM64:
		return vlen * 12;
	case BTF_ENUM:
	case BTF_FUNC_PROTO:
		return vlen * 8;
	case BTF_PTR:
	case BTF_FWD:
	case BTF_TYPEDEF:
	case BTF_VOLATILE:
	case BTF_CONST:
	case BTF_RESTRICT:
	case BTF_FUNC:
	case BTF_FLOAT:
	case BTF_TYPE_TAG:
		return 0;
	default:
		return SIZE_MAX;
	}
}

static const char *string_at(const struct btf *b, uint32_t at)
{
	while (b && at < b->first_name) {
		b = b->base;
	}
	return b && at - b->first_name < b->strings_len ? b->strings + (at - b->first_name) : "";
}

static int note_types(struct btf *b)
{
	size_t at = 0, room = 0;

	while (b->types_len - at >= TYPE_BYTES) {
		size_t extra = extra_bytes(b->types + at);

		if (extra > b->types_len - at - TYPE_BYTES) {
			break;
		}
		if (b->n == room) {
			uint32_t *more;

			room = room ? room * 2 : 65536;
			more = realloc(b->type_at, room * sizeof(*more));
			if (!more) {
				return -ENOMEM;
			}
			b->type_at = more;
		}
		b->type_at[b->n++] = (uint32_t)at;
		at += TYPE_BYTES + extra;
	}
	return b->n ? 0 : -EINVAL;
}

static bool findable(const uint8_t *type)
{
	enum btf_kind kind = kind_of(type);

	return (kind == BTF_STRUCT || kind == BTF_UNION || kind == BTF_ENUM || kind == BTF_ENUM64 ||
		kind == BTF_TYPEDEF) &&
	       le_u32(type) != 0;
}

static size_t hash(const struct btf *b, const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++) {
		h = (h ^ (uint8_t)*name) * 16777619u;
	}
	return (h ^ h >> 15) & (b->table_size - 1);
}

static int make_table(struct btf *b)
{
	size_t named = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		named += findable(b->types + b->type_at[i]);
	}
	b->table_size = 64;
	while (b->table_size < 2 * named) {
		b->table_size *= 2;
	}
	b->table = calloc(b->table_size, sizeof(*b->table));
	if (!b->table) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < b->n; i++) {
		const uint8_t *type = b->types + b->type_at[i];
		size_t at, steps = 0;

		if (!findable(type)) {
			continue;
		}
		at = hash(b, string_at(b, le_u32(type)));
		while (b->table[at] && steps++ < PROBES_MAX) {
			at = (at + 1) & (b->table_size - 1);
		}
		if (!b->table[at]) {
			b->table[at] = b->first + i;
		}
	}
	return 0;
}

int btf_new(const uint8_t *bytes, size_t len, const struct btf *base, struct btf **ret)
{
	uint32_t head_len, types_at, strings_at;
	struct btf *b;
	int r;

	if (len < BTF_HEADER_BYTES || btf_extent(bytes) == 0 || btf_extent(bytes) > len) {
		return -EINVAL;
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		return -ENOMEM;
	}
	b->base = base;
	b->first = base ? base->first + base->n : 1;
	b->first_name = base ? base->first_name + (uint32_t)base->strings_len : 0;
	b->bytes = malloc(len + 1);
	if (!b->bytes) {
		free(b);
		return -ENOMEM;
	}
	memcpy(b->bytes, bytes, len);
	b->bytes[len] = '\0';
	head_len = le_u32(bytes + 4);
	types_at = head_len + le_u32(bytes + 8);
	strings_at = head_len + le_u32(bytes + 16);
	b->types = b->bytes + types_at;
	b->types_len = le_u32(bytes + 12);
	b->strings = (char *)b->bytes + strings_at;
	b->strings_len = le_u32(bytes + 20);
	r = note_types(b);
	if (r == 0) {
		/* whatever follows the strings is not looked at again, what is before was noted */
		r = types_at + b->types_len <= strings_at || types_at >= strings_at + b->strings_len
			    ? 0
			    : -EINVAL;
	}
	if (r == 0) {
		b->bytes[strings_at + b->strings_len - 1] = '\0';
		r = make_table(b);
	}
	if (r < 0) {
		btf_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

struct btf *btf_free(struct btf *b)
{
	if (b) {
		free(b->bytes);
		free(b->type_at);
		free(b->table);
		free(b);
	}
	return NULL;
}

uint32_t btf_count(const struct btf *b)
{
	return b->first + b->n;
}

enum btf_kind btf_kind(const struct btf *b, uint32_t id)
{
	const uint8_t *type = type_of(b, id);

	return type ? kind_of(type) : BTF_UNKNOWN;
}

const char *btf_name(const struct btf *b, uint32_t id)
{
	const uint8_t *type = type_of(b, id);

	return type ? string_at(b, le_u32(type)) : "";
}

static uint32_t find_here(const struct btf *b, const char *name, enum btf_kind wanted)
{
	size_t at = hash(b, name);

	for (size_t steps = 0; b->table[at] && steps <= PROBES_MAX; steps++) {
		enum btf_kind kind = btf_kind(b, b->table[at]);

		if ((wanted == BTF_UNKNOWN || kind == wanted ||
		     (wanted == BTF_ENUM && kind == BTF_ENUM64)) &&
		    strcmp(btf_name(b, b->table[at]), name) == 0) {
			return b->table[at];
		}
		at = (at + 1) & (b->table_size - 1);
	}
	return BTF_VOID;
}

uint32_t btf_find(const struct btf *b, const char *name)
{
	static const struct {
		const char *prefix;
		enum btf_kind kind;
	} prefixes[] = { { "struct ", BTF_STRUCT },
			 { "union ", BTF_UNION },
			 { "enum ", BTF_ENUM } };
	enum btf_kind wanted = BTF_UNKNOWN;

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (strncmp(name, prefixes[i].prefix, strlen(prefixes[i].prefix)) == 0) {
			wanted = prefixes[i].kind;
			name += strlen(prefixes[i].prefix);
		}
	}
	for (; b; b = b->base) {
		uint32_t id = find_here(b, name, wanted);

		if (id != BTF_VOID) {
			return id;
		}
	}
	return BTF_VOID;
}

uint32_t btf_find_variable(const struct btf *b, const char *name)
{
	for (uint32_t i = 0; i < b->n; i++) {
		const uint8_t *type = b->types + b->type_at[i];

		if (kind_of(type) == BTF_VAR && strcmp(string_at(b, le_u32(type)), name) == 0) {
			return b->first + i;
		}
	}
	return BTF_VOID;
}

static bool modifier(enum btf_kind kind)
{
	return kind == BTF_TYPEDEF || kind == BTF_VOLATILE || kind == BTF_CONST ||
	       kind == BTF_RESTRICT || kind == BTF_TYPE_TAG;
}

uint32_t btf_resolve(const struct btf *b, uint32_t id)
{
	for (int i = 0; i < CHAIN_MAX; i++) {
		const uint8_t *type = type_of(b, id);

		if (!type) {
			return BTF_VOID;
		}
		if (!modifier(kind_of(type))) {
			return id;
		}
		id = le_u32(type + 8);
	}
	return BTF_VOID;
}

uint32_t btf_target(const struct btf *b, uint32_t id)
{
	const uint8_t *type = type_of(b, id);

	if (!type) {
		return BTF_VOID;
	}
	switch (kind_of(type)) {
	case BTF_ARRAY:
		return le_u32(type + TYPE_BYTES);
	case BTF_PTR:
	case BTF_TYPEDEF:
	case BTF_VOLATILE:
	case BTF_CONST:
	case BTF_RESTRICT:
	case BTF_TYPE_TAG:
	case BTF_FUNC:
	case BTF_FUNC_PROTO:
	case BTF_VAR:
		return le_u32(type + 8);
	default:
		return BTF_VOID;
	}
}

uint64_t btf_size(const struct btf *b, uint32_t id)
{
	uint64_t times = 1;

	for (int i = 0; i < CHAIN_MAX; i++) {
		const uint8_t *type;

		id = btf_resolve(b, id);
		type = type_of(b, id);
		if (!type) {
			return 0;
		}
		switch (kind_of(type)) {
		case BTF_PTR:
			return times * 8;
		case BTF_INT:
		case BTF_STRUCT:
		case BTF_UNION:
		case BTF_ENUM:
		case BTF_ENUM64:
		case BTF_FLOAT:
			return times * le_u32(type + 8);
		case BTF_ARRAY:
			times *= le_u32(type + TYPE_BYTES + 8);
			if (times > UINT32_MAX) {
				return 0;
			}
			id = le_u32(type + TYPE_BYTES);
			break;
		default:
			return 0;
		}
	}
	return 0;
}

uint32_t btf_array_length(const struct btf *b, uint32_t id)
{
	const uint8_t *type = type_of(b, id);

	return type && kind_of(type) == BTF_ARRAY ? le_u32(type + TYPE_BYTES + 8) : 0;
}

/* In the high byte of what follows an int: 1 signed, 2 char, 4 bool. */
static uint32_t int_encoding(const struct btf *b, uint32_t id)
{
	const uint8_t *type = type_of(b, id);

	return type && kind_of(type) == BTF_INT ? le_u32(type + TYPE_BYTES) >> 24 : 0;
}

bool btf_int_signed(const struct btf *b, uint32_t id)
{
	const uint8_t *type = type_of(b, id);

	if (type && (kind_of(type) == BTF_ENUM || kind_of(type) == BTF_ENUM64)) {
		return kind_flag(type);
	}
	return int_encoding(b, id) & 1;
}

bool btf_int_char(const struct btf *b, uint32_t id)
{
	const char *name = btf_name(b, id);

	return int_encoding(b, id) & 2 || strcmp(name, "char") == 0;
}

uint32_t btf_vlen(const struct btf *b, uint32_t id)
{
	const uint8_t *type = type_of(b, id);

	return type ? vlen_of(type) : 0;
}

bool btf_member_at(const struct btf *b, uint32_t id, uint32_t i, struct btf_member *ret)
{
	const uint8_t *type = type_of(b, id), *m;
	uint32_t place;

	if (!type || (kind_of(type) != BTF_STRUCT && kind_of(type) != BTF_UNION) ||
	    i >= vlen_of(type)) {
		return false;
	}
	m = type + TYPE_BYTES + (size_t)i * 12;
	place = le_u32(m + 8);
	*ret = (struct btf_member){
		.name = string_at(b, le_u32(m)),
		.type = le_u32(m + 4),
		.offset_bits = kind_flag(type) ? place & 0xffffff : place,
		.bits = kind_flag(type) ? place >> 24 : 0,
	};
	return true;
}

static bool find_member(const struct btf *b, uint32_t id, const char *name, size_t name_len,
			struct btf_member *ret, int depth, int *budget)
{
	struct btf_member m;

	id = btf_resolve(b, id);
	for (uint32_t i = 0; btf_member_at(b, id, i, &m); i++) {
		uint32_t at = m.offset_bits;

		if (--*budget < 0) {
			return false;
		}
		if (strncmp(m.name, name, name_len) == 0 && m.name[name_len] == '\0') {
			*ret = m;
			return true;
		}
		if (!m.name[0] && depth < NEST_MAX &&
		    find_member(b, m.type, name, name_len, ret, depth + 1, budget)) {
			ret->offset_bits += at;
			return true;
		}
	}
	return false;
}

bool btf_member_find(const struct btf *b, uint32_t id, const char *name, size_t name_len,
		     struct btf_member *ret)
{
	int budget = 65536;

	return name_len > 0 && find_member(b, id, name, name_len, ret, 0, &budget);
}

static bool enumerator(const struct btf *b, uint32_t id, uint32_t i, const char **ret_name,
		       int64_t *ret_value)
{
	const uint8_t *type = type_of(b, id), *e;

	if (!type || i >= vlen_of(type)) {
		return false;
	}
	if (kind_of(type) == BTF_ENUM) {
		e = type + TYPE_BYTES + (size_t)i * 8;
		*ret_value = kind_flag(type) ? (int32_t)le_u32(e + 4) : (int64_t)le_u32(e + 4);
	} else if (kind_of(type) == BTF_ENUM64) {
		e = type + TYPE_BYTES + (size_t)i * 12;
		*ret_value = (int64_t)((uint64_t)le_u32(e + 8) << 32 | le_u32(e + 4));
	} else {
		return false;
	}
	*ret_name = string_at(b, le_u32(e));
	return true;
}

const char *btf_enum_name(const struct btf *b, uint32_t id, int64_t value)
{
	const char *name;
	int64_t v;

	id = btf_resolve(b, id);
	for (uint32_t i = 0; enumerator(b, id, i, &name, &v); i++) {
		if (v == value) {
			return name;
		}
	}
	return NULL;
}

bool btf_enum_value(const struct btf *b, uint32_t id, const char *wanted, int64_t *ret)
{
	const char *name;

	id = btf_resolve(b, id);
	for (uint32_t i = 0; enumerator(b, id, i, &name, ret); i++) {
		if (strcmp(name, wanted) == 0) {
			return true;
		}
	}
	return false;
}

void btf_describe(const struct btf *b, uint32_t id, char *out, size_t size)
{
	char suffix[48] = "";
	const char *name, *word = "";

	for (int i = 0; i < CHAIN_MAX; i++) {
		enum btf_kind kind = btf_kind(b, id);
		size_t len = strlen(suffix);

		if (kind == BTF_PTR && len + 2 < sizeof(suffix)) {
			memmove(suffix + 1, suffix, len + 1);
			suffix[0] = '*';
		} else if (kind == BTF_ARRAY) {
			snprintf(suffix + len, sizeof(suffix) - len, "[%u]",
				 btf_array_length(b, id));
		} else if (!modifier(kind) || kind == BTF_TYPEDEF) {
			break;
		}
		id = btf_target(b, id);
	}
	switch (btf_kind(b, id)) {
	case BTF_STRUCT:
		word = "struct ";
		break;
	case BTF_UNION:
		word = "union ";
		break;
	case BTF_FWD:
		word = "struct ";
		break;
	case BTF_ENUM:
	case BTF_ENUM64:
		word = "enum ";
		break;
	default:
		break;
	}
	name = btf_name(b, id);
	if (btf_kind(b, id) == BTF_FUNC_PROTO) {
		name = "function";
	} else if (id == BTF_VOID) {
		name = "void";
	} else if (!name[0]) {
		name = "(anonymous)";
	}
	snprintf(out, size, "%s%.100s%s%s", word, name, suffix[0] == '*' ? " " : "", suffix);
}
