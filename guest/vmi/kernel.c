/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Linux kernel in a machine's memory.
 *
 * Theory of operation: the kernel's page tables are found through VMCOREINFO where the core has
 * that note (symbol swapper_pg_dir, number phys_base), else through a CPU's CR3. In the second case
 * the symbol table is found in the image that they map (image_scan.h), and VMCOREINFO through its
 * symbol vmcoreinfo_data. So no memory is searched but the kernel's own image, and that only where
 * a note is missing.
 *
 * Symbols and types are loaded when they are first asked for: the log needs neither.
 */
#include "kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "image_scan.h"
#include "le.h"
#include "object.h"
#include "object_private.h"
#include "text.h"
#include "walk.h"

#define MARK_MAX 160
#define CR0_PAGING ((uint64_t)1 << 31)
#define CR4_LA57 ((uint64_t)1 << 12)
#define CR3_USER_BIT ((uint64_t)1 << 12) /* page-table isolation: the process's own half */
#define READS_MAX 20000000   /* of one answer: thousands of times what a busy machine takes */
#define NAMES_GUESS_BYTES 40 /* for each symbol, where nothing says how long all are */

struct module_types {
	struct btf *btf;
};

struct kernel {
	struct core *core;
	struct paging paging;
	struct vmcoreinfo vmcoreinfo;
	char release[80];
	struct kallsyms *kallsyms;
	bool kallsyms_tried;
	struct btf *btf;
	bool btf_tried;
	struct module_types modules[KERNEL_MODULE_TYPES_MAX];
	size_t n_modules;
	bool modules_tried;
	struct object_memo *memo;
	uint64_t per_cpu_offsets; /* the table's address */
	unsigned n_cpus;
	uint64_t reads;
	unsigned marks;
	char first_mark[MARK_MAX];
};

struct core *kernel_core(struct kernel *k)
{
	return k->core;
}

const struct vmcoreinfo *kernel_vmcoreinfo(const struct kernel *k)
{
	return &k->vmcoreinfo;
}

struct paging *kernel_paging(struct kernel *k)
{
	return &k->paging;
}

const char *kernel_release(const struct kernel *k)
{
	return k->release;
}

struct object_memo *kernel_memo(struct kernel *k)
{
	return k->memo;
}

void kernel_mark(struct kernel *k, const char *format, ...)
{
	if (k->marks++ == 0) {
		va_list list;

		va_start(list, format);
		vsnprintf(k->first_mark, sizeof(k->first_mark), format, list);
		va_end(list);
	}
}

unsigned kernel_marks(const struct kernel *k)
{
	return k->marks;
}

void kernel_unmark(struct kernel *k, unsigned marks)
{
	k->marks = marks;
}

const char *kernel_first_mark(const struct kernel *k)
{
	return k->first_mark;
}

int kernel_read(struct kernel *k, uint64_t address, void *p, size_t len)
{
	if (++k->reads > READS_MAX) {
		/* lists within lists: each is bounded, all together only here */
		if (k->reads == READS_MAX + 1) {
			kernel_mark(k, "there is no end to it");
		}
		return -ETIME;
	}
	return paging_read(&k->paging, address, p, len);
}

uint64_t kernel_u64(struct kernel *k, uint64_t address)
{
	uint8_t bytes[8];

	if (kernel_read(k, address, bytes, sizeof(bytes)) < 0) {
		kernel_mark(k, "no memory at 0x%llx", (unsigned long long)address);
		return 0;
	}
	return le_u64(bytes);
}

uint32_t kernel_u32(struct kernel *k, uint64_t address)
{
	uint8_t bytes[4];

	if (kernel_read(k, address, bytes, sizeof(bytes)) < 0) {
		kernel_mark(k, "no memory at 0x%llx", (unsigned long long)address);
		return 0;
	}
	return le_u32(bytes);
}

void kernel_text(struct kernel *k, uint64_t address, char *out, size_t size)
{
	size_t used = 0;

	while (used + 1 < size) {
		/* not over a page's end before it is known that the text goes on there */
		size_t n = (size_t)MIN((uint64_t)(size - 1 - used),
				       PAGE_BYTES - (address + used) % PAGE_BYTES);
		size_t len;

		if (kernel_read(k, address + used, out + used, n) < 0) {
			kernel_mark(k, "no memory at 0x%llx", (unsigned long long)address);
			break;
		}
		len = strnlen(out + used, n);
		used += len;
		if (len < n) {
			break;
		}
	}
	out[used] = '\0';
	text_clean(out, false);
}

/* ---- where it is ---- */

static bool page_tables_from_vmcoreinfo(struct kernel *k)
{
	uint64_t top, phys_base, five = 0;
	uint8_t probe[8];

	if (!vmcoreinfo_value(&k->vmcoreinfo, "SYMBOL", "swapper_pg_dir", &top) ||
	    !vmcoreinfo_value(&k->vmcoreinfo, "NUMBER", "phys_base", &phys_base)) {
		return false;
	}
	vmcoreinfo_value(&k->vmcoreinfo, "NUMBER", "pgtable_l5_enabled", &five);
	paging_init(&k->paging, k->core, top - IMAGE_START + phys_base, five != 0);
	return kernel_read(k, top, probe, sizeof(probe)) == 0;
}

static bool page_tables_from_cpus(struct kernel *k, struct image *image)
{
	for (size_t i = 0; i < core_cpus(k->core); i++) {
		const struct cpu_state *cpu = core_cpu(k->core, i);

		if (!(cpu->cr0 & CR0_PAGING)) {
			continue;
		}
		for (int half = 0; half < 2; half++) {
			uint64_t root = half == 0 ? cpu->cr3 & ~CR3_USER_BIT : cpu->cr3;

			paging_init(&k->paging, k->core, root, cpu->cr4 & CR4_LA57);
			if (image_init(image, &k->paging)) {
				return true;
			}
		}
	}
	return false;
}

/* Of a core without the note: through the symbol of the page that the text is in. */
static int find_vmcoreinfo(struct kernel *k, const struct image *image)
{
	_cleanup_free_ char *text = NULL;
	uint64_t data, size = PAGE_BYTES;
	int r;

	r = image_find_kallsyms(image, &k->kallsyms);
	k->kallsyms_tried = true;
	if (r < 0) {
		return r;
	}
	if (!kallsyms_find(k->kallsyms, "vmcoreinfo_data", &data)) {
		return -ENOENT;
	}
	text = calloc(1, size + 1);
	if (!text) {
		return -ENOMEM;
	}
	r = kernel_read(k, kernel_u64(k, data), text, size);
	return r < 0 ? r : vmcoreinfo_init(&k->vmcoreinfo, text, size);
}

static int locate(struct kernel *k, struct fault *ret_fault)
{
	struct image image;
	const char *note;
	size_t len;

	note = core_vmcoreinfo(k->core, &len);
	if (note && vmcoreinfo_init(&k->vmcoreinfo, note, len) == 0) {
		if (page_tables_from_vmcoreinfo(k)) {
			return 0;
		}
		/* of a kernel that has gone (the machine was started anew), or false */
		vmcoreinfo_fini(&k->vmcoreinfo);
	}
	if (!page_tables_from_cpus(k, &image)) {
		fault_set(ret_fault, FAULT_NOT_SUPPORTED,
			  "no Linux kernel is running in this memory");
		fault_hint(ret_fault, "It may be in its firmware or its loader, or be another "
				      "system: the console and the screen show that.");
		return -ENOENT;
	}
	if (find_vmcoreinfo(k, &image) < 0) {
		fault_set(ret_fault, FAULT_NOT_SUPPORTED,
			  "the kernel in this memory is not one that can be read");
		fault_hint(ret_fault, "It must be Linux for x86-64, built with KALLSYMS and "
				      "crash dump support.");
		return -ENOENT;
	}
	/* the tables of a process were good enough to get here */
	if (!page_tables_from_vmcoreinfo(k)) {
		page_tables_from_cpus(k, &image);
	}
	return 0;
}

int kernel_open(const char *path, struct kernel **ret, struct fault *ret_fault)
{
	struct kernel *k = calloc(1, sizeof(*k));
	int r = k ? core_open(path, &k->core, ret_fault) : -ENOMEM;

	if (r == 0) {
		r = locate(k, ret_fault);
	}
	if (r == 0) {
		k->memo = object_memo_new();
		r = k->memo ? 0 : -ENOMEM;
	}
	if (r == -ENOMEM) {
		fault_set(ret_fault, FAULT_INTERNAL, "no memory");
	}
	if (r < 0) {
		kernel_free(k);
		return r;
	}
	if (!vmcoreinfo_text(&k->vmcoreinfo, "OSRELEASE", k->release, sizeof(k->release))) {
		strcpy(k->release, "?");
	}
	text_clean(k->release, false);
	*ret = k;
	return 0;
}

struct kernel *kernel_free(struct kernel *k)
{
	if (k) {
		for (size_t i = 0; i < k->n_modules; i++) {
			btf_free(k->modules[i].btf);
		}
		btf_free(k->btf);
		kallsyms_free(k->kallsyms);
		object_memo_free(k->memo);
		vmcoreinfo_fini(&k->vmcoreinfo);
		core_free(k->core);
		free(k);
	}
	return NULL;
}

int kernel_refresh(struct kernel *k)
{
	const char *note;
	size_t len;
	int r;

	paging_forget(&k->paging);
	k->reads = 0;
	r = core_refresh(k->core);
	if (r < 0) {
		return r;
	}
	note = core_vmcoreinfo(k->core, &len);
	if (note && (strnlen(note, len) != k->vmcoreinfo.len ||
		     memcmp(note, k->vmcoreinfo.text, k->vmcoreinfo.len) != 0)) {
		return -ESTALE;
	}
	return 0;
}

/* ---- symbols ---- */

static uint64_t table_symbol(struct kernel *k, const char *name)
{
	uint64_t address = 0;

	vmcoreinfo_value(&k->vmcoreinfo, "SYMBOL", name, &address);
	return address;
}

/* The names' length stands nowhere: up to the next of the other tables. */
static size_t names_length(struct kernel *k, uint64_t names, size_t n)
{
	static const char *const others[] = { "kallsyms_token_table", "kallsyms_token_index",
					      "kallsyms_offsets", "kallsyms_relative_base",
					      "kallsyms_num_syms" };
	uint64_t len = MIN((uint64_t)n * NAMES_GUESS_BYTES, (uint64_t)KALLSYMS_NAMES_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		uint64_t other = table_symbol(k, others[i]);

		if (other > names && other - names < len) {
			len = other - names;
		}
	}
	return (size_t)len;
}

static int load_kallsyms(struct kernel *k)
{
	_cleanup_free_ uint8_t *names = NULL, *tokens = NULL, *offsets = NULL;
	struct kallsyms_tables t = { 0 };
	uint64_t names_at = table_symbol(k, "kallsyms_names"),
		 number_at = table_symbol(k, "kallsyms_num_syms"),
		 table_at = table_symbol(k, "kallsyms_token_table"),
		 index_at = table_symbol(k, "kallsyms_token_index"),
		 offsets_at = table_symbol(k, "kallsyms_offsets"),
		 base_at = table_symbol(k, "kallsyms_relative_base"),
		 addresses_at = table_symbol(k, "kallsyms_addresses");
	int r;

	if (!names_at || !number_at || !index_at || table_at >= index_at ||
	    index_at - table_at > 65536 || (!addresses_at && !(offsets_at && base_at))) {
		return -ENOENT;
	}
	t.n = kernel_u32(k, number_at);
	if (t.n == 0 || t.n > KALLSYMS_MAX) {
		return -EINVAL;
	}
	t.names_len = names_length(k, names_at, t.n);
	t.token_table_len = (size_t)(index_at - table_at);
	t.absolute = addresses_at != 0;
	names = malloc(t.names_len);
	tokens = malloc(t.token_table_len + 512);
	offsets = malloc(t.n * (t.absolute ? 8 : 4));
	if (!names || !tokens || !offsets) {
		return -ENOMEM;
	}
	r = kernel_read(k, names_at, names, t.names_len);
	if (r == 0) {
		r = kernel_read(k, table_at, tokens, t.token_table_len + 512);
	}
	if (r == 0) {
		r = kernel_read(k, t.absolute ? addresses_at : offsets_at, offsets,
				t.n * (t.absolute ? 8 : 4));
	}
	if (r < 0) {
		return r;
	}
	t.relative_base = t.absolute ? 0 : kernel_u64(k, base_at);
	t.names = names;
	t.token_table = tokens;
	t.token_index = tokens + t.token_table_len;
	t.offsets = offsets;
	return kallsyms_new(&t, &k->kallsyms);
}

struct kallsyms *kernel_kallsyms(struct kernel *k)
{
	struct image image;

	if (!k->kallsyms_tried) {
		k->kallsyms_tried = true;
		if (load_kallsyms(k) < 0 && image_init(&image, &k->paging) &&
		    image_find_kallsyms(&image, &k->kallsyms) < 0) {
			kernel_mark(k, "the kernel's symbols were not found");
		}
	}
	return k->kallsyms;
}

bool kernel_symbol(struct kernel *k, const char *name, uint64_t *ret_address)
{
	struct kallsyms *symbols;

	if (vmcoreinfo_value(&k->vmcoreinfo, "SYMBOL", name, ret_address)) {
		return true;
	}
	symbols = kernel_kallsyms(k);
	return symbols && kallsyms_find(symbols, name, ret_address);
}

uint64_t kernel_symbol_or_zero(struct kernel *k, const char *name)
{
	uint64_t address;

	return kernel_symbol(k, name, &address) ? address : 0;
}

/* ---- types ---- */

static int load_btf(struct kernel *k, uint64_t address, size_t len, const struct btf *base,
		    struct btf **ret)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	int r;

	if (len < BTF_HEADER_BYTES || len > BTF_MAX_BYTES) {
		return -EINVAL;
	}
	bytes = malloc(len);
	if (!bytes) {
		return -ENOMEM;
	}
	r = kernel_read(k, address, bytes, len);
	return r < 0 ? r : btf_new(bytes, len, base, ret);
}

const struct btf *kernel_btf(struct kernel *k)
{
	uint64_t start, stop;
	struct image image;
	size_t len;

	if (k->btf_tried) {
		return k->btf;
	}
	k->btf_tried = true;
	if (kernel_symbol(k, "__start_BTF", &start) && kernel_symbol(k, "__stop_BTF", &stop) &&
	    stop > start && load_btf(k, start, (size_t)(stop - start), NULL, &k->btf) == 0) {
		return k->btf;
	}
	if (image_init(&image, &k->paging) && image_find_btf(&image, &start, &len) == 0 &&
	    load_btf(k, start, len, NULL, &k->btf) == 0) {
		return k->btf;
	}
	return NULL;
}

int kernel_need_types(struct kernel *k, struct fault *ret_fault)
{
	if (kernel_btf(k) && kernel_kallsyms(k)) {
		return 0;
	}
	fault_set(ret_fault, FAULT_NOT_SUPPORTED, "kernel %s carries no %s that could be read",
		  k->release, kernel_kallsyms(k) ? "types (BTF)" : "symbols (kallsyms)");
	fault_hint(ret_fault, "Only `target info` and `target dmesg` work without; Linux 5.10 or "
			      "later with CONFIG_DEBUG_INFO_BTF has them.");
	return -ENOENT;
}

/* struct btf_module { list; module; btf; … } of those that are loaded. */
static void load_module_types(struct kernel *k)
{
	uint64_t head = kernel_symbol_or_zero(k, "btf_modules"), entry;
	struct walk walk;

	if (!head || !object_has(k, "btf_module", "btf")) {
		return;
	}
	list_begin(&walk, k, head, object_offset(k, "btf_module", "list"));
	while (k->n_modules < KERNEL_MODULE_TYPES_MAX && list_next(&walk, &entry)) {
		uint64_t data = object_u64(k, "btf_module", entry, "btf->data");
		uint64_t len = object_u64(k, "btf_module", entry, "btf->data_size");

		if (data &&
		    load_btf(k, data, (size_t)len, k->btf, &k->modules[k->n_modules].btf) == 0) {
			k->n_modules++;
		}
	}
}

const struct btf *kernel_type(struct kernel *k, const char *name, uint32_t *ret_id)
{
	const struct btf *btf = kernel_btf(k);

	if (!btf) {
		return NULL;
	}
	*ret_id = btf_find(btf, name);
	if (*ret_id != BTF_VOID) {
		return btf;
	}
	if (!k->modules_tried) {
		k->modules_tried = true;
		load_module_types(k);
	}
	for (size_t i = 0; i < k->n_modules; i++) {
		*ret_id = btf_find(k->modules[i].btf, name);
		if (*ret_id != BTF_VOID) {
			return k->modules[i].btf;
		}
	}
	return NULL;
}

/* ---- CPUs ---- */

unsigned kernel_cpu_count(struct kernel *k)
{
	uint64_t address;

	if (k->n_cpus == 0) {
		unsigned n = 1;

		if (kernel_symbol(k, "nr_cpu_ids", &address)) {
			n = kernel_u32(k, address);
		}
		k->n_cpus = n >= 1 && n <= KERNEL_CPUS_MAX ? n : 1;
	}
	return k->n_cpus;
}

bool kernel_cpu_online(struct kernel *k, unsigned cpu)
{
	uint64_t mask = kernel_symbol_or_zero(k, "__cpu_online_mask");

	if (cpu >= kernel_cpu_count(k)) {
		return false;
	}
	return mask ? kernel_u64(k, mask + cpu / 64 * 8) >> cpu % 64 & 1 : cpu == 0;
}

uint64_t kernel_per_cpu(struct kernel *k, uint64_t address, unsigned cpu)
{
	if (!k->per_cpu_offsets) {
		k->per_cpu_offsets = kernel_symbol_or_zero(k, "__per_cpu_offset");
	}
	if (cpu >= kernel_cpu_count(k) || !k->per_cpu_offsets) {
		return 0;
	}
	return address + kernel_u64(k, k->per_cpu_offsets + (uint64_t)cpu * 8);
}

const struct cpu_state *kernel_cpu_state(struct kernel *k, unsigned cpu)
{
	uint64_t base = kernel_per_cpu(k, 0, cpu);

	/* in the kernel GS is the CPU's own area; in a process it waits in the other register */
	for (size_t i = 0; base && i < core_cpus(k->core); i++) {
		const struct cpu_state *s = core_cpu(k->core, i);

		if (s->gs_base == base || s->kernel_gs_base == base) {
			return s;
		}
	}
	/* an older note has one of the two only: then in the hypervisor's order */
	return cpu < core_cpus(k->core) ? core_cpu(k->core, cpu) : NULL;
}
