/* SPDX-License-Identifier: Apache-2.0 */
/* target power VERB */
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "client.h"
#include "parse.h"
#include "target.h"

int cmd_power(const struct command *c, struct invocation *in)
{
	_cleanup_free_ char *line = NULL, *text = NULL;
	struct fault fault = { 0 };
	char name[NAME_BYTES];

	if (client_target(in->name, name, &fault) < 0) {
		return complain(&fault);
	}
	line = strf("%s %s", c->words, name);
	if (!line) {
		fault_set(&fault, FAULT_INTERNAL, "no memory");
		return complain(&fault);
	}
	if (client_verb(line, &text, &fault) < 0) {
		return complain(&fault);
	}
	if (in->json) {
		printf("{\"target\":\"%s\",\"verb\":\"%s\"}\n", name, c->words + strlen("power "));
	} else {
		printf("%s: %s\n", name, text[0] && text[0] != '{' ? text : "done");
	}
	return 0;
}
