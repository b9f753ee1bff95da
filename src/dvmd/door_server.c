/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, tickets and tokens of logins over SSH. */
#include "door_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "door_ticket.h"
#include "events.h"
#include "identity.h"
#include "list.h"
#include "log.h"
#include "map.h"
#include "parse.h"
#include "rpc_server.h"
#include "sha256.h"

#define TOKEN_TTL (600 * USEC_PER_SEC)
#define USED_MAX 4096

/* A ticket that was used, remembered for as long as it would be good. */
struct used {
	struct list link;
	char nonce[DOOR_NONCE_LEN + 1];
	usec_t forget; /* monotonic */
};

/* What a peer holds. */
struct login {
	char token[ID_MAX], key[ID_MAX], user[ID_MAX];
};

struct door_server {
	struct dvmd *d;
	struct rpc_server *rpc;
	uint8_t secret[DOOR_SECRET_BYTES];
	struct map *used;
	struct list used_in_order;
};

/* ---- used tickets */

static void used_free(struct door_server *s, struct used *u)
{
	map_remove(s->used, u->nonce);
	list_del(&u->link);
	free(u);
}

static void used_sweep(struct door_server *s)
{
	usec_t now = clock_monotonic();
	struct used *u, *tmp;

	list_for_each_safe (u, tmp, &s->used_in_order, link) {
		if (u->forget > now) {
			break;
		}
		used_free(s, u);
	}
}

static int used_add(struct door_server *s, const char *nonce)
{
	struct used *u = calloc(1, sizeof(*u));

	if (!u) {
		return -ENOMEM;
	}
	list_init(&u->link);
	strcpy(u->nonce, nonce);
	u->forget = clock_monotonic() + DOOR_TICKET_TTL;
	if (map_put(s->used, u->nonce, u, NULL) < 0) {
		free(u);
		return -ENOMEM;
	}
	list_add_tail(&s->used_in_order, &u->link);
	return 0;
}

/* Burns it. */
static int take_ticket(struct door_server *s, const char *text, struct door_ticket *ret,
		       struct fault *fault)
{
	used_sweep(s);
	if (!text || door_ticket_read(s->secret, text, ret) < 0 ||
	    ret->expires <= clock_monotonic() || map_get(s->used, ret->nonce)) {
		return fault_set(fault, FAULT_TICKET_INVALID, "This login is over");
	}
	if (map_size(s->used) >= USED_MAX) {
		return fault_set(fault, FAULT_QUOTA, "Too many logins at once");
	}
	return used_add(s, ret->nonce) < 0 ? fault_set(fault, FAULT_INTERNAL, "Out of memory") : 0;
}

/* ---- the calls */

static int find_key(struct door_server *s, const json_t *params, struct key_row *ret,
		    struct fault *fault)
{
	const char *type = json_string_value(json_object_get(params, "type"));
	const char *text = json_string_value(json_object_get(params, "key"));
	_cleanup_free_ char *line = NULL;
	char fingerprint[KEY_FINGERPRINT_MAX];
	struct ssh_pubkey key;
	int r;

	if (!type || !text || strpbrk(type, " ") || strpbrk(text, " ")) {
		return fault_set(fault, FAULT_BAD_REQUEST, "Not a key");
	}
	line = strf("%s %s", type, text);
	if (!line) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	r = ssh_pubkey_parse(line, &key, fault);
	if (r < 0) {
		return r == -ENOMEM ? fault_set(fault, FAULT_INTERNAL, "Out of memory") : r;
	}
	ssh_fingerprint(key.blob, key.blob_len, fingerprint);
	r = store_key_by_fingerprint(s->d->store, fingerprint, ret, fault);
	if (r == -ENOENT || (r == 0 && strcmp(ret->blob, key.text) != 0)) {
		return fault_set(fault, FAULT_NOT_FOUND, "This key is on record for nobody");
	}
	return r;
}

static int look_up(struct door_server *s, const json_t *params, json_t **ret, struct fault *fault)
{
	char ticket[DOOR_TICKET_MAX];
	struct key_row key;
	int r = find_key(s, params, &key, fault);

	if (r < 0) {
		return r;
	}
	door_ticket_make(s->secret, key.id, clock_monotonic() + DOOR_TICKET_TTL, ticket);
	*ret = json_pack("{s:s}", "ticket", ticket);
	return 0;
}

/* The token and its traces, in one transaction. */
static int record(struct door_server *s, const struct key_row *key, struct token_row *token,
		  char secret[LOCAL_TOKEN_MAX], struct fault *fault)
{
	struct store *store = s->d->store;
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	struct principal who = { 0 };
	usec_t now = clock_realtime();
	int r = store_tx_begin(&tx, store, fault);

	if (r == 0) {
		r = store_token_sweep(store, now, fault);
	}
	if (r == 0) {
		r = local_token_create_for_key(store, key, now + TOKEN_TTL, token, secret, fault);
	}
	if (r == 0) {
		r = store_key_used(store, key->id, now, fault);
	}
	if (r == 0) {
		strcpy(who.user, key->user);
		strcpy(who.user_name, key->user_name);
		strcpy(who.token, token->id);
		r = audit_add(s->d->events, &who, NULL, NULL, "door.login", key->id,
			      key->fingerprint, FAULT_NONE, fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		events_committed(s->d->events);
	}
	return r;
}

/* The connection holds the token from now on. */
static int hold(struct rpc_server_peer *peer, const struct token_row *token, struct fault *fault)
{
	struct login **login = (struct login **)rpc_server_peer_data(peer);

	if (!*login) {
		*login = calloc(1, sizeof(**login));
	}
	if (!*login) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	strcpy((*login)->token, token->id);
	strcpy((*login)->key, token->key);
	strcpy((*login)->user, token->user);
	return 0;
}

static bool has_user(struct rpc_server_peer *peer, const void *user)
{
	const struct login *login = *rpc_server_peer_data(peer);

	return login && strcmp(login->user, user) == 0;
}

/* Each is a process or three of the edge's, and a connection that others cannot have. */
static int check_quota(struct door_server *s, const char *user, struct fault *fault)
{
	if (rpc_server_count(s->rpc, has_user, user) < DOOR_LOGINS_PER_USER) {
		return 0;
	}
	fault_set(fault, FAULT_QUOTA, "You are logged in %d times, which is the most one can be",
		  DOOR_LOGINS_PER_USER);
	fault_hint(fault, "End one of those first.");
	return -EREMOTEIO;
}

static int log_in(struct door_server *s, struct rpc_server_peer *peer, const json_t *params,
		  json_t **ret, struct fault *fault)
{
	char secret[LOCAL_TOKEN_MAX];
	struct door_ticket ticket;
	struct token_row token;
	struct key_row key;
	int r;

	if (*rpc_server_peer_data(peer)) {
		return fault_set(fault, FAULT_CONFLICT, "This connection has a login");
	}
	r = take_ticket(s, json_string_value(json_object_get(params, "ticket")), &ticket, fault);
	if (r == 0) {
		r = store_key_get(s->d->store, ticket.key, &key, fault);
	}
	if (r == -ENOENT) {
		return fault_set(fault, FAULT_TICKET_INVALID, "This login is over");
	}
	if (r == 0) {
		r = check_quota(s, key.user, fault);
	}
	if (r == 0) {
		r = record(s, &key, &token, secret, fault);
	}
	if (r == 0) {
		r = hold(peer, &token, fault);
	}
	if (r == 0) {
		*ret = json_pack("{s:s}", "token", secret);
		log_info("%s logs in over SSH with %s", key.user, key.id);
	}
	explicit_bzero(secret, sizeof(secret));
	return r;
}

static int go_on(struct door_server *s, struct rpc_server_peer *peer, const json_t *params,
		 json_t **ret, struct fault *fault)
{
	const char *secret = json_string_value(json_object_get(params, "token"));
	char hash[SHA256_HEX_LEN + 1];
	struct token_row token;
	usec_t now = clock_realtime();
	int r;

	if (!secret) {
		return fault_set(fault, FAULT_BAD_REQUEST, "No token was given");
	}
	sha256_hex(secret, strlen(secret), hash);
	r = store_token_by_hash(s->d->store, hash, &token, fault);
	if (r == -ENOENT || (r == 0 && (!token.key[0] || token.revoked || token.expires <= now))) {
		return fault_set(fault, FAULT_UNAUTHENTICATED, "This login is over");
	}
	if (r == 0) {
		token.expires = now + TOKEN_TTL;
		r = store_token_update(s->d->store, &token, fault);
	}
	if (r == 0) {
		r = hold(peer, &token, fault);
	}
	if (r == 0) {
		*ret = json_object();
	}
	return r;
}

static void on_call(struct rpc_server_peer *peer, struct rpc_request *request, const char *method,
		    json_t *params, void *user)
{
	struct door_server *s = user;
	uid_t uid = rpc_server_peer_uid(peer);
	struct fault fault = { 0 };
	json_t *result = NULL;
	int r;

	if (strcmp(method, "door.key") == 0 && uid == s->d->door_lookup) {
		r = look_up(s, params, &result, &fault);
	} else if (strcmp(method, "door.login") == 0 && uid == s->d->door_login) {
		r = log_in(s, peer, params, &result, &fault);
	} else if (strcmp(method, "door.hold") == 0 && uid == s->d->door_login) {
		r = go_on(s, peer, params, &result, &fault);
	} else {
		r = fault_set(&fault, FAULT_NOT_SUPPORTED, "There is no such method");
	}
	if (r < 0) {
		if (fault.code == FAULT_NONE) {
			fault_set(&fault, FAULT_INTERNAL, "%s", strerror(-r));
		}
		rpc_request_fault(request, &fault);
	} else {
		rpc_request_reply(request, result);
	}
}

static bool on_admit(uid_t uid, void *user)
{
	const struct door_server *s = user;

	return uid == s->d->door_lookup || uid == s->d->door_login;
}

static void on_closed(struct rpc_server_peer *peer, void *user)
{
	struct door_server *s = user;
	const struct login *login = *rpc_server_peer_data(peer);
	struct fault fault = { 0 };

	/* A full disk: it ends by itself. */
	if (login && store_token_remove(s->d->store, login->token, &fault) < 0) {
		log_warn("the token of a login that ended stays for a while: %s, ignoring",
			 fault.message);
	}
}

/* ---- the whole */

int door_server_new_take(struct dvmd *d, int listen_fd, struct door_server **ret)
{
	static const struct rpc_server_ops ops = {
		.who = "the SSH door",
		.admit = on_admit,
		.call = on_call,
		.closed = on_closed,
	};
	_cleanup_close_ int fd = listen_fd;
	struct door_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		return -ENOMEM;
	}
	s->d = d;
	list_init(&s->used_in_order);
	random_bytes(s->secret, sizeof(s->secret));
	s->used = map_new();
	r = s->used ? rpc_server_new_take(d->event, TAKE_FD(fd), DOOR_PEERS_MAX, &ops, s, &s->rpc)
		    : -ENOMEM;
	if (r < 0) {
		door_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct door_server *door_server_free(struct door_server *s)
{
	if (!s) {
		return NULL;
	}
	/* Logins go on: who holds their tokens comes again. */
	rpc_server_free(s->rpc);
	while (!list_empty(&s->used_in_order)) {
		used_free(s, container_of(s->used_in_order.next, struct used, link));
	}
	map_free(s->used);
	explicit_bzero(s->secret, sizeof(s->secret));
	free(s);
	return NULL;
}

static bool has_key(struct rpc_server_peer *peer, const void *key)
{
	const struct login *login = *rpc_server_peer_data(peer);

	return login && strcmp(login->key, key) == 0;
}

void door_server_key_removed(struct door_server *s, const char *key)
{
	if (s) {
		rpc_server_drop(s->rpc, has_key, key);
	}
}
