/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that a D-VM may ask for (PROTOCOL.agent §3): the table, and nothing beside it. */
#pragma once

#include "fault.h"

#define VERB_LINE_MAX 8192
#define VERB_WORDS_MAX 8
#define VERB_WORD_MAX 96

struct verb {
	char text[VERB_WORDS_MAX * (VERB_WORD_MAX + 1)]; /* the words, each NUL-terminated */
	const char *words[VERB_WORDS_MAX];
	size_t n_words; /* the verb itself is words[0] */
};

/* [p, p+len): a line without its end. FAULT_PROTOCOL for what is no line of words,
 * FAULT_NOT_SUPPORTED for words that are not in the table. */
enum fault_code verb_parse(const char *p, size_t len, struct verb *ret) _must_check_;
