/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 as text: what is kept of tokens, tickets and request bodies. */
#pragma once

#include <stddef.h>

#define SHA256_HEX_LEN 64

void sha256_hex(const void *p, size_t len, char out[SHA256_HEX_LEN + 1]);
