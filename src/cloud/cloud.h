/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever keeps the record of VMs, and the only way to change the state of one. Asynchronous:
 * answers come through callbacks from the loop, never from inside the call. The driver `local` is
 * dvm's own inventory over libvirt.
 *
 * A change is checked against the VM's fence, recorded as an intent (event vm.power), done, and its
 * outcome recorded (event vm.changed). What happens behind our back comes in through observed() and
 * is recorded as by "outside".
 */
#pragma once

#include <jansson.h>
#include <systemd/sd-event.h>

#include "store_vm.h"

enum power_verb {
	POWER_ON,
	POWER_OFF,	/* pulls the plug */
	POWER_SHUTDOWN, /* asks the guest */
	POWER_REBOOT,	/* asks the guest */
	POWER_RESET,
	POWER_PAUSE,
	POWER_RESUME,
	POWER_NMI,
	POWER_HOLD,   /* its next start or reset stops before the first instruction */
	POWER_UNHOLD, /* or not, after all */
	_POWER_VERB_MAX,
};
const char *power_verb_name(enum power_verb v);
int power_verb_parse(const char *name, enum power_verb *ret) _must_check_;

struct cloud;

/* `state` is valid when fault is NULL. */
typedef void (*cloud_state_fn)(enum vm_state state, const struct fault *fault, void *user);
/* `result` is borrowed, NULL on fault. */
typedef void (*cloud_json_fn)(const json_t *result, const struct fault *fault, void *user);

struct cloud_ops {
	const char *name;
	/* Domains of the hypervisor, in the inventory or not: as `domain.list` of PROTOCOL.host. */
	void (*domains)(struct cloud *c, cloud_json_fn fn, void *user);
	/* One domain by UUID or the hypervisor's name: as `domain.get` of PROTOCOL.host. */
	void (*domain)(struct cloud *c, const char *ref, cloud_json_fn fn, void *user);
	/* `session`: on whose behalf, "" for none: the holder of a fence is not let past it either.
	 * `by`: user id, for the event. */
	void (*power)(struct cloud *c, const char *vm, enum power_verb verb, const char *session,
		      const char *by, cloud_state_fn fn, void *user);
	/* Keeps a VM from being started while a session has its disks read-write. vm-running unless
	 * it is off; vm-fenced when another session has it. Repeatable. */
	void (*fence)(struct cloud *c, const char *vm, const char *session, cloud_state_fn fn,
		      void *user);
	/* Synchronous: the record is ours. Repeatable; a fence of another session stays. */
	int (*unfence)(struct cloud *c, const char *vm, const char *session, struct fault *fault);
	/* The hypervisor's notice, or reconcile: a domain's state as it is now. VM_GONE: no longer
	 * there. */
	void (*observed)(struct cloud *c, const char *domain, enum vm_state state);
	/* Asks for all domains and takes each as observed; `fn` (may be NULL) gets what domains()
	 * gave. */
	void (*refresh)(struct cloud *c, cloud_json_fn fn, void *user);
	/* Not while calls to dvm-hostd are open: end those first. */
	struct cloud *(*free)(struct cloud *c);
};

/* Drivers begin their own struct with this. */
struct cloud {
	const struct cloud_ops *ops;
};

/* What the driver needs of its surroundings. */
struct cloud_port {
	/* A call to dvm-hostd; takes `params`. `fn` is always called, later, from the loop. */
	void (*host_call)(void *user, const char *method, json_t *params, usec_t timeout,
			  cloud_json_fn fn, void *fn_user);
	/* Records an event in the transaction that is open; takes `data`. */
	int (*event)(void *user, const char *type, const char *session, const struct vm_row *vm,
		     json_t *data, struct fault *fault);
	/* Events were committed. */
	void (*committed)(void *user);
	/* A VM's state is another than it was (already recorded); `outside`: not by us. */
	void (*changed)(void *user, const struct vm_row *vm, bool outside);
	void *user;
};

/* `port` is copied. */
int cloud_local_new(sd_event *event, struct store *store, const struct cloud_port *port,
		    struct cloud **ret) _must_check_;
struct cloud *cloud_free(struct cloud *c);
