/* SPDX-License-Identifier: Apache-2.0 */
/* VMCOREINFO out of a guest's memory. */
#include <errno.h>

#include "fuzz.h"
#include "vmcoreinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmcoreinfo v = { 0 };
	char text[8];
	uint64_t n;
	int r = vmcoreinfo_init(&v, (const char *)data, size);

	must(r == 0 || r == -EINVAL);
	vmcoreinfo_text(&v, "OSRELEASE", text, sizeof(text));
	vmcoreinfo_value(&v, "SYMBOL", "a", &n);
	vmcoreinfo_value(&v, "NUMBER", "a", &n);
	vmcoreinfo_hex(&v, "KERNELOFFSET", &n);
	vmcoreinfo_fini(&v);
	return 0;
}
