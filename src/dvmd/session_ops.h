/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked about sessions and done to them: rights, limits, audit, then the engine. See
 * vm_ops.h. */
#pragma once

#include "store_session.h"
#include "vm_ops.h"

/* The consoles of all targets are attached in any case; asking for one says nothing new. */
struct attach_spec {
	enum attachment_kind kind;
	const char
		*target; /* id or name; NULL: all the session's targets (at its start), the first */
	const char *mode; /* "ro", "rw"; NULL: rw where the rights allow it; consoles: NULL. A
			     parallel port and memory are "ro" whatever is asked for. */
};

/* All borrowed. */
struct session_spec {
	const char *targets[SESSION_TARGETS_MAX]; /* ids or names */
	size_t n_targets;
	const char *image; /* NULL: the default */
	const char *stacks[SESSION_STACKS_MAX];
	size_t n_stacks;
	const char *keys[SESSION_KEYS_MAX]; /* SSH public keys: "ssh-ed25519 AAAA… comment"; those
					       that the user has on record come besides */
	size_t n_keys;
	const char *placement;				    /* auto, same, other; NULL: auto */
	usec_t lease;					    /* 0: default */
	struct attach_spec attach[SESSION_ATTACHMENTS_MAX]; /* besides the consoles, which are
							       always attached */
	size_t n_attach;
};

/* What a port or memory, in that mode, needs the rights for. */
unsigned session_device_rights(enum attachment_kind kind, const char *mode);
/* As which of ro and rw a port is attached: "rw" needs the right `type`. NULL: as far as `rights`
 * go. */
const char *session_port_mode(enum attachment_kind kind, const char *mode, unsigned rights);

/* The session as it stands at once (state requested); the engine goes on. */
int session_create(struct dvmd *d, const struct principal *p, const struct session_spec *spec,
		   json_t **ret, struct fault *fault) _must_check_;
/* {"items":[…],"next":ID|null}; `live`: only those that are not over. */
int session_list(struct dvmd *d, const struct principal *p, const char *project, bool live,
		 unsigned limit, const char *after, json_t **ret, struct fault *fault) _must_check_;
int session_get(struct dvmd *d, const struct principal *p, const char *id, json_t **ret,
		struct fault *fault) _must_check_;
/* Already ending or over: the same answer, no fault. */
int session_end(struct dvmd *d, const struct principal *p, const char *id, json_t **ret,
		struct fault *fault) _must_check_;
/* `lease` counts from now; 0: as long as at the start. */
int session_renew(struct dvmd *d, const struct principal *p, const char *id, usec_t lease,
		  json_t **ret, struct fault *fault) _must_check_;

/* The callback comes when the attachment is there (or failed: a fault), at the latest after
 * ATTACH_ANSWER_MAX: then with the attachment as it stands ("state":"wanted" or "detaching").
 * One that is there already with the same mode: the same answer. */
#define ATTACH_ANSWER_MAX (20 * USEC_PER_SEC)
void session_attach(struct dvmd *d, const struct principal *p, const char *id,
		    const struct attach_spec *spec, ops_reply_fn fn, void *user);
/* By attachment id. Comes when it is gone. */
void session_detach(struct dvmd *d, const struct principal *p, const char *id,
		    const char *attachment, ops_reply_fn fn, void *user);

/* A stack of the session's image for its D-VM, which runs. The callback comes with the session when
 * it is there. One that is there already: the same. */
void session_stack_add(struct dvmd *d, const struct principal *p, const char *id, const char *stack,
		       ops_reply_fn fn, void *user);

/* {"items":[events of one session, oldest first],"next":seq of the last or null}. */
int session_timeline(struct dvmd *d, const struct principal *p, const char *id, unsigned limit,
		     uint64_t after, json_t **ret, struct fault *fault) _must_check_;
/* Whose recordings: one of the two. */
struct recordings_of {
	const char *session; /* its targets' consoles, also when it is over */
	const char *vm;	     /* what is kept of its console */
};
/* {"items":[{"name","size_bytes","format"}]}; a VM's with "begun", and "offset" as in
 * PROTOCOL.host. */
void recording_list(struct dvmd *d, const struct principal *p, const struct recordings_of *of,
		    ops_reply_fn fn, void *user);
/* {"data":BASE64,"size_bytes","eof"}; length at most 262144. */
void recording_read(struct dvmd *d, const struct principal *p, const struct recordings_of *of,
		    const char *name, uint64_t offset, size_t length, ops_reply_fn fn, void *user);
/* {"items":[as in `image.list` of PROTOCOL.host]}; any principal. */
void image_list(struct dvmd *d, const struct principal *p, ops_reply_fn fn, void *user);

/* A verb of PROTOCOL.agent from inside a session's D-VM: {"text":…}. */
void session_verb(struct dvmd *d, const char *session, const char *verb, const char *const *words,
		  size_t n_words, ops_reply_fn fn, void *user);
