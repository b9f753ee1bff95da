/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server of a target's live memory: what nbdkit's threads read and the control thread sets
 * (PROTOCOL.memory).
 *
 * Theory of operation. The shape of the device is given once and stays; the memory behind it, an fd
 * and where in it each range begins, comes and goes with the VM's process. The head (ELF headers
 * and notes) is made anew when it is read and older than HEAD_AGE: registers are asked for at
 * dvm-hostd, through the control thread; VMCOREINFO is looked for in the memory itself. While one
 * thread makes it the others wait.
 *
 * Locks: `memory` (read-write) is held while the fd is read; `lock` for all else, and never while
 * something is waited for. Whoever holds both took `memory` first.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "clock.h"
#include "core.h"
#include "search.h"

#define HEAD_AGE (100 * USEC_PER_MSEC)

struct control;

struct server {
	const char *name;
	struct control *control;

	pthread_rwlock_t memory;
	int fd; /* -1: the VM is off */
	uint64_t places[CORE_RANGES_MAX];

	pthread_mutex_t lock;
	pthread_cond_t changed; /* fed, making */
	bool shaped;
	bool fed; /* told for once whether there is memory: until then clients wait */
	struct core core;
	bool making;
	uint8_t *head; /* core.head_bytes; NULL: never made for this memory */
	usec_t head_at;
	struct cpu_state *cpus;
	size_t n_cpus;
	bool registers; /* of the last head, they were current */
	struct vmcoreinfo info;
	usec_t searched_at;

	atomic_ullong reads, bytes, failed;
};

int server_init(struct server *s) _must_check_;
void server_fini(struct server *s);

/* -EEXIST: it has another shape. */
int server_shape(struct server *s, const struct core *core) _must_check_;
/* Takes `fd`; as many places as the shape has ranges. */
void server_open_take(struct server *s, int fd, const uint64_t *places);
void server_close(struct server *s);

/* The device's size; waits for it up to `patience`. -ETIMEDOUT. */
int server_size(struct server *s, usec_t patience, uint64_t *ret) _must_check_;
/* -EIO. */
int server_read(struct server *s, void *buf, size_t len, uint64_t offset) _must_check_;
