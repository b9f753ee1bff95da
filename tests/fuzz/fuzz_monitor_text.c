/* SPDX-License-Identifier: Apache-2.0 */
/* What a monitor prints that a guest may have taken over. */
#include "monitor_text.h"

#include <errno.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct memory_names names = { .names = { "pc.ram" }, .n = 1 };
	static struct cpu_state cpus[CPUS_MAX];
	struct memory_piece pieces[DOMAIN_RANGES_MAX];
	static char text[65536];
	char name[64];
	uint64_t hva;
	size_t n;

	if (size >= sizeof(text)) {
		return 0;
	}
	memcpy(text, data, size);
	text[size] = 0;
	if (monitor_read_mtree(text, &names, pieces, &n) == 0) {
		must(n >= 1 && n <= DOMAIN_RANGES_MAX);
		for (size_t i = 0; i < n; i++) {
			must(pieces[i].address % 4096 == 0 && pieces[i].length % 4096 == 0 &&
			     pieces[i].length > 0);
			must(i == 0 ||
			     pieces[i].address >= pieces[i - 1].address + pieces[i - 1].length);
		}
	}
	if (monitor_read_registers(text, cpus, &n) == 0) {
		must(n >= 1 && n <= CPUS_MAX);
	}
	if (monitor_read_hva(text, name, &hva) == 0) {
		must(strlen(name) >= 1);
	}
	return 0;
}
