/* SPDX-License-Identifier: Apache-2.0 */
/* No memory, at each place in turn: the record and identity. SQLite's own allocations are its own.
 */
#include <errno.h>
#include <string.h>

#include "alloc.h"
#include "cleanup.h"
#include "identity.h"
#include "store_event.h"
#include "store_session.h"
#include "store_vm.h"
#include "test.h"

static struct store *store;
static struct fault fault;

static int use_open(void)
{
	struct store *s;
	int r = store_open_sqlite(":memory:", &s, &fault);

	if (r == 0) {
		store_close(s);
	}
	return r;
}

static int use_vms(void)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	struct project_row project = { .id = "p-1", .name = "demo" };
	struct vm_row *rows = NULL;
	size_t n = 0;
	int r = store_tx_begin(&tx, store, &fault);

	if (r == 0) {
		r = store_project_add(store, &project, &fault);
	}
	for (unsigned i = 0; r == 0 && i < 20; i++) {
		struct vm_row vm = { .project = "p-1" };

		snprintf(vm.id, sizeof(vm.id), "v-%u", i);
		snprintf(vm.name, sizeof(vm.name), "vm%u", i);
		snprintf(vm.domain, sizeof(vm.domain), "%u", i);
		r = store_vm_add(store, &vm, &fault);
	}
	if (r == 0) {
		r = store_vm_list(store, NULL, 0, NULL, &rows, &n, &fault);
	}
	free(rows);
	return r; /* rolled back: the next run finds it as this one did */
}

static int add_session(void)
{
	struct session_row session = { .id = "s-1", .owner = "u-1", .project = "p-1" };
	int r = -ENOMEM;

	session.stacks = json_pack("[s,s]", "base", "disk");
	session.keys = json_pack("[s]", "ssh-ed25519 AAAA");
	if (session.stacks && session.keys) {
		r = store_session_add(store, &session, &fault);
	}
	session_row_fini(&session);
	return r;
}

static int use_sessions(void)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	struct project_row project = { .id = "p-1", .name = "demo" };
	struct user_row user = { .id = "u-1", .name = "alice" };
	struct event_row event = { .type = "vm.changed" }, *events = NULL;
	struct attachment_row attachment = { .id = "a-1", .session = "s-1" }, *attachments = NULL;
	struct session_filter all = { 0 };
	struct event_filter any = { 0 };
	struct session_row *sessions = NULL;
	size_t n_sessions = 0, n_events = 0, n_attachments = 0;
	uint64_t seq;
	int r = store_tx_begin(&tx, store, &fault);

	if (r == 0) {
		r = store_user_add(store, &user, &fault);
	}
	if (r == 0) {
		r = store_project_add(store, &project, &fault);
	}
	if (r == 0) {
		r = add_session();
	}
	if (r == 0) {
		r = store_attachment_add(store, &attachment, &fault);
	}
	for (unsigned i = 0; r == 0 && i < 3; i++) {
		r = store_event_add(store, &event, &seq, &fault);
	}
	if (r == 0) {
		r = store_session_list(store, &all, 0, NULL, &sessions, &n_sessions, &fault);
	}
	if (r == 0) {
		r = store_attachment_list(store, "s-1", &attachments, &n_attachments, &fault);
	}
	if (r == 0) {
		r = store_event_list(store, &any, 0, 0, &events, &n_events, &fault);
	}
	session_rows_free(sessions, n_sessions);
	attachment_rows_free(attachments, n_attachments);
	event_rows_free(events, n_events);
	return r;
}

static char token[LOCAL_TOKEN_MAX];

static int use_identity(void)
{
	struct identity *identity;
	struct principal p;
	char *projects = NULL;
	int r = identity_local_new(store, &identity);

	if (r < 0) {
		return r;
	}
	r = identity_authenticate(identity, token, &p, &fault);
	if (r == 0) {
		p.rights = 0;
		r = principal_projects(&p, RIGHT_VIEW, &projects);
	}
	free(projects);
	identity_free(identity);
	return r;
}

static int use_rights(void)
{
	json_t *names = rights_to_json(RIGHTS_ALL);

	json_decref(names);
	return names ? 0 : -ENOMEM;
}

/* Statements are compiled and kept at their first use: a first run is for them. */
static void test_each(void **state)
{
	json_set_alloc_funcs(malloc, free);
	assert_true(fail_each(use_open, false) >= 4);
	assert_int_equal(store_open_sqlite(":memory:", &store, &fault), 0);
	assert_int_equal(use_vms(), 0);
	assert_true(fail_each(use_vms, false) >= 3);
	assert_int_equal(use_sessions(), 0);
	/* jansson's parser gets by without some of what it asks for */
	assert_true(fail_each(use_sessions, true) >= 20);
	assert_int_equal(local_bootstrap(store, token, &fault), 0);
	assert_int_equal(use_identity(), 0);
	assert_true(fail_each(use_identity, false) >= 3);
	assert_true(fail_each(use_rights, false) >= 2);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
