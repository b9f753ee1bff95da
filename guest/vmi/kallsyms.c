/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Linux kernel's own table of its symbols.
 *
 * Theory of operation: names are never unpacked all at once. Each one has a hash that is put
 * together from those of its tokens, which costs a step a token and not a letter; a table of these
 * finds a name in one or two unpackings. It is made at the first search for a name: who only asks
 * for addresses does not need it.
 */
#include "kallsyms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "le.h"

#define PRIME 0x01000193u
#define NONE UINT32_MAX

struct token {
	uint16_t at, len;
	uint32_t hash, power; /* of the whole, and PRIME to its length */
	uint32_t tail;	      /* hash without the first letter: that of a symbol is its type */
	uint32_t tail_power;
};

struct kallsyms {
	uint8_t *names;
	uint32_t *name_at; /* where symbol i's length stands */
	uint64_t *addresses;
	size_t n;
	char *token_text;
	struct token tokens[256];
	uint32_t *table; /* NULL: not made yet */
	size_t table_size;
};

static void hash_token(struct token *t, const char *text)
{
	t->power = t->tail_power = 1;
	t->hash = t->tail = 0;
	for (size_t i = 0; i < t->len; i++) {
		t->hash = t->hash * PRIME + (uint8_t)text[i];
		t->power *= PRIME;
		if (i > 0) {
			t->tail = t->tail * PRIME + (uint8_t)text[i];
			t->tail_power *= PRIME;
		}
	}
}

static int take_tokens(struct kallsyms *k, const struct kallsyms_tables *t)
{
	size_t len = MIN(t->token_table_len, (size_t)65536 + 256);

	k->token_text = malloc(len + 1);
	if (!k->token_text) {
		return -ENOMEM;
	}
	memcpy(k->token_text, t->token_table, len);
	k->token_text[len] = '\0';
	for (int i = 0; i < 256; i++) {
		struct token *token = &k->tokens[i];

		token->at = le_u16(t->token_index + 2 * i);
		if (token->at >= len) {
			return -EINVAL;
		}
		token->len = (uint16_t)strnlen(k->token_text + token->at, KALLSYMS_NAME_MAX);
		hash_token(token, k->token_text + token->at);
	}
	return 0;
}

/* Where the tokens of the name at `at` begin and how many they are; false behind the end. */
static bool name_extent(const uint8_t *names, size_t names_len, size_t at, size_t *ret_start,
			size_t *ret_len)
{
	size_t len;

	if (at >= names_len) {
		return false;
	}
	len = names[at++];
	if (len & 0x80) { /* 6.1 and later: two bytes */
		if (at >= names_len) {
			return false;
		}
		len = (len & 0x7f) | (size_t)names[at++] << 7;
	}
	*ret_start = at;
	*ret_len = len;
	return len > 0 && len <= names_len - at;
}

/* With CONFIG_KALLSYMS_ABSOLUTE_PERCPU (SMP, before 6.15) what is in the image stands as
 * base - 1 - offset, a negative number, and only per-CPU symbols as themselves. */
static bool percpu_style(const struct kallsyms_tables *t, size_t n)
{
	size_t negative = 0;

	for (size_t i = 0; i < n; i++) {
		negative += le_u32(t->offsets + 4 * i) >> 31;
	}
	return negative > n / 2;
}

static void take_addresses(struct kallsyms *k, const struct kallsyms_tables *t)
{
	bool percpu = !t->absolute && percpu_style(t, k->n);

	for (size_t i = 0; i < k->n; i++) {
		uint32_t offset;

		if (t->absolute) {
			k->addresses[i] = le_u64(t->offsets + 8 * i);
			continue;
		}
		offset = le_u32(t->offsets + 4 * i);
		if (!percpu) {
			k->addresses[i] = t->relative_base + offset;
		} else if (offset >> 31) {
			k->addresses[i] = t->relative_base - 1 - (uint64_t)(int64_t)(int32_t)offset;
		} else {
			k->addresses[i] = offset;
		}
	}
}

int kallsyms_new(const struct kallsyms_tables *t, struct kallsyms **ret)
{
	struct kallsyms *k;
	size_t at = 0, start, len;
	int r;

	if (t->n == 0 || t->n > KALLSYMS_MAX || t->names_len > KALLSYMS_NAMES_MAX) {
		return -EINVAL;
	}
	k = calloc(1, sizeof(*k));
	if (!k) {
		return -ENOMEM;
	}
	k->name_at = calloc(t->n, sizeof(*k->name_at));
	k->addresses = calloc(t->n, sizeof(*k->addresses));
	r = k->name_at && k->addresses ? take_tokens(k, t) : -ENOMEM;
	while (r == 0 && k->n < t->n && name_extent(t->names, t->names_len, at, &start, &len)) {
		k->name_at[k->n++] = (uint32_t)at;
		at = start + len;
	}
	if (r == 0 && k->n == 0) {
		r = -EINVAL;
	}
	if (r == 0) {
		k->names = malloc(at);
		r = k->names ? 0 : -ENOMEM;
	}
	if (r < 0) {
		kallsyms_free(k);
		return r;
	}
	memcpy(k->names, t->names, at);
	take_addresses(k, t);
	*ret = k;
	return 0;
}

struct kallsyms *kallsyms_free(struct kallsyms *k)
{
	if (k) {
		free(k->names);
		free(k->name_at);
		free(k->addresses);
		free(k->token_text);
		free(k->table);
		free(k);
	}
	return NULL;
}

size_t kallsyms_count(const struct kallsyms *k)
{
	return k->n;
}

/* The extent was checked when the table was made. */
static const uint8_t *tokens_of(const struct kallsyms *k, size_t i, size_t *ret_len)
{
	size_t start = 0, len = 0;

	if (!name_extent(k->names, SIZE_MAX, k->name_at[i], &start, &len)) {
		len = 0;
	}
	*ret_len = len;
	return k->names + start;
}

static size_t unpack(const struct kallsyms *k, size_t i, char name[KALLSYMS_NAME_MAX], char *type)
{
	size_t n, used = 0;
	const uint8_t *tokens = tokens_of(k, i, &n);
	bool first = true;

	*type = '?';
	for (size_t j = 0; j < n && used + 1 < KALLSYMS_NAME_MAX; j++) {
		const struct token *t = &k->tokens[tokens[j]];
		const char *text = k->token_text + t->at;

		for (size_t c = 0; c < t->len; c++) {
			if (first) {
				*type = text[c];
				first = false;
			} else if (used + 1 < KALLSYMS_NAME_MAX) {
				name[used++] = text[c];
			}
		}
	}
	name[used] = '\0';
	return used;
}

static uint32_t hash_symbol(const struct kallsyms *k, size_t i)
{
	size_t n;
	const uint8_t *tokens = tokens_of(k, i, &n);
	uint32_t hash = 0;
	bool first = true;

	for (size_t j = 0; j < n; j++) {
		const struct token *t = &k->tokens[tokens[j]];

		if (!first) {
			hash = hash * t->power + t->hash;
		} else if (t->len > 0) {
			hash = t->tail;
			first = false;
		}
	}
	return hash;
}

static size_t place(const struct kallsyms *k, uint32_t hash)
{
	return (hash * 0x9e3779b1u) & (k->table_size - 1);
}

static bool make_table(struct kallsyms *k)
{
	k->table_size = 1024;
	while (k->table_size < 2 * k->n) {
		k->table_size *= 2;
	}
	k->table = malloc(k->table_size * sizeof(*k->table));
	if (!k->table) {
		return false;
	}
	memset(k->table, 0xff, k->table_size * sizeof(*k->table));
	for (size_t i = 0; i < k->n; i++) {
		size_t at = place(k, hash_symbol(k, i));
		size_t steps = 0;

		/* names that were made to collide must not cost more than a little */
		while (k->table[at] != NONE && steps++ < 4096) {
			at = (at + 1) & (k->table_size - 1);
		}
		if (k->table[at] == NONE) {
			k->table[at] = (uint32_t)i;
		}
	}
	return true;
}

bool kallsyms_find(struct kallsyms *k, const char *name, uint64_t *ret_address)
{
	uint32_t hash = 0;
	size_t at;

	if (!k->table && !make_table(k)) {
		return false;
	}
	for (const char *c = name; *c; c++) {
		hash = hash * PRIME + (uint8_t)*c;
	}
	at = place(k, hash);
	for (size_t steps = 0; k->table[at] != NONE && steps <= 4096; steps++) {
		char found[KALLSYMS_NAME_MAX], type;

		unpack(k, k->table[at], found, &type);
		if (strcmp(found, name) == 0) {
			*ret_address = k->addresses[k->table[at]];
			return true;
		}
		at = (at + 1) & (k->table_size - 1);
	}
	return false;
}

bool kallsyms_get(const struct kallsyms *k, size_t i, char name[KALLSYMS_NAME_MAX], char *ret_type,
		  uint64_t *ret_address)
{
	if (i >= k->n) {
		return false;
	}
	unpack(k, i, name, ret_type);
	*ret_address = k->addresses[i];
	return true;
}

bool kallsyms_at(const struct kallsyms *k, uint64_t address, char name[KALLSYMS_NAME_MAX],
		 uint64_t *ret_start, uint64_t *ret_size)
{
	size_t low = 0, high = k->n, i;
	uint64_t end;
	char type;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (k->addresses[middle] <= address) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low == 0) {
		return false;
	}
	end = low < k->n ? k->addresses[low] : k->addresses[low - 1];
	/* of several names for one place the first, as the kernel itself says */
	for (i = low - 1; i > 0 && k->addresses[i - 1] == k->addresses[low - 1]; i--) {
	}
	unpack(k, i, name, &type);
	*ret_start = k->addresses[i];
	*ret_size = end > *ret_start ? end - *ret_start : 0;
	return true;
}
