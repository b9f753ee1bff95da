/* SPDX-License-Identifier: Apache-2.0 */
/* A fault as application/problem+json. */
#include "problem.h"

/* Codes whose hint says nothing general leave it to whoever sets the fault; he may have had nothing
 * to add. */
#define HINT_FALLBACK "See the API description for what this request may ask."

/* A text that was made with what a user sent may end in half a character: then `fallback`. */
static json_t *text_or(const char *text, const char *fallback)
{
	json_t *value = text[0] ? json_string(text) : NULL;

	return value ? value : json_string(fallback);
}

json_t *problem_json(const struct fault *fault, unsigned status)
{
	const char *title = fault_code_title(fault->code);

	return json_pack("{s:s, s:s, s:i, s:s, s:o, s:o}", "type", "about:blank", "title", title,
			 "status", (int)status, "code", fault_code_name(fault->code), "detail",
			 text_or(fault->message, title), "hint",
			 text_or(fault->hint, HINT_FALLBACK));
}
