/* SPDX-License-Identifier: Apache-2.0 */
/* What all drivers share: transactions as scopes, rows into structs. */
#include "store.h"

#include <assert.h>
#include <string.h>

#include "failpoint.h"
#include "store_driver.h"

struct store *store_close(struct store *s)
{
	return s ? s->ops->close(s) : NULL;
}

bool store_in_tx(const struct store *s)
{
	return s->in_tx;
}

/* The test's way to make a commit fail, as a full disk would. */
static int commit_failpoint(struct fault *fault)
{
	int r = failpoint("store.commit");

	if (r == -ENOSPC || r == -EDQUOT) {
		return fault_set(fault, FAULT_STORE_FULL,
				 "There is no room left to record the change");
	}
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "The change could not be recorded");
	}
	return 0;
}

int store_tx_begin(struct store_tx *tx, struct store *s, struct fault *fault)
{
	int r;

	assert(!s->in_tx);
	r = s->ops->begin(s, fault);
	if (r < 0) {
		return r;
	}
	s->in_tx = true;
	tx->store = s;
	return 0;
}

int store_tx_commit(struct store_tx *tx, struct fault *fault)
{
	struct store *s = tx->store;
	int r = commit_failpoint(fault);

	if (r == 0) {
		r = s->ops->commit(s, fault);
	}
	if (r < 0) {
		return r; /* the scope's end rolls back */
	}
	s->in_tx = false;
	tx->store = NULL;
	return 0;
}

void store_tx_end(struct store_tx *tx)
{
	if (tx->store) {
		tx->store->ops->rollback(tx->store);
		tx->store->in_tx = false;
		tx->store = NULL;
	}
}

void row_copy_n(const struct store_cursor *row, unsigned column, char *out, size_t size)
{
	const char *text = row_text(row, column);
	size_t len = strnlen(text, size - 1);

	memcpy(out, text, len);
	out[len] = '\0';
}

json_t *row_json(const struct store_cursor *row, unsigned column)
{
	return json_loads(row_text(row, column), JSON_DECODE_ANY, NULL);
}

void row_fault(const struct store_cursor *row, unsigned column, struct fault *ret)
{
	const char *code = row_text(row, column);

	*ret = (struct fault){ .code = *code ? fault_code_parse(code) : FAULT_NONE };
	row_copy(row, column + 1, ret->message);
	row_copy(row, column + 2, ret->hint);
}

int store_change_n(struct store *s, bool must, struct fault *fault, const char *sql,
		   const struct store_value *params, size_t n)
{
	uint64_t changed = 0;
	int r = s->in_tx ? 0 : commit_failpoint(fault);

	if (r == 0) {
		r = s->ops->run(s, sql, params, n, NULL, NULL, &changed, fault);
	}
	return r < 0 ? r : must && changed == 0 ? -ENOENT : 0;
}

/* What a decode function may return, next to what the driver says itself. */
static int decode_fault(int r, struct fault *fault)
{
	switch (r) {
	case -ENOMEM:
		return store_no_memory(fault);
	case -EBADMSG:
		return fault_set(fault, FAULT_INTERNAL, "The record is damaged");
	default:
		return r;
	}
}

struct one {
	store_decode_fn decode;
	void *ret;
	bool found;
};

static int one_row(const struct store_cursor *row, void *user)
{
	struct one *one = user;

	if (one->found) {
		return 0;
	}
	one->found = true;
	return one->decode(row, one->ret);
}

int store_one_n(struct store *s, store_decode_fn decode, void *ret, struct fault *fault,
		const char *sql, const struct store_value *params, size_t n)
{
	struct one one = { .decode = decode, .ret = ret };
	int r = s->ops->run(s, sql, params, n, one_row, &one, NULL, fault);

	if (r < 0) {
		return decode_fault(r, fault);
	}
	return one.found ? 0 : -ENOENT;
}

struct many {
	store_decode_fn decode;
	size_t size, n, room;
	char *items;
};

static int many_row(const struct store_cursor *row, void *user)
{
	struct many *m = user;
	int r;

	if (m->n == m->room) {
		size_t room = m->room ? m->room * 2 : 8;
		char *items = realloc(m->items, room * m->size); /* few rows: a page */

		if (!items) {
			return -ENOMEM;
		}
		m->items = items;
		m->room = room;
	}
	memset(m->items + m->n * m->size, 0, m->size);
	r = m->decode(row, m->items + m->n * m->size);
	if (r == 0) {
		m->n++;
	}
	return r;
}

int store_many_n(struct store *s, store_decode_fn decode, store_fini_fn fini, size_t size,
		 void **ret, size_t *ret_n, struct fault *fault, const char *sql,
		 const struct store_value *params, size_t n)
{
	struct many m = { .decode = decode, .size = size };
	int r = s->ops->run(s, sql, params, n, many_row, &m, NULL, fault);

	if (r < 0) {
		for (size_t i = 0; fini && i < m.n; i++) {
			fini(m.items + i * size);
		}
		free(m.items);
		return decode_fault(r, fault);
	}
	*ret = m.items;
	*ret_n = m.n;
	return 0;
}

char *store_json_text(const json_t *j)
{
	return j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("null");
}

int store_no_memory(struct fault *fault)
{
	return fault_set(fault, FAULT_INTERNAL, "Out of memory");
}
