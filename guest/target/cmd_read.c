/* SPDX-License-Identifier: Apache-2.0 */
/* target read: bytes of the target's kernel memory. */
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "memory.h"
#include "parse.h"
#include "symbols.h"

#define READ_MAX 65536
#define LINE_BYTES 16

static bool find_address(struct symbols *s, const char *text, uint64_t *ret)
{
	char *end;

	if (strncmp(text, "0x", 2) == 0) {
		*ret = strtoull(text, &end, 16);
		return *end == '\0' && end > text + 2;
	}
	return symbols_find(s, text, ret);
}

static void dump(uint64_t address, const uint8_t *p, size_t len)
{
	for (size_t at = 0; at < len; at += LINE_BYTES) {
		size_t n = MIN(len - at, (size_t)LINE_BYTES);

		printf("%016" PRIx64 " ", address + at);
		for (size_t i = 0; i < LINE_BYTES; i++) {
			if (i < n) {
				printf("%s%02x", i % 8 ? " " : "  ", p[at + i]);
			} else {
				printf("   %s", i % 8 ? "" : " ");
			}
		}
		printf("  ");
		for (size_t i = 0; i < n; i++) {
			putchar(isprint(p[at + i]) ? p[at + i] : '.');
		}
		printf("\n");
	}
}

static int show(struct kernel *k, struct symbols *s, struct invocation *in, uint64_t len,
		struct fault *fault)
{
	char name[KALLSYMS_NAME_MAX], symbol[SYMBOL_TEXT_MAX];
	_cleanup_free_ uint8_t *bytes = NULL;
	uint64_t address, start, size;
	const struct module *module;

	if (!find_address(s, in->argv[0], &address)) {
		return fault_set(fault, FAULT_NOT_FOUND, "kernel %s has no symbol %.100s",
				 kernel_release(k), in->argv[0]);
	}
	if (len == 0) { /* as much as the symbol has, where it is one */
		len = in->argv[0][0] != '0' &&
				      symbols_at(s, address, name, &start, &size, &module) &&
				      start == address && size > 0 && size <= 4096
			      ? size
			      : 64;
	}
	bytes = malloc(len);
	if (!bytes) {
		return fault_set(fault, FAULT_INTERNAL, "no memory");
	}
	if (kernel_read(k, address, bytes, len) < 0) {
		return fault_set(fault, FAULT_NOT_FOUND, "there is no memory at 0x%016" PRIx64,
				 address);
	}
	symbols_text(s, address, symbol);
	if (in->json) {
		_cleanup_free_ char *hex = malloc(2 * len + 1);
		char text[24];
		json_t *root;

		if (!hex) {
			return fault_set(fault, FAULT_INTERNAL, "no memory");
		}
		hex_encode(bytes, len, hex);
		snprintf(text, sizeof(text), "0x%016" PRIx64, address);
		root = json_pack("{s:s, s:s, s:s}", "address", text, "symbol", symbol, "hex", hex);
		json_dumpf(root, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(root);
	} else {
		printf("%s\n", symbol);
		dump(address, bytes, len);
	}
	return 0;
}

int cmd_read(const struct command *c, struct invocation *in)
{
	struct fault fault = { 0 };
	struct symbols *s;
	struct kernel *k;
	uint64_t len = 0;
	int r;

	if (in->argc < 1 ||
	    (in->argc == 2 && (parse_size(in->argv[1], &len) < 0 || len == 0 || len > READ_MAX))) {
		return usage(c);
	}
	if (memory_open(in, &k, &fault) < 0) {
		return complain(&fault);
	}
	if (symbols_new(k, &s) < 0) {
		kernel_free(k);
		fault_set(&fault, FAULT_INTERNAL, "no memory");
		return complain(&fault);
	}
	r = show(k, s, in, len, &fault);
	symbols_free(s);
	kernel_free(k);
	return r < 0 ? complain(&fault) : 0;
}
