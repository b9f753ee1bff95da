/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership by scope: attributes that release a variable when it goes out of it. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _cleanup_free_ _cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)
#define _cleanup_fclose_ _cleanup_(cleanup_fclosep)

/* Declares `type##_freep`-style helper `name` that calls `fn` on a non-NULL pointer. */
#define DEFINE_CLEANUP(type, fn)                                                                   \
	static inline void fn##p(type *p)                                                          \
	{                                                                                          \
		if (*p) {                                                                          \
			fn(*p);                                                                    \
		}                                                                                  \
	}                                                                                          \
	struct cleanup_needs_semicolon

#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) *_pp = &(p);                                                         \
		__typeof__(p) _p = *_pp;                                                           \
		*_pp = NULL;                                                                       \
		_p;                                                                                \
	})

#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int *_fdp = &(fd);                                                                 \
		int _fd = *_fdp;                                                                   \
		*_fdp = -1;                                                                        \
		_fd;                                                                               \
	})

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

/* close() that takes -1, keeps errno and returns -1 for assignment. */
static inline int close_fd(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -1;
}

static inline void cleanup_closep(int *fd)
{
	*fd = close_fd(*fd);
}

static inline void cleanup_fclosep(FILE **f)
{
	if (*f) {
		fclose(*f);
	}
}
