/* SPDX-License-Identifier: Apache-2.0 */
/* Which D-VM a session got. */
#include "adopted.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "list.h"

struct entry {
	struct list link;
	char session[DVM_SESSION_MAX + 1], uuid[DOMAIN_UUID_LEN + 1];
};

struct adopted {
	pthread_mutex_t lock;
	struct list entries; /* struct entry */
	size_t n;
};

int adopted_new(struct adopted **ret)
{
	struct adopted *a = calloc(1, sizeof(*a));

	if (!a) {
		return -ENOMEM;
	}
	pthread_mutex_init(&a->lock, NULL);
	list_init(&a->entries);
	*ret = a;
	return 0;
}

struct adopted *adopted_free(struct adopted *a)
{
	if (a) {
		adopted_clear(a);
		pthread_mutex_destroy(&a->lock);
		free(a);
	}
	return NULL;
}

static struct entry *find(struct adopted *a, const char *session, const char *uuid)
{
	struct entry *e;

	list_for_each (e, &a->entries, link) {
		if ((session && strcmp(e->session, session) == 0) ||
		    (uuid && strcmp(e->uuid, uuid) == 0)) {
			return e;
		}
	}
	return NULL;
}

static void drop(struct adopted *a, struct entry *e)
{
	list_del(&e->link);
	a->n--;
	free(e);
}

int adopted_put(struct adopted *a, const char *session, const char *uuid)
{
	struct entry *e = calloc(1, sizeof(*e)), *old;
	int r = 0;

	if (!e || strlen(session) > DVM_SESSION_MAX || strlen(uuid) > DOMAIN_UUID_LEN) {
		free(e);
		return -ENOMEM;
	}
	strcpy(e->session, session);
	strcpy(e->uuid, uuid);
	pthread_mutex_lock(&a->lock);
	while ((old = find(a, session, uuid))) {
		drop(a, old);
	}
	if (a->n < ADOPTED_MAX) {
		list_add_tail(&a->entries, &e->link);
		a->n++;
	} else {
		free(e);
		r = -ENOSPC;
	}
	pthread_mutex_unlock(&a->lock);
	return r;
}

void adopted_remove(struct adopted *a, const char *session)
{
	struct entry *e;

	pthread_mutex_lock(&a->lock);
	e = find(a, session, NULL);
	if (e) {
		drop(a, e);
	}
	pthread_mutex_unlock(&a->lock);
}

void adopted_clear(struct adopted *a)
{
	struct entry *e, *next;

	pthread_mutex_lock(&a->lock);
	list_for_each_safe (e, next, &a->entries, link) {
		drop(a, e);
	}
	pthread_mutex_unlock(&a->lock);
}

bool adopted_uuid(struct adopted *a, const char *session, char ret_uuid[DOMAIN_UUID_LEN + 1])
{
	const struct entry *e;

	pthread_mutex_lock(&a->lock);
	e = find(a, session, NULL);
	if (e) {
		strcpy(ret_uuid, e->uuid);
	}
	pthread_mutex_unlock(&a->lock);
	return e;
}

bool adopted_session(struct adopted *a, const char *uuid, char ret_session[DVM_SESSION_MAX + 1])
{
	const struct entry *e;

	pthread_mutex_lock(&a->lock);
	e = find(a, NULL, uuid);
	if (e) {
		strcpy(ret_session, e->session);
	}
	pthread_mutex_unlock(&a->lock);
	return e;
}
