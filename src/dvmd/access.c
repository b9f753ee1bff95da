/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what with which object. */
#include "access.h"

#include <errno.h>
#include <string.h>

#include "events.h"
#include "log.h"
#include "parse.h"

/* A refusal is on record even where it is all that happens. */
static int refuse(struct dvmd *d, const struct principal *p, const char *project,
		  const char *action, const char *object, const struct fault *why)
{
	struct fault fault = { 0 };

	if (audit_add(d->events, p, project, NULL, action, object, NULL, why->code, &fault) < 0) {
		log_warn("a refusal (%s of %s) is not in the audit: %s", action, object,
			 fault.message);
	}
	return -EREMOTEIO;
}

static int refuse_not_found(struct dvmd *d, const struct principal *p, const char *project,
			    const char *action, const char *kind, const char *object,
			    struct fault *fault)
{
	fault_set(fault, FAULT_NOT_FOUND, "There is no %s \"%.64s\"", kind, object);
	return refuse(d, p, project, action, object, fault);
}

int access_check(struct dvmd *d, const struct principal *p, const struct access_object *o,
		 unsigned rights, const char *action, struct fault *fault)
{
	unsigned have = principal_rights(p, o->project), missing = rights & ~have;

	if (have == 0) {
		return refuse_not_found(d, p, o->project, action, o->kind, o->id, fault);
	}
	if (missing) {
		fault_set(fault, FAULT_FORBIDDEN, "The right \"%s\" is missing",
			  right_name((enum right)(missing & -missing)));
		return refuse(d, p, o->project, action, o->id, fault);
	}
	if (o->owner && o->change && strcmp(o->owner, p->user) != 0 && !(have & RIGHT_ADMIN)) {
		fault_set(fault, FAULT_FORBIDDEN,
			  "Only the owner of the %s or an administrator may do this", o->kind);
		return refuse(d, p, o->project, action, o->id, fault);
	}
	return 0;
}

int access_check_admin(struct dvmd *d, const struct principal *p, const char *action,
		       struct fault *fault)
{
	if (access_admin(p)) {
		return 0;
	}
	fault_set(fault, FAULT_FORBIDDEN, "Only an administrator may do this");
	return refuse(d, p, NULL, action, "", fault);
}

/* Among the targets of the session that a D-VM speaks for. -ENOENT. */
static int find_target(struct dvmd *d, const struct principal *p, const char *ref,
		       struct vm_row *ret, struct fault *fault)
{
	struct target_row targets[SESSION_TARGETS_MAX];
	size_t n = 0;
	int r = store_target_list(d->store, p->session, targets, &n, fault);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (strcmp(ref, targets[i].vm) == 0 || strcmp(ref, targets[i].name) == 0) {
			return store_vm_get(d->store, targets[i].vm, ret, fault);
		}
	}
	return r < 0 ? r : -ENOENT;
}

/* By name, where the principal has any right. -ENOENT; conflict where it is not clear. */
static int find_by_name(struct dvmd *d, const struct principal *p, const char *ref,
			struct vm_row *ret, struct fault *fault)
{
	_cleanup_free_ char *projects = NULL;
	struct vm_row found[2];
	size_t n = 0;
	int r;

	if (principal_projects(p, RIGHTS_ALL, &projects) < 0) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	r = store_vm_by_name(d->store, projects, ref, found, &n, fault);
	if (r < 0) {
		return r;
	}
	if (n == 0) {
		return -ENOENT;
	}
	if (n > 1) {
		fault_set(fault, FAULT_CONFLICT, "Several projects have a VM \"%s\"", ref);
		fault_hint(fault, "Name its project too: PROJECT/%s; or give its id.", ref);
		return -EREMOTEIO;
	}
	*ret = found[0];
	return 0;
}

/* "PROJECT/NAME" */
static int find_in_project(struct dvmd *d, const char *ref, struct vm_row *ret, struct fault *fault)
{
	const char *slash = strchr(ref, '/');
	char name[NAME_MAX_LEN], projects[ID_MAX + 3];
	struct project_row project;
	struct vm_row found[2];
	size_t n = 0;
	int r;

	if ((size_t)(slash - ref) >= sizeof(name)) {
		return -ENOENT;
	}
	memcpy(name, ref, (size_t)(slash - ref));
	name[slash - ref] = '\0';
	r = store_project_get(d->store, name, &project, fault);
	if (r < 0) {
		return r;
	}
	snprintf(projects, sizeof(projects), ",%s,", project.id);
	r = store_vm_by_name(d->store, projects, slash + 1, found, &n, fault);
	if (r == 0 && n == 1) {
		*ret = found[0];
	}
	return r < 0 ? r : n == 1 ? 0 : -ENOENT;
}

int access_vm(struct dvmd *d, const struct principal *p, const char *ref, unsigned rights,
	      const char *action, struct vm_row *ret, struct fault *fault)
{
	struct access_object o = { .kind = "VM", .id = ref };
	struct vm_row vm;
	int r;

	if (p->session[0]) {
		r = find_target(d, p, ref, &vm, fault);
	} else if (strchr(ref, '/')) {
		r = find_in_project(d, ref, &vm, fault);
	} else {
		r = store_vm_get(d->store, ref, &vm, fault);
		if (r == -ENOENT) {
			r = find_by_name(d, p, ref, &vm, fault);
		}
	}
	if (r == -ENOENT) {
		return refuse_not_found(d, p, NULL, action, o.kind, ref, fault);
	}
	if (r < 0) {
		return r;
	}
	o.project = vm.project;
	r = access_check(d, p, &o, rights, action, fault);
	if (r == 0) {
		*ret = vm;
	}
	return r;
}

int access_session(struct dvmd *d, const struct principal *p, const char *id, unsigned rights,
		   bool change, const char *action, struct session_row *ret, struct fault *fault)
{
	struct access_object o = { .kind = "session", .id = id, .change = change };
	struct session_row row;
	int r = -ENOENT;

	if (!p->session[0] || strcmp(p->session, id) == 0) {
		r = store_session_get(d->store, id, &row, fault);
	}
	if (r == -ENOENT) {
		return refuse_not_found(d, p, NULL, action, o.kind, id, fault);
	}
	if (r < 0) {
		return r;
	}
	o.project = row.project;
	o.owner = row.owner;
	r = access_check(d, p, &o, rights, action, fault);
	if (r < 0) {
		session_row_fini(&row);
		return r;
	}
	*ret = row;
	return 0;
}

/* Which project is meant when none is named. */
static const char *default_project(const struct principal *p)
{
	return p->n_projects == 1 ? p->projects[0].id : "default";
}

int access_project(struct dvmd *d, const struct principal *p, const char *ref, unsigned rights,
		   const char *action, struct project_row *ret, struct fault *fault)
{
	struct access_object o = { .kind = "project" };
	struct project_row row;
	int r;

	o.id = ref && *ref ? ref : default_project(p);
	r = store_project_get(d->store, o.id, &row, fault);
	if (r == -ENOENT) {
		return refuse_not_found(d, p, NULL, action, o.kind, o.id, fault);
	}
	if (r < 0) {
		return r;
	}
	o.project = row.id;
	r = access_check(d, p, &o, rights, action, fault);
	if (r == 0) {
		*ret = row;
	}
	return r;
}

int access_projects(struct dvmd *d, const struct principal *p, const char *project,
		    const char *action, char **ret, struct fault *fault)
{
	int r;

	if (project) {
		struct project_row row;

		r = access_project(d, p, project, RIGHT_VIEW, action, &row, fault);
		if (r < 0) {
			return r;
		}
		*ret = strf(",%s,", row.id);
		r = *ret ? 0 : -ENOMEM;
	} else {
		r = principal_projects(p, RIGHT_VIEW, ret);
	}
	return r < 0 ? fault_set(fault, FAULT_INTERNAL, "Out of memory") : 0;
}
