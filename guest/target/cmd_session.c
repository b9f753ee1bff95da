/* SPDX-License-Identifier: Apache-2.0 */
/* target session renew|end */
#include <stdio.h>

#include "cleanup.h"
#include "client.h"
#include "target.h"

int cmd_session(const struct command *c, struct invocation *in)
{
	_cleanup_free_ char *text = NULL;
	struct fault fault = { 0 };

	if (client_verb(c->words, &text, &fault) < 0) {
		return complain(&fault);
	}
	if (in->json) {
		printf("%s\n", text[0] == '{' ? text : "{}");
	} else {
		printf("%s\n", text[0] && text[0] != '{' ? text : "done");
	}
	return 0;
}
