/* SPDX-License-Identifier: Apache-2.0 */
/* target help */
#include <stdio.h>
#include <string.h>

#include "target.h"

static void line(const struct command *c)
{
	char left[64];

	snprintf(left, sizeof(left), "target %s", c->words);
	printf("  %-24s %s\n", left, c->purpose);
}

int cmd_help(const struct command *c, struct invocation *in)
{
	const char *word = in->argc > 0 ? in->argv[0] : NULL;
	bool found = false;

	if (!word) {
		printf("This machine is a debug VM. What can be done with the VM under debug:\n\n");
	}
	for (size_t i = 0; i < n_commands; i++) {
		size_t len = word ? strlen(word) : 0;

		if (!word) {
			line(&commands[i]);
		} else if (strncmp(commands[i].words, word, len) == 0 &&
			   (commands[i].words[len] == '\0' || commands[i].words[len] == ' ') &&
			   (in->argc < 2 ||
			    strcmp(commands[i].words + len + 1, in->argv[1]) == 0)) {
			printf("target %s [-t NAME] [--json]%s%s\n      %s\n", commands[i].words,
			       commands[i].arguments[0] ? " " : "", commands[i].arguments,
			       commands[i].purpose);
			found = true;
		}
	}
	if (!word) {
		printf("\n  -t NAME names the target where the session has several; --json prints "
		       "data for programs.\n"
		       "  Disks of the target appear as /dev/target/NAME/DISK.\n");
		return 0;
	}
	if (!found) {
		fprintf(stderr, "target: there is no command `%s`\n", word);
		return 2;
	}
	return 0;
}
