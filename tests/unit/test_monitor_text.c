/* SPDX-License-Identifier: Apache-2.0 */
/* What QEMU's monitor prints, read. The texts are of QEMU 7.2. */
#include "monitor_text.h"

#include <errno.h>
#include <string.h>

#include "test.h"

static const char tree[] =
	"FlatView #0\r\n"
	" AS \"memory\", root: system\r\n"
	" AS \"cpu-memory-0\", root: system\r\n"
	" Root memory region: system\r\n"
	"  0000000000000000-000000000009ffff (prio 0, ram): pc.ram\r\n"
	"  00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem\r\n"
	"  00000000000c0000-00000000000c2fff (prio 0, rom): pc.ram @00000000000c0000\r\n"
	"  00000000000c3000-00000000bfffffff (prio 0, ram): pc.ram @00000000000c3000\r\n"
	"  00000000fd000000-00000000fdffffff (prio 1, ram): vga.vram\r\n"
	"  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios\r\n"
	"  0000000100000000-000000013fffffff (prio 0, ram): pc.ram @00000000c0000000\r\n"
	"  0000000140000000-0000000147ffffff (prio 0, ram): /objects/memdimm0\r\n"
	"\r\n"
	"FlatView #1\r\n"
	" AS \"cpu-smm-0\", root: memory\r\n"
	" Root memory region: memory\r\n"
	"  0000000000000000-00000000bfffffff (prio 0, ram): pc.ram\r\n"
	"\r\n";

static struct memory_names names(void)
{
	struct memory_names n;
	json_t *answer =
		json_pack("{s[{ss}{ss}{s{}}]}", "return", "id", "pc.ram", "id", "memdimm0", "host");

	assert_int_equal(monitor_read_memdev(answer, &n), 0);
	assert_int_equal(n.n, 2);
	json_decref(answer);
	return n;
}

static void reads_the_tree(void **state)
{
	static const struct memory_piece expected[] = {
		{ "pc.ram", 0, 0xa0000, 0 },
		{ "pc.ram", 0xc0000, 0xc0000000 - 0xc0000, 0xc0000, 0x40000 },
		{ "pc.ram", 1ull << 32, 1 << 30, 0xc0000000 },
		{ "/objects/memdimm0", 0x140000000, 128 << 20, 0 },
	};
	struct memory_piece pieces[DOMAIN_RANGES_MAX];
	struct memory_names n = names();
	size_t count;

	assert_int_equal(monitor_read_mtree(tree, &n, pieces, &count), 0);
	assert_int_equal(count, ARRAY_SIZE(expected));
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(pieces[i].name, expected[i].name);
		assert_int_equal(pieces[i].address, expected[i].address);
		assert_int_equal(pieces[i].length, expected[i].length);
		assert_int_equal(pieces[i].offset, expected[i].offset);
		assert_int_equal(pieces[i].sure, expected[i].sure);
	}
}

/* What a PC shows below 1 MiB while it starts, and without a display, is the same memory. */
static void low_memory_is_what_it_is(void **state)
{
	static const char *const trees[] = {
		" AS \"memory\"\n Root memory region: system\n"
		"  0-9ffff (prio 0, ram): pc.ram\n"
		"  c0000-dffff (prio 1, rom): pc.rom\n"
		"  e0000-fffff (prio 1, rom): isa-bios\n"
		"  100000-7ffffff (prio 0, ram): pc.ram @0000000000100000\n",
		" AS \"memory\"\n Root memory region: system\n"
		"  0-c2fff (prio 0, ram): pc.ram\n"
		"  c3000-fffff (prio 0, rom): pc.ram @00000000000c3000\n"
		"  100000-7ffffff (prio 0, ram): pc.ram @0000000000100000\n",
		" AS \"memory\"\n Root memory region: system\n"
		"  0-9ffff (prio 0, ram): pc.ram\n"
		"  cc000-cffff (prio 0, ram): pc.ram @00000000000cc000\n"
		"  e8000-effff (prio 0, ram): pc.ram @00000000000e8000\n"
		"  100000-7ffffff (prio 0, ram): pc.ram @0000000000100000\n",
	};
	struct memory_piece pieces[DOMAIN_RANGES_MAX];
	struct memory_names n = names();
	size_t count;

	for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
		assert_int_equal(monitor_read_mtree(trees[i], &n, pieces, &count), 0);
		assert_int_equal(count, 2);
		assert_true(pieces[0].address == 0 && pieces[0].length == 0xa0000);
		assert_true(pieces[1].address == 0xc0000 && pieces[1].offset == 0xc0000 &&
			    pieces[1].length == 0x8000000 - 0xc0000 && pieces[1].sure == 0x40000);
	}
}

static void refuses_another_tree(void **state)
{
	static const char *const bad[] = {
		"",
		"FlatView #0\n AS \"memory\", root: system\n Root memory region: system\n",
		"FlatView #0\n AS \"I/O\", root: io\n Root memory region: io\n"
		"  0-ffff (prio 0, ram): pc.ram\n",
		" AS \"memory\"\n Root memory region: system\n  1-ffff (prio 0, ram): pc.ram\n",
		" AS \"memory\"\n Root memory region: system\n"
		"  1000-ffff (prio 0, ram): pc.ram\n  2000-2fff (prio 0, ram): memdimm0\n",
		" AS \"memory\"\n Root memory region: system\n  0-ffffffffffffffff (prio 0, ram): "
		"pc.ram",
		" AS \"memory\"\n Root memory region: system\n  ffff-0 (prio 0, ram): pc.ram",
	};
	struct memory_piece pieces[DOMAIN_RANGES_MAX];
	struct memory_names n = names();
	size_t count;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(monitor_read_mtree(bad[i], &n, pieces, &count), -EINVAL);
	}
}

static void reads_a_place(void **state)
{
	char name[64];
	uint64_t hva;

	assert_int_equal(
		monitor_read_hva(
			"Host virtual address for 0x100000 (ram-node0) is 0x7f220ff00000\r\n", name,
			&hva),
		0);
	assert_string_equal(name, "ram-node0");
	assert_int_equal(hva, 0x7f220ff00000);
	assert_int_equal(
		monitor_read_hva("Memory at address 0xfee00000 is not RAM\r\n", name, &hva),
		-EINVAL);
	assert_int_equal(monitor_read_hva("", name, &hva), -EINVAL);
}

#define LONG_CPU                                                                                   \
	"RAX=ffffffff81a178a0 RBX=0000000000000001 RCX=0000000000000002 RDX=4000000000000000\r\n"  \
	"RSI=0000000000000083 RDI=000000000001500c RBP=ffffffff82a1aa40 RSP=ffffffff82a03e98\r\n"  \
	"R8 =0000000000022e80 R9 =000000003d11c07b R10=000000000000000a R11=0000000000000001\r\n"  \
	"R12=000000000000000c R13=000000000000000d R14=000000000000000e R15=000000000000000f\r\n"  \
	"RIP=ffffffff81a17a0b RFL=00000216 [----AP-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n"             \
	"ES =0000 0000000000000000 00000000 00000000\r\n"                                          \
	"CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]\r\n"                         \
	"SS =0018 0000000000000000 ffffffff 00cf9300 DPL=0 DS   [-WA]\r\n"                         \
	"DS =0000 0000000000000000 00000000 00000000\r\n"                                          \
	"FS =0000 00007f0000000000 00000000 00000000\r\n"                                          \
	"GS =0000 ffff888007a00000 00000000 00000000\r\n"                                          \
	"LDT=0000 0000000000000000 00000000 00008200 DPL=0 LDT\r\n"                                \
	"TR =0040 fffffe0000003000 00004087 00008900 DPL=0 TSS64-avl\r\n"                          \
	"GDT=     fffffe0000001000 0000007f\r\n"                                                   \
	"IDT=     fffffe0000000000 00000fff\r\n"                                                   \
	"CR0=80050033 CR2=000000002d28ccb8 CR3=0000000003ea6000 CR4=000006b0\r\n"                  \
	"DR0=0000000000000000 DR1=0000000000000000\r\nEFER=0000000000000d01\r\n"

#define REAL_CPU                                                                                   \
	"EAX=00000011 EBX=00000000 ECX=00000000 EDX=00000663\r\n"                                  \
	"ESI=00000000 EDI=00000000 EBP=00000000 ESP=00006f00\r\n"                                  \
	"EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\r\n"                     \
	"ES =0000 00000000 0000ffff 00009300\r\nCS =f000 ffff0000 0000ffff 00009b00\r\n"           \
	"SS =0000 00000000 0000ffff 00009300\r\nDS =0000 00000000 0000ffff 00009300\r\n"           \
	"FS =0000 00000000 0000ffff 00009300\r\nGS =0000 00000000 0000ffff 00009300\r\n"           \
	"LDT=0000 00000000 0000ffff 00008200\r\nTR =0000 00000000 0000ffff 00008b00\r\n"           \
	"GDT=     00000000 0000ffff\r\nIDT=     00000000 000003ff\r\n"                             \
	"CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000\r\n"

static void reads_registers(void **state)
{
	static struct cpu_state cpus[CPUS_MAX];
	size_t n;

	assert_int_equal(
		monitor_read_registers("\r\nCPU#0\r\n" LONG_CPU "\r\nCPU#1\r\n" REAL_CPU, cpus, &n),
		0);
	assert_int_equal(n, 2);
	assert_true(cpus[0].rax == 0xffffffff81a178a0 && cpus[0].rip == 0xffffffff81a17a0b);
	assert_true(cpus[0].r[0] == 0x22e80 && cpus[0].r[1] == 0x3d11c07b && cpus[0].r[7] == 15);
	assert_true(cpus[0].rflags == 0x216 && cpus[0].cr[3] == 0x3ea6000 && cpus[0].cr[1] == 0);
	assert_true(cpus[0].segments[CPU_CS].selector == 0x10 &&
		    cpus[0].segments[CPU_CS].flags == 0xaf9b00 &&
		    cpus[0].segments[CPU_CS].limit == 0xffffffff);
	assert_true(cpus[0].segments[CPU_GS].base == 0xffff888007a00000 &&
		    cpus[0].segments[CPU_FS].base == 0x7f0000000000);
	assert_true(cpus[0].segments[CPU_IDT].base == 0xfffffe0000000000 &&
		    cpus[0].segments[CPU_IDT].limit == 0xfff);
	assert_true(cpus[1].rip == 0xfff0 && cpus[1].rsp == 0x6f00 && cpus[1].r[3] == 0);
	assert_true(cpus[1].segments[CPU_CS].base == 0xffff0000 && cpus[1].cr[0] == 0x60000010);
}

static void refuses_other_registers(void **state)
{
	static const char whole[] = "CPU#0\r\n" LONG_CPU;
	static struct cpu_state cpus[CPUS_MAX];
	char text[sizeof(whole)];
	size_t n;

	assert_int_equal(monitor_read_registers("", cpus, &n), -EINVAL);
	/* cut off anywhere before the last one that is needed */
	for (size_t len = 0; len < (size_t)(strstr(whole, "CR4=") - whole); len += 7) {
		memcpy(text, whole, len);
		text[len] = 0;
		assert_int_equal(monitor_read_registers(text, cpus, &n), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_tree),	cmocka_unit_test(low_memory_is_what_it_is),
		cmocka_unit_test(refuses_another_tree), cmocka_unit_test(reads_a_place),
		cmocka_unit_test(reads_registers),	cmocka_unit_test(refuses_other_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
