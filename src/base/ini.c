/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files: strict, with the line in every complaint. */
#include "ini.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"

#define INI_WORD_MAX 64
#define INI_LINE_MAX 4096

static char *trim(char *s)
{
	size_t len;

	s += strspn(s, " \t");
	len = strlen(s);
	while (len > 0 && strchr(" \t\r", s[len - 1])) {
		s[--len] = '\0';
	}
	return s;
}

/* Names of sections and keys. */
static bool word_valid(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= INI_WORD_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       len;
}

struct ini_reader {
	char section[INI_WORD_MAX + 1];
	unsigned line;
	ini_key_fn fn;
	void *user;
	struct fault *fault;
};

static int read_section(struct ini_reader *reader, char *text)
{
	size_t len = strlen(text);
	char *name;

	if (text[len - 1] != ']') {
		return fault_set(reader->fault, FAULT_BAD_VALUE, "line %u: \"]\" is missing",
				 reader->line);
	}
	text[len - 1] = '\0';
	name = trim(text + 1);
	if (!word_valid(name)) {
		return fault_set(reader->fault, FAULT_BAD_VALUE,
				 "line %u: not a name for a section", reader->line);
	}
	strcpy(reader->section, name);
	return 0;
}

static int read_line(struct ini_reader *reader, const char *p, size_t len)
{
	char copy[INI_LINE_MAX + 1];
	char *text, *equals, *key;

	if (len > INI_LINE_MAX) {
		return fault_set(reader->fault, FAULT_BAD_VALUE, "line %u: longer than %d bytes",
				 reader->line, INI_LINE_MAX);
	}
	memcpy(copy, p, len);
	copy[len] = '\0';
	text = trim(copy);
	if (memchr(p, '\0', len) || !text_valid(text[0] == '#' ? "" : text, INI_LINE_MAX)) {
		return fault_set(reader->fault, FAULT_BAD_VALUE, "line %u: not plain UTF-8 text",
				 reader->line);
	}
	if (text[0] == '\0' || text[0] == '#') {
		return 0;
	}
	if (text[0] == '[') {
		return read_section(reader, text);
	}
	equals = strchr(text, '=');
	if (!equals) {
		return fault_set(reader->fault, FAULT_BAD_VALUE,
				 "line %u: neither \"[section]\" nor \"key = value\"",
				 reader->line);
	}
	*equals = '\0';
	key = trim(text);
	if (!word_valid(key)) {
		return fault_set(reader->fault, FAULT_BAD_VALUE, "line %u: not a name for a key",
				 reader->line);
	}
	return reader->fn(reader->section, key, trim(equals + 1), reader->line, reader->user,
			  reader->fault);
}

int ini_parse_text(const char *text, size_t len, ini_key_fn fn, void *user, struct fault *fault)
{
	struct ini_reader reader = { .fn = fn, .user = user, .fault = fault };
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *line_end = newline ? newline : end;
		int r;

		reader.line++;
		r = read_line(&reader, text, (size_t)(line_end - text));
		if (r < 0) {
			return r;
		}
		text = newline ? newline + 1 : end;
	}
	return 0;
}

int ini_parse_file(const char *path, ini_key_fn fn, void *user, struct fault *fault)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read(path, INI_FILE_MAX, &text, &len);

	if (r == -ENOENT) {
		return r;
	}
	if (r == -EFBIG) {
		return fault_set(fault, FAULT_TOO_LARGE, "the configuration is larger than %d KiB",
				 INI_FILE_MAX / 1024);
	}
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "the configuration cannot be read: %s",
				 strerror(-r));
	}
	return ini_parse_text(text, len, fn, user, fault);
}
