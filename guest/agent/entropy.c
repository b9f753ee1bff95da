/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's random pool, random(4). */
#include "entropy.h"

#include <assert.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <linux/random.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cleanup.h"

/* Intel's guide to RDRAND: one that fails ten times is out of order. */
#define RDRAND_TRIES 10

int entropy_add(const uint8_t *bytes, size_t n)
{
	struct {
		int entropy_count, buf_size;
		uint8_t bytes[ENTROPY_BYTES_MAX];
	} pool = { .entropy_count = (int)n * 8, .buf_size = (int)n };
	_cleanup_close_ int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	int r = 0;

	assert(n >= 1 && n <= ENTROPY_BYTES_MAX);
	if (fd < 0) {
		return -errno;
	}
	memcpy(pool.bytes, bytes, n);
	if (ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0) {
		r = -errno;
	}
	explicit_bzero(&pool, sizeof(pool));
	return r;
}

__attribute__((target("rdrnd"))) static bool rdrand(unsigned long long *ret)
{
	for (int i = 0; i < RDRAND_TRIES; i++) {
		if (_rdrand64_step(ret)) {
			return true;
		}
	}
	return false;
}

int entropy_add_cpu(void)
{
	unsigned a, b, c, d;
	unsigned long long words[ENTROPY_BYTES_MAX / sizeof(unsigned long long)];
	int r;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_RDRND)) {
		return -ENODEV;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!rdrand(&words[i])) {
			return -ENODEV;
		}
	}
	r = entropy_add((const uint8_t *)words, sizeof(words));
	explicit_bzero(words, sizeof(words));
	return r;
}
