/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked about VMs and done to them: rights, audit, then the cloud. Results are JSON
 * objects as the API shows them (view.h). Callbacks come later, from the loop; `result` is borrowed
 * and NULL on a fault.
 */
#pragma once

#include "cloud.h"
#include "dvmd.h"
#include "identity.h"

typedef void (*ops_reply_fn)(const json_t *result, const struct fault *fault, void *user);

/* project: NULL for all the principal sees. {"items":[…],"next":ID|null} */
int vm_list(struct dvmd *d, const struct principal *p, const char *project, unsigned limit,
	    const char *after, json_t **ret, struct fault *fault) _must_check_;
/* With "hardware": memory, vCPUs, disks, consoles; null when the host is away. */
void vm_get(struct dvmd *d, const struct principal *p, const char *ref, ops_reply_fn fn,
	    void *user);
/* Administrator: domains that are not in the inventory: {"items":[{"domain","state"}]}; `domain`
 * is what vm_adopt() takes. */
void vm_candidates(struct dvmd *d, const struct principal *p, ops_reply_fn fn, void *user);
/* Administrator. `domain`: UUID or the hypervisor's name; name NULL: made out of it; project NULL:
 * default; no_history: nothing of it is kept. A domain that is in the inventory of that project
 * already: the same answer again. From now on its console is kept. */
void vm_adopt(struct dvmd *d, const struct principal *p, const char *domain, const char *name,
	      const char *project, bool no_history, ops_reply_fn fn, void *user);
/* Administrator of the project: whether what the VM's console says is kept. What was, is deleted.
 * Repeatable: also after a fault, which then says only that it has not come to the host yet. */
void vm_set(struct dvmd *d, const struct principal *p, const char *ref, bool no_history,
	    ops_reply_fn fn, void *user);
/* Administrator: out of the inventory; refused while a session has it. */
void vm_release(struct dvmd *d, const struct principal *p, const char *ref, ops_reply_fn fn,
		void *user);
/* {"vm":ID,"action":VERB,"state"} */
void vm_power(struct dvmd *d, const struct principal *p, const char *ref, enum power_verb verb,
	      ops_reply_fn fn, void *user);
