/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request's body or query may hold: one table each, read strictly into a struct. A member
 * that is not in the table, is missing, or is not what the table says is a fault that names it;
 * nothing is converted or ignored.
 */
#pragma once

#include <jansson.h>

#include "http_target.h"

#define FIELD_ITEMS_MAX 16

enum field_type {
	FIELD_STRING,  /* const char *: text without control characters */
	FIELD_NAME,    /* const char *: as parse.h's name_valid() */
	FIELD_CHOICE,  /* int: index into choices */
	FIELD_INTEGER, /* int64_t */
	FIELD_BOOL,    /* bool */
	FIELD_STRINGS, /* struct field_list */
	FIELD_NAMES,   /* struct field_list */
	FIELD_CHOICES, /* unsigned: a bit for each of choices, none twice */
};

struct field_list {
	const char *items[FIELD_ITEMS_MAX];
	size_t n;
};

struct field {
	const char *name; /* NULL ends a table */
	enum field_type type;
	bool required;
	int64_t min, max; /* FIELD_INTEGER: the value; FIELD_STRING(S): characters (of each); both
			     inclusive */
	size_t items_min, items_max; /* lists */
	const char *const *choices;  /* NULL-ended */
	size_t offset;		     /* of the member in the struct that is filled */
};

/* Bytes to one JSON object. bad-json. */
int fields_parse_body(const char *p, size_t len, json_t **ret, struct fault *fault) _must_check_;
/* `out` holds the defaults; members of it point into `body`. unknown-field, bad-value. */
int fields_from_json(const struct field *table, const json_t *body, void *out,
		     struct fault *fault) _must_check_;
/* The same for a query (no lists); members point into `target`. */
int fields_from_query(const struct field *table, const struct http_target *target, void *out,
		      struct fault *fault) _must_check_;
