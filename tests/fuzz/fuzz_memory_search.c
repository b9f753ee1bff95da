/* SPDX-License-Identifier: Apache-2.0 */
/* The search for VMCOREINFO in a guest's memory that is nothing but what it was given. */
#include "search.h"

#include <errno.h>
#include <string.h>

#include "fuzz.h"

#define RAM_BYTES (64u << 10)

static uint8_t ram[RAM_BYTES];
static size_t reads;

/* Addresses wrap round, so that any table leads somewhere. */
static int ram_read(void *user, uint64_t address, void *buf, size_t len)
{
	must(len <= 4 * CORE_PAGE);
	/* page tables, gates, and a bounded image with bounded candidates of 5 levels each */
	must(++reads < 2000000);
	address %= RAM_BYTES;
	if (len > RAM_BYTES - address) {
		return -EFAULT;
	}
	memcpy(buf, ram + address, len);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vmcoreinfo info;
	struct cpu_state cpu = { 0 };

	if (size < sizeof(cpu)) {
		return 0;
	}
	memcpy(&cpu, data, sizeof(cpu));
	data += sizeof(cpu);
	size -= sizeof(cpu);
	for (size_t at = 0; size && at < RAM_BYTES; at += size) {
		memcpy(ram + at, data, MIN(size, RAM_BYTES - at));
	}
	cpu.cr[0] |= 1ull << 31;
	cpu.cr[4] |= 1 << 5;
	for (unsigned i = 0; i < 2; i++) {
		reads = 0;
		if (vmcoreinfo_find(ram_read, NULL, &cpu, 1, &info)) {
			must(info.len > 0 && info.len < CORE_PAGE);
			must(memcmp(info.text, "OSRELEASE=", 10) == 0);
		}
	}
	return 0;
}
