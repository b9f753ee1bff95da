/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dvm-hostd: the one program of a host that talks to the hypervisor. Makes D-VMs, opens consoles,
 * starts relays and hands them what they need. See interfaces/PROTOCOL.host (towards dvmd) and
 * PROTOCOL.relay.
 *
 * Theory of operation. One loop holds the connections: dvmd's (server.c) and the relays' (relay.c).
 * What a method has to do, it does from top to bottom in a worker thread (op.h), where it may block
 * on the hypervisor and on a relay's answer. Operations on one session or VM run one after the
 * other.
 *
 * Nothing is kept in memory only. What a session is to be stands in RUN/dvm/SESSION/session.json
 * before it is made; what it is, the hypervisor and the relays tell. So a start of this program,
 * the loss of a relay and the return of the hypervisor are all met by the same function, which
 * brings what is to what is to be (session_restore(), console_refresh()).
 */
#pragma once

#include <stdatomic.h>
#include <systemd/sd-event.h>

#include "config.h"
#include "hypervisor.h"
#include "worker.h"

struct relays;
struct server;
struct image_store;
struct memory_store;
struct pool;
struct boots;
struct shots;
struct log_watches;

struct hostd {
	sd_event *event;
	struct worker_pool *workers;
	char *state;		    /* folder */
	char id[DVM_OWNER_MAX + 1]; /* of this dvm: which D-VMs of the hypervisor are ours */
	char *relay;		    /* path of dvm-relay */
	char *memory_plugin;	    /* path of nbdkit's plugin that serves memory */
	struct hostd_config config; /* as it was when we started */
	bool root;		    /* we may give processes users of their own */
	struct hypervisor *hv;
	struct image_store *images;
	struct memory_store *memory;
	struct pool *pool;
	struct shots *shots;
	/* the rest belongs to the loop's thread */
	struct relays *relays;
	struct server *server;
	struct boots *boots;
	struct log_watches *log_watches;
	sd_event_source *pool_timer;
	bool pool_tending, pool_again; /* it is being looked after; and is to be once more */
	unsigned ops_running;
	atomic_uint starting; /* sessions whose D-VM is not ready yet; what can wait makes way */
	bool stopping;
};

/* Users of our processes where we are root: one each, so that none can touch another. */
#define RELAY_UID_FIRST 61184
#define DVM_UID_FIRST 63352
#define UIDS_EACH 2168
/* The last D-VM's is for those that become memory images. */
#define DVM_UIDS (UIDS_EACH - 1)
#define DVM_UID_PREPARE (DVM_UID_FIRST + DVM_UIDS)
/* Where we are root, dvm-gate is a user of its own, and comes in by its group. */
#define GATE_GID 61183

/* One of our D-VMs: another dvm on the same hypervisor keeps its own. */
bool domain_is_our_dvm(const struct hostd *h, const struct domain_brief *domain);

/* Ids of dvm: "s-…" and "v-…" */
bool session_id_valid(const char *s);
bool vm_id_valid(const char *s);
/* What a hypervisor may call a domain: its uuid or its name. */
bool domain_ref_valid(const char *s);

/* A hub's relay: "v-…" the VM's console, "v-….serial1" another port of the VM. */
#define HUB_NAME_MAX (DVM_SESSION_MAX + 12)
void hub_name(const char *vm, enum vm_port port, char ret[HUB_NAME_MAX + 1]);
bool hub_name_valid(const char *s);
/* Which port of its VM; the console's is the first. */
enum vm_port hub_port(const char *name);

/* The server of a session's target's live memory: "m-…-N", with the session's id and the target's
 * number. */
void memory_name(const char *session, unsigned index, char ret[HUB_NAME_MAX + 1]);
bool memory_name_valid(const char *s);
/* Whose it is. */
void memory_session(const char *name, char ret[DVM_SESSION_MAX + 1]);

/* Folders of STATE; warns of what would keep D-VMs from starting. */
int hostd_make_folders(struct hostd *h) _must_check_;
/* Everything begins; call hostd_close() in any case. */
int hostd_open(struct hostd *h, const char *uri) _must_check_;
/* Ends the loop as soon as no operation runs. Relays and D-VMs go on without us. */
void hostd_stop(struct hostd *h);
void hostd_close(struct hostd *h);
