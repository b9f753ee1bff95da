/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of screens that wait to be read. See shots.h. */
#include "shots.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "parse.h"

struct shot {
	char id[SHOT_ID_MAX + 1]; /* "": free */
	uint8_t *bytes;
	size_t len;
	usec_t taken;
};

struct shots {
	pthread_mutex_t lock;
	struct shot shots[SHOTS_MAX];
};

int shots_new(struct shots **ret)
{
	struct shots *s = calloc(1, sizeof(*s));

	if (!s) {
		return -ENOMEM;
	}
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

static void shot_clear(struct shot *shot)
{
	free(shot->bytes);
	*shot = (struct shot){ 0 };
}

struct shots *shots_free(struct shots *s)
{
	if (s) {
		for (size_t i = 0; i < SHOTS_MAX; i++) {
			shot_clear(&s->shots[i]);
		}
		pthread_mutex_destroy(&s->lock);
		free(s);
	}
	return NULL;
}

static void sweep(struct shots *s)
{
	usec_t now = clock_monotonic();

	for (size_t i = 0; i < SHOTS_MAX; i++) {
		if (s->shots[i].id[0] && now - s->shots[i].taken >= SHOT_TTL) {
			shot_clear(&s->shots[i]);
		}
	}
}

void shots_sweep(struct shots *s)
{
	pthread_mutex_lock(&s->lock);
	sweep(s);
	pthread_mutex_unlock(&s->lock);
}

/* A free place, or that of the oldest. */
static struct shot *place(struct shots *s)
{
	struct shot *oldest = &s->shots[0];

	for (size_t i = 0; i < SHOTS_MAX; i++) {
		if (!s->shots[i].id[0]) {
			return &s->shots[i];
		}
		if (s->shots[i].taken < oldest->taken) {
			oldest = &s->shots[i];
		}
	}
	shot_clear(oldest);
	return oldest;
}

void shots_keep_take(struct shots *s, const char *id, uint8_t *bytes, size_t len)
{
	struct shot *shot;

	pthread_mutex_lock(&s->lock);
	sweep(s);
	shot = place(s);
	snprintf(shot->id, sizeof(shot->id), "%s", id);
	shot->bytes = bytes;
	shot->len = len;
	shot->taken = clock_monotonic();
	pthread_mutex_unlock(&s->lock);
}

static struct shot *find(struct shots *s, const char *id)
{
	for (size_t i = 0; i < SHOTS_MAX; i++) {
		if (s->shots[i].id[0] && strcmp(s->shots[i].id, id) == 0) {
			return &s->shots[i];
		}
	}
	return NULL;
}

char *shots_read(struct shots *s, const char *id, uint64_t offset, size_t max, bool *ret_eof)
{
	struct shot *shot;
	char *data = NULL;

	pthread_mutex_lock(&s->lock);
	sweep(s);
	shot = find(s, id);
	if (shot && offset < shot->len) {
		size_t n = MIN(shot->len - (size_t)offset, max);

		data = base64_encode(shot->bytes + offset, n);
		*ret_eof = offset + n == shot->len;
		if (data && *ret_eof) {
			shot_clear(shot);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return data;
}
