/* SPDX-License-Identifier: Apache-2.0 */
/* Time and randomness. */
#include "clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "parse.h"

static usec_t clock_read(clockid_t id)
{
	struct timespec ts;
	int r = clock_gettime(id, &ts);

	assert(r == 0);
	(void)r;
	return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

usec_t clock_monotonic(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

usec_t clock_realtime(void)
{
	return clock_read(CLOCK_REALTIME);
}

void clock_format(usec_t realtime, char out[32])
{
	time_t seconds = (time_t)(realtime / USEC_PER_SEC);
	unsigned ms = (unsigned)(realtime / USEC_PER_MSEC % 1000);
	struct tm tm;
	size_t n;

	/* The year of the largest usec_t still has six digits: everything fits. */
	if (!gmtime_r(&seconds, &tm)) {
		tm = (struct tm){ .tm_year = 70, .tm_mday = 1 };
	}
	n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 32 - n, ".%03uZ", ms);
}

void random_bytes(void *p, size_t len)
{
	uint8_t *at = p;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0) {
			if (errno != EINTR) {
				abort();
			}
			continue;
		}
		at += n;
		len -= (size_t)n;
	}
}

char *random_id(const char *prefix, size_t len)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	size_t prefix_len = strlen(prefix);
	char *id = malloc(prefix_len + 1 + len + 1);
	char *at;

	if (!id) {
		return NULL;
	}
	at = stpcpy(id, prefix);
	*at++ = '-';
	random_bytes(at, len);
	for (size_t i = 0; i < len; i++) {
		at[i] = digits[(uint8_t)at[i] % 32];
	}
	at[len] = '\0';
	return id;
}

void random_secret(char out[SECRET_LEN + 1])
{
	uint8_t bytes[32];
	char text[sizeof(bytes) / 3 * 4 + 5];

	random_bytes(bytes, sizeof(bytes));
	base64url_encode(bytes, sizeof(bytes), text);
	memcpy(out, text, SECRET_LEN + 1);
	explicit_bzero(bytes, sizeof(bytes));
	explicit_bzero(text, sizeof(text));
}
