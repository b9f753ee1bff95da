/* SPDX-License-Identifier: Apache-2.0 */
/* The list of D-VMs in stock, and how many there are to be. */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "dvm_plan.h"
#include "list.h"

/* So many sessions in that time are likely to be as many in the next. */
#define RECENT_TIME (300 * USEC_PER_SEC)
/* The pool leaves the host that much memory, or an eighth of it all. */
#define RESERVE_MIB 1024
/* Something waits for memory so often: the pool is not what it should go to. */
#define STALLED_MAX 10.0

enum member_state { MEMBER_MAKING, MEMBER_READY, MEMBER_LOST, MEMBER_LEAVING };

struct member {
	struct list link;
	enum member_state state;
	char id[DVM_SESSION_MAX + 1];
	char *shape; /* of one that is ready */
	uid_t uid;
};

struct pool {
	pthread_mutex_t lock;
	struct pool_settings settings;
	struct list members; /* struct member, the oldest first */
	unsigned n;
	bool closed;
	usec_t wanted[POOL_MEMBERS_MAX]; /* when; a ring */
	unsigned wanted_at;
	usec_t made_at; /* the last one */
};

unsigned pool_want(const struct pool_settings *settings, const struct pool_load *load)
{
	uint64_t each_mib = (uint64_t)settings->memory_mib + EMULATOR_MIB;
	uint64_t reserve_mib = MIN((uint64_t)RESERVE_MIB, load->total_mib / 8);
	uint64_t want = MAX(settings->min, load->recent);

	want = MIN(want, (uint64_t)settings->max);
	want = MIN(want, settings->budget_mib / each_mib);
	want = MIN(want, (uint64_t)POOL_MEMBERS_MAX);
	if (load->free_mib < reserve_mib || load->stalled > STALLED_MAX) {
		uint64_t one_less = load->ready ? load->ready - 1 : 0;

		return (unsigned)MIN(want, one_less);
	}
	/* What is there has its memory; more only as far as that leaves enough. */
	return (unsigned)MIN(want, load->ready + (load->free_mib - reserve_mib) / each_mib);
}

int pool_new(struct pool **ret)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p) {
		return -ENOMEM;
	}
	pthread_mutex_init(&p->lock, NULL);
	list_init(&p->members);
	*ret = p;
	return 0;
}

static void member_remove(struct pool *p, struct member *m)
{
	list_del(&m->link);
	p->n--;
	free(m->shape);
	free(m);
}

struct pool *pool_free(struct pool *p)
{
	struct member *m, *next;

	if (p) {
		list_for_each_safe (m, next, &p->members, link) {
			member_remove(p, m);
		}
		pthread_mutex_destroy(&p->lock);
		free(p);
	}
	return NULL;
}

void pool_set(struct pool *p, const struct pool_settings *settings)
{
	pthread_mutex_lock(&p->lock);
	p->settings = *settings;
	pthread_mutex_unlock(&p->lock);
}

void pool_get(struct pool *p, struct pool_settings *ret)
{
	pthread_mutex_lock(&p->lock);
	*ret = p->settings;
	if (p->closed) {
		ret->max = 0;
	}
	pthread_mutex_unlock(&p->lock);
}

bool pool_is_on(struct pool *p)
{
	struct pool_settings settings;

	pool_get(p, &settings);
	return settings.max > 0;
}

static struct member *find(struct pool *p, const char *id)
{
	struct member *m;

	list_for_each (m, &p->members, link) {
		if (strcmp(m->id, id) == 0) {
			return m;
		}
	}
	return NULL;
}

int pool_add(struct pool *p, const char *id, uid_t uid)
{
	struct member *m = calloc(1, sizeof(*m));
	int r = 0;

	if (!m || strlen(id) > DVM_SESSION_MAX) {
		free(m);
		return -ENOMEM;
	}
	m->uid = uid;
	strcpy(m->id, id);
	pthread_mutex_lock(&p->lock);
	if (p->closed || p->n == POOL_MEMBERS_MAX) {
		r = p->closed ? -ECANCELED : -ENOSPC;
		free(m);
	} else {
		list_add_tail(&p->members, &m->link);
		p->n++;
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

int pool_ready(struct pool *p, const char *id, const char *shape)
{
	struct member *m;
	int r = -ECANCELED;

	pthread_mutex_lock(&p->lock);
	m = find(p, id);
	if (m && !p->closed) {
		m->shape = strdup(shape);
		r = m->shape ? 0 : -ENOMEM;
	}
	if (r == 0) {
		m->state = MEMBER_READY;
		p->made_at = clock_monotonic();
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

bool pool_take(struct pool *p, const char *shape, char ret_id[DVM_SESSION_MAX + 1], uid_t *ret_uid)
{
	struct member *m;
	bool found = false;

	pthread_mutex_lock(&p->lock);
	p->wanted[p->wanted_at++ % POOL_MEMBERS_MAX] = clock_monotonic();
	list_for_each (m, &p->members, link) {
		if (m->state == MEMBER_READY && strcmp(m->shape, shape) == 0) {
			m->state = MEMBER_LEAVING;
			strcpy(ret_id, m->id);
			*ret_uid = m->uid;
			found = true;
			break;
		}
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

bool pool_surplus(struct pool *p, const char *shape, unsigned want,
		  char ret_id[DVM_SESSION_MAX + 1])
{
	struct member *m, *found = NULL;
	unsigned ready = 0;

	pthread_mutex_lock(&p->lock);
	list_for_each (m, &p->members, link) {
		if (m->state == MEMBER_LOST) {
			found = m;
			break;
		}
		if (m->state != MEMBER_READY) {
			continue;
		}
		if (!shape || strcmp(m->shape, shape) != 0 || ready == want) {
			found = m;
			break;
		}
		ready++;
	}
	if (found) {
		found->state = MEMBER_LEAVING;
		strcpy(ret_id, found->id);
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

bool pool_lost(struct pool *p, const char *id)
{
	struct member *m;
	bool lost;

	pthread_mutex_lock(&p->lock);
	m = find(p, id);
	lost = m && m->state == MEMBER_READY;
	if (lost) {
		m->state = MEMBER_LOST;
	}
	pthread_mutex_unlock(&p->lock);
	return lost;
}

bool pool_drop(struct pool *p, const char *id)
{
	struct member *m;

	pthread_mutex_lock(&p->lock);
	m = find(p, id);
	if (m) {
		member_remove(p, m);
	}
	pthread_mutex_unlock(&p->lock);
	return m;
}

bool pool_has(struct pool *p, const char *id)
{
	bool found;

	pthread_mutex_lock(&p->lock);
	found = find(p, id);
	pthread_mutex_unlock(&p->lock);
	return found;
}

bool pool_has_uid(struct pool *p, uid_t uid)
{
	const struct member *m;
	bool found = false;

	pthread_mutex_lock(&p->lock);
	list_for_each (m, &p->members, link) {
		found |= m->uid == uid;
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

unsigned pool_n_ready(struct pool *p)
{
	const struct member *m;
	unsigned n = 0;

	pthread_mutex_lock(&p->lock);
	list_for_each (m, &p->members, link) {
		n += m->state == MEMBER_READY;
	}
	pthread_mutex_unlock(&p->lock);
	return n;
}

unsigned pool_recent(struct pool *p)
{
	usec_t now = clock_monotonic();
	unsigned n = 0;

	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		n += p->wanted[i] && now - p->wanted[i] < RECENT_TIME;
	}
	pthread_mutex_unlock(&p->lock);
	return n;
}

usec_t pool_pause(struct pool *p)
{
	usec_t now = clock_monotonic(), until;

	pthread_mutex_lock(&p->lock);
	until = p->made_at ? p->made_at + p->settings.refill : 0;
	pthread_mutex_unlock(&p->lock);
	return until > now ? until - now : 0;
}

void pool_close(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->closed = true;
	pthread_mutex_unlock(&p->lock);
}

bool pool_id_valid(const char *s)
{
	return s[0] == 'p' && s[1] == '-' && s[2] && strlen(s) <= DVM_SESSION_MAX;
}
