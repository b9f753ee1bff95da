/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings and images: the host has them, we decide who may see them. */
#include <errno.h>
#include <string.h>

#include "access.h"
#include "host_link.h"
#include "later.h"
#include "parse.h"
#include "session_ops.h"

#define READ_TIMEOUT (20 * USEC_PER_SEC)
#define READ_MAX 262144

/* A list of the host's as the API shows it. */
struct list_request {
	const char *member; /* of the host's answer */
	ops_reply_fn fn;
	void *user;
};

static void list_answer(const json_t *result, const struct fault *fault, void *user)
{
	struct list_request *q = user;
	json_t *items = json_object_get(result, q->member);

	if (fault) {
		q->fn(NULL, fault, q->user);
	} else {
		now_result(json_pack("{s:o}", "items", items ? json_incref(items) : json_array()),
			   q->fn, q->user);
	}
	free(q);
}

/* Takes `params`. */
static void list(struct dvmd *d, const char *method, json_t *params, const char *member,
		 ops_reply_fn fn, void *user)
{
	struct list_request *q = calloc(1, sizeof(*q));
	struct fault fault;

	if (!q) {
		json_decref(params);
		fault_set(&fault, FAULT_INTERNAL, "Out of memory");
		later_fault(d->event, &fault, fn, user);
		return;
	}
	q->member = member;
	q->fn = fn;
	q->user = user;
	host_link_call(d->host, method, params, READ_TIMEOUT, list_answer, q);
}

/* The owner as the host knows him. */
static int check(struct dvmd *d, const struct principal *p, const struct recordings_of *of,
		 const char *action, json_t **ret, struct fault *fault)
{
	struct session_row row;
	struct vm_row vm;
	int r;

	if (of->vm) {
		r = access_vm(d, p, of->vm, RIGHT_VIEW, action, &vm, fault);
		*ret = r == 0 ? json_pack("{s:s}", "vm", vm.id) : NULL;
	} else {
		r = access_session(d, p, of->session, RIGHT_VIEW, false, action, &row, fault);
		*ret = r == 0 ? json_pack("{s:s}", "session", row.id) : NULL;
		if (r == 0) {
			session_row_fini(&row);
		}
	}
	return r < 0 || *ret ? r : fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

void recording_list(struct dvmd *d, const struct principal *p, const struct recordings_of *of,
		    ops_reply_fn fn, void *user)
{
	struct fault fault;
	json_t *params;

	if (check(d, p, of, "recording.list", &params, &fault) < 0) {
		later_fault(d->event, &fault, fn, user);
		return;
	}
	list(d, "recording.list", params, "recordings", fn, user);
}

void recording_read(struct dvmd *d, const struct principal *p, const struct recordings_of *of,
		    const char *name, uint64_t offset, size_t length, ops_reply_fn fn, void *user)
{
	json_t *params = NULL;
	struct fault fault;
	int r = check(d, p, of, "recording.read", &params, &fault);

	if (r == 0 && !name_valid(name)) {
		r = fault_set(&fault, FAULT_NOT_FOUND, "There is no such recording");
	}
	if (r == 0 && (length == 0 || length > READ_MAX || offset > INT64_MAX)) {
		r = fault_set(&fault, FAULT_BAD_VALUE, "1 to %d bytes at once", READ_MAX);
	}
	if (r == 0 &&
	    (json_object_set_new(params, "name", json_string(name)) < 0 ||
	     json_object_set_new(params, "offset", json_integer((json_int_t)offset)) < 0 ||
	     json_object_set_new(params, "length", json_integer((json_int_t)length)) < 0)) {
		r = fault_set(&fault, FAULT_INTERNAL, "Out of memory");
	}
	if (r < 0) {
		json_decref(params);
		later_fault(d->event, &fault, fn, user);
		return;
	}
	host_link_call(d->host, "recording.read", params, READ_TIMEOUT, fn, user);
}

void image_list(struct dvmd *d, const struct principal *p, ops_reply_fn fn, void *user)
{
	list(d, "image.list", NULL, "images", fn, user);
}
