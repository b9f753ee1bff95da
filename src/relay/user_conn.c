/* SPDX-License-Identifier: Apache-2.0 */
/* A user's connection after its ticket was redeemed. */
#include "user_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "cleanup.h"
#include "policy.h"
#include "service.h"

#define USER_OUTPUT_MAX ((size_t)4 * 1024 * 1024) /* see switch.c */
#define USER_CHANNELS_MAX 16 /* also all channels of a session on one console */

struct user_conn {
	struct relay *relay;
	struct grant grant;
	struct link_conn *conn;
	void (*ended)(void *user);
	void *user;
};

static void on_up(struct link_conn *conn, void *user)
{
}

static void on_open(struct link_conn *conn, uint16_t id, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	struct user_conn *u = user;
	enum fault_code code = FAULT_FORBIDDEN;

	if (strcmp(service, u->grant.service) == 0) {
		code = policy_mode(u->grant.mode, mode, &mode);
	}
	if (code != FAULT_NONE) {
		channel_refuse(conn, id, fault_code_name(code));
		return;
	}
	service_open(u->relay, conn, id, service, mode, from);
}

static void on_ended(struct link_conn *conn, void *user)
{
	struct user_conn *u = user;

	u->ended(u->user);
}

static const struct link_conn_ops conn_ops = {
	.up = on_up,
	.open = on_open,
	.ended = on_ended,
};

int user_conn_new_take(struct relay *relay, int fd, const struct grant *grant,
		       void (*ended)(void *user), void *user, struct user_conn **ret)
{
	const struct link_conn_options options = {
		.kind = LINK_CONN_SOCKET,
		.role = TUNNEL_LISTENER,
		.output_max = USER_OUTPUT_MAX,
		.channels_max = USER_CHANNELS_MAX,
	};
	struct user_conn *u = calloc(1, sizeof(*u));
	int err;

	if (!u) {
		close_fd(fd);
		return -ENOMEM;
	}
	u->relay = relay;
	u->grant = *grant;
	u->ended = ended;
	u->user = user;
	err = link_conn_new_take(relay->event, relay->poll, fd, &options, &conn_ops, u, &u->conn);
	if (err < 0) {
		free(u);
		return err;
	}
	*ret = u;
	return 0;
}

struct user_conn *user_conn_free(struct user_conn *u)
{
	if (!u) {
		return NULL;
	}
	link_conn_free(u->conn);
	free(u);
	return NULL;
}
