/* SPDX-License-Identifier: Apache-2.0 */
/* The ELF core that live memory is shown as, and the search for VMCOREINFO in a guest made up. */
#include "core.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "search.h"
#include "test.h"

static void refuses_what_is_no_memory(void **state)
{
	static const struct {
		struct core_range ranges[2];
		size_t n;
		unsigned vcpus;
	} bad[] = {
		{ { { 0, 4096 } }, 0, 1 },
		{ { { 0, 4096 } }, 1, 0 },
		{ { { 0, 4096 } }, 1, CPUS_MAX + 1 },
		{ { { 1, 4096 } }, 1, 1 },
		{ { { 0, 4095 } }, 1, 1 },
		{ { { 0, 0 } }, 1, 1 },
		{ { { 4096, 4096 }, { 0, 4096 } }, 2, 1 },
		{ { { 0, 8192 }, { 4096, 4096 } }, 2, 1 },
		{ { { 1ull << 52, 4096 } }, 1, 1 },
		{ { { 4096, UINT64_MAX - 4095 } }, 1, 1 },
	};
	struct core core;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(core_init(&core, bad[i].ranges, bad[i].n, bad[i].vcpus), -EINVAL);
	}
}

static void finds_each_place(void **state)
{
	static const struct core_range ranges[] = { { 0, 0xa0000 }, { 0x100000, 0x10000 } };
	uint64_t into, left;
	struct core core;
	size_t range;

	assert_int_equal(core_init(&core, ranges, 2, 3), 0);
	assert_int_equal(core.head_bytes % CORE_PAGE, 0);
	assert_int_equal(core.size_bytes, core.head_bytes + 0xb0000);
	assert_int_equal(core_find(&core, core.head_bytes - 1, &range, &into, &left), -EINVAL);
	assert_int_equal(core_find(&core, core.head_bytes + 0x9ffff, &range, &into, &left), 0);
	assert_true(range == 0 && into == 0x9ffff && left == 1);
	assert_int_equal(core_find(&core, core.head_bytes + 0xa0000, &range, &into, &left), 0);
	assert_true(range == 1 && into == 0 && left == 0x10000);
	assert_int_equal(core_find(&core, core.size_bytes, &range, &into, &left), -EINVAL);
	assert_int_equal(core_find(&core, UINT64_MAX, &range, &into, &left), -EINVAL);
	assert_int_equal(core_find_address(&core, 0xa0000, &range, &into, &left), -EFAULT);
	assert_int_equal(core_find_address(&core, 0x10ffff, &range, &into, &left), 0);
	assert_true(range == 1 && into == 0xffff && left == 1);
	assert_int_equal(core_find_address(&core, 0x110000, &range, &into, &left), -EFAULT);
}

/* Every number of vCPUs, with and without VMCOREINFO: notes that fill their place to its end. */
static void notes_are_whole(void **state)
{
	static const struct core_range ranges[] = { { 0, 4096 } };
	static char text[CORE_VMCOREINFO_MAX];
	static struct cpu_state cpu = { .rip = 0x1122334455667788 };

	memset(text, 'x', sizeof(text));
	for (unsigned vcpus = 1; vcpus <= CPUS_MAX; vcpus += 41) {
		for (size_t len = 0; len <= CORE_VMCOREINFO_MAX; len += 1365) {
			struct core core;
			uint8_t *head;
			Elf64_Phdr notes;
			uint64_t at;
			unsigned seen = 0;

			assert_int_equal(core_init(&core, ranges, 1, vcpus), 0);
			head = malloc(core.head_bytes);
			core_head(&core, &cpu, 1, text, len, head);
			assert_memory_equal(head, ELFMAG, SELFMAG);
			memcpy(&notes, head + sizeof(Elf64_Ehdr), sizeof(notes));
			assert_true(notes.p_type == PT_NOTE &&
				    notes.p_offset + notes.p_filesz <= core.head_bytes);
			at = notes.p_offset;
			while (at < notes.p_offset + notes.p_filesz) {
				Elf64_Nhdr note;

				memcpy(&note, head + at, sizeof(note));
				at += sizeof(note) + (note.n_namesz + 3) / 4 * 4 +
				      (note.n_descsz + 3) / 4 * 4;
				seen++;
			}
			assert_int_equal(at, notes.p_offset + notes.p_filesz);
			assert_int_equal(seen, 2 * vcpus + 1 + (len > 0));
			free(head);
		}
	}
}

/* --- a guest of 4 MiB, whose kernel's image is 2 MiB, mapped at IMAGE by one large page */

#define RAM_BYTES (4u << 20)
#define IMAGE 0xffffffff81000000ull
#define DIRECT 0xffff888000000000ull
#define INFO_PAGE 0x180000

static uint8_t ram[RAM_BYTES];
static unsigned reads;

static int ram_read(void *user, uint64_t address, void *buf, size_t len)
{
	reads++;
	if (address > RAM_BYTES || len > RAM_BYTES - address) {
		return -EFAULT;
	}
	memcpy(buf, ram + address, len);
	return 0;
}

static void put(uint64_t address, uint64_t value)
{
	memcpy(ram + address, &value, sizeof(value));
}

static struct cpu_state guest_make(void)
{
	struct cpu_state cpu = { .cr = { 1ull << 31 | 1, 0, 0, 0x1000, 1 << 5 } };
	uint64_t handler = IMAGE + 0x1234;

	memset(ram, 0, sizeof(ram));
	/* root, then for the image and for the direct mapping a table each, of large pages */
	put(0x1000 + 511 * 8, 0x2003);
	put(0x2000 + 510 * 8, 0x3003);
	put(0x3000 + (IMAGE >> 21 & 511) * 8, 0x200083);
	put(0x1000 + (DIRECT >> 39 & 511) * 8, 0x4003);
	put(0x4000, 0x5003);
	put(0x5000, 0x83);
	put(0x5008, 0x200083);
	/* the interrupt table, in the direct mapping: its second gate leads to the kernel */
	put(0x6010, (handler & 0xffff) | (handler & 0xffff0000) << 32);
	put(0x6018, handler >> 32);
	cpu.segments[CPU_IDT].base = DIRECT + 0x6000;
	strcpy((char *)ram + INFO_PAGE, "OSRELEASE=6.1.0\nPAGESIZE=4096\n");
	/* pointers of which one is it */
	put(0x200000 + 0x150000, DIRECT + 0x7000);
	put(0x200000 + 0x150008, 0xffff880012345000);
	put(0x200000 + 0x160018, DIRECT + INFO_PAGE);
	return cpu;
}

static void finds_vmcoreinfo(void **state)
{
	static struct vmcoreinfo info;
	struct cpu_state cpus[2] = { { 0 } };
	unsigned first;

	cpus[1] = guest_make();
	reads = 0;
	assert_true(vmcoreinfo_find(ram_read, NULL, cpus, 2, &info));
	assert_int_equal(info.len, 30);
	assert_memory_equal(info.text, "OSRELEASE=6.1.0\nPAGESIZE=4096\n", 30);
	assert_int_equal(info.variable, IMAGE + 0x160018);
	first = reads;
	/* again, and what it says now */
	ram[INFO_PAGE + 14] = '9';
	assert_true(vmcoreinfo_find(ram_read, NULL, cpus, 2, &info));
	assert_true(info.text[14] == '9' && reads - first < 20);
	/* elsewhere now */
	put(0x200000 + 0x160018, 0);
	put(0x200000 + 0x170000, DIRECT + INFO_PAGE);
	assert_true(vmcoreinfo_find(ram_read, NULL, cpus, 2, &info));
	assert_int_equal(info.variable, IMAGE + 0x170000);
	/* gone */
	ram[INFO_PAGE] = 'X';
	assert_false(vmcoreinfo_find(ram_read, NULL, cpus, 2, &info));
	assert_false(info.found);
}

static void takes_no_false_text(void **state)
{
	static struct vmcoreinfo info;
	struct cpu_state cpu = guest_make();

	memset(ram + INFO_PAGE + 16, 'x', 4096 - 16); /* without an end */
	assert_false(vmcoreinfo_find(ram_read, NULL, &cpu, 1, &info));
	guest_make();
	ram[INFO_PAGE + 12] = 0x1b;
	assert_false(vmcoreinfo_find(ram_read, NULL, &cpu, 1, &info));
	guest_make();
	ram[INFO_PAGE + 29] = 0; /* a line that does not end */
	assert_false(vmcoreinfo_find(ram_read, NULL, &cpu, 1, &info));
	/* tables that lead round in circles, or out of memory */
	guest_make();
	put(0x2000 + 510 * 8, 0x1003);
	assert_false(vmcoreinfo_find(ram_read, NULL, &cpu, 1, &info));
	cpu.cr[3] = 0x7ffffffff000;
	assert_false(vmcoreinfo_find(ram_read, NULL, &cpu, 1, &info));
	/* a CPU in a user's tables: the kernel's are beside them */
	cpu = guest_make();
	memcpy(ram + 0x8000, ram + 0x1000, 4096);
	memset(ram + 0x1000, 0, 4096);
	cpu.cr[3] = 0x9000;
	assert_true(vmcoreinfo_find(ram_read, NULL, &cpu, 1, &info));
}

static void registers_pass_json(void **state)
{
	struct cpu_state cpu, back;
	json_t *json;

	for (size_t i = 0; i < CPU_NUMBERS; i++) {
		((uint64_t *)&cpu)[i] = 0xfedcba9876543210ull - i;
	}
	json = cpu_state_to_json(&cpu);
	assert_int_equal(cpu_state_of_json(json, &back), 0);
	assert_memory_equal(&cpu, &back, sizeof(cpu));
	json_array_set_new(json, 5, json_string("1"));
	assert_int_equal(cpu_state_of_json(json, &back), -EINVAL);
	json_array_remove(json, 5);
	assert_int_equal(cpu_state_of_json(json, &back), -EINVAL);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_is_no_memory), cmocka_unit_test(finds_each_place),
		cmocka_unit_test(notes_are_whole),	     cmocka_unit_test(finds_vmcoreinfo),
		cmocka_unit_test(takes_no_false_text),	     cmocka_unit_test(registers_pass_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
