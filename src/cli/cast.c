/* SPDX-License-Identifier: Apache-2.0 */
/* Reading asciicast v2. */
#include "cast.h"

#include <errno.h>
#include <math.h>
#include <string.h>

int cast_header(const char *line, size_t len, unsigned *ret_columns, unsigned *ret_rows)
{
	json_t *j = json_loadb(line, len, 0, NULL);
	int version = 0, width = 0, height = 0, r;

	r = j &&
			    json_unpack(j, "{s:i, s:i, s:i}", "version", &version, "width", &width,
					"height", &height) == 0 &&
			    version == 2 && width > 0 && width <= UINT16_MAX && height > 0 &&
			    height <= UINT16_MAX
		    ? 0
		    : -EPROTO;
	json_decref(j);
	if (r == 0) {
		*ret_columns = (unsigned)width;
		*ret_rows = (unsigned)height;
	}
	return r;
}

int cast_event(const char *line, size_t len, struct cast_event *ret)
{
	struct cast_event e = { 0 };
	json_t *j = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
	const char *type;
	double at;

	if (!j || json_unpack(j, "[F, s, s%]", &at, &type, &e.text, &e.text_len) < 0 ||
	    !isfinite(at) || at < 0 || at > 1e9 || strlen(type) != 1) {
		json_decref(j);
		return -EPROTO;
	}
	e.at = (usec_t)(at * USEC_PER_SEC);
	e.type = type[0];
	e.json = j;
	*ret = e;
	return 0;
}

void cast_event_fini(struct cast_event *e)
{
	json_decref(e->json);
	*e = (struct cast_event){ 0 };
}
