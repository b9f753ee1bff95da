/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the command line of a login over SSH: what is taken are bounded, harmless words. */
#include <string.h>

#include "cleanup.h"
#include "command.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@+,=-";
	_cleanup_free_ char *line = strndup((const char *)data, size);
	struct door_command c;

	must(line);
	if (door_command_parse(line, &c, NULL) < 0) {
		return 0;
	}
	must(strlen(line) <= DOOR_LINE_MAX && c.argc < DOOR_ARGV_MAX && !c.argv[c.argc]);
	must((c.argc == 0) == (c.verb == DOOR_LIST || c.verb == DOOR_HELP));
	for (size_t i = 0; i < c.argc; i++) {
		size_t len = strlen(c.argv[i]);

		must(len > 0 && len <= DOOR_WORD_MAX && strspn(c.argv[i], letters) == len);
		/* Only our own options begin like one. */
		must(c.argv[i][0] != '-' || c.argv[i] < c.text ||
		     c.argv[i] >= c.text + sizeof(c.text));
	}
	return 0;
}
