/* SPDX-License-Identifier: Apache-2.0 */
/* What happened (events: timelines and the live feed) and who did it (audit). Both only grow, and
 * are trimmed. */
#pragma once

#include "store.h"

struct event_row {
	uint64_t seq; /* counts up from 1; set by store_event_add() */
	usec_t time;
	char type[NAME_MAX_LEN];			   /* "session.state", "vm.changed", … */
	char session[ID_MAX], vm[ID_MAX], project[ID_MAX]; /* "" where it has none */
	char project_name[NAME_MAX_LEN];		   /* set by store_event_list() */
	json_t *data;					   /* object; owned; NULL = {} */
};
void event_row_fini(struct event_row *e);
struct event_row *event_rows_free(struct event_row *rows, size_t n);

struct event_filter {
	const char *projects;	  /* see store.h; events of no project are only in a list of all */
	const char *session, *vm; /* NULL: any */
};
int store_event_add(struct store *s, const struct event_row *e, uint64_t *ret_seq,
		    struct fault *fault) _must_check_;
int store_event_list(struct store *s, const struct event_filter *filter, unsigned limit,
		     uint64_t after, struct event_row **ret, size_t *ret_n,
		     struct fault *fault) _must_check_;
/* Seq of the newest, 0 if none. */
int store_event_last(struct store *s, uint64_t *ret, struct fault *fault) _must_check_;
/* Keeps the newest `count` of those not older than `age`. */
int store_event_trim(struct store *s, uint64_t count, usec_t age, struct fault *fault) _must_check_;

struct audit_row {
	uint64_t seq;
	usec_t time;
	char user[ID_MAX], token[ID_MAX]; /* "" before anybody was recognised */
	char user_name[NAME_MAX_LEN];	  /* set by store_audit_list(), as project_name */
	char project[ID_MAX], project_name[NAME_MAX_LEN];
	char session[ID_MAX];	    /* that it was done in or to */
	char action[NAME_MAX_LEN];  /* "vm.power" */
	char object[96];	    /* id, or what the user called it */
	char detail[96];	    /* "off" */
	char outcome[NAME_MAX_LEN]; /* "ok" or a fault code's name */
	char request[ID_MAX + 32];  /* id of the request */
};
int store_audit_add(struct store *s, const struct audit_row *a, struct fault *fault) _must_check_;
/* Oldest first. session: NULL for any. */
int store_audit_list(struct store *s, const char *projects, const char *session, unsigned limit,
		     uint64_t after, struct audit_row **ret, size_t *ret_n,
		     struct fault *fault) _must_check_;
int store_audit_trim(struct store *s, uint64_t count, usec_t age, struct fault *fault) _must_check_;
