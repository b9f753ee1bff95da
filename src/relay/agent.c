/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent in the D-VM (PROTOCOL.agent).
 *
 * Theory of operation: the tunnel port is there as long as the D-VM; the link on it starts anew
 * whenever one of its ends does. With each start the relay opens `config`, sends everything, and
 * waits for `ready`. The channel stays open: when it is gone the agent is. Nothing that comes from
 * the agent is believed to be more than text of a bounded length.
 */
#include "agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent_config.h"
#include "channel.h"
#include "cleanup.h"
#include "control.h"
#include "parse.h"
#include "policy.h"
#include "service.h"
#include "verb_channel.h"

#define AGENT_VERSION "1"
#define AGENT_LINE_MAX 8192
#define AGENT_CHANNELS_MAX 48
#define HOST_KEY_MAX 1024
#define FAILED_MAX 200
#define STACKS_MAX 16
#define STACK_NAME_MAX 63

struct agent {
	struct relay *relay;
	struct link_conn *conn; /* NULL: no tunnel port */
	struct buf config;	/* lines for the agent, but those that are different each time */

	struct channel channel; /* `config`; .conn NULL while there is none */
	struct buf in, out;
	bool opened, stale; /* stale: `config` changed while `out` was on its way */
	bool version_known;
	bool ready;
	char host_key[HOST_KEY_MAX + 1];
	char failed[FAILED_MAX + 1];
	char stacks[STACKS_MAX][STACK_NAME_MAX + 1];
	size_t n_stacks;
};

/* The one place where the agent comes up or goes down. */
static void ready_set(struct agent *a, bool ready)
{
	if (a->ready == ready) {
		return;
	}
	a->ready = ready;
	if (ready) {
		control_notify(a->relay->control, "agent.up",
			       json_pack("{s:s}", "host_key", a->host_key));
	} else {
		control_notify(a->relay->control, "agent.down", NULL);
	}
}

static void config_pump(struct agent *a)
{
	if (!a->opened) {
		return;
	}
	if (a->stale && buf_len(&a->out) == 0) {
		a->stale = false;
		if (buf_append(&a->out, buf_data(&a->config), buf_len(&a->config)) < 0 ||
		    agent_config_finish(&a->out) < 0) {
			link_conn_fail(a->conn);
			return;
		}
	}
	while (buf_len(&a->out) > 0) {
		size_t n = MIN(channel_room(&a->channel), buf_len(&a->out));

		n = n > 0 ? channel_send(&a->channel, buf_data(&a->out), n) : 0;
		if (n == 0) {
			return;
		}
		buf_consume(&a->out, n);
	}
	if (a->stale) {
		config_pump(a);
	}
}

static void on_host_key(struct agent *a, const char *key)
{
	bool known_type = strncmp(key, "ssh-", 4) == 0 || strncmp(key, "ecdsa-", 6) == 0;

	if (known_type && text_valid(key, HOST_KEY_MAX)) {
		strcpy(a->host_key, key);
	}
}

static void on_failed(struct agent *a, const char *text)
{
	snprintf(a->failed, sizeof(a->failed), "%s",
		 text_valid(text, FAILED_MAX) ? text : "The D-VM has failed.");
	control_notify(a->relay->control, "agent.failed", json_pack("{s:s}", "text", a->failed));
}

static void on_stack(struct agent *a, const char *name)
{
	for (size_t i = 0; i < a->n_stacks; i++) {
		if (strcmp(a->stacks[i], name) == 0) {
			return;
		}
	}
	if (a->n_stacks < STACKS_MAX && strlen(name) <= STACK_NAME_MAX && name_valid(name)) {
		strcpy(a->stacks[a->n_stacks++], name);
	}
}

/* Lines that it does not know are left to later versions. */
static void on_line(struct agent *a, const char *line)
{
	if (strncmp(line, "agent ", 6) == 0) {
		a->version_known = strcmp(line + 6, AGENT_VERSION) == 0;
	} else if (!a->version_known) {
		return;
	} else if (strncmp(line, "hostkey ", 8) == 0) {
		on_host_key(a, line + 8);
	} else if (strcmp(line, "ready") == 0 && *a->host_key) {
		ready_set(a, true);
	} else if (strncmp(line, "failed ", 7) == 0) {
		on_failed(a, line + 7);
	} else if (strncmp(line, "stack ", 6) == 0) {
		on_stack(a, line + 6);
	}
}

static void on_opened(struct channel *c, uint64_t start, uint8_t mode)
{
	struct agent *a = container_of(c, struct agent, channel);

	a->opened = true;
	a->stale = true;
	config_pump(a);
}

static void on_data(struct channel *c, const uint8_t *p, size_t len)
{
	struct agent *a = container_of(c, struct agent, channel);

	while (len > 0) {
		const uint8_t *end = memchr(p, '\n', len);
		size_t n = end ? (size_t)(end - p) : len;

		if (buf_append(&a->in, p, n) < 0 || (end && buf_append(&a->in, "", 1) < 0)) {
			/* a line that is too long */
			link_conn_fail(a->conn);
			return;
		}
		if (end) {
			on_line(a, (const char *)buf_data(&a->in));
			buf_clear(&a->in);
			n++;
		}
		p += n;
		len -= n;
	}
	channel_window(c, AGENT_LINE_MAX);
}

static void on_writable(struct channel *c)
{
	config_pump(container_of(c, struct agent, channel));
}

static void on_closed(struct channel *c, const char *reason)
{
	struct agent *a = container_of(c, struct agent, channel);

	buf_clear(&a->in);
	buf_clear(&a->out);
	a->opened = a->stale = a->version_known = false;
	a->n_stacks = 0;
	ready_set(a, false);
	/* An agent that closes this channel alone has to begin again. */
	if (tunnel_link_is_up(link_conn_link(a->conn))) {
		link_conn_fail(a->conn);
	}
}

static const struct channel_ops channel_ops = {
	.opened = on_opened,
	.data = on_data,
	.screen = channel_ignore_screen,
	.gap = channel_ignore_gap,
	.writable = on_writable,
	.eof = channel_ignore_eof,
	.ctl = channel_ignore_ctl,
	.closed = on_closed,
};

static void on_up(struct link_conn *conn, void *user)
{
	struct agent *a = user;

	a->failed[0] = '\0';
	if (channel_open(&a->channel, &channel_ops, conn, "config",
			 TUNNEL_MODE_READ | TUNNEL_MODE_WRITE, 0, AGENT_LINE_MAX) < 0) {
		link_conn_fail(conn);
	}
}

static void on_open(struct link_conn *conn, uint16_t id, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	struct agent *a = user;
	enum fault_code code;

	if (strcmp(service, "verb") == 0) {
		verb_channel_open(a->relay, conn, id);
		return;
	}
	if (strncmp(service, "console/", 8) != 0 && strncmp(service, "vnc/", 4) != 0 &&
	    strncmp(service, "gdb/", 4) != 0) {
		channel_refuse(conn, id, fault_code_name(FAULT_FORBIDDEN));
		return;
	}
	code = policy_mode(TUNNEL_MODE_READ | TUNNEL_MODE_WRITE | TUNNEL_MODE_TAKE, mode, &mode);
	if (code != FAULT_NONE) {
		channel_refuse(conn, id, fault_code_name(code));
		return;
	}
	service_open(a->relay, conn, id, service, mode, from);
}

static void conn_drop(struct agent *a)
{
	a->conn = link_conn_free(a->conn);
}

static void on_ended(struct link_conn *conn, void *user)
{
	struct agent *a = user;
	bool told = a->ready;

	conn_drop(a);
	if (!told) {
		control_notify(a->relay->control, "agent.down", NULL);
	}
}

static const struct link_conn_ops conn_ops = {
	.up = on_up,
	.open = on_open,
	.ended = on_ended,
};

static int agent_new(struct relay *relay)
{
	struct agent *a = calloc(1, sizeof(*a));

	if (!a) {
		return -ENOMEM;
	}
	a->relay = relay;
	buf_init(&a->config, AGENT_CONFIG_MAX);
	buf_init(&a->out, AGENT_CONFIG_MAX + 1024);
	buf_init(&a->in, AGENT_LINE_MAX);
	relay->agent = a;
	return 0;
}

int agent_configure(struct relay *relay, const json_t *config, struct fault *fault)
{
	struct agent *a = relay->agent;
	struct buf next;
	int err;

	if (!a) {
		return -ENOENT;
	}
	buf_init(&next, AGENT_CONFIG_MAX);
	err = agent_config_encode(&next, config, fault);
	if (err < 0) {
		buf_fini(&next);
		return err;
	}
	buf_fini(&a->config);
	a->config = next;
	if (a->opened) {
		a->stale = true;
		config_pump(a);
	}
	return 0;
}

int agent_link_take(struct relay *relay, int fd, const json_t *config, struct fault *fault)
{
	const struct link_conn_options options = {
		.kind = LINK_CONN_PORT,
		.role = TUNNEL_DIALER,
		.output_max = RELAY_OUTPUT_MAX,
		.channels_max = AGENT_CHANNELS_MAX,
	};
	_cleanup_close_ int owned = fd;
	int err = relay->agent ? 0 : agent_new(relay);

	if (err == 0) {
		conn_drop(relay->agent);
		err = agent_configure(relay, config, fault);
	}
	if (err == 0) {
		err = link_conn_new_take(relay->event, relay->poll, TAKE_FD(owned), &options,
					 &conn_ops, relay->agent, &relay->agent->conn);
	}
	return err;
}

struct agent *agent_free(struct agent *a)
{
	if (!a) {
		return NULL;
	}
	conn_drop(a);
	buf_fini(&a->config);
	buf_fini(&a->in);
	buf_fini(&a->out);
	free(a);
	return NULL;
}

struct link_conn *agent_conn(struct agent *a)
{
	return a && a->ready ? a->conn : NULL;
}

const char *agent_state(const struct agent *a)
{
	if (!a || !a->conn) {
		return "none";
	}
	return a->ready ? "up" : "wait";
}

const char *agent_host_key(const struct agent *a)
{
	return a && *a->host_key ? a->host_key : NULL;
}

const char *agent_failed(const struct agent *a)
{
	return a && *a->failed ? a->failed : NULL;
}

const char *agent_stack(const struct agent *a, size_t i)
{
	return a && i < a->n_stacks ? a->stacks[i] : NULL;
}
