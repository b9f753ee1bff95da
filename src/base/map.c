/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash map from strings to pointers.
 *
 * Theory of operation: open addressing with linear probing in a power of two of slots. A removed
 * entry leaves a grave (no key, but a value), so that nothing moves while an iteration removes;
 * graves go when the table is rebuilt. At most three quarters of the slots are used, graves
 * included, so that every probe ends. Keys come from users: the hash is SipHash-2-4 (Aumasson,
 * Bernstein, 2012) with a random key for each map.
 */
#include "map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"

#define MAP_FIRST_SLOTS 16

struct slot {
	char *key;
	void *value;
	uint64_t hash;
};

struct map {
	struct slot *slots;
	size_t n_slots; /* 0 or a power of two */
	size_t n_live;
	size_t n_used; /* live and graves */
	uint64_t seed[2];
};

static char grave;

static uint64_t rotl(uint64_t x, unsigned n)
{
	return (x << n) | (x >> (64 - n));
}

static void sip_rounds(uint64_t v[4], unsigned n)
{
	while (n-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] = rotl(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] = rotl(v[2], 32);
	}
}

static uint64_t siphash(const uint64_t seed[2], const char *key)
{
	uint64_t v[4] = {
		seed[0] ^ 0x736f6d6570736575,
		seed[1] ^ 0x646f72616e646f6d,
		seed[0] ^ 0x6c7967656e657261,
		seed[1] ^ 0x7465646279746573,
	};
	size_t len = strlen(key), left = len;
	uint64_t word;

	for (; left >= 8; key += 8, left -= 8) {
		memcpy(&word, key, 8);
		v[3] ^= word;
		sip_rounds(v, 2);
		v[0] ^= word;
	}
	word = 0;
	memcpy(&word, key, left);
	word |= (uint64_t)len << 56;
	v[3] ^= word;
	sip_rounds(v, 2);
	v[0] ^= word;
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map *map_new(void)
{
	struct map *m = calloc(1, sizeof(*m));

	if (m) {
		random_bytes(m->seed, sizeof(m->seed));
	}
	return m;
}

struct map *map_free(struct map *m)
{
	if (!m) {
		return NULL;
	}
	for (size_t i = 0; i < m->n_slots; i++) {
		free(m->slots[i].key);
	}
	free(m->slots);
	free(m);
	return NULL;
}

static struct slot *map_find(const struct map *m, const char *key, uint64_t hash)
{
	for (size_t i = hash & (m->n_slots - 1); m->n_slots > 0; i = (i + 1) & (m->n_slots - 1)) {
		struct slot *s = &m->slots[i];

		if (!s->value) {
			return NULL;
		}
		if (s->key && s->hash == hash && strcmp(s->key, key) == 0) {
			return s;
		}
	}
	return NULL;
}

static struct slot *map_vacant(struct slot *slots, size_t n_slots, uint64_t hash)
{
	size_t i = hash & (n_slots - 1);

	while (slots[i].value) {
		i = (i + 1) & (n_slots - 1);
	}
	return &slots[i];
}

/* Room for one more entry: the table is rebuilt without graves, twice as large as the live entries
 * need. */
static int map_make_room(struct map *m)
{
	size_t n = MAP_FIRST_SLOTS;
	struct slot *slots;

	if (m->n_slots > 0 && m->n_used + 1 <= m->n_slots / 4 * 3) {
		return 0;
	}
	while (n / 2 < m->n_live + 1) {
		n *= 2;
	}
	slots = calloc(n, sizeof(*slots));
	if (!slots) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->n_slots; i++) {
		if (m->slots[i].key) {
			*map_vacant(slots, n, m->slots[i].hash) = m->slots[i];
		}
	}
	free(m->slots);
	m->slots = slots;
	m->n_slots = n;
	m->n_used = m->n_live;
	return 0;
}

void *map_get(const struct map *m, const char *key)
{
	struct slot *s = map_find(m, key, siphash(m->seed, key));

	return s ? s->value : NULL;
}

int map_put(struct map *m, const char *key, void *value, void **ret_old)
{
	uint64_t hash = siphash(m->seed, key);
	struct slot *s = map_find(m, key, hash);
	_cleanup_free_ char *copy = NULL;
	void *old = NULL;
	int r;

	assert(value);
	if (s) {
		old = s->value;
		s->value = value;
	} else {
		copy = strdup(key);
		if (!copy) {
			return -ENOMEM;
		}
		r = map_make_room(m);
		if (r < 0) {
			return r;
		}
		*map_vacant(m->slots, m->n_slots, hash) =
			(struct slot){ .key = TAKE_PTR(copy), .value = value, .hash = hash };
		m->n_live++;
		m->n_used++;
	}
	if (ret_old) {
		*ret_old = old;
	}
	return 0;
}

void *map_remove(struct map *m, const char *key)
{
	struct slot *s = map_find(m, key, siphash(m->seed, key));
	void *old;

	if (!s) {
		return NULL;
	}
	old = s->value;
	free(s->key);
	*s = (struct slot){ .value = &grave };
	m->n_live--;
	return old;
}

size_t map_size(const struct map *m)
{
	return m->n_live;
}

void *map_next(const struct map *m, size_t *it, const char **ret_key)
{
	while (*it < m->n_slots) {
		const struct slot *s = &m->slots[(*it)++];

		if (s->key) {
			if (ret_key) {
				*ret_key = s->key;
			}
			return s->value;
		}
	}
	return NULL;
}
