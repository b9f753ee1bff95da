/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 as text: what is kept of tokens, tickets and request bodies. */
#pragma once

#include <stddef.h>

#define SHA256_HEX_LEN 64

#define SHA256_BASE64_LEN 43 /* without padding */

void sha256_base64(const void *p, size_t len, char out[SHA256_BASE64_LEN + 1]);
void sha256_hex(const void *p, size_t len, char out[SHA256_HEX_LEN + 1]);
