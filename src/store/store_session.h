/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions, their targets and their attachments. */
#pragma once

#include "session_state.h"
#include "store.h"

#define SESSION_TARGETS_MAX 8
#define SESSION_ATTACHMENTS_MAX 32 /* live ones */
#define SESSION_SERIALS_MAX 8	   /* of these: UARTs that the D-VM's kernel has room for */
#define SESSION_KEYS_MAX 16
#define SESSION_STACKS_MAX 16

struct session_row {
	char id[ID_MAX];    /* s-… */
	char owner[ID_MAX]; /* user */
	char project[ID_MAX];
	unsigned rights; /* of the owner in the project, and of the token that asked, when it was
			    made */
	enum session_state state;
	usec_t state_at;
	char image[80];	     /* as asked for (name, id), then the id that was used; "" = default */
	json_t *stacks;	     /* array of names; owned */
	json_t *keys;	     /* array of SSH public keys; owned */
	char host_key[256];  /* "" until the D-VM is up */
	char placement[16];  /* auto, same, other */
	usec_t lease_length; /* microseconds */
	usec_t lease_expires;
	bool lease_warned;
	usec_t created, ready_at, ended;
	struct fault fault;	       /* FAULT_NONE if none */
	char end_reason[NAME_MAX_LEN]; /* "", user, session, lease-expired, administrator, fault */
};

void session_row_fini(struct session_row *row);
/* For arrays out of store_session_list(). Returns NULL. */
struct session_row *session_rows_free(struct session_row *rows, size_t n);

struct session_filter {
	const char *projects; /* see store.h */
	bool live;	      /* only those that are not over */
};

int store_session_add(struct store *s, const struct session_row *row,
		      struct fault *fault) _must_check_;
int store_session_get(struct store *s, const char *id, struct session_row *ret,
		      struct fault *fault) _must_check_;
/* Newest first; `after` is an id. */
int store_session_list(struct store *s, const struct session_filter *filter, unsigned limit,
		       const char *after, struct session_row **ret, size_t *ret_n,
		       struct fault *fault) _must_check_;
/* Everything that can change in a row: state, image, stacks, host_key, lease, times, fault,
 * end_reason. */
int store_session_update(struct store *s, const struct session_row *row,
			 struct fault *fault) _must_check_;
/* Sessions that are not over. */
int store_session_count_live(struct store *s, const char *project, size_t *ret,
			     struct fault *fault) _must_check_;

/* A session's target: which VM, by number. */
struct target_row {
	unsigned index; /* from 0 */
	char vm[ID_MAX];
	char name[NAME_MAX_LEN]; /* the VM's name when the session was made */
};
int store_target_add(struct store *s, const char *session, const struct target_row *t,
		     struct fault *fault) _must_check_;
/* `ret` has room for SESSION_TARGETS_MAX; *ret_n of them are filled, by number. */
int store_target_list(struct store *s, const char *session, struct target_row *ret, size_t *ret_n,
		      struct fault *fault) _must_check_;
/* The session that is not over and has this VM as a target; -ENOENT. */
int store_session_of_vm(struct store *s, const char *vm, char ret_session[ID_MAX],
			struct fault *fault) _must_check_;

enum attachment_kind {
	ATTACHMENT_CONSOLE,
	ATTACHMENT_DISK,
	ATTACHMENT_VNC,
	ATTACHMENT_GDB,
	ATTACHMENT_SERIAL0, /* the ports, by the names that PROTOCOL.host has for them */
	ATTACHMENT_SERIAL1,
	ATTACHMENT_SERIAL2,
	ATTACHMENT_SERIAL3,
	ATTACHMENT_PARALLEL0,
	ATTACHMENT_MEMORY, /* live */
	_ATTACHMENT_KIND_MAX,
};
enum attachment_state {
	ATTACHMENT_WANTED,    /* to be made */
	ATTACHMENT_ATTACHED,  /* there */
	ATTACHMENT_DETACHING, /* to be undone */
	ATTACHMENT_GONE,      /* undone, or never made: `fault` says why */
	_ATTACHMENT_STATE_MAX,
};
const char *attachment_kind_name(enum attachment_kind k);
const char *attachment_state_name(enum attachment_state s);
int attachment_kind_parse(const char *name, enum attachment_kind *ret) _must_check_;
bool attachment_is_serial(enum attachment_kind k);
bool attachment_is_port(enum attachment_kind k);
/* Comes and goes as the user wants; others are there as long as the session is. */
bool attachment_is_wished(enum attachment_kind k);
/* Is linked to a relay, and anew where that is another one now. */
bool attachment_has_relay(enum attachment_kind k);

struct attachment_row {
	char id[ID_MAX]; /* a-… */
	char session[ID_MAX], vm[ID_MAX];
	enum attachment_kind kind;
	char mode[4];  /* ro, rw */
	bool required; /* the session fails when it cannot be made at first */
	enum attachment_state state;
	json_t *devices; /* array of names in the D-VM ("t0-vda", "ttyS1"); owned; NULL = none */
	struct fault fault;
	usec_t created;
};
void attachment_row_fini(struct attachment_row *row);
struct attachment_row *attachment_rows_free(struct attachment_row *rows, size_t n);

int store_attachment_add(struct store *s, const struct attachment_row *a,
			 struct fault *fault) _must_check_;
int store_attachment_get(struct store *s, const char *id, struct attachment_row *ret,
			 struct fault *fault) _must_check_;
#define SESSION_ATTACHMENTS_EVER 256 /* live and gone */
/* All of a session in the order they were made. */
int store_attachment_list(struct store *s, const char *session, struct attachment_row **ret,
			  size_t *ret_n, struct fault *fault) _must_check_;
/* state, devices, fault */
int store_attachment_update(struct store *s, const struct attachment_row *a,
			    struct fault *fault) _must_check_;
