/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/audit */
#include "access.h"
#include "api_handlers.h"
#include "cleanup.h"
#include "parse.h"
#include "store_event.h"
#include "view.h"

static json_t *text_or_null(const char *s)
{
	return s[0] ? json_string(s) : json_null();
}

static json_t *audit_json(const struct audit_row *row)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:s, s:o}", "id",
			 (json_int_t)row->seq, "at", view_time(row->time), "user",
			 text_or_null(row->user_name), "project", text_or_null(row->project_name),
			 "session", text_or_null(row->session), "action", row->action, "object",
			 row->object, "detail", row->detail, "outcome", row->outcome, "request",
			 text_or_null(row->request));
}

static json_t *page_json(const struct audit_row *rows, size_t n, unsigned limit)
{
	json_t *items = json_array();

	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(items, audit_json(&rows[i])) < 0) {
			json_decref(items);
			return NULL;
		}
	}
	return json_pack("{s:o, s:o}", "items", items, "next",
			 n == limit && n > 0 ? json_integer((json_int_t)rows[n - 1].seq)
					     : json_null());
}

/* `projects` as store.h has it: those the caller may see, or the one he asks for. */
static int find_projects(struct api_call *c, char **ret, struct fault *fault)
{
	struct project_row project;
	int r;

	if (!c->query.project) {
		return principal_projects(&c->who, RIGHT_VIEW, ret) < 0 ? api_no_memory(fault) : 0;
	}
	r = access_project(c->d, &c->who, c->query.project, RIGHT_VIEW, "audit.list", &project,
			   fault);
	if (r < 0) {
		return r;
	}
	*ret = strf(",%s,", project.id);
	return *ret ? 0 : api_no_memory(fault);
}

static int check_session(struct api_call *c, struct fault *fault)
{
	_cleanup_(session_row_fini) struct session_row row = { 0 };

	if (!c->query.session) {
		return 0;
	}
	return access_session(c->d, &c->who, c->query.session, RIGHT_VIEW, false, "audit.list",
			      &row, fault);
}

void api_audit_list(struct api_call *c)
{
	_cleanup_free_ char *projects = NULL;
	_cleanup_free_ struct audit_row *rows = NULL;
	unsigned limit = (unsigned)c->query.limit;
	uint64_t after = c->query.after_seq > 0 ? (uint64_t)c->query.after_seq : 0;
	struct fault fault;
	size_t n = 0;
	int r = check_session(c, &fault);

	if (r == 0) {
		r = find_projects(c, &projects, &fault);
	}
	if (r == 0) {
		r = store_audit_list(c->d->store, projects, c->query.session, limit, after, &rows,
				     &n, &fault);
	}
	if (r < 0) {
		api_fault(c, &fault);
		return;
	}
	api_reply_take(c, 200, page_json(rows, n, limit));
}
