/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in the byte order of a PC's memory, at any alignment. */
#pragma once

#include <stdint.h>

static inline uint16_t le_u16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t le_u32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)le_u16(b) | (uint32_t)le_u16(b + 2) << 16;
}

static inline uint64_t le_u64(const void *p)
{
	const uint8_t *b = p;

	return (uint64_t)le_u32(b) | (uint64_t)le_u32(b + 4) << 32;
}
