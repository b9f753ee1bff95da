/* SPDX-License-Identifier: Apache-2.0 */
/* The record on SQLite, in a file of its own for each test. */
#include "store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "file.h"
#include "store_event.h"
#include "store_idempotency.h"
#include "store_identity.h"
#include "store_key.h"
#include "store_session.h"
#include "store_vm.h"

struct fixture {
	char dir[64], path[96];
	struct store *store;
};

static struct fault fault;

#define must(expression)                                                                           \
	do {                                                                                       \
		int _r = (expression);                                                             \
		if (_r != 0) {                                                                     \
			print_error("%s: %d %s\n", #expression, _r, fault.message);                \
		}                                                                                  \
		assert_int_equal(_r, 0);                                                           \
	} while (0)

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct user_row user = { .id = "u-1", .name = "alice", .created = 1 };
	struct project_row one = { .id = "p-1", .name = "one" },
			   two = { .id = "p-2", .name = "two" };

	strcpy(f->dir, "/tmp/dvm-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/store.sqlite", f->dir);
	must(store_open_sqlite(f->path, &f->store, &fault));
	must(store_user_add(f->store, &user, &fault));
	must(store_project_add(f->store, &one, &fault));
	must(store_project_add(f->store, &two, &fault));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unsetenv("DVM_FAILPOINT");
	store_close(f->store);
	assert_int_equal(dir_remove(f->dir), 0);
	free(f);
	return 0;
}

static struct vm_row vm(const char *id, const char *project, const char *name)
{
	struct vm_row v = { .cloud = "local", .state = VM_RUNNING, .state_at = 5, .created = 4 };

	strcpy(v.id, id);
	strcpy(v.project, project);
	strcpy(v.name, name);
	snprintf(v.domain, sizeof(v.domain), "uuid-%s", id);
	return v;
}

static struct session_row session(const char *id)
{
	struct session_row s = { .owner = "u-1",
				 .project = "p-1",
				 .rights = 7,
				 .placement = "auto",
				 .lease_length = 3600,
				 .lease_expires = 1234567890123456,
				 .created = 77 };

	strcpy(s.id, id);
	s.stacks = json_pack("[s,s]", "base", "disk");
	s.keys = json_pack("[s]", "ssh-ed25519 AAAA");
	return s;
}

static void test_vms(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct vm_row a = vm("v-a", "p-1", "patient"), b = vm("v-b", "p-1", "patient"),
		      c = vm("v-c", "p-2", "patient"), got, two[2];
	struct vm_row *list;
	size_t n;

	must(store_vm_add(s, &a, &fault));
	assert_int_equal(store_vm_add(s, &b, &fault), -EEXIST); /* name taken in the project */
	must(store_vm_add(s, &c, &fault));
	must(store_vm_get(s, "v-a", &got, &fault));
	assert_memory_equal(&got, &a, sizeof(a));
	must(store_vm_by_name(s, ",p-2,", "patient", two, &n, &fault));
	assert_int_equal(n, 1);
	assert_string_equal(two[0].id, "v-c");
	must(store_vm_by_name(s, NULL, "patient", two, &n, &fault));
	assert_int_equal(n, 2);
	must(store_vm_by_domain(s, "uuid-v-a", &got, &fault));
	assert_int_equal(store_vm_get(s, "v-x", &got, &fault), -ENOENT);

	must(store_vm_list(s, NULL, 1, NULL, &list, &n, &fault));
	assert_int_equal(n, 1);
	assert_string_equal(list[0].id, "v-a");
	free(list);
	must(store_vm_list(s, NULL, 0, "v-a", &list, &n, &fault));
	assert_int_equal(n, 1);
	assert_string_equal(list[0].id, "v-c");
	free(list);
	must(store_vm_list(s, ",p-2,", 0, NULL, &list, &n, &fault));
	assert_int_equal(n, 1);
	free(list);
	must(store_vm_list(s, ",", 0, NULL, &list, &n, &fault));
	assert_int_equal(n, 0);
	free(list);

	must(store_vm_set_state(s, "v-a", VM_OFF, &fault));
	must(store_vm_get(s, "v-a", &got, &fault));
	assert_int_equal(got.state, VM_OFF);
	must(store_vm_remove(s, "v-a", &fault));
	assert_int_equal(store_vm_remove(s, "v-a", &fault), -ENOENT);
}

static void test_fence(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct vm_row a = vm("v-a", "p-1", "patient"), got, *list;
	size_t n;

	must(store_vm_add(s, &a, &fault));
	must(store_vm_set_fence(s, "v-a", "s-1", &fault));
	must(store_vm_set_fence(s, "v-a", "s-1", &fault));
	assert_int_equal(store_vm_set_fence(s, "v-a", "s-2", &fault), -EEXIST);
	must(store_vm_get(s, "v-a", &got, &fault));
	assert_string_equal(got.fence, "s-1");
	must(store_vm_list_fenced(s, 0, NULL, &list, &n, &fault));
	assert_int_equal(n, 1);
	free(list);
	must(store_vm_set_fence(s, "v-a", "", &fault));
	assert_int_equal(store_vm_set_fence(s, "v-none", "s-1", &fault), -ENOENT);
	assert_false(got.no_history);
	must(store_vm_set_no_history(s, "v-a", true, &fault));
	must(store_vm_get(s, "v-a", &got, &fault));
	assert_true(got.no_history);
	assert_int_equal(store_vm_set_no_history(s, "v-none", true, &fault), -ENOENT);
}

static void test_sessions(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct session_row a = session("s-a"), b = session("s-b"), got, *list;
	struct target_row t = { .index = 0, .vm = "v-a", .name = "patient" };
	struct target_row targets[SESSION_TARGETS_MAX];
	struct session_filter all = { 0 }, live = { .live = true };
	char owner_of[ID_MAX];
	size_t n;

	must(store_session_add(s, &a, &fault));
	must(store_session_add(s, &b, &fault));
	must(store_target_add(s, "s-a", &t, &fault));
	must(store_session_get(s, "s-a", &got, &fault));
	assert_int_equal(got.lease_expires, a.lease_expires);
	assert_int_equal(got.fault.code, FAULT_NONE);
	assert_true(json_equal(got.stacks, a.stacks));
	session_row_fini(&got);
	must(store_target_list(s, "s-a", targets, &n, &fault));
	assert_int_equal(n, 1);
	assert_string_equal(targets[0].name, "patient");
	must(store_session_of_vm(s, "v-a", owner_of, &fault));
	assert_string_equal(owner_of, "s-a");
	must(store_session_count_live(s, "p-1", &n, &fault));
	assert_int_equal(n, 2);

	a.state = SESSION_FAILED;
	a.ended = 99;
	fault_set(&a.fault, FAULT_DVM_LOST, "gone");
	strcpy(a.end_reason, "fault");
	must(store_session_update(s, &a, &fault));
	must(store_session_get(s, "s-a", &got, &fault));
	assert_int_equal(got.state, SESSION_FAILED);
	assert_int_equal(got.fault.code, FAULT_DVM_LOST);
	assert_string_equal(got.fault.message, "gone");
	session_row_fini(&got);
	assert_int_equal(store_session_of_vm(s, "v-a", owner_of, &fault), -ENOENT);

	must(store_session_list(s, &all, 0, NULL, &list, &n, &fault));
	assert_int_equal(n, 2);
	assert_string_equal(list[0].id, "s-b"); /* newest first */
	session_rows_free(list, n);
	must(store_session_list(s, &all, 0, "s-b", &list, &n, &fault));
	assert_int_equal(n, 1);
	assert_string_equal(list[0].id, "s-a");
	session_rows_free(list, n);
	must(store_session_list(s, &live, 0, NULL, &list, &n, &fault));
	assert_int_equal(n, 1);
	session_rows_free(list, n);
	session_row_fini(&a);
	session_row_fini(&b);
}

static void test_attachments(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct session_row a = session("s-a");
	struct attachment_row x = { .id = "a-1",
				    .session = "s-a",
				    .vm = "v-a",
				    .kind = ATTACHMENT_DISK,
				    .mode = "rw",
				    .required = true },
			      *list;
	size_t n;

	must(store_session_add(s, &a, &fault));
	session_row_fini(&a);
	must(store_attachment_add(s, &x, &fault));
	x.state = ATTACHMENT_ATTACHED;
	x.devices = json_pack("[s]", "t0-vda");
	must(store_attachment_update(s, &x, &fault));
	must(store_attachment_list(s, "s-a", &list, &n, &fault));
	assert_int_equal(n, 1);
	assert_int_equal(list[0].state, ATTACHMENT_ATTACHED);
	assert_true(list[0].required);
	assert_true(json_equal(list[0].devices, x.devices));
	attachment_rows_free(list, n);
	attachment_row_fini(&x);
}

static void test_transactions(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct vm_row a = vm("v-a", "p-1", "patient"), got;

	{
		_cleanup_(store_tx_end) struct store_tx tx = { 0 };

		must(store_tx_begin(&tx, s, &fault));
		assert_true(store_in_tx(s));
		must(store_vm_add(s, &a, &fault));
	}
	assert_false(store_in_tx(s));
	assert_int_equal(store_vm_get(s, "v-a", &got, &fault), -ENOENT);
	{
		_cleanup_(store_tx_end) struct store_tx tx = { 0 };

		must(store_tx_begin(&tx, s, &fault));
		must(store_vm_add(s, &a, &fault));
		must(store_tx_commit(&tx, &fault));
	}
	must(store_vm_get(s, "v-a", &got, &fault));
}

static void test_events_and_audit(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct event_row e = {
		.time = clock_realtime(), .type = "vm.changed", .vm = "v-a", .project = "p-1"
	};
	struct event_row old = { .time = 1, .type = "vm.changed", .project = "p-2" }, *events;
	struct audit_row a = { .time = clock_realtime(),
			       .user = "u-1",
			       .project = "p-1",
			       .session = "s-1",
			       .action = "vm.power",
			       .object = "v-a",
			       .outcome = "ok" },
			 *audit;
	struct event_filter any = { 0 }, two = { .projects = ",p-2," };
	uint64_t seq, last;
	size_t n;

	must(store_event_add(s, &old, &seq, &fault));
	assert_int_equal(seq, 1);
	must(store_event_add(s, &e, &seq, &fault));
	must(store_event_last(s, &last, &fault));
	assert_int_equal(last, seq);
	must(store_event_list(s, &any, 0, 1, &events, &n, &fault));
	assert_int_equal(n, 1);
	assert_string_equal(events[0].project_name, "one");
	assert_true(json_is_object(events[0].data));
	event_rows_free(events, n);
	must(store_event_list(s, &two, 0, 0, &events, &n, &fault));
	assert_int_equal(n, 1);
	event_rows_free(events, n);
	must(store_event_trim(s, 100, 1000 * USEC_PER_SEC, &fault));
	must(store_event_list(s, &any, 0, 0, &events, &n, &fault));
	assert_int_equal(n, 1);
	event_rows_free(events, n);

	must(store_audit_add(s, &a, &fault));
	must(store_audit_list(s, ",p-1,", "s-1", 0, 0, &audit, &n, &fault));
	assert_int_equal(n, 1);
	assert_string_equal(audit[0].user_name, "alice");
	free(audit);
	must(store_audit_list(s, ",p-2,", NULL, 0, 0, &audit, &n, &fault));
	assert_int_equal(n, 0);
	free(audit);
}

static void test_idempotency(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct idempotency_row row = { .user = "u-1",
				       .key = "k",
				       .request_hash = "h",
				       .expires = clock_realtime() + 1000 * USEC_PER_SEC },
			       got;

	must(store_idempotency_begin(s, &row, &fault));
	assert_int_equal(store_idempotency_begin(s, &row, &fault), -EEXIST);
	must(store_idempotency_get(s, "u-1", "k", &got, &fault));
	assert_int_equal(got.status, IDEMPOTENCY_UNDER_WAY);
	assert_null(got.body);
	assert_string_equal(got.object, "");
	must(store_idempotency_done(s, "u-1", "k", "s-1", &fault));
	must(store_idempotency_done(s, "u-1", "forgotten", "s-1", &fault));
	must(store_idempotency_interrupt(s, &fault));
	must(store_idempotency_get(s, "u-1", "k", &got, &fault));
	assert_int_equal(got.status, IDEMPOTENCY_INTERRUPTED);
	assert_null(got.body);
	assert_string_equal(got.object, "s-1");
	must(store_idempotency_resume(s, "u-1", "k", &fault));
	must(store_idempotency_get(s, "u-1", "k", &got, &fault));
	assert_int_equal(got.status, IDEMPOTENCY_UNDER_WAY);
	row.status = 201;
	row.body = (char *)"{}";
	must(store_idempotency_finish(s, &row, &fault));
	must(store_idempotency_interrupt(s, &fault));
	must(store_idempotency_get(s, "u-1", "k", &got, &fault));
	assert_int_equal(got.status, 201);
	assert_string_equal(got.body, "{}");
	idempotency_row_fini(&got);
	must(store_idempotency_drop(s, "u-1", "k", &fault));
	assert_int_equal(store_idempotency_get(s, "u-1", "k", &got, &fault), -ENOENT);
}

/* What was committed is there after opening again, and opening again migrates nothing twice. */
static void test_reopen(void **state)
{
	struct fixture *f = *state;
	struct vm_row a = vm("v-a", "p-1", "patient"), got;

	must(store_vm_add(f->store, &a, &fault));
	f->store = store_close(f->store);
	must(store_open_sqlite(f->path, &f->store, &fault));
	must(store_vm_get(f->store, "v-a", &got, &fault));
}

static void test_not_a_database(void **state)
{
	struct fixture *f = *state;
	struct store *other;
	char path[128];

	snprintf(path, sizeof(path), "%s/garbage", f->dir);
	must(file_write_atomic(path, "this is not a database, by far not, in no way, never ever",
			       57, 0600));
	assert_int_equal(store_open_sqlite(path, &other, &fault), -EREMOTEIO);
	assert_int_equal(fault.code, FAULT_INTERNAL);
	assert_null(strstr(fault.message, f->dir));
}

static void test_references(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct vm_row a = vm("v-a", "p-none", "patient");

	assert_int_equal(store_vm_add(s, &a, &fault), -EREMOTEIO);
	assert_int_equal(fault.code, FAULT_INTERNAL);
}

static struct token_row login(const char *id, usec_t expires)
{
	struct token_row t = { .user = "u-1", .name = "ssh", .rights = 1, .expires = expires };

	strcpy(t.id, id);
	strcpy(t.key, "k-1");
	snprintf(t.hash, sizeof(t.hash), "hash of %s", id);
	return t;
}

static void test_keys(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	struct key_row key = { .id = "k-1",
			       .user = "u-1",
			       .type = "ssh-ed25519",
			       .blob = "AAAA",
			       .fingerprint = "SHA256:x",
			       .comment = "me",
			       .rights = 3,
			       .created = 5 },
		       other = key, got;
	struct token_row early = login("t-1", 100), late = login("t-2", 200), token;
	_cleanup_free_ struct key_row *list = NULL;
	_cleanup_free_ struct token_row *tokens = NULL;
	size_t n;

	must(store_key_add(s, &key, &fault));
	strcpy(other.id, "k-2");
	assert_int_equal(store_key_add(s, &other, &fault), -EEXIST); /* a key is of one user */
	strcpy(other.fingerprint, "SHA256:y");
	must(store_key_add(s, &other, &fault));
	must(store_key_by_fingerprint(s, "SHA256:x", &got, &fault));
	strcpy(key.user_name, "alice");
	assert_memory_equal(&got, &key, sizeof(key));
	must(store_key_used(s, "k-1", 9, &fault));
	must(store_key_get(s, "k-1", &got, &fault));
	assert_int_equal(got.last_used, 9);
	must(store_key_list(s, "u-1", 1, NULL, &list, &n, &fault));
	assert_int_equal(n, 1);
	assert_string_equal(list[0].id, "k-1");

	/* Tokens of logins are in no list, and go with their time or their key. */
	must(store_token_add(s, &early, &fault));
	must(store_token_add(s, &late, &fault));
	must(store_token_list(s, "u-1", 10, NULL, &tokens, &n, &fault));
	assert_int_equal(n, 0);
	must(store_token_sweep(s, 150, &fault));
	assert_int_equal(store_token_get(s, "t-1", &token, &fault), -ENOENT);
	must(store_token_get(s, "t-2", &token, &fault));
	assert_string_equal(token.key, "k-1");
	must(store_tx_begin(&tx, s, &fault));
	must(store_key_remove(s, "k-1", &fault));
	must(store_tx_commit(&tx, &fault));
	assert_int_equal(store_token_get(s, "t-2", &token, &fault), -ENOENT);
	assert_int_equal(store_key_get(s, "k-1", &got, &fault), -ENOENT);
	must(store_key_get(s, "k-2", &got, &fault));
}

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_keys),
		STORE_TEST(test_vms),
		STORE_TEST(test_fence),
		STORE_TEST(test_sessions),
		STORE_TEST(test_attachments),
		STORE_TEST(test_transactions),
		STORE_TEST(test_events_and_audit),
		STORE_TEST(test_idempotency),
		STORE_TEST(test_reopen),
		STORE_TEST(test_not_a_database),
		STORE_TEST(test_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
