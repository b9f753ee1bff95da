/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs of PROTOCOL.agent from inside a D-VM: the same functions as behind the API, for a principal
 * that is the session's owner with the rights the session was made with, to whom only the session
 * and its targets exist.
 */
#include <errno.h>
#include <string.h>

#include "access.h"
#include "engine.h"
#include "events.h"
#include "later.h"
#include "session_ops.h"

struct verb_request {
	struct dvmd *d;
	struct principal who;
	ops_reply_fn fn;
	void *user;
};

static int session_principal(struct dvmd *d, const char *session, struct principal *ret,
			     struct fault *fault)
{
	struct principal p = { .n_projects = 1 };
	struct session_row row;
	struct user_row user;
	int r = store_session_get(d->store, session, &row, fault);

	if (r == -ENOENT) {
		return fault_set(fault, FAULT_SESSION_ENDED, "The session has ended");
	}
	if (r < 0) {
		return r;
	}
	strcpy(p.user, row.owner);
	strcpy(p.session, row.id);
	strcpy(p.projects[0].id, row.project);
	p.projects[0].rights = row.rights;
	session_row_fini(&row);
	r = store_user_get(d->store, p.user, &user, fault);
	if (r == -ENOENT) {
		return fault_set(fault, FAULT_FORBIDDEN, "The session's owner is gone");
	}
	if (r == 0) {
		strcpy(p.user_name, user.name);
		*ret = p;
	}
	return r;
}

/* What `ok` carries, as text. */
static void verb_ok(struct verb_request *q, json_t *value)
{
	_cleanup_free_ char *text = NULL;

	text = json_is_string(value) ? strdup(json_string_value(value))
				     : json_dumps(value, JSON_COMPACT);
	json_decref(value);
	now_result(text ? json_pack("{s:s}", "text", text) : NULL, q->fn, q->user);
	free(q);
}

static void power_done(const json_t *result, const struct fault *fault, void *user)
{
	struct verb_request *q = user;

	if (fault) {
		q->fn(NULL, fault, q->user);
		free(q);
		return;
	}
	verb_ok(q, json_incref(json_object_get(result, "state")));
}

static void attach_done(const json_t *result, const struct fault *fault, void *user)
{
	struct verb_request *q = user;
	struct fault late;

	if (!fault &&
	    strcmp(json_string_value(json_object_get(result, "state")) ?: "", "attached") != 0) {
		fault_set(&late, FAULT_TIMEOUT, "It is still being attached");
		fault = &late;
	}
	if (fault) {
		q->fn(NULL, fault, q->user);
		free(q);
		return;
	}
	verb_ok(q, json_pack("{s:O}", "devices", json_object_get(result, "devices")));
}

static void detach_done(const json_t *result, const struct fault *fault, void *user)
{
	struct verb_request *q = user;

	if (fault) {
		q->fn(NULL, fault, q->user);
		free(q);
		return;
	}
	verb_ok(q, json_string(""));
}

static int find_attachment(struct verb_request *q, const char *vm, enum attachment_kind kind,
			   char ret[ID_MAX], struct fault *fault)
{
	struct attachment_row *rows = NULL;
	bool found = false;
	struct vm_row row;
	size_t n = 0;
	int r = access_vm(q->d, &q->who, vm, RIGHT_VIEW, "session.detach", &row, fault);

	if (r == 0) {
		r = store_attachment_list(q->d->store, q->who.session, &rows, &n, fault);
	}
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		if (rows[i].kind == kind && rows[i].state != ATTACHMENT_GONE &&
		    strcmp(rows[i].vm, row.id) == 0) {
			strcpy(ret, rows[i].id);
			found = true;
		}
	}
	attachment_rows_free(rows, n);
	if (!found && kind == ATTACHMENT_DISK) {
		return fault_set(fault, FAULT_NOT_ATTACHED, "The disks of VM %s are not attached",
				 row.name);
	}
	if (!found && kind == ATTACHMENT_MEMORY) {
		return fault_set(fault, FAULT_NOT_ATTACHED, "The memory of VM %s is not attached",
				 row.name);
	}
	return found ? 0
		     : fault_set(fault, FAULT_NOT_ATTACHED, "Port %s of VM %s is not attached",
				 attachment_kind_name(kind), row.name);
}

/* Each verb answers through `q` later, which it then owns, or returns a fault. */

static int verb_power(struct verb_request *q, const char *const *words, struct fault *fault)
{
	enum power_verb verb;

	if (power_verb_parse(words[0], &verb) < 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "There is no power verb \"%.32s\"",
				 words[0]);
	}
	vm_power(q->d, &q->who, words[1], verb, power_done, q);
	return 0;
}

static int verb_disk_attach(struct verb_request *q, const char *const *words, struct fault *fault)
{
	struct attach_spec spec = { .kind = ATTACHMENT_DISK, .target = words[1], .mode = words[2] };

	session_attach(q->d, &q->who, q->who.session, &spec, attach_done, q);
	return 0;
}

static int verb_disk_detach(struct verb_request *q, const char *const *words, struct fault *fault)
{
	char attachment[ID_MAX];
	int r = find_attachment(q, words[1], ATTACHMENT_DISK, attachment, fault);

	if (r == 0) {
		session_detach(q->d, &q->who, q->who.session, attachment, detach_done, q);
	}
	return r;
}

static int port_kind(const char *word, enum attachment_kind *ret, struct fault *fault)
{
	return attachment_kind_parse(word, ret) == 0 && attachment_is_port(*ret)
		       ? 0
		       : fault_set(fault, FAULT_BAD_VALUE, "There is no port \"%.32s\"", word);
}

static int verb_port_attach(struct verb_request *q, const char *const *words, struct fault *fault)
{
	struct attach_spec spec = { .target = words[1] };
	int r = port_kind(words[2], &spec.kind, fault);

	if (r == 0) {
		session_attach(q->d, &q->who, q->who.session, &spec, attach_done, q);
	}
	return r;
}

static int verb_port_detach(struct verb_request *q, const char *const *words, struct fault *fault)
{
	enum attachment_kind kind;
	char attachment[ID_MAX];
	int r = port_kind(words[2], &kind, fault);

	if (r == 0) {
		r = find_attachment(q, words[1], kind, attachment, fault);
	}
	if (r == 0) {
		session_detach(q->d, &q->who, q->who.session, attachment, detach_done, q);
	}
	return r;
}

static int verb_memory_attach(struct verb_request *q, const char *const *words, struct fault *fault)
{
	struct attach_spec spec = { .kind = ATTACHMENT_MEMORY, .target = words[1] };

	session_attach(q->d, &q->who, q->who.session, &spec, attach_done, q);
	return 0;
}

static int verb_memory_detach(struct verb_request *q, const char *const *words, struct fault *fault)
{
	char attachment[ID_MAX];
	int r = find_attachment(q, words[1], ATTACHMENT_MEMORY, attachment, fault);

	if (r == 0) {
		session_detach(q->d, &q->who, q->who.session, attachment, detach_done, q);
	}
	return r;
}

static int verb_info(struct verb_request *q, const char *const *words, struct fault *fault)
{
	json_t *session;
	int r = session_get(q->d, &q->who, q->who.session, &session, fault);

	if (r == 0) {
		verb_ok(q, session);
	}
	return r;
}

static int verb_renew(struct verb_request *q, const char *const *words, struct fault *fault)
{
	json_t *session;
	int r = session_renew(q->d, &q->who, q->who.session, 0, &session, fault);

	if (r == 0) {
		json_t *expires = json_incref(json_object_get(session, "lease_expires"));

		json_decref(session);
		verb_ok(q, expires);
	}
	return r;
}

static int verb_end(struct verb_request *q, const char *const *words, struct fault *fault)
{
	json_t *session;
	int r = session_end(q->d, &q->who, q->who.session, &session, fault);

	if (r == 0) {
		json_decref(session);
		verb_ok(q, json_string(""));
	}
	return r;
}

static const struct verb {
	const char *verb, *word; /* word NULL: the first word is free */
	size_t n_words;
	int (*run)(struct verb_request *q, const char *const *words, struct fault *fault);
} verbs[] = {
	{ "power", NULL, 2, verb_power },
	{ "disk", "attach", 3, verb_disk_attach },
	{ "disk", "detach", 2, verb_disk_detach },
	{ "port", "attach", 3, verb_port_attach },
	{ "port", "detach", 3, verb_port_detach },
	{ "memory", "attach", 2, verb_memory_attach },
	{ "memory", "detach", 2, verb_memory_detach },
	{ "info", NULL, 0, verb_info },
	{ "session", "renew", 1, verb_renew },
	{ "session", "end", 1, verb_end },
};

static int run(struct verb_request *q, const char *verb, const char *const *words, size_t n_words,
	       struct fault *fault)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		const struct verb *v = &verbs[i];

		if (strcmp(v->verb, verb) == 0 && v->n_words == n_words &&
		    (!v->word || strcmp(v->word, words[0]) == 0)) {
			return v->run(q, words, fault);
		}
	}
	return fault_set(fault, FAULT_NOT_SUPPORTED, "There is no such verb");
}

void session_verb(struct dvmd *d, const char *session, const char *verb, const char *const *words,
		  size_t n_words, ops_reply_fn fn, void *user)
{
	struct verb_request *q = calloc(1, sizeof(*q));
	struct fault fault;
	int r;

	if (!q) {
		fault_set(&fault, FAULT_INTERNAL, "Out of memory");
		later_fault(d->event, &fault, fn, user);
		return;
	}
	q->d = d;
	q->fn = fn;
	q->user = user;
	r = session_principal(d, session, &q->who, &fault);
	if (r == 0) {
		engine_used(d->engine, session);
		r = run(q, verb, words, n_words, &fault);
	}
	if (r < 0) {
		free(q);
		later_fault(d->event, &fault, fn, user);
	}
}
