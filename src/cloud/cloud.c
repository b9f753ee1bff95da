/* SPDX-License-Identifier: Apache-2.0 */
/* Names of power verbs. */
#include "cloud.h"

#include <string.h>

static const char *const verb_names[] = {
	[POWER_ON] = "on",	   [POWER_OFF] = "off",	    [POWER_SHUTDOWN] = "shutdown",
	[POWER_REBOOT] = "reboot", [POWER_RESET] = "reset", [POWER_PAUSE] = "pause",
	[POWER_RESUME] = "resume", [POWER_NMI] = "nmi",	    [POWER_HOLD] = "hold",
	[POWER_UNHOLD] = "unhold",
};
static_assert(ARRAY_SIZE(verb_names) == _POWER_VERB_MAX, "a name for each verb");

const char *power_verb_name(enum power_verb v)
{
	return v < _POWER_VERB_MAX ? verb_names[v] : "unknown";
}

int power_verb_parse(const char *name, enum power_verb *ret)
{
	for (unsigned i = 0; i < _POWER_VERB_MAX; i++) {
		if (strcmp(name, verb_names[i]) == 0) {
			*ret = (enum power_verb)i;
			return 0;
		}
	}
	return -EINVAL;
}

struct cloud *cloud_free(struct cloud *c)
{
	return c ? c->ops->free(c) : NULL;
}
