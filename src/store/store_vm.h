/* SPDX-License-Identifier: Apache-2.0 */
/* The inventory: VMs that dvm may touch. */
#pragma once

#include "store.h"

enum vm_state { VM_UNKNOWN, VM_RUNNING, VM_PAUSED, VM_OFF, VM_CRASHED, VM_GONE, _VM_STATE_MAX };

/* "running"; never NULL. */
const char *vm_state_name(enum vm_state s);
/* VM_UNKNOWN for a name that is no state ("blocked" counts as running). */
enum vm_state vm_state_parse(const char *name);

struct vm_row {
	char id[ID_MAX];	 /* v-… */
	char name[NAME_MAX_LEN]; /* unique in its project */
	char project[ID_MAX];
	char cloud[16];	 /* driver: "local" */
	char domain[40]; /* UUID */
	enum vm_state state;
	usec_t state_at;
	char fence[ID_MAX]; /* session that has its disks read-write, "" if none */
	char adopted_by[ID_MAX];
	usec_t created;
	bool hold;	 /* its next start or reset stops before its first instruction */
	bool no_history; /* what its console says is not kept */
};

int store_vm_add(struct store *s, const struct vm_row *vm, struct fault *fault) _must_check_;
int store_vm_get(struct store *s, const char *id, struct vm_row *ret,
		 struct fault *fault) _must_check_;
/* Up to two VMs of that name in `projects`: is there one, and is it the only one? */
int store_vm_by_name(struct store *s, const char *projects, const char *name, struct vm_row ret[2],
		     size_t *ret_n, struct fault *fault) _must_check_;
int store_vm_by_domain(struct store *s, const char *domain, struct vm_row *ret,
		       struct fault *fault) _must_check_;
/* *ret is an array for free(). */
int store_vm_list(struct store *s, const char *projects, unsigned limit, const char *after,
		  struct vm_row **ret, size_t *ret_n, struct fault *fault) _must_check_;
int store_vm_set_state(struct store *s, const char *id, enum vm_state state,
		       struct fault *fault) _must_check_;
int store_vm_set_hold(struct store *s, const char *id, bool hold, struct fault *fault) _must_check_;
int store_vm_set_no_history(struct store *s, const char *id, bool no_history,
			    struct fault *fault) _must_check_;
/* session "" unfences. -EEXIST when another session holds the fence (nothing changes then). */
int store_vm_set_fence(struct store *s, const char *id, const char *session,
		       struct fault *fault) _must_check_;
/* VMs that have a fence. */
int store_vm_list_fenced(struct store *s, unsigned limit, const char *after, struct vm_row **ret,
			 size_t *ret_n, struct fault *fault) _must_check_;
int store_vm_remove(struct store *s, const char *id, struct fault *fault) _must_check_;
