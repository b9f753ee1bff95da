/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2 headers of disks that others made. */
#include <string.h>

#include "fuzz.h"
#include "qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qcow2_backing backing;

	if (qcow2_backing_read(data, size, &backing) == 0) {
		must(strlen(backing.file) < QCOW2_BACKING_MAX);
		must(memcmp(data, "QFI\xfb", 4) == 0);
	}
	return 0;
}
