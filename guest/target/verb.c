/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to a verb. */
#include "verb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

void verb_reader_init(struct verb_reader *r, void (*note)(const char *text, void *user), void *user)
{
	*r = (struct verb_reader){ .note = note, .user = user };
	buf_init(&r->line, VERB_LINE_MAX + 1);
}

void verb_reader_fini(struct verb_reader *r)
{
	buf_fini(&r->line);
	free(r->text);
	r->text = NULL;
}

/* CODE MESSAGE|HINT */
static void take_fault(struct verb_reader *r, char *rest)
{
	char *message = strchr(rest, ' '), *hint;

	if (message) {
		*message++ = '\0';
	} else {
		message = rest + strlen(rest);
	}
	hint = strchr(message, '|');
	if (hint) {
		*hint++ = '\0';
	}
	fault_set(&r->fault, fault_code_parse(rest), "%s",
		  *message ? message : fault_code_title(fault_code_parse(rest)));
	if (hint && *hint) {
		fault_hint(&r->fault, "%s", hint);
	}
	r->done = true;
}

static int take_line(struct verb_reader *r, char *line)
{
	char *rest = strchr(line, ' ');

	if (!text_valid(line, VERB_LINE_MAX)) {
		return -EPROTO;
	}
	if (rest) {
		*rest++ = '\0';
	} else {
		rest = line + strlen(line);
	}
	if (strcmp(line, "note") == 0) {
		if (r->note) {
			r->note(rest, r->user);
		}
	} else if (strcmp(line, "ok") == 0) {
		r->text = strdup(rest);
		if (!r->text) {
			return -ENOMEM;
		}
		r->done = true;
	} else if (strcmp(line, "fault") == 0) {
		take_fault(r, rest);
	} else {
		return -EPROTO;
	}
	return 0;
}

int verb_reader_input(struct verb_reader *r, const uint8_t *p, size_t len)
{
	while (len > 0 && !r->done) {
		const uint8_t *newline = memchr(p, '\n', len);
		size_t n = newline ? (size_t)(newline - p) : len;
		int result = buf_append(&r->line, p, n);

		if (result == 0 && newline) {
			result = buf_append(&r->line, "", 1);
			if (result == 0) {
				result = take_line(r, (char *)buf_data(&r->line));
			}
			buf_clear(&r->line);
			n++;
		}
		if (result < 0) {
			return result == -ENOBUFS ? -EPROTO : result;
		}
		p += n;
		len -= n;
	}
	return 0;
}
