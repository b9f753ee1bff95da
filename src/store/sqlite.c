/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store on SQLite: one connection, write-ahead log, every commit on disk when it returns.
 *
 * Theory of operation: statements are compiled once and kept by their text; there are as many as
 * there are literals in this folder. Migrations run in order at opening, each in a transaction of
 * its own together with its row in `migrations`.
 */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "map.h"
#include "store_driver.h"

#define BUSY_TIMEOUT_MS 2000 /* somebody looks at the file with another program */

struct sqlite {
	struct store base;
	sqlite3 *db;
	struct map *statements; /* text -> sqlite3_stmt */
};

struct sqlite_cursor {
	struct store_cursor base;
	sqlite3_stmt *stmt;
};

static const struct {
	unsigned number;
	const char *sql;
} migrations[] = {
	{
		1,
#include "0001-first.sql.inc"
	},
	{
		2,
#include "0002-keys.sql.inc"
	},
	{
		3,
#include "0003-idempotency.sql.inc"
	},
	{
		4,
#include "0004-console-history.sql.inc"
	},
	{
		5,
#include "0005-hold.sql.inc"
	},
};

static struct sqlite *to_sqlite(struct store *s)
{
	return container_of(s, struct sqlite, base);
}

/* SQLite's own words name files: they stay here. */
static int sqlite_fault(struct sqlite *q, int code, struct fault *fault)
{
	int primary = code & 0xff, os_error = q->db ? sqlite3_system_errno(q->db) : 0;

	if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY) {
		return -EEXIST;
	}
	if (primary == SQLITE_FULL ||
	    (primary == SQLITE_IOERR && (os_error == ENOSPC || os_error == EDQUOT))) {
		return fault_set(fault, FAULT_STORE_FULL,
				 "There is no room left to record the change");
	}
	switch (primary) {
	case SQLITE_NOMEM:
		return store_no_memory(fault);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return fault_set(fault, FAULT_INTERNAL, "The record is damaged");
	case SQLITE_BUSY:
		return fault_set(fault, FAULT_INTERNAL, "The record is in use by another program");
	default:
		return fault_set(fault, FAULT_INTERNAL, "The record failed (%d)", code);
	}
}

static int prepare(struct sqlite *q, const char *sql, sqlite3_stmt **ret, struct fault *fault)
{
	sqlite3_stmt *stmt = map_get(q->statements, sql);
	int r;

	if (!stmt) {
		r = sqlite3_prepare_v3(q->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
		if (r != SQLITE_OK) {
			return sqlite_fault(q, sqlite3_extended_errcode(q->db), fault);
		}
		if (map_put(q->statements, sql, stmt, NULL) < 0) {
			sqlite3_finalize(stmt);
			return store_no_memory(fault);
		}
	}
	*ret = stmt;
	return 0;
}

static int bind(sqlite3_stmt *stmt, const struct store_value *params, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char name[24];
		int at, r;

		snprintf(name, sizeof(name), "$%zu", i + 1);
		at = sqlite3_bind_parameter_index(stmt, name);
		if (at == 0) {
			return SQLITE_RANGE;
		}
		r = params[i].text ? sqlite3_bind_text(stmt, at, params[i].text, -1, SQLITE_STATIC)
				   : sqlite3_bind_int64(stmt, at, params[i].number);
		if (r != SQLITE_OK) {
			return r;
		}
	}
	return SQLITE_OK;
}

static int sqlite_run(struct store *s, const char *sql, const struct store_value *params, size_t n,
		      store_row_fn fn, void *user, uint64_t *ret_changed, struct fault *fault)
{
	struct sqlite *q = to_sqlite(s);
	struct sqlite_cursor cursor = { .base.store = s };
	int r = prepare(q, sql, &cursor.stmt, fault), step;

	if (r < 0) {
		return r;
	}
	step = bind(cursor.stmt, params, n);
	while (step == SQLITE_OK || step == SQLITE_ROW) {
		if (step == SQLITE_ROW && fn) {
			r = fn(&cursor.base, user);
			if (r < 0) {
				break;
			}
		}
		step = sqlite3_step(cursor.stmt);
	}
	if (r == 0 && step != SQLITE_DONE) {
		int code = sqlite3_extended_errcode(q->db);

		r = sqlite_fault(q, code ?: step, fault);
	}
	if (r == 0 && ret_changed) {
		*ret_changed = (uint64_t)sqlite3_changes64(q->db);
	}
	sqlite3_reset(cursor.stmt);
	sqlite3_clear_bindings(cursor.stmt);
	return r;
}

static int sqlite_begin(struct store *s, struct fault *fault)
{
	return sqlite_run(s, "BEGIN IMMEDIATE", NULL, 0, NULL, NULL, NULL, fault);
}

static int sqlite_commit(struct store *s, struct fault *fault)
{
	return sqlite_run(s, "COMMIT", NULL, 0, NULL, NULL, NULL, fault);
}

static void sqlite_rollback(struct store *s)
{
	/* A full disk may have rolled back already; then this fails and nothing is lost. */
	(void)sqlite_run(s, "ROLLBACK", NULL, 0, NULL, NULL, NULL, NULL);
}

static const char *sqlite_text(const struct store_cursor *row, unsigned column)
{
	const struct sqlite_cursor *c = container_of(row, const struct sqlite_cursor, base);

	return (const char *)sqlite3_column_text(c->stmt, (int)column) ?: "";
}

static int64_t sqlite_number(const struct store_cursor *row, unsigned column)
{
	const struct sqlite_cursor *c = container_of(row, const struct sqlite_cursor, base);

	return sqlite3_column_int64(c->stmt, (int)column);
}

static struct store *sqlite_close(struct store *s)
{
	struct sqlite *q = to_sqlite(s);

	if (q->statements) {
		sqlite3_stmt *stmt;
		size_t it = 0;

		while ((stmt = map_next(q->statements, &it, NULL))) {
			sqlite3_finalize(stmt);
		}
		map_free(q->statements);
	}
	sqlite3_close(q->db);
	free(q);
	return NULL;
}

static const struct store_ops sqlite_ops = {
	.name = "sqlite",
	.run = sqlite_run,
	.begin = sqlite_begin,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.text = sqlite_text,
	.number = sqlite_number,
	.close = sqlite_close,
};

static int exec(struct sqlite *q, const char *sql, struct fault *fault)
{
	int r = sqlite3_exec(q->db, sql, NULL, NULL, NULL);

	return r == SQLITE_OK ? 0 : sqlite_fault(q, sqlite3_extended_errcode(q->db), fault);
}

static int decode_number(const struct store_cursor *row, void *ret)
{
	*(int64_t *)ret = row_number(row, 0);
	return 0;
}

static int migrate(struct sqlite *q, struct fault *fault)
{
	int64_t at = 0;
	int r = exec(q,
		     "CREATE TABLE IF NOT EXISTS migrations "
		     "(number BIGINT PRIMARY KEY, applied BIGINT NOT NULL)",
		     fault);

	if (r == 0) {
		r = store_one_n(&q->base, decode_number, &at, fault,
				"SELECT coalesce(max(number), 0) FROM migrations", NULL, 0);
	}
	if (r == 0 && at > migrations[ARRAY_SIZE(migrations) - 1].number) {
		return fault_set(fault, FAULT_INTERNAL, "The record was written by a newer dvm");
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(migrations); i++) {
		_cleanup_(store_tx_end) struct store_tx tx = { 0 };

		if (migrations[i].number <= at) {
			continue;
		}
		r = store_tx_begin(&tx, &q->base, fault);
		if (r == 0) {
			r = exec(q, migrations[i].sql, fault);
		}
		if (r == 0) {
			r = store_change(&q->base, true, fault,
					 "INSERT INTO migrations (number, applied) VALUES ($1, $2)",
					 NUMBER(migrations[i].number), NUMBER(clock_realtime()));
		}
		if (r == 0) {
			r = store_tx_commit(&tx, fault);
		}
	}
	return r;
}

int store_open_sqlite(const char *path, struct store **ret, struct fault *fault)
{
	struct sqlite *q = calloc(1, sizeof(*q));
	int r = 0;

	if (!q) {
		return store_no_memory(fault);
	}
	q->base.ops = &sqlite_ops;
	q->statements = map_new();
	if (!q->statements) {
		r = store_no_memory(fault);
	}
	if (r == 0 &&
	    sqlite3_open_v2(path, &q->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK) {
		r = fault_set(fault, FAULT_INTERNAL, "The record cannot be opened");
	}
	if (r == 0) {
		sqlite3_extended_result_codes(q->db, 1);
		sqlite3_busy_timeout(q->db, BUSY_TIMEOUT_MS);
		r = exec(q,
			 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
			 "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF",
			 fault);
	}
	if (r == 0) {
		r = migrate(q, fault);
	}
	if (r < 0) {
		sqlite_close(&q->base);
		return r;
	}
	*ret = &q->base;
	return 0;
}
