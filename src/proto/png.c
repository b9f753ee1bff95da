/* SPDX-License-Identifier: Apache-2.0 */
/* PNG, chunk by chunk. See png.h. */
#include "png.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

#define SIGNATURE_LEN 8
#define AROUND_LEN 12 /* length, type and checksum of a chunk */
#define HEADER_LEN 13

static const uint8_t signature[SIGNATURE_LEN] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };

/* What a picture is made of. */
static const char kept[][5] = { "IHDR", "PLTE", "tRNS", "sRGB", "gAMA", "pHYs", "IDAT", "IEND" };

static bool type_is(const uint8_t *chunk, const char *type)
{
	return memcmp(chunk + 4, type, 4) == 0;
}

static bool is_kept(const uint8_t *chunk)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (type_is(chunk, kept[i])) {
			return true;
		}
	}
	return false;
}

/* Bit 5 of a type's first letter: the picture can be shown without it. */
static bool is_ancillary(const uint8_t *chunk)
{
	return chunk[4] & 0x20;
}

static int header_read(const uint8_t *chunk, uint32_t len, struct png_size *ret)
{
	if (!type_is(chunk, "IHDR") || len != HEADER_LEN) {
		return -EBADMSG;
	}
	ret->width = get_u32(chunk + 8);
	ret->height = get_u32(chunk + 12);
	return ret->width >= 1 && ret->width <= PNG_SIDE_MAX && ret->height >= 1 &&
			       ret->height <= PNG_SIDE_MAX
		       ? 0
		       : -EBADMSG;
}

int png_clean(const uint8_t *p, size_t len, struct buf *out, struct png_size *ret)
{
	struct png_size size = { 0 };
	bool first = true, data = false;
	int r;

	if (len < SIGNATURE_LEN || memcmp(p, signature, SIGNATURE_LEN) != 0) {
		return -EBADMSG;
	}
	r = buf_append(out, p, SIGNATURE_LEN);
	p += SIGNATURE_LEN;
	len -= SIGNATURE_LEN;
	while (r == 0) {
		uint32_t n;
		size_t whole;

		if (len < AROUND_LEN || get_u32(p) > len - AROUND_LEN) {
			return -EBADMSG;
		}
		n = get_u32(p);
		whole = AROUND_LEN + (size_t)n;
		if (first) {
			r = header_read(p, n, &size);
		} else if (type_is(p, "IHDR") || (!is_kept(p) && !is_ancillary(p))) {
			r = -EBADMSG;
		}
		if (r == 0 && is_kept(p)) {
			r = buf_append(out, p, whole);
		}
		if (r < 0) {
			return r;
		}
		data |= type_is(p, "IDAT");
		if (type_is(p, "IEND")) {
			if (n > 0 || !data || len != whole) {
				return -EBADMSG;
			}
			*ret = size;
			return 0;
		}
		first = false;
		p += whole;
		len -= whole;
	}
	return r;
}
