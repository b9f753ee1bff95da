/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a qcow2 header (docs/interop/qcow2.txt of QEMU): magic, version, where the backing file's
 * name stands, and the header extension that states that file's format. All integers are
 * big-endian.
 */
#include "qcow2.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define QCOW2_MAGIC 0x514649fbu
#define EXTENSION_END 0u
#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define VERSION_2_HEADER_BYTES 72
#define VERSION_3_HEADER_MIN 104

static uint32_t u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t u64_at(const uint8_t *p)
{
	return (uint64_t)u32_at(p) << 32 | u32_at(p + 4);
}

int qcow2_backing_read(const uint8_t *head, size_t len, struct qcow2_backing *ret)
{
	struct qcow2_backing backing = { 0 };
	uint64_t name_at;
	uint32_t version, name_len;
	size_t at;

	if (len < VERSION_2_HEADER_BYTES || u32_at(head) != QCOW2_MAGIC) {
		return -EBADMSG;
	}
	version = u32_at(head + 4);
	name_at = u64_at(head + 8);
	name_len = u32_at(head + 16);
	if (version != 2 && version != 3) {
		return -EBADMSG;
	}
	if (name_at != 0) {
		if (name_len == 0 || name_len >= QCOW2_BACKING_MAX || name_at > len ||
		    name_len > len - name_at) {
			return -EBADMSG;
		}
		memcpy(backing.file, head + name_at, name_len);
		if (strlen(backing.file) != name_len) {
			return -EBADMSG;
		}
	}
	at = VERSION_2_HEADER_BYTES;
	if (version == 3) {
		if (len < VERSION_3_HEADER_MIN) {
			return -EBADMSG;
		}
		at = u32_at(head + 100);
	}
	while (at <= len && len - at >= 8) {
		uint32_t type = u32_at(head + at), size = u32_at(head + at + 4);

		at += 8;
		if (type == EXTENSION_END) {
			break;
		}
		if (size > len - at) {
			return -EBADMSG;
		}
		if (type == EXTENSION_BACKING_FORMAT) {
			backing.is_qcow2 = size == 5 && memcmp(head + at, "qcow2", 5) == 0;
		}
		at += (size + 7) / 8 * 8;
	}
	*ret = backing;
	return 0;
}
