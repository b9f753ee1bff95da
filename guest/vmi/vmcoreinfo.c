/* SPDX-License-Identifier: Apache-2.0 */
/* What a Linux kernel says of itself for crash tools. */
#include "vmcoreinfo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 96

int vmcoreinfo_init(struct vmcoreinfo *v, const char *text, size_t len)
{
	len = strnlen(text, len);
	if (len == 0 || len > VMCOREINFO_MAX || !memmem(text, len, "OSRELEASE=", 10)) {
		return -EINVAL;
	}
	v->text = strndup(text, len);
	v->len = len;
	return v->text ? 0 : -ENOMEM;
}

void vmcoreinfo_fini(struct vmcoreinfo *v)
{
	free(v->text);
	*v = (struct vmcoreinfo){ 0 };
}

bool vmcoreinfo_text(const struct vmcoreinfo *v, const char *key, char *out, size_t size)
{
	size_t key_len = strlen(key);
	const char *line = v->text;

	while (line && *line) {
		size_t len = strcspn(line, "\n");

		if (len > key_len && line[key_len] == '=' && strncmp(line, key, key_len) == 0) {
			snprintf(out, size, "%.*s", (int)(len - key_len - 1), line + key_len + 1);
			return true;
		}
		line += len + (line[len] == '\n');
	}
	return false;
}

static bool number(const char *text, int base, uint64_t *ret)
{
	uint64_t value;
	char *end;

	errno = 0;
	value = text[0] == '-' ? (uint64_t)strtoll(text, &end, base) : strtoull(text, &end, base);
	if (errno || end == text || *end) {
		return false;
	}
	*ret = value;
	return true;
}

bool vmcoreinfo_value(const struct vmcoreinfo *v, const char *kind, const char *name, uint64_t *ret)
{
	char key[KEY_MAX], text[32];

	if (snprintf(key, sizeof(key), "%s(%s)", kind, name) >= (int)sizeof(key) ||
	    !vmcoreinfo_text(v, key, text, sizeof(text))) {
		return false;
	}
	return number(text, strcmp(kind, "SYMBOL") == 0 ? 16 : 10, ret);
}

bool vmcoreinfo_hex(const struct vmcoreinfo *v, const char *key, uint64_t *ret)
{
	char text[32];

	return vmcoreinfo_text(v, key, text, sizeof(text)) && number(text, 16, ret);
}
