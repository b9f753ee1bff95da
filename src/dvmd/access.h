/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what with which object: the one place where it is decided. An object in a project
 * where the principal has no right at all does not exist for him (not-found), which is audited like
 * every refusal.
 */
#pragma once

#include "dvmd.h"
#include "identity.h"
#include "store_session.h"
#include "store_vm.h"

/* A thing in a project, for the check and its audit row. */
struct access_object {
	const char *kind; /* "VM", "session", … for the message */
	const char *id;	  /* as asked for */
	const char *project;
	const char
		*owner; /* sessions: only the owner or an administrator may change it; else NULL */
	bool change;	/* it is about to be changed */
};
/* -EREMOTEIO with not-found or forbidden. `action`: for the audit. */
int access_check(struct dvmd *d, const struct principal *p, const struct access_object *o,
		 unsigned rights, const char *action, struct fault *fault) _must_check_;
/* Whether he is one who may do everything everywhere; nothing is audited. */
static inline bool access_admin(const struct principal *p)
{
	return p->rights & RIGHT_ADMIN;
}
/* Rights over dvm as a whole: users, projects, all VMs, audit. */
int access_check_admin(struct dvmd *d, const struct principal *p, const char *action,
		       struct fault *fault) _must_check_;

/* Finds and checks. `ref`: a VM's id or name, "PROJECT/NAME" where a name alone is not clear. */
int access_vm(struct dvmd *d, const struct principal *p, const char *ref, unsigned rights,
	      const char *action, struct vm_row *ret, struct fault *fault) _must_check_;
int access_session(struct dvmd *d, const struct principal *p, const char *id, unsigned rights,
		   bool change, const char *action, struct session_row *ret,
		   struct fault *fault) _must_check_;
/* "" or NULL: the only project of the principal, else `default`. */
int access_project(struct dvmd *d, const struct principal *p, const char *ref, unsigned rights,
		   const char *action, struct project_row *ret, struct fault *fault) _must_check_;
/* The projects a list may show, as ",ID,ID,": the one named, or (NULL) all in which the principal
 * has the right to view. To be freed. */
int access_projects(struct dvmd *d, const struct principal *p, const char *project,
		    const char *action, char **ret, struct fault *fault) _must_check_;
