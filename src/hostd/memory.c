/* SPDX-License-Identifier: Apache-2.0 */
/* The store of memory images. */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "dir_each.h"
#include "file.h"
#include "list.h"
#include "log.h"
#include "parse.h"

#define SHAPE_LEN 64
#define MAKING_NAME_DIGITS 12
#define PART_SUFFIX ".part"

struct memory_store {
	char *folder;
	struct image_store *images;
	pthread_mutex_t lock;
	struct list making; /* struct memory_making; under the lock */
	atomic_bool stop;
};

struct memory_making {
	struct list link;
	struct memory_store *store;
	char shape[SHAPE_LEN + 1];
	char name[2 + MAKING_NAME_DIGITS + 1];
	char *path;
};

static bool memory_name_valid(const char *s)
{
	return strlen(s) == MEMORY_NAME_LEN && s[SHAPE_LEN] == '-' &&
	       strspn(s, "0123456789abcdef") == SHAPE_LEN &&
	       strspn(s + SHAPE_LEN + 1, "0123456789abcdef") == 64;
}

static bool part_name_valid(const char *s)
{
	return strlen(s) == SHAPE_LEN + strlen(PART_SUFFIX) &&
	       strcmp(s + SHAPE_LEN, PART_SUFFIX) == 0;
}

static int part_remove(const char *name, void *user)
{
	const struct memory_store *s = user;
	_cleanup_free_ char *path = strf("%s/%s", s->folder, name);

	if (path) {
		unlink(path);
	}
	return 0;
}

int memory_store_new(const char *folder, struct image_store *images, struct memory_store **ret)
{
	struct memory_store *s = calloc(1, sizeof(*s));

	if (!s) {
		return -ENOMEM;
	}
	s->folder = strdup(folder);
	s->images = images;
	list_init(&s->making);
	pthread_mutex_init(&s->lock, NULL);
	if (!s->folder) {
		memory_store_free(s);
		return -ENOMEM;
	}
	/* of a program that was killed while it made them */
	dir_each(folder, part_name_valid, part_remove, s);
	*ret = s;
	return 0;
}

struct memory_store *memory_store_free(struct memory_store *s)
{
	if (s) {
		assert(list_empty(&s->making));
		pthread_mutex_destroy(&s->lock);
		free(s->folder);
		free(s);
	}
	return NULL;
}

static int shape_hash(const char *shape, char ret_hex[SHAPE_LEN + 1])
{
	uint8_t digest[32];

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, shape, strlen(shape), digest) < 0) {
		return -ENOMEM;
	}
	hex_encode(digest, sizeof(digest), ret_hex);
	return 0;
}

struct search {
	const char *shape;
	char *name;
};

static int match_shape(const char *name, void *user)
{
	struct search *search = user;

	if (strncmp(name, search->shape, SHAPE_LEN) != 0) {
		return 0;
	}
	strcpy(search->name, name);
	return 1;
}

static bool memory_verify(struct memory_store *s, const char *name)
{
	_cleanup_free_ char *path = strf("%s/%s", s->folder, name);
	struct image_file file = { .path = path };
	struct fault fault;
	struct stat st;

	if (!path || stat(path, &st) < 0) {
		return false;
	}
	file.size_bytes = (uint64_t)st.st_size;
	strcpy(file.name, "memory image");
	strcpy(file.sha256, name + SHAPE_LEN + 1);
	return image_file_verify(s->images, &file, &fault) == 0;
}

bool memory_find(struct memory_store *s, const char *shape, char ret_name[MEMORY_NAME_LEN + 1])
{
	char hash[SHAPE_LEN + 1];
	struct search search = { .shape = hash, .name = ret_name };

	if (shape_hash(shape, hash) < 0 ||
	    dir_each(s->folder, memory_name_valid, match_shape, &search) != 1) {
		return false;
	}
	if (!memory_verify(s, ret_name)) {
		log_warn("memory image %.12s is damaged; removed", ret_name);
		memory_drop(s, ret_name);
		return false;
	}
	return true;
}

int memory_copy(struct memory_store *s, const char *name, const char *path)
{
	_cleanup_free_ char *from_path = strf("%s/%s", s->folder, name);
	_cleanup_close_ int from = -1, to = -1;
	int r;

	from = from_path ? open(from_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (from < 0) {
		return from_path ? -errno : -ENOMEM;
	}
	to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (to < 0) {
		return -errno;
	}
	r = file_copy(from, to);
	if (r < 0) {
		unlink(path);
	}
	return r;
}

void memory_drop(struct memory_store *s, const char *name)
{
	_cleanup_free_ char *path = strf("%s/%s", s->folder, name);

	if (path && memory_name_valid(name)) {
		unlink(path);
	}
}

/* --- making
 * -------------------------------------------------------------------------------------------- */

int memory_begin(struct memory_store *s, const char *shape, struct memory_making **ret)
{
	struct memory_making *m = calloc(1, sizeof(*m)), *other;
	int r = m ? shape_hash(shape, m->shape) : -ENOMEM;

	if (r == 0) {
		m->path = strf("%s/%s" PART_SUFFIX, s->folder, m->shape);
		r = m->path ? 0 : -ENOMEM;
	}
	if (r < 0) {
		free(m);
		return r;
	}
	snprintf(m->name, sizeof(m->name), "t-%.*s", MAKING_NAME_DIGITS, m->shape);
	pthread_mutex_lock(&s->lock);
	list_for_each (other, &s->making, link) {
		if (strcmp(other->name, m->name) == 0) {
			r = -EALREADY;
		}
	}
	if (r == 0) {
		m->store = s;
		list_add_tail(&s->making, &m->link);
	}
	pthread_mutex_unlock(&s->lock);
	if (r < 0) {
		free(m->path);
		free(m);
		return r;
	}
	unlink(m->path);
	*ret = m;
	return 0;
}

const char *memory_making_name(const struct memory_making *m)
{
	return m->name;
}

const char *memory_making_path(const struct memory_making *m)
{
	return m->path;
}

/* By the time of access as the file system keeps it, most often to the day: setting it by hand
 * would change the file's ctime, and have it verified anew. */
struct oldest {
	const struct memory_store *store;
	unsigned n;
	struct timespec used;
	char name[MEMORY_NAME_LEN + 1];
};

static int find_oldest(const char *name, void *user)
{
	struct oldest *oldest = user;
	_cleanup_free_ char *path = strf("%s/%s", oldest->store->folder, name);
	struct stat st;

	if (path && stat(path, &st) == 0) {
		if (oldest->n == 0 || st.st_atim.tv_sec < oldest->used.tv_sec ||
		    (st.st_atim.tv_sec == oldest->used.tv_sec &&
		     st.st_atim.tv_nsec < oldest->used.tv_nsec)) {
			oldest->used = st.st_atim;
			strcpy(oldest->name, name);
		}
		oldest->n++;
	}
	return 0;
}

static void make_room(struct memory_store *s)
{
	struct oldest oldest;

	do {
		oldest = (struct oldest){ .store = s };
		dir_each(s->folder, memory_name_valid, find_oldest, &oldest);
		if (oldest.n >= MEMORY_IMAGES_MAX) {
			memory_drop(s, oldest.name);
		}
	} while (oldest.n > MEMORY_IMAGES_MAX);
}

int memory_finish(struct memory_making *m)
{
	struct memory_store *s = m->store;
	_cleanup_close_ int fd = open(m->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_free_ char *path = NULL;
	char sum[65], name[MEMORY_NAME_LEN + 1];
	int r;

	r = fd < 0 ? -errno : image_file_hash(fd, sum);
	if (r < 0) {
		return r;
	}
	make_room(s);
	snprintf(name, sizeof(name), "%s-%s", m->shape, sum);
	path = strf("%s/%s", s->folder, name);
	if (!path) {
		return -ENOMEM;
	}
	if (rename(m->path, path) < 0) {
		return -errno;
	}
	/* Remembers it as verified: the next to start from it need not read it for that. */
	return memory_verify(s, name) ? 0 : -EIO;
}

struct memory_making *memory_making_free(struct memory_making *m)
{
	if (m) {
		unlink(m->path);
		pthread_mutex_lock(&m->store->lock);
		list_del(&m->link);
		pthread_mutex_unlock(&m->store->lock);
		free(m->path);
		free(m);
	}
	return NULL;
}

bool memory_is_making(struct memory_store *s, const char *name)
{
	const struct memory_making *m;
	bool found = false;

	pthread_mutex_lock(&s->lock);
	list_for_each (m, &s->making, link) {
		found |= strcmp(m->name, name) == 0;
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

void memory_store_stop(struct memory_store *s)
{
	s->stop = true;
}

bool memory_store_stopping(const struct memory_store *s)
{
	return s->stop;
}
