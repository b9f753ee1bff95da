/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose D-VM this is.
 *
 * The relay sends the configuration whole each time; it is applied whole: a key that is not in it
 * any more can log in no more. `ready` goes out once all are there, a configuration, its stacks and
 * an SSH server that answers.
 */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "clock.h"
#include "entropy.h"
#include "file.h"
#include "hostkey.h"
#include "log.h"
#include "parse.h"

#define WINDOW_BYTES 65536
#define OUT_MAX_BYTES 16384
#define CLOCK_WRONG_USEC (500 * USEC_PER_MSEC)

/* Sends as much of the waiting lines as there is credit for. */
static void identity_flush(struct identity *id)
{
	ssize_t n;

	if (!id->chan.link || buf_len(&id->out) == 0) {
		return;
	}
	n = tunnel_link_send(id->chan.link, id->chan.number, buf_data(&id->out), buf_len(&id->out));
	if (n > 0) {
		buf_consume(&id->out, n);
	}
}

static void identity_tell(struct identity *id, const char *word, const char *value)
{
	if (!id->chan.link) {
		return;
	}
	if (buf_printf(&id->out, "%s%s%s\n", word, *value ? " " : "", value) < 0) {
		log_warn("relay does not read what the agent tells it");
		chan_close(&id->chan, "protocol");
		return;
	}
	identity_flush(id);
}

static void identity_tell_ready(struct identity *id)
{
	if (id->failure && !id->failure_sent) {
		identity_tell(id, "failed", id->failure);
		id->failure_sent = true;
	} else if (id->configured && id->ssh_up && !id->ready_sent && id->chan.link &&
		   stacks_complete(&id->agent->stacks)) {
		identity_tell(id, "ready", "");
		id->ready_sent = true;
	}
}

void identity_ssh_state(struct identity *id, bool up, const char *failure)
{
	id->ssh_up = up;
	id->failure = failure;
	identity_tell_ready(id);
}

static void identity_tell_stacks(struct identity *id)
{
	const char *name;
	size_t it = 0;

	while ((name = stacks_there(&id->agent->stacks, &it))) {
		identity_tell(id, "stack", name);
	}
}

void identity_stacks_changed(struct identity *id)
{
	identity_tell_stacks(id);
	identity_tell_ready(id);
}

const char *identity_target(const struct identity *id, size_t n)
{
	return n < CONFIG_TARGETS_MAX && id->config.targets[n][0] ? id->config.targets[n] : NULL;
}

static int apply_keys(struct identity *id)
{
	_cleanup_free_ char *path = strf("%s/authorized_keys", id->agent->options.run_dir);
	struct buf text;
	int r = path ? 0 : -ENOMEM;

	buf_init(&text, CONFIG_KEYS_MAX * (CONFIG_LINE_MAX + 1));
	for (size_t i = 0; r == 0 && i < id->config.n_keys; i++) {
		r = buf_printf(&text, "%s\n", id->config.keys[i]);
	}
	if (r == 0) {
		r = file_write_atomic(path, buf_len(&text) ? buf_data(&text) : (uint8_t *)"",
				      buf_len(&text), 0600);
	}
	buf_fini(&text);
	return r;
}

static int apply_hostname(const struct config *c)
{
	_cleanup_free_ char *line = strf("%s\n", c->hostname);
	_cleanup_free_ char *hosts = strf("127.0.0.1\tlocalhost %s\n", c->hostname);

	if (!line || !hosts) {
		return -ENOMEM;
	}
	if (sethostname(c->hostname, strlen(c->hostname)) < 0) {
		return -errno;
	}
	if (file_write_atomic("/etc/hosts", hosts, strlen(hosts), 0644) < 0) {
		log_warn("/etc/hosts cannot be written, ignoring");
	}
	return file_write_atomic("/etc/hostname", line, strlen(line), 0644);
}

static int apply_clock(const struct config *c)
{
	usec_t now = clock_realtime(), off = now > c->clock ? now - c->clock : c->clock - now;
	struct timespec to = { .tv_sec = c->clock / USEC_PER_SEC,
			       .tv_nsec = c->clock % USEC_PER_SEC * 1000 };

	/* closer than this the transport's delay is larger than the error */
	if (off < CLOCK_WRONG_USEC) {
		return 0;
	}
	return clock_settime(CLOCK_REALTIME, &to) < 0 ? -errno : 0;
}

static void report(const char *what, int r)
{
	if (r < 0) {
		log_warn("%s: %s, ignoring", what, strerror(-r));
	}
}

/* Takes over the new configuration. */
static void identity_apply_take(struct identity *id, struct config *c)
{
	bool apply = id->agent->options.apply;
	int r;

	if (apply && c->has_seed) {
		report("random seed", entropy_add(c->seed, sizeof(c->seed)));
	}
	explicit_bzero(c->seed, sizeof(c->seed));
	if (apply && c->clock) {
		report("clock", apply_clock(c));
	}
	if (apply && c->hostname[0] && strcmp(c->hostname, id->config.hostname) != 0) {
		report("host name", apply_hostname(c));
	}
	config_fini(&id->config);
	id->config = *c;
	r = apply_keys(id);
	if (r < 0) {
		log_err("keys: %s", strerror(-r));
		id->failure = "the session's key cannot be written";
	} else {
		id->configured = true;
	}
	agent_identity_changed(id->agent);
	identity_stacks_changed(id);
}

static void on_data(struct chan *c, const uint8_t *p, size_t len)
{
	struct identity *id = container_of(c, struct identity, chan);

	while (len > 0) {
		struct config next;
		size_t used;
		int r = config_reader_input(&id->reader, p, len, &next, &used);

		if (r < 0) {
			log_warn("configuration: %s", strerror(-r));
			break;
		}
		p += used;
		len -= used;
		if (r > 0) {
			identity_apply_take(id, &next);
		}
	}
	/* applying may have closed the channel */
	if (c->link &&
	    tunnel_link_credit(c->link, c->number,
			       tunnel_link_rx_offset(c->link, c->number) + WINDOW_BYTES) < 0) {
		chan_close(c, "internal");
	}
}

static void on_writable(struct chan *c)
{
	identity_flush(container_of(c, struct identity, chan));
}

static void on_eof(struct chan *c)
{
	chan_close(c, "");
}

static void on_closed(struct chan *c, const char *reason)
{
}

static const struct chan_ops config_ops = {
	.opened = chan_ignore_opened,
	.data = on_data,
	.screen = chan_ignore_screen,
	.gap = chan_ignore_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = chan_ignore_ctl,
	.closed = on_closed,
};

int identity_accept(struct identity *id, struct tunnel_link *l, uint16_t channel)
{
	int r;

	/* the newest counts: a relay that opens it again has forgotten the first */
	chan_close(&id->chan, "");
	config_reader_fini(&id->reader);
	config_reader_init(&id->reader);
	buf_clear(&id->out);
	id->ready_sent = id->failure_sent = false;
	r = tunnel_link_accept(l, channel, 0, WINDOW_BYTES, TUNNEL_MODE_READ | TUNNEL_MODE_WRITE);
	if (r < 0) {
		return r;
	}
	chan_bind(&id->chan, &config_ops, l, channel);
	identity_tell(id, "agent", "1");
	if (id->hostkey) {
		identity_tell(id, "hostkey", id->hostkey);
	}
	identity_tell_ready(id);
	return 0;
}

int identity_init(struct identity *id, struct agent *a)
{
	_cleanup_free_ char *path = strf("%s/host_key", a->options.run_dir);
	int r;

	*id = (struct identity){ .agent = a };
	config_reader_init(&id->reader);
	buf_init(&id->out, OUT_MAX_BYTES);
	if (!path) {
		return -ENOMEM;
	}
	r = hostkey_load(path, &id->hostkey);
	if (r < 0) {
		r = hostkey_make(path, &id->hostkey);
	}
	if (r < 0) {
		log_err("host key: %s", strerror(-r));
		id->failure = "the D-VM's host key cannot be made";
	}
	return 0;
}

void identity_fini(struct identity *id)
{
	config_reader_fini(&id->reader);
	config_fini(&id->config);
	buf_fini(&id->out);
	free(id->hostkey);
}

int identity_json(const struct identity *id, struct buf *out)
{
	const struct config *c = &id->config;
	usec_t now = clock_monotonic();
	const char *comma = "";
	int r;

	/* names are [A-Za-z0-9._-] (config.c): nothing to escape */
	r = buf_printf(out, "{\"session\":\"%s\",\"hostname\":\"%s\",\"targets\":[", c->session,
		       c->hostname);
	for (size_t i = 0; r == 0 && i < CONFIG_TARGETS_MAX; i++) {
		if (c->targets[i][0]) {
			r = buf_printf(out, "%s\"%s\"", comma, c->targets[i]);
			comma = ",";
		}
	}
	if (r == 0) {
		r = buf_printf(out, "],\"stacks\":[");
	}
	for (size_t i = 0; r == 0 && i < c->n_stacks; i++) {
		r = buf_printf(out, "%s\"%s\"", i ? "," : "", c->stacks[i]);
	}
	if (r == 0) {
		r = buf_printf(out, "],\"lease_seconds\":");
	}
	if (r == 0 && c->lease_until) {
		r = buf_printf(out, "%llu",
			       (unsigned long long)(c->lease_until > now
							    ? (c->lease_until - now) / USEC_PER_SEC
							    : 0));
	} else if (r == 0) {
		r = buf_printf(out, "null");
	}
	if (r == 0) {
		r = buf_printf(out, ",\"connected\":%s}\n",
			       tunnel_link_is_up(id->agent->port.link) ? "true" : "false");
	}
	return r;
}
