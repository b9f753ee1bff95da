/* SPDX-License-Identifier: Apache-2.0 */
/* Between the store's meaning and its drivers: one statement at a time. Private to this folder. */
#pragma once

#include "store.h"

struct store_value {
	const char *text; /* NULL: `number` */
	int64_t number;
};
#define TEXT(t) ((struct store_value){ .text = (t) })
#define NUMBER(n) ((struct store_value){ .number = (int64_t)(n) })

/* A row of a result, while it is at hand. */
struct store_cursor;

/* Called for each row; < 0 stops and is what the statement returns. */
typedef int (*store_row_fn)(const struct store_cursor *row, void *user);

struct store_ops {
	const char *name;
	/* Runs one statement with parameters $1, $2 …; `fn` may be NULL. -EEXIST: a key is taken.
	 */
	int (*run)(struct store *s, const char *sql, const struct store_value *params, size_t n,
		   store_row_fn fn, void *user, uint64_t *ret_changed, struct fault *fault);
	int (*begin)(struct store *s, struct fault *fault);
	int (*commit)(struct store *s, struct fault *fault);
	void (*rollback)(struct store *s);
	const char *(*text)(const struct store_cursor *row, unsigned column); /* never NULL */
	int64_t (*number)(const struct store_cursor *row, unsigned column);
	struct store *(*close)(struct store *s);
};

/* Drivers begin their own struct with this. */
struct store {
	const struct store_ops *ops;
	bool in_tx;
};
struct store_cursor {
	struct store *store;
};

static inline const char *row_text(const struct store_cursor *row, unsigned column)
{
	return row->store->ops->text(row, column);
}

static inline int64_t row_number(const struct store_cursor *row, unsigned column)
{
	return row->store->ops->number(row, column);
}

/* Cuts at the size of the array `out`. */
#define row_copy(row, column, out) row_copy_n(row, column, out, sizeof(out))
void row_copy_n(const struct store_cursor *row, unsigned column, char *out, size_t size);
/* NULL where the text is no JSON of that kind. */
json_t *row_json(const struct store_cursor *row, unsigned column);
/* Columns code, message, hint from `column` on. */
void row_fault(const struct store_cursor *row, unsigned column, struct fault *ret);

/* Fills one zeroed row of the caller's type. On -ENOMEM and -EBADMSG it owns nothing. */
typedef int (*store_decode_fn)(const struct store_cursor *row, void *ret);

/* A change. -ENOENT when it changed nothing and `must` is set. */
#define store_change(s, must, fault, sql, ...)                                                     \
	store_change_n(s, must, fault, sql, (const struct store_value[]){ __VA_ARGS__ },           \
		       sizeof((const struct store_value[]){ __VA_ARGS__ }) /                       \
			       sizeof(struct store_value))
int store_change_n(struct store *s, bool must, struct fault *fault, const char *sql,
		   const struct store_value *params, size_t n) _must_check_;
/* The first row; -ENOENT if there is none. */
#define store_one(s, decode, ret, fault, sql, ...)                                                 \
	store_one_n(s, decode, ret, fault, sql, (const struct store_value[]){ __VA_ARGS__ },       \
		    sizeof((const struct store_value[]){ __VA_ARGS__ }) /                          \
			    sizeof(struct store_value))
int store_one_n(struct store *s, store_decode_fn decode, void *ret, struct fault *fault,
		const char *sql, const struct store_value *params, size_t n) _must_check_;
/* Lets go of what a row owns. */
typedef void (*store_fini_fn)(void *row);
/* An array of rows of `size` bytes each, for free(). `fini`: NULL where rows own nothing. */
#define store_many(s, decode, fini, size, ret, ret_n, fault, sql, ...)                             \
	store_many_n(s, decode, fini, size, (void **)(ret), ret_n, fault, sql,                     \
		     (const struct store_value[]){ __VA_ARGS__ },                                  \
		     sizeof((const struct store_value[]){ __VA_ARGS__ }) /                         \
			     sizeof(struct store_value))
int store_many_n(struct store *s, store_decode_fn decode, store_fini_fn fini, size_t size,
		 void **ret, size_t *ret_n, struct fault *fault, const char *sql,
		 const struct store_value *params, size_t n) _must_check_;

static inline unsigned page_limit(unsigned limit)
{
	return limit == 0 || limit > STORE_PAGE_MAX ? STORE_PAGE_MAX : limit;
}

/* JSON for a TEXT column, to be freed; "null" for NULL. NULL on no memory. */
char *store_json_text(const json_t *j);
int store_no_memory(struct fault *fault);
