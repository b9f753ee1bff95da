/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target print: a variable or object of the target's kernel, by the kernel's types.
 *
 * [(TYPE)] PLACE [@CPU] [PATH]. PLACE is a symbol or an address (0x…). TYPE may be left out where
 * the kernel's types know the variable, as they do per-CPU ones; "(TYPE *)" and "(TYPE)" are both
 * what stands at PLACE. PATH goes on as in C: .member, ->member, [N].
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "btf_path.h"
#include "memory.h"
#include "parse.h"
#include "symbols.h"
#include "value.h"

#define WORD_MAX 128

struct expression {
	char type[WORD_MAX];  /* "": as the kernel has it */
	char place[WORD_MAX]; /* a symbol, or 0x… */
	bool has_cpu;
	uint32_t cpu;
	const char *path;
};

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

static bool take_word(const char **p, const char *until, char out[WORD_MAX])
{
	size_t len = strcspn(*p, until);

	if (len == 0 || len >= WORD_MAX) {
		return false;
	}
	memcpy(out, *p, len);
	out[len] = '\0';
	while (len > 0 && strchr(" \t*", out[len - 1])) {
		out[--len] = '\0';
	}
	*p += strcspn(*p, until);
	return len > 0;
}

static bool parse(const char *p, struct expression *e)
{
	char number[WORD_MAX];

	*e = (struct expression){ 0 };
	p = skip_blanks(p);
	if (*p == '(') {
		p = skip_blanks(p + 1);
		if (!take_word(&p, ")", e->type) || *p != ')') {
			return false;
		}
		p = skip_blanks(p + 1);
	}
	if (*p == '&') { /* as people write it: the object at that address is meant anyway */
		p++;
	}
	/* "->" begins with a sign that no symbol has */
	if (!take_word(&p, ".-[@ ", e->place)) {
		return false;
	}
	if (*p == '@') {
		p++;
		if (!take_word(&p, ".-[ ", number) || parse_u32(number, &e->cpu) < 0) {
			return false;
		}
		e->has_cpu = true;
	}
	/* the object itself is at PLACE: -> from there is what . is */
	e->path = strncmp(p, "->", 2) == 0 ? p + 2 : *p == '.' ? p + 1 : p;
	return true;
}

static int find_place(struct kernel *k, struct symbols *s, const struct expression *e,
		      uint64_t *ret_address, struct fault *fault)
{
	char *end;

	if (strncmp(e->place, "0x", 2) == 0) {
		*ret_address = strtoull(e->place, &end, 16);
		if (*end) {
			return fault_set(fault, FAULT_BAD_VALUE, "%.100s is no address", e->place);
		}
	} else if (!symbols_find(s, e->place, ret_address)) {
		return fault_set(fault, FAULT_NOT_FOUND, "kernel %s has no symbol %.100s",
				 kernel_release(k), e->place);
	}
	if (e->has_cpu) {
		*ret_address = kernel_per_cpu(k, *ret_address, e->cpu);
		if (*ret_address == 0) {
			return fault_set(fault, FAULT_NOT_FOUND, "the target has no CPU %u",
					 e->cpu);
		}
	}
	return 0;
}

static int find_type(struct kernel *k, const struct expression *e, const struct btf **ret_btf,
		     uint32_t *ret_type, struct fault *fault)
{
	int r;

	if (e->type[0]) {
		*ret_btf = kernel_type(k, e->type, ret_type);
		if (!*ret_btf) {
			return fault_set(fault, FAULT_NOT_FOUND, "kernel %s has no type %.100s",
					 kernel_release(k), e->type);
		}
		return 0;
	}
	*ret_btf = kernel_btf(k);
	*ret_type = btf_find_variable(*ret_btf, e->place);
	if (*ret_type != BTF_VOID) {
		*ret_type = btf_target(*ret_btf, *ret_type);
		return 0;
	}
	r = fault_set(fault, FAULT_BAD_VALUE, "this kernel does not say of what type %.100s is",
		      e->place);
	fault_hint(fault, "Say it: target print '(struct TYPE)%.60s'", e->place);
	return r;
}

static int show(struct kernel *k, struct symbols *s, struct invocation *in, struct fault *fault)
{
	struct expression e;
	struct btf_path path;
	const struct btf *btf;
	char type_name[WORD_MAX * 2];
	uint64_t address;
	uint32_t type;
	json_t *value;
	int r;

	if (!parse(in->argv[0], &e)) {
		return fault_set(fault, FAULT_BAD_VALUE, "that is no expression");
	}
	r = find_type(k, &e, &btf, &type, fault);
	if (r == 0) {
		r = find_place(k, s, &e, &address, fault);
	}
	if (r < 0) {
		return r;
	}
	if (!btf_path_find(btf, type, e.path, &path)) {
		btf_describe(btf, type, type_name, sizeof(type_name));
		return fault_set(fault, FAULT_NOT_FOUND, "%.100s has no %.100s", type_name, e.path);
	}
	address += path.offsets[0];
	for (unsigned i = 1; i < path.n; i++) {
		uint64_t next = kernel_u64(k, address);

		if (next == 0) {
			return fault_set(fault, FAULT_NOT_FOUND,
					 "a pointer on the way is NULL, or cannot be read");
		}
		address = next + path.offsets[i];
	}
	btf_describe(btf, path.type, type_name, sizeof(type_name));
	value = value_read(k, s, btf, path.type, address, path.bit_offset, path.bits);
	if (in->json) {
		char text[24];
		json_t *root;

		snprintf(text, sizeof(text), "0x%016" PRIx64, address);
		root = json_pack("{s:s, s:s, s:O, s:s?}", "type", type_name, "address", text,
				 "value", value, "partial", memory_partial(k));
		json_dumpf(root, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(root);
	} else {
		printf("(%s) ", type_name);
		value_print(value);
		if (memory_partial(k)) {
			fflush(stdout);
			fprintf(stderr, "target: this is not all: %s\n", memory_partial(k));
		}
	}
	json_decref(value);
	return 0;
}

int cmd_print(const struct command *c, struct invocation *in)
{
	struct fault fault = { 0 };
	struct symbols *s;
	struct kernel *k;
	int r;

	if (in->argc != 1) {
		return usage(c);
	}
	if (memory_open_types(in, &k, &fault) < 0) {
		return complain(&fault);
	}
	if (symbols_new(k, &s) < 0) {
		kernel_free(k);
		fault_set(&fault, FAULT_INTERNAL, "no memory");
		return complain(&fault);
	}
	r = show(k, s, in, &fault);
	symbols_free(s);
	kernel_free(k);
	return r < 0 ? complain(&fault) : 0;
}
