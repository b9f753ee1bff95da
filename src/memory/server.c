/* SPDX-License-Identifier: Apache-2.0 */
/* The server of a target's live memory. See server.h. */
/* #syscalls: pread64 futex */
#include "server.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"

#define REGISTERS_PATIENCE (2 * USEC_PER_SEC)
/* A guest that has no VMCOREINFO costs some tens of MiB to find that out. */
#define SEARCH_AGE (2 * USEC_PER_SEC)

int server_init(struct server *s)
{
	pthread_condattr_t attr;
	int r;

	s->fd = -1;
	s->cpus = calloc(CPUS_MAX, sizeof(*s->cpus));
	if (!s->cpus) {
		return -ENOMEM;
	}
	r = pthread_rwlock_init(&s->memory, NULL);
	if (r == 0) {
		r = pthread_mutex_init(&s->lock, NULL);
	}
	if (r == 0) {
		pthread_condattr_init(&attr);
		pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
		r = pthread_cond_init(&s->changed, &attr);
		pthread_condattr_destroy(&attr);
	}
	return -r;
}

void server_fini(struct server *s)
{
	s->fd = close_fd(s->fd);
	free(s->head);
	free(s->cpus);
	s->head = NULL;
	s->cpus = NULL;
}

int server_shape(struct server *s, const struct core *core)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (!s->shaped) {
		s->core = *core;
		s->shaped = true;
	} else if (!core_equal(&s->core, core)) {
		r = -EEXIST;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* What was learnt of the former memory. Under both locks. */
static void forget(struct server *s)
{
	free(s->head);
	s->head = NULL;
	s->n_cpus = 0;
	s->registers = false;
	s->info.found = false;
	s->searched_at = 0;
}

void server_open_take(struct server *s, int fd, const uint64_t *places)
{
	pthread_rwlock_wrlock(&s->memory);
	pthread_mutex_lock(&s->lock);
	close_fd(s->fd);
	s->fd = fd;
	if (places) {
		memcpy(s->places, places, s->core.n_ranges * sizeof(*places));
	}
	forget(s);
	s->fed = s->shaped;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_rwlock_unlock(&s->memory);
}

void server_close(struct server *s)
{
	server_open_take(s, -1, NULL);
}

int server_size(struct server *s, usec_t patience, uint64_t *ret)
{
	usec_t until = clock_monotonic() + patience;
	struct timespec end = { .tv_sec = (time_t)(until / USEC_PER_SEC),
				.tv_nsec = (long)(until % USEC_PER_SEC * 1000) };
	int r = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->fed && r == 0) {
		r = pthread_cond_timedwait(&s->changed, &s->lock, &end);
	}
	if (s->fed) {
		*ret = s->core.size_bytes;
	}
	r = s->fed ? 0 : -ETIMEDOUT;
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* --- the guest's RAM
 */

/* Of one range, under `memory`. The shape does not change once there is memory. */
static int range_read(const struct server *s, size_t range, uint64_t into, void *buf, size_t len)
{
	uint64_t at = s->places[range] + into;

	if (s->fd < 0) {
		return -EIO;
	}
	while (len > 0) {
		/* 0: the process has ended. */
		ssize_t n = pread(s->fd, buf, len, (off_t)at);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return -EIO;
		}
		buf = (uint8_t *)buf + n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int guest_read(void *user, uint64_t address, void *buf, size_t len)
{
	const struct server *s = user;
	uint64_t into, left;
	size_t range;

	if (core_find_address(&s->core, address, &range, &into, &left) < 0 || len > left) {
		return -EFAULT;
	}
	return range_read(s, range, into, buf, len) < 0 ? -EFAULT : 0;
}

/* --- the head
 */

/* One that nobody waits for another to make. Under `lock`, which is let go of meanwhile. */
static bool head_is_mine(struct server *s)
{
	while (s->making) {
		pthread_cond_wait(&s->changed, &s->lock);
	}
	if (s->head && clock_monotonic() - s->head_at < HEAD_AGE) {
		return false;
	}
	s->making = true;
	return true;
}

/* By the thread that has `making`, without locks; s->cpus and s->info are its own meanwhile. */
static uint8_t *head_make(struct server *s, bool *ret_registers)
{
	uint8_t *head = malloc(s->core.head_bytes);
	size_t n = 0;
	bool found = false;

	if (!head) {
		return NULL;
	}
	*ret_registers = control_registers(s->control, REGISTERS_PATIENCE, s->cpus, &n) == 0;
	if (*ret_registers) {
		s->n_cpus = n;
	}
	pthread_rwlock_rdlock(&s->memory);
	if (s->fd < 0) {
		pthread_rwlock_unlock(&s->memory);
		free(head);
		return NULL;
	}
	if (s->info.found || clock_monotonic() - s->searched_at >= SEARCH_AGE) {
		found = vmcoreinfo_find(guest_read, s, s->cpus, s->n_cpus, &s->info);
		s->searched_at = clock_monotonic();
	}
	pthread_rwlock_unlock(&s->memory);
	core_head(&s->core, s->cpus, s->n_cpus, s->info.text, found ? s->info.len : 0, head);
	return head;
}

static int head_read(struct server *s, void *buf, size_t len, uint64_t offset)
{
	bool registers = false;
	uint8_t *head;
	int r = -EIO;

	pthread_mutex_lock(&s->lock);
	if (head_is_mine(s)) {
		pthread_mutex_unlock(&s->lock);
		head = head_make(s, &registers);
		pthread_mutex_lock(&s->lock);
		free(s->head);
		s->head = head;
		s->head_at = clock_monotonic();
		s->registers = registers;
		s->making = false;
		pthread_cond_broadcast(&s->changed);
	}
	if (s->head) {
		memcpy(buf, s->head + offset, len);
		r = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int parts_read(struct server *s, uint8_t *buf, size_t len, uint64_t offset)
{
	uint64_t head_bytes = s->core.head_bytes, into, left;
	size_t range;
	int r = 0;

	if (offset < head_bytes) {
		size_t n = (size_t)MIN(len, head_bytes - offset);

		r = head_read(s, buf, n, offset);
		buf += n;
		len -= n;
		offset += n;
	}
	if (len == 0 || r < 0) {
		return r;
	}
	pthread_rwlock_rdlock(&s->memory);
	while (len > 0 && r == 0) {
		r = core_find(&s->core, offset, &range, &into, &left);
		if (r == 0) {
			size_t n = (size_t)MIN(len, left);

			r = range_read(s, range, into, buf, n);
			buf += n;
			len -= n;
			offset += n;
		}
	}
	pthread_rwlock_unlock(&s->memory);
	return r;
}

int server_read(struct server *s, void *buf, size_t len, uint64_t offset)
{
	int r = parts_read(s, buf, len, offset);

	s->reads++;
	if (r < 0) {
		s->failed++;
		return -EIO;
	}
	s->bytes += len;
	return 0;
}
