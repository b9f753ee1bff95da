/* SPDX-License-Identifier: Apache-2.0 */
/* What QEMU's monitor prints for people, read. See monitor_text.h. */
#include "monitor_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096
#define MIB (1ull << 20)
/* A PC's display, or the memory of its system management mode */
#define WINDOW_BEGIN 0xa0000ull
#define WINDOW_END 0xc0000ull

int monitor_read_memdev(const json_t *answer, struct memory_names *ret)
{
	const json_t *device;
	size_t i;

	ret->n = 0;
	json_array_foreach(json_object_get(answer, "return"), i, device)
	{
		const char *id = json_string_value(json_object_get(device, "id"));

		if (!id || strlen(id) >= sizeof(ret->names[0])) {
			continue;
		}
		if (ret->n == MEMORY_NAMES_MAX) {
			return -E2BIG;
		}
		strcpy(ret->names[ret->n++], id);
	}
	return ret->n > 0 ? 0 : -EINVAL;
}

/* A memory region is called as its object, in some machines with its path. */
static bool is_named(const struct memory_names *names, const char *region)
{
	if (strncmp(region, "/objects/", 9) == 0) {
		region += 9;
	}
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->names[i], region) == 0) {
			return true;
		}
	}
	return false;
}

/* Hexadecimal digits, 1 to 16, and what stands behind them. */
static bool hex_take(const char **p, uint64_t *ret)
{
	size_t n = strspn(*p, "0123456789abcdefABCDEF");

	if (n == 0 || n > 16) {
		return false;
	}
	*ret = strtoull(*p, NULL, 16);
	*p += n;
	return true;
}

static bool text_take(const char **p, const char *text)
{
	size_t len = strlen(text);

	if (strncmp(*p, text, len) != 0) {
		return false;
	}
	*p += len;
	return true;
}

/* "0000…-0000… (prio 0, ram): NAME @OFFSET". False for anything but RAM and what the chip set has
 * made read-only of it. */
static bool piece_read(const char *line, size_t len, struct memory_piece *ret)
{
	char copy[256];
	const char *p = copy;
	uint64_t last;
	size_t name;

	if (len >= sizeof(copy)) {
		return false;
	}
	memcpy(copy, line, len);
	copy[len] = 0;
	p += strspn(p, " ");
	*ret = (struct memory_piece){ 0 };
	if (!hex_take(&p, &ret->address) || !text_take(&p, "-") || !hex_take(&p, &last) ||
	    !text_take(&p, " (prio ")) {
		return false;
	}
	p += strspn(p, "-0123456789");
	if (!text_take(&p, ", ram): ") && !text_take(&p, ", rom): ")) {
		return false;
	}
	name = strcspn(p, " \r");
	if (name == 0 || name >= sizeof(ret->name) || last < ret->address ||
	    last - ret->address == UINT64_MAX) {
		return false;
	}
	memcpy(ret->name, p, name);
	p += name;
	ret->length = last - ret->address + 1;
	return !text_take(&p, " @") || hex_take(&p, &ret->offset);
}

static bool joins(const struct memory_piece *a, const struct memory_piece *b)
{
	return strcmp(a->name, b->name) == 0 && a->address + a->length == b->address &&
	       a->offset + a->length == b->offset;
}

/* The pieces below 1 MiB as they are whatever the chip set lets be seen there now. */
static size_t low_pieces_settle(struct memory_piece *pieces, size_t n)
{
	struct memory_piece low = pieces[0], high;
	size_t i = 0;

	while (i < n && pieces[i].address + pieces[i].length <= MIB) {
		i++;
	}
	/* Not a PC's: one memory from 0 over 1 MiB on. */
	if (i == n || low.address != 0 || low.offset != 0 || low.length < WINDOW_BEGIN ||
	    pieces[i].address > MIB || pieces[i].offset != pieces[i].address ||
	    strcmp(pieces[i].name, low.name) != 0) {
		return n;
	}
	high = pieces[i];
	high.length += high.address - WINDOW_END;
	high.address = high.offset = WINDOW_END;
	high.sure = MIB - WINDOW_END;
	low.length = WINDOW_BEGIN;
	memmove(pieces + 2, pieces + i + 1, (n - i - 1) * sizeof(*pieces));
	pieces[0] = low;
	pieces[1] = high;
	return n - i + 1;
}

int monitor_read_mtree(const char *text, const struct memory_names *names,
		       struct memory_piece ret[DOMAIN_RANGES_MAX], size_t *ret_n)
{
	/* The address space of the devices' and processors' memory, among others' */
	const char *p = strstr(text, "AS \"memory\""), *end;
	size_t n = 0;

	p = p ? strstr(p, "Root memory region:") : NULL;
	p = p ? strchr(p, '\n') : NULL;
	for (; p; p = end) {
		struct memory_piece piece;
		size_t len;

		p++;
		end = strchr(p, '\n');
		len = end ? (size_t)(end - p) : strlen(p);
		while (len > 0 && p[len - 1] == '\r') {
			len--;
		}
		if (len == 0) {
			break; /* the next one */
		}
		if (!piece_read(p, len, &piece) || !is_named(names, piece.name)) {
			continue;
		}
		if (piece.address % PAGE != 0 || piece.length % PAGE != 0 ||
		    (n > 0 && piece.address < ret[n - 1].address + ret[n - 1].length)) {
			return -EINVAL;
		}
		if (n > 0 && joins(&ret[n - 1], &piece)) {
			ret[n - 1].length += piece.length;
		} else if (n == DOMAIN_RANGES_MAX) {
			return -E2BIG;
		} else {
			ret[n++] = piece;
		}
	}
	if (n > 0 && n < DOMAIN_RANGES_MAX) {
		n = low_pieces_settle(ret, n);
	}
	*ret_n = n;
	return n > 0 ? 0 : -EINVAL;
}

int monitor_read_hva(const char *text, char ret_name[64], uint64_t *ret)
{
	const char *p = strstr(text, "Host virtual address for 0x");
	uint64_t address;
	size_t name;

	if (!p) {
		return -EINVAL;
	}
	p += strlen("Host virtual address for 0x");
	if (!hex_take(&p, &address) || !text_take(&p, " (")) {
		return -EINVAL;
	}
	name = strcspn(p, ")\r\n");
	if (name == 0 || name >= 64) {
		return -EINVAL;
	}
	memcpy(ret_name, p, name);
	ret_name[name] = 0;
	p += name;
	return text_take(&p, ") is 0x") && hex_take(&p, ret) ? 0 : -EINVAL;
}

/* --- registers
 */

/* Finds `key` ("RAX=", "R8 =", "CR0=") at the beginning of a word in the text of one CPU. */
static const char *word_find(const char *text, size_t len, const char *key)
{
	size_t key_len = strlen(key);

	for (const char *p = text; (p = memmem(p, (size_t)(text + len - p), key, key_len)); p++) {
		if (p == text || isspace((unsigned char)p[-1])) {
			return p + key_len;
		}
	}
	return NULL;
}

/* A general register has another name, and half the digits, outside long mode. */
static bool number_find(const char *text, size_t len, const char *name, uint64_t *ret)
{
	char key[8];
	const char *p;

	snprintf(key, sizeof(key), "%-3s=", name);
	p = word_find(text, len, key);
	if (!p && key[0] == 'R') {
		key[0] = 'E';
		p = word_find(text, len, key);
	}
	return p && hex_take(&p, ret);
}

/* "CS =0010 0000000000000000 ffffffff 00af9b00 …", "GDT=     fffffe0000001000 0000007f" */
static bool segment_find(const char *text, size_t len, const char *name, bool is_table,
			 struct cpu_segment *ret)
{
	char key[8];
	const char *p;

	snprintf(key, sizeof(key), "%-3s=", name);
	p = word_find(text, len, key);
	*ret = (struct cpu_segment){ 0 };
	if (!p) {
		return false;
	}
	if (!is_table && !hex_take(&p, &ret->selector)) {
		return false;
	}
	p += strspn(p, " ");
	if (!hex_take(&p, &ret->base)) {
		return false;
	}
	p += strspn(p, " ");
	if (!hex_take(&p, &ret->limit)) {
		return false;
	}
	p += strspn(p, " ");
	return is_table || hex_take(&p, &ret->flags);
}

static bool cpu_read(const char *text, size_t len, struct cpu_state *c)
{
	const struct {
		const char *name;
		uint64_t *to;
	} numbers[] = {
		{ "RAX", &c->rax },    { "RBX", &c->rbx },   { "RCX", &c->rcx },
		{ "RDX", &c->rdx },    { "RSI", &c->rsi },   { "RDI", &c->rdi },
		{ "RSP", &c->rsp },    { "RBP", &c->rbp },   { "RIP", &c->rip },
		{ "RFL", &c->rflags }, { "CR0", &c->cr[0] }, { "CR2", &c->cr[2] },
		{ "CR3", &c->cr[3] },  { "CR4", &c->cr[4] },
	};
	static const struct {
		const char *name;
		enum cpu_segment_name segment;
		bool is_table;
	} segments[] = {
		{ "CS", CPU_CS, false },   { "DS", CPU_DS, false }, { "ES", CPU_ES, false },
		{ "FS", CPU_FS, false },   { "GS", CPU_GS, false }, { "SS", CPU_SS, false },
		{ "LDT", CPU_LDT, false }, { "TR", CPU_TR, false }, { "GDT", CPU_GDT, true },
		{ "IDT", CPU_IDT, true },
	};

	*c = (struct cpu_state){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (!number_find(text, len, numbers[i].name, numbers[i].to)) {
			return false;
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		char name[4];

		/* There are none outside long mode. */
		snprintf(name, sizeof(name), "R%u", 8 + i);
		if (!number_find(text, len, name, &c->r[i])) {
			c->r[i] = 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
		if (!segment_find(text, len, segments[i].name, segments[i].is_table,
				  &c->segments[segments[i].segment])) {
			return false;
		}
	}
	return true;
}

int monitor_read_registers(const char *text, struct cpu_state *ret, size_t *ret_n)
{
	const char *p = strstr(text, "CPU#"), *next;
	size_t n = 0;

	for (; p; p = next) {
		next = strstr(p + 1, "CPU#");
		if (n == CPUS_MAX || !cpu_read(p, next ? (size_t)(next - p) : strlen(p), &ret[n])) {
			return -EINVAL;
		}
		n++;
	}
	*ret_n = n;
	return n > 0 ? 0 : -EINVAL;
}
