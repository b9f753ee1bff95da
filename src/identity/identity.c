/* SPDX-License-Identifier: Apache-2.0 */
/* What all drivers of identity share. */
#include "identity.h"

#include <string.h>

unsigned principal_rights(const struct principal *p, const char *project)
{
	for (size_t i = 0; i < p->n_projects; i++) {
		if (strcmp(p->projects[i].id, project) == 0) {
			return p->rights | p->projects[i].rights;
		}
	}
	return p->rights;
}

int principal_projects(const struct principal *p, unsigned rights, char **ret)
{
	char *list, *end;

	if (p->rights & rights) {
		*ret = NULL;
		return 0;
	}
	/* "," alone is the list of none. */
	list = malloc(p->n_projects * ID_MAX + 2);
	if (!list) {
		return -ENOMEM;
	}
	end = stpcpy(list, ",");
	for (size_t i = 0; i < p->n_projects; i++) {
		if (p->projects[i].rights & rights) {
			end = stpcpy(stpcpy(end, p->projects[i].id), ",");
		}
	}
	*ret = list;
	return 0;
}

int identity_authenticate(struct identity *i, const char *bearer, struct principal *ret,
			  struct fault *fault)
{
	int r = -ENOENT;

	if (strnlen(bearer, TOKEN_BYTES_MAX) < TOKEN_BYTES_MAX) {
		r = i->ops->authenticate(i, bearer, ret, fault);
	}
	if (r == -ENOENT) {
		return fault_set(fault, FAULT_UNAUTHENTICATED, "The token is not valid");
	}
	return r;
}

struct identity *identity_free(struct identity *i)
{
	return i ? i->ops->free(i) : NULL;
}
