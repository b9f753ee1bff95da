/* SPDX-License-Identifier: Apache-2.0 */
/* Time and randomness. */
#pragma once

#include <stddef.h>

#include "macro.h"

usec_t clock_monotonic(void);
usec_t clock_realtime(void); /* since 1970, UTC */
/* RFC 3339 with milliseconds and Z, e.g. 2026-11-23T09:13:00.123Z; out holds 32 bytes. */
void clock_format(usec_t realtime, char out[32]);

/* getrandom(2); never fails after early boot (aborts if the kernel refuses). */
void random_bytes(void *p, size_t len);
/* "PREFIX-" and `len` characters of Crockford base32 in lower case. */
char *random_id(const char *prefix, size_t len);
/* 32 random bytes as base64url: 43 characters, for tickets and tokens. */
#define SECRET_LEN 43
void random_secret(char out[SECRET_LEN + 1]);
