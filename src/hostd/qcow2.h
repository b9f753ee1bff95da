/* SPDX-License-Identifier: Apache-2.0 */
/* The little of the qcow2 format that tells which file an image stands on. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "macro.h"

#define QCOW2_HEAD_MAX 65536
#define QCOW2_BACKING_MAX 1024

struct qcow2_backing {
	char file[QCOW2_BACKING_MAX]; /* as written; "" if it stands on nothing */
	bool is_qcow2;		      /* its format is stated, and is qcow2 */
};

/* `head`: the image's first bytes, up to QCOW2_HEAD_MAX. -EBADMSG when it is no qcow2 image or
 * malformed. */
int qcow2_backing_read(const uint8_t *head, size_t len, struct qcow2_backing *ret) _must_check_;
