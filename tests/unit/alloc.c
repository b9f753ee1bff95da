/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of the libraries under test comes here: the linker redirects them (--wrap).
 */
#include "alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

static unsigned count, fail_at; /* fail_at 0: never */
static long live;		/* allocations that were not freed yet */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_vasprintf(char **ret, const char *fmt, va_list ap);
int __real___vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap);
void __real_free(void *p);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_vasprintf(char **ret, const char *fmt, va_list ap);
int __wrap___vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap);
void __wrap_free(void *p);

static bool fails(void)
{
	if (fail_at == 0 || ++count != fail_at) {
		return false;
	}
	errno = ENOMEM;
	return true;
}

static void *counted(void *p)
{
	live += p != NULL;
	return p;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size)
{
	if (fails()) {
		return NULL;
	}
	return p ? __real_realloc(p, size) : counted(__real_realloc(p, size));
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : counted(__real_strdup(s));
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : counted(__real_strndup(s, n));
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
	int n = fails() ? -1 : __real_vasprintf(ret, fmt, ap);

	live += n >= 0;
	return n;
}

int __wrap___vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap)
{
	int n = fails() ? -1 : __real___vasprintf_chk(ret, flag, fmt, ap);

	live += n >= 0;
	return n;
}

void __wrap_free(void *p)
{
	live -= p != NULL;
	__real_free(p);
}

void fail_none(void)
{
	fail_at = 0;
}

unsigned fail_each(int (*scenario)(void), bool tolerant)
{
	for (unsigned n = 1;; n++) {
		long before = live;
		int r;

		count = 0;
		fail_at = n;
		r = scenario();
		fail_at = 0;
		if (live != before) {
			fail_msg("run %u: %ld allocations left", n, live - before);
		}
		if (count < n) {
			assert_int_equal(r, 0);
			return n - 1;
		}
		if (!tolerant && r != -ENOMEM && r != -EREMOTEIO && r != -EPROTO) {
			fail_msg("run %u: %d", n, r);
		}
	}
}
