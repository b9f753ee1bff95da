/* SPDX-License-Identifier: Apache-2.0 */
/* Users of emulators. */
#include "dvm_uid.h"

#include <pthread.h>

#include "cleanup.h"
#include "pool.h"
#include "session_file.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void dvm_uid_lock(void)
{
	pthread_mutex_lock(&lock);
}

void dvm_uid_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

struct uid_search {
	const struct hostd *hostd;
	uid_t uid;
	bool used;
};

static int uid_compare(const char *session, void *user)
{
	struct uid_search *search = user;
	json_auto_t *state = NULL;
	struct fault fault;

	if (session_load(search->hostd, session, &state, &fault) == 0 &&
	    (uid_t)json_integer_value(json_object_get(state, "uid")) == search->uid) {
		search->used = true;
	}
	return search->used;
}

uid_t dvm_uid_choose(const struct hostd *h, const char *name)
{
	unsigned hash = 5381;

	for (const char *p = name; *p; p++) {
		hash = hash * 33 + (unsigned char)*p;
	}
	for (unsigned i = 0; h->root && i < DVM_UIDS; i++) {
		struct uid_search search = { .hostd = h,
					     .uid = DVM_UID_FIRST + (hash + i) % DVM_UIDS };

		search.used = pool_has_uid(h->pool, search.uid);
		if (!search.used) {
			session_each(h, uid_compare, &search);
		}
		if (!search.used) {
			return search.uid;
		}
	}
	return 0;
}
