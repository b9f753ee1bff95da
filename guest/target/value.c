/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of a kernel's memory as values. */
#include "value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "le.h"
#include "text.h"

#define DEPTH_MAX 6
#define ELEMENTS_MAX 64
#define MEMBERS_MAX 20000 /* in all: some types hold themselves over and over */
#define TEXT_MAX 256

struct reader {
	struct kernel *k;
	struct symbols *s;
	const struct btf *btf;
	unsigned members;
};

static json_t *read_value(struct reader *r, uint32_t type, uint64_t address, unsigned bit_offset,
			  unsigned bits, int depth);

static bool read_number(struct reader *r, uint64_t address, uint64_t size, unsigned bit_offset,
			unsigned bits, bool is_signed, uint64_t *ret)
{
	uint8_t bytes[8] = { 0 };
	unsigned width = bits ? bits : (unsigned)size * 8;

	if (size == 0 || size > 8 || kernel_read(r->k, address, bytes, (size_t)size) < 0) {
		kernel_mark(r->k, "no memory at 0x%" PRIx64, address);
		return false;
	}
	*ret = le_u64(bytes) >> bit_offset;
	if (width < 64) {
		*ret &= ((uint64_t)1 << width) - 1;
		if (is_signed && *ret >> (width - 1)) {
			*ret |= ~(((uint64_t)1 << width) - 1);
		}
	}
	return true;
}

static json_t *read_pointer(struct reader *r, uint64_t address)
{
	char text[TEXT_MAX + 32], symbol[SYMBOL_TEXT_MAX], name[KALLSYMS_NAME_MAX];
	const struct module *module;
	uint64_t value, start, size;

	if (!read_number(r, address, 8, 0, 0, false, &value)) {
		return json_null();
	}
	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	if (symbols_at(r->s, value, name, &start, &size, &module)) {
		symbols_text(r->s, value, symbol);
		snprintf(text, sizeof(text), "0x%" PRIx64 " <%s>", value, symbol);
	}
	return json_string(text);
}

static json_t *read_members(struct reader *r, uint32_t type, uint64_t address, int depth)
{
	json_t *o = json_object();
	struct btf_member m;

	for (uint32_t i = 0; btf_member_at(r->btf, type, i, &m); i++) {
		char name[TEXT_MAX];
		json_t *value;

		if (r->members++ >= MEMBERS_MAX) {
			kernel_mark(r->k, "it has more than %d members", MEMBERS_MAX);
			break;
		}
		value = read_value(r, m.type, address + m.offset_bits / 8, m.offset_bits % 8,
				   m.bits, depth + 1);
		if (m.name[0]) {
			snprintf(name, sizeof(name), "%.200s", m.name);
			text_clean(name, false);
			json_object_set_new(o, name, value);
		} else { /* anonymous: its members are ours, as C has it */
			json_object_update(o, value);
			json_decref(value);
		}
	}
	return o;
}

static json_t *read_array(struct reader *r, uint32_t type, uint64_t address, int depth)
{
	uint32_t element = btf_resolve(r->btf, btf_target(r->btf, type));
	uint64_t size = btf_size(r->btf, element), n = btf_array_length(r->btf, type);
	json_t *list;

	if (btf_kind(r->btf, element) == BTF_INT && size == 1 && btf_int_char(r->btf, element)) {
		char text[TEXT_MAX];

		kernel_text(r->k, address, text, (size_t)MIN(n + 1, (uint64_t)sizeof(text)));
		return json_string(text);
	}
	list = json_array();
	for (uint64_t i = 0; size > 0 && i < MIN(n, (uint64_t)ELEMENTS_MAX); i++) {
		if (r->members++ >= MEMBERS_MAX) {
			break;
		}
		json_array_append_new(list,
				      read_value(r, element, address + i * size, 0, 0, depth + 1));
	}
	if (n > ELEMENTS_MAX) {
		kernel_mark(r->k, "only the first %d elements of an array are shown", ELEMENTS_MAX);
	}
	return list;
}

static json_t *read_value(struct reader *r, uint32_t type, uint64_t address, unsigned bit_offset,
			  unsigned bits, int depth)
{
	uint64_t number, size;
	const char *name;

	type = btf_resolve(r->btf, type);
	size = btf_size(r->btf, type);
	if (depth > DEPTH_MAX) {
		return json_string("...");
	}
	switch (btf_kind(r->btf, type)) {
	case BTF_INT:
	case BTF_ENUM:
	case BTF_ENUM64:
		if (size > 8) { /* __int128 */
			return json_string("...");
		}
		if (!read_number(r, address, size, bit_offset, bits, btf_int_signed(r->btf, type),
				 &number)) {
			return json_null();
		}
		name = btf_kind(r->btf, type) == BTF_INT
			       ? NULL
			       : btf_enum_name(r->btf, type, (int64_t)number);
		if (name) {
			return json_string(name);
		}
		if (!btf_int_signed(r->btf, type) && number > INT64_MAX) {
			char text[24];

			snprintf(text, sizeof(text), "0x%" PRIx64, number);
			return json_string(text);
		}
		return json_integer((json_int_t)number);
	case BTF_PTR:
		return read_pointer(r, address);
	case BTF_ARRAY:
		return read_array(r, type, address, depth);
	case BTF_STRUCT:
	case BTF_UNION:
		return read_members(r, type, address, depth);
	default:
		return json_null();
	}
}

json_t *value_read(struct kernel *k, struct symbols *s, const struct btf *btf, uint32_t type,
		   uint64_t address, unsigned bit_offset, unsigned bits)
{
	struct reader r = { k, s, btf, 0 };

	return read_value(&r, type, address, bit_offset, bits, 0);
}

static void print_value(const json_t *v, int depth)
{
	const char *key;
	const json_t *item;
	size_t i;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		printf("{\n");
		json_object_foreach((json_t *)v, key, item)
		{
			printf("%*s.%s = ", 2 * depth + 2, "", key);
			print_value(item, depth + 1);
			printf(",\n");
		}
		printf("%*s}", 2 * depth, "");
		break;
	case JSON_ARRAY:
		printf("{");
		json_array_foreach(v, i, item)
		{
			printf("%s", i ? ", " : "");
			print_value(item, depth + 1);
		}
		printf("}");
		break;
	case JSON_STRING:
		printf("%s", json_string_value(v));
		break;
	case JSON_INTEGER:
		printf("%lld", (long long)json_integer_value(v));
		break;
	default:
		printf("?");
		break;
	}
}

void value_print(const json_t *value)
{
	print_value(value, 0);
	printf("\n");
}
