/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What dvm must not forget: a small SQL database behind a vtable.
 *
 * Theory of operation: a driver (sqlite now) knows how to run one statement and how to begin and
 * end a transaction; everything that has meaning (store_vm.h, store_session.h, store_identity.h,
 * store_event.h, store_idempotency.h) is written once on top, in SQL that drivers agree on. Only
 * dvmd's one thread uses a store.
 *
 * Every function returns 0, -ENOENT (no such row), -EEXIST (a unique name or id is taken) without a
 * fault, or -EREMOTEIO with one (store-full, internal); what it changes outside of a transaction is
 * a transaction of its own.
 *
 * Times are CLOCK_REALTIME in microseconds, 0: never. Lists are paged: rows come in the order of
 * their key, behind `after` (NULL, "" or 0: from the start), at most `limit` of them (clamped to
 * STORE_PAGE_MAX). `projects` in a list cuts it to those: ids with a comma before, between and
 * behind them (",p-1,p-2,"); NULL: all.
 */
#pragma once

#include <jansson.h>

#include "cleanup.h"
#include "fault.h"

#define ID_MAX 40	/* an id with its NUL: "s-3k9w…" */
#define NAME_MAX_LEN 64 /* a name (parse.h: name_valid()) with its NUL */
#define STORE_PAGE_MAX 500

struct store;

/* `path`: the database file, made where missing and brought to the newest schema. */
int store_open_sqlite(const char *path, struct store **ret, struct fault *fault) _must_check_;
struct store *store_close(struct store *s);

/*
 * struct store_tx is a scope: what was not committed when it ends is rolled back.
 *
 *	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
 *	r = store_tx_begin(&tx, store, fault);
 *	…
 *	return store_tx_commit(&tx, fault);
 *
 * Transactions do not nest: beginning a second one is a bug.
 */
struct store_tx {
	struct store *store; /* NULL: not open */
};
int store_tx_begin(struct store_tx *tx, struct store *s, struct fault *fault) _must_check_;
/* Durable when it returns 0. */
int store_tx_commit(struct store_tx *tx, struct fault *fault) _must_check_;
void store_tx_end(struct store_tx *tx);
/* True between begin and commit or end. */
bool store_in_tx(const struct store *s);
