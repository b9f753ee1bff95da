/* SPDX-License-Identifier: Apache-2.0 */
/* ELF cores, reads of them through the block cache, and page tables in them. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core.h"
#include "paging.h"
#include "test.h"
#include "text.h"

#define LOW_AT 0x100000
#define LOW_BYTES 0x80000
#define HIGH_AT 0x40000000u
#define HIGH_BYTES 0x1000
#define DATA_AT 0x1000

static char path[] = "/tmp/test-vmi-core-XXXXXX";
static uint8_t memory[LOW_BYTES];

static void put_u64(size_t at, uint64_t v)
{
	memcpy(memory + at, &v, 8);
}

static void note(uint8_t **p, const char *name, const void *bytes, size_t len)
{
	Elf64_Nhdr head = { (uint32_t)strlen(name) + 1, (uint32_t)len, 0 };

	memcpy(*p, &head, sizeof(head));
	memcpy(*p + sizeof(head), name, strlen(name) + 1);
	*p += sizeof(head) + ((strlen(name) + 4) & ~(size_t)3);
	memcpy(*p, bytes, len);
	*p += (len + 3) & ~(size_t)3;
}

static void write_core(uint64_t high_len)
{
	uint8_t head[DATA_AT] = { 0 }, *p = head + 0x200, cpu[440] = { 0 };
	Elf64_Ehdr elf = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
			   .e_type = ET_CORE,
			   .e_machine = EM_X86_64,
			   .e_phoff = sizeof(elf),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_phnum = 3 };
	Elf64_Phdr parts[3] = {
		{ .p_type = PT_LOAD,
		  .p_paddr = HIGH_AT,
		  .p_filesz = high_len,
		  .p_offset = DATA_AT + LOW_BYTES },
		{ .p_type = PT_NOTE, .p_offset = 0x200 },
		{ .p_type = PT_LOAD,
		  .p_paddr = LOW_AT,
		  .p_filesz = LOW_BYTES,
		  .p_offset = DATA_AT },
	};
	uint8_t high[HIGH_BYTES];
	FILE *f = fopen(path, "w");
	uint64_t v = 0x1234;

	memcpy(cpu + 8 + 16 * 8, &v, 8);	    /* rip */
	memcpy(cpu + 8 + 18 * 8 + 240 + 24, &v, 8); /* cr3 */
	note(&p, "CORE", "x", 1);
	note(&p, "QEMU", cpu, sizeof(cpu));
	note(&p, "VMCOREINFO", "OSRELEASE=1\n", 12);
	parts[1].p_filesz = (uint64_t)(p - head - 0x200);
	memcpy(head, &elf, sizeof(elf));
	memcpy(head + sizeof(elf), parts, sizeof(parts));
	memset(high, 0xcd, sizeof(high));
	assert_non_null(f);
	assert_int_equal(fwrite(head, 1, sizeof(head), f), sizeof(head));
	assert_int_equal(fwrite(memory, 1, sizeof(memory), f), sizeof(memory));
	assert_int_equal(fwrite(high, 1, sizeof(high), f), sizeof(high));
	fclose(f);
}

static int set_up(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	for (size_t i = 0; i < sizeof(memory); i++) {
		memory[i] = (uint8_t)(i * 31 >> 3);
	}
	return close(fd);
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

static void reads(void **state)
{
	static uint8_t bytes[LOW_BYTES];
	struct core *c;
	size_t len;

	(void)state;
	write_core(HIGH_BYTES);
	assert_int_equal(core_open(path, &c, NULL), 0);
	assert_int_equal(core_cpus(c), 1);
	assert_true(core_cpu(c, 0)->rip == 0x1234 && core_cpu(c, 0)->cr3 == 0x1234);
	assert_memory_equal(core_vmcoreinfo(c, &len), "OSRELEASE=1\n", 12);
	assert_true(core_memory_bytes(c) == LOW_BYTES + HIGH_BYTES);
	assert_int_equal(core_read(c, LOW_AT + 12345, bytes, 100), 0);
	assert_memory_equal(bytes, memory + 12345, 100);
	assert_int_equal(core_read(c, LOW_AT, bytes, LOW_BYTES), 0); /* past the cache */
	assert_memory_equal(bytes, memory, LOW_BYTES);
	for (size_t at = 0; at + 999 < LOW_BYTES; at += 999) {
		assert_int_equal(core_read(c, LOW_AT + at, bytes, 999), 0);
		assert_memory_equal(bytes, memory + at, 999);
	}
	assert_int_equal(core_read(c, HIGH_AT + HIGH_BYTES - 1, bytes, 1), 0);
	assert_int_equal(bytes[0], 0xcd);
	assert_int_equal(core_read(c, HIGH_AT + HIGH_BYTES - 1, bytes, 2), -EFAULT);
	assert_int_equal(core_read(c, 0, bytes, 1), -EFAULT);
	assert_int_equal(core_read(c, LOW_AT + LOW_BYTES - 4, bytes, 8), -EFAULT);
	assert_int_equal(core_read(c, UINT64_MAX - 3, bytes, 8), -EFAULT);
	core_free(c);
}

/* What was read is read again after a refresh, not before. */
static void refresh(void **state)
{
	uint8_t byte, other = 0x77;
	struct core *c;
	int fd;

	(void)state;
	write_core(HIGH_BYTES);
	assert_int_equal(core_open(path, &c, NULL), 0);
	assert_int_equal(core_read(c, LOW_AT + 5, &byte, 1), 0);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, &other, 1, DATA_AT + 5), 1);
	close(fd);
	assert_int_equal(core_read(c, LOW_AT + 5, &byte, 1), 0);
	assert_int_equal(byte, memory[5]);
	assert_int_equal(core_refresh(c), 0);
	assert_int_equal(core_read(c, LOW_AT + 5, &byte, 1), 0);
	assert_int_equal(byte, 0x77);
	assert_int_equal(core_cpus(c), 1);
	core_free(c);
}

/* A segment that the file does not have in full; a file that is no core. */
static void cut_and_false(void **state)
{
	struct fault fault = { 0 };
	struct core *c;
	uint8_t bytes[16];
	FILE *f;

	(void)state;
	write_core((uint64_t)1 << 40);
	assert_int_equal(core_open(path, &c, NULL), 0);
	assert_int_equal(core_read(c, HIGH_AT, bytes, 16), 0);
	assert_int_equal(core_read(c, HIGH_AT + ((uint64_t)1 << 39), bytes, 16), -EIO);
	core_free(c);
	f = fopen(path, "w");
	fputs("no core, but long enough to be one: the header has 64 bytes and this has more", f);
	fclose(f);
	assert_int_equal(core_open(path, &c, &fault), -ENOEXEC);
	assert_int_equal(fault.code, FAULT_NOT_SUPPORTED);
	assert_int_equal(core_open("/nowhere/at/all", &c, &fault), -ENOENT);
	assert_int_equal(fault.code, FAULT_NOT_FOUND);
}

#define ROOT 0x1000
#define ENTRY(address, flags) ((uint64_t)(LOW_AT + (address)) | (flags))
#define PRESENT ((uint64_t)1)
#define WRITABLE ((uint64_t)2)
#define LARGE ((uint64_t)0x80)
#define NX ((uint64_t)1 << 63)

static void page_tables(void **state)
{
	struct paging_range ranges[8];
	struct paging p;
	uint64_t physical, left, start = 0xffffffff80000000;
	uint8_t bytes[8192];
	struct core *c;

	(void)state;
	memset(memory, 0, 0x8000);
	/* 4 KiB pages at `start`, the second one elsewhere; then 2 MiB; then 1 GiB at the end */
	put_u64(ROOT + 511 * 8, ENTRY(0x2000, PRESENT | WRITABLE));
	put_u64(0x2000 + 510 * 8, ENTRY(0x3000, PRESENT | WRITABLE));
	put_u64(0x2000 + 511 * 8, HIGH_AT | PRESENT | LARGE | NX);
	put_u64(0x3000 + 0 * 8, ENTRY(0x4000, PRESENT | WRITABLE));
	put_u64(0x3000 + 1 * 8, (uint64_t)0 | PRESENT | LARGE);
	put_u64(0x3000 + 2 * 8, (uint64_t)0x200000 | PRESENT | LARGE | NX);
	put_u64(0x4000 + 0 * 8, ENTRY(0x10000, PRESENT));
	put_u64(0x4000 + 1 * 8, ENTRY(0x20000, PRESENT | WRITABLE));
	put_u64(0x4000 + 2 * 8, ENTRY(0x21000, PRESENT | WRITABLE));
	/* a table that is its own child, down to the last level */
	put_u64(ROOT + 5 * 8, ENTRY(ROOT, PRESENT));
	put_u64(ROOT + 4 * 8, ((uint64_t)0xfffff << 30) | PRESENT);
	write_core(HIGH_BYTES);
	assert_int_equal(core_open(path, &c, NULL), 0);
	paging_init(&p, c, LOW_AT + ROOT, false);
	assert_int_equal(paging_translate(&p, start + 0x10, &physical, &left), 0);
	assert_true(physical == LOW_AT + 0x10010 && left == 0xff0);
	assert_int_equal(paging_translate(&p, start + 0x200123, &physical, &left), 0);
	assert_true(physical == 0x123 && left == 0x200000 - 0x123);
	assert_int_equal(paging_translate(&p, start + 0x40000008, &physical, &left), 0);
	assert_true(physical == HIGH_AT + 8);
	/* the second time it is known */
	assert_int_equal(paging_translate(&p, start + 0x20, &physical, &left), 0);
	assert_true(physical == LOW_AT + 0x10020);
	assert_int_equal(paging_read(&p, start + 0x800, bytes, 8192), 0);
	assert_memory_equal(bytes, memory + 0x10800, 0x800);
	assert_memory_equal(bytes + 0x800, memory + 0x20000, 8192 - 0x800);
	assert_int_equal(paging_read(&p, start + 0x2800, bytes, 4096), -EFAULT);
	assert_int_equal(paging_translate(&p, 0x7fffff000000, &physical, &left), -EFAULT);
	assert_int_equal(paging_translate(&p, 0x800000000000, &physical, &left), -EFAULT);
	/* to where there is no memory */
	assert_true(paging_translate(&p, (uint64_t)4 << 39, &physical, &left) < 0);
	assert_int_equal(paging_translate(&p,
					  (uint64_t)5 << 39 | (uint64_t)5 << 30 | 5 << 21 | 5 << 12,
					  &physical, &left),
			 0);
	assert_int_equal(paging_ranges(&p, start, 0xffffffffc0000000, ranges, 8), 4);
	assert_true(ranges[0].end == start + 0x1000 && !ranges[0].writable && ranges[0].executable);
	assert_true(ranges[1].end == start + 0x3000 && ranges[1].writable);
	assert_true(ranges[2].start == start + 0x200000 && ranges[2].executable);
	assert_true(ranges[3].end == start + 0x600000 && !ranges[3].executable);
	core_free(c);
}

static void five_levels(void **state)
{
	uint64_t physical, left;
	struct paging p;
	struct core *c;

	(void)state;
	memset(memory, 0, 0x8000);
	put_u64(ROOT + 0x110 * 8, ENTRY(0x2000, PRESENT | WRITABLE));
	put_u64(0x2000, ENTRY(0x3000, PRESENT));
	put_u64(0x3000, HIGH_AT | PRESENT | LARGE);
	write_core(HIGH_BYTES);
	assert_int_equal(core_open(path, &c, NULL), 0);
	paging_init(&p, c, LOW_AT + ROOT, true);
	assert_int_equal(paging_translate(&p, 0xff10000000000010, &physical, &left), 0);
	assert_true(physical == HIGH_AT + 0x10);
	core_free(c);
}

static void clean_text(void **state)
{
	char a[] = "tab\there\x1b[0m\x7f", b[] = "gr\xc3\xbc\xc3\x9f \xc2\x9b \xff \xe2\x82",
	     c[] = "two\nlines\t.";

	(void)state;
	text_clean(a, false);
	assert_string_equal(a, "tab?here?[0m?");
	text_clean(b, false);
	assert_string_equal(b, "gr\xc3\xbc\xc3\x9f ?? ? ??");
	text_clean(c, true);
	assert_string_equal(c, "two\nlines\t.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),	 cmocka_unit_test(refresh),
		cmocka_unit_test(cut_and_false), cmocka_unit_test(page_tables),
		cmocka_unit_test(five_levels),	 cmocka_unit_test(clean_text),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
