/* SPDX-License-Identifier: Apache-2.0 */
/* Strict parsing of small texts: the whole string must match, nothing is skipped or guessed. */
#pragma once

#include <stdbool.h>

#include "macro.h"

/* Decimal digits only, no sign or blanks. -EINVAL, -ERANGE. */
int parse_u64(const char *s, uint64_t *ret) _must_check_;
int parse_u32(const char *s, uint32_t *ret) _must_check_;
/* "512", "64K", "10M", "2G", "1T" (powers of 1024) into bytes. */
int parse_size(const char *s, uint64_t *ret_bytes) _must_check_;
/* "30" (seconds), "500ms", "15m", "2h", "1d". */
int parse_duration(const char *s, usec_t *ret) _must_check_;
int parse_bool(const char *s, bool *ret) _must_check_;

/* What users may call VMs, projects, stacks, images: [a-z0-9][a-z0-9._-]{0,62}. Domain names of
 * libvirt are free text and are never used as names. */
bool name_valid(const char *s);
/* Printable UTF-8 without control characters, at most `max_bytes`. */
bool text_valid(const char *s, size_t max_bytes);

/* `out` must hold 2*len+1 bytes. */
void hex_encode(const void *p, size_t len, char *out);
int hex_decode(const char *s, void *out, size_t out_len) _must_check_; /* exactly out_len bytes */
/* base64url without padding; `out` must hold (len+2)/3*4+1 bytes. */
void base64url_encode(const void *p, size_t len, char *out);
/* Standard base64 with padding for recordings over RPC. */
char *base64_encode(const void *p, size_t len);
int base64_decode(const char *s, size_t s_len, uint8_t **ret, size_t *ret_len) _must_check_;

/* asprintf that returns NULL on failure and nothing else. */
char *strf(const char *fmt, ...) _printf_(1, 2);
/* Equality in time that depends on the lengths only. */
bool secret_equal(const char *a, const char *b);
