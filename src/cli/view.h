/* SPDX-License-Identifier: Apache-2.0 */
/* The API's objects as people read them: lists as tables, one object as "name  value" lines. */
#pragma once

#include <jansson.h>

#include "args.h"
#include "cli.h"

struct view_column {
	const char *header; /* NULL ends */
	const char *key;    /* member; a dot goes one object deeper */
	/* Text of a value that is not null, for the caller to free; NULL: no memory. Without it
	 * strings, numbers and booleans are shown as they are. */
	char *(*format)(const json_t *value);
};

#define VIEW_END                                                                                   \
	{                                                                                          \
		.header = NULL                                                                     \
	}

int view_list(const struct cli *cli, const json_t *items,
	      const struct view_column *columns) _must_check_;
/* A whole list command: what `get` (cli_list(), cli_items()) has at `path`, as a table or, with
 * --json, as it is. */
typedef int (*view_get_fn)(struct cli *cli, const char *path, json_t **ret_items,
			   struct fault *fault);
int view_listing(struct cli *cli, const struct args *args, view_get_fn get, const char *path,
		 const struct view_column *columns, struct fault *fault) _must_check_;
/* What is already here, likewise. */
int view_items(const struct cli *cli, const struct args *args, const json_t *items,
	       const struct view_column *columns) _must_check_;
int view_object(const struct cli *cli, const json_t *object,
		const struct view_column *columns) _must_check_;

/* Formats. */
char *view_time(const json_t *value);  /* local time; date only where it is not today */
char *view_size(const json_t *value);  /* bytes as 1.5 GiB */
char *view_names(const json_t *value); /* strings, or the "name" of objects: a, b, c */
char *view_id(const json_t *value);    /* first 12 characters of a long id */
char *view_lease(const json_t *value); /* time left until then */

/* The lines (NULL: no memory) that `line` makes of the members of an array, as view_names(). */
char *view_lines(const json_t *array, json_t *(*line)(const json_t *item));

/* RFC 3339 in UTC to µs since 1970; -EINVAL. */
int view_parse_time(const char *s, usec_t *ret) _must_check_;
/* Seconds as "45s", "12m", "3h05m", "2d4h". */
char *view_duration(uint64_t seconds);

/* A string member, or NULL. */
static inline const char *json_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}
