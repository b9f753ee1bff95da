/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's gdb stub, for gdbs on channels.
 *
 * Theory of operation: the first gdb that comes has dvm-hostd switch the stub on, the broker
 * (gdb_broker.h) shares it, and when all have left and the broker is idle it is switched off again.
 * After whatever comes in, pump() moves what goes out, ends who is over, and says what to wait for.
 * dvm-hostd is told when the VM is stopped or runs, but not of each single step, and how it is to
 * be should this process die. A VM whose controller has said nothing for the time that dvm-hostd
 * names is let go.
 */
/* #syscalls: read write close epoll_ctl fcntl */
#include "gdb_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "channel.h"
#include "cleanup.h"
#include "clock.h"
#include "control.h"
#include "file.h"
#include "gdb_broker.h"
#include "log.h"

#define READ_BYTES ((size_t)64 * 1024)
#define OPEN_TIMEOUT_USEC (20 * USEC_PER_SEC)
#define CLOSE_TIMEOUT_USEC (20 * USEC_PER_SEC)
/* A VM that runs for less, as one that is stepped through, is not told of. */
#define SETTLED_USEC (300 * USEC_PER_MSEC)

struct gdb_service {
	struct relay *relay;
	struct list channels; /* struct gdb_channel */
	size_t n_channels;
	bool waits; /* for dvm-hostd's answer */
	bool asked_control;
	struct gdb_broker *broker; /* NULL until then */
	int fd;
	sd_event_source *io, *settled, *limit;
	usec_t limit_usec, heard; /* `heard`: of the controller */
	bool told, told_stopped, told_resume, expired;
};

struct gdb_channel {
	struct list of_service;
	struct gdb_service *g;
	struct channel channel;
	uint8_t mode;
	struct gdb_client *client; /* NULL: not let in yet */
};

static struct gdb_channel *from_channel(struct channel *c)
{
	return container_of(c, struct gdb_channel, channel);
}

/* --- ends
 * ---------------------------------------------------------------------------------------- */

static void channel_drop(struct gdb_channel *c)
{
	gdb_client_free(c->client);
	list_del(&c->of_service);
	c->g->n_channels--;
	free(c);
}

static void channel_end(struct gdb_channel *c, enum fault_code code)
{
	channel_close(&c->channel, code == FAULT_NONE ? "" : fault_code_name(code));
	channel_drop(c);
}

static void service_drop(struct gdb_service *g)
{
	sd_event_source_disable_unref(g->io);
	sd_event_source_disable_unref(g->settled);
	sd_event_source_disable_unref(g->limit);
	gdb_broker_free(g->broker);
	close_fd(g->fd);
	g->relay->gdb = NULL;
	free(g);
}

static void all_end(struct gdb_service *g, enum fault_code code)
{
	struct gdb_channel *c, *next;

	list_for_each_safe (c, next, &g->channels, of_service) {
		channel_end(c, code);
	}
}

/* The stub is of no use any more: dvm-hostd sees to it. */
static void service_close(struct gdb_service *g)
{
	struct relay *relay = g->relay;

	service_drop(g);
	if (control_call(relay->control, "gdb.close", NULL, CLOSE_TIMEOUT_USEC, NULL, NULL) < 0) {
		log_debug("nobody to switch the stub off: dvm-hostd looks when it comes back");
	}
}

/* --- what dvm-hostd is told
 * ---------------------------------------------------------------------- */

static void tell(struct gdb_service *g, bool stopped)
{
	g->told = true;
	g->told_stopped = stopped;
	g->told_resume = gdb_broker_runs_after(g->broker);
	control_notify(g->relay->control, "gdb.state",
		       json_pack("{s:b, s:b, s:b}", "stopped", stopped, "resume", g->told_resume,
				 "expired", g->expired));
	g->expired = false;
}

static int on_settled(sd_event_source *source, uint64_t now, void *user)
{
	struct gdb_service *g = user;

	g->settled = sd_event_source_disable_unref(g->settled);
	if (g->told_stopped && !gdb_broker_is_stopped(g->broker)) {
		tell(g, false);
	}
	return 0;
}

static void tell_news(struct gdb_service *g)
{
	bool stopped = gdb_broker_is_stopped(g->broker);

	if (!g->told || g->told_resume != gdb_broker_runs_after(g->broker) ||
	    (stopped && !g->told_stopped) || g->expired) {
		tell(g, stopped);
	} else if (!stopped && g->told_stopped && !g->settled) {
		/* Without a timer it is told by whatever comes next. */
		(void)sd_event_add_time_relative(g->relay->event, &g->settled, CLOCK_MONOTONIC,
						 SETTLED_USEC, 0, on_settled, g);
	}
}

/* --- moving bytes
 * -------------------------------------------------------------------------------- */

static int stub_flush(struct gdb_service *g)
{
	struct buf *out = gdb_broker_to_stub(g->broker);

	while (buf_len(out) > 0) {
		ssize_t n = buf_write_fd(out, g->fd);

		if (n == -EAGAIN) {
			break;
		}
		if (n < 0 && n != -EINTR) {
			return (int)n;
		}
	}
	return sd_event_source_set_io_events(g->io, EPOLLIN | (buf_len(out) ? EPOLLOUT : 0));
}

/* False: it is over, and gone. */
static bool client_flush(struct gdb_channel *c)
{
	struct buf *out = gdb_client_output(c->client);
	size_t room;

	while ((room = MIN(channel_room(&c->channel), buf_len(out))) > 0) {
		size_t n = channel_send(&c->channel, buf_data(out), room);

		if (n == 0) {
			break;
		}
		buf_consume(out, n);
	}
	if (gdb_client_is_over(c->client) && buf_len(out) == 0) {
		channel_end(c, FAULT_NONE);
		return false;
	}
	channel_window(&c->channel, gdb_client_room(c->client));
	return true;
}

static int on_limit(sd_event_source *source, uint64_t now, void *user);

/* The one place that says how long it may be stopped. */
static void limit_watch(struct gdb_service *g)
{
	bool needed = gdb_broker_is_controlled(g->broker) && gdb_broker_is_stopped(g->broker);

	if (!needed) {
		g->limit = sd_event_source_disable_unref(g->limit);
	} else if (!g->limit) {
		(void)sd_event_add_time_relative(g->relay->event, &g->limit, CLOCK_MONOTONIC,
						 g->limit_usec, 0, on_limit, g);
	}
}

/* The service may be gone afterwards. */
static void pump(struct gdb_service *g)
{
	struct gdb_channel *c, *next;
	bool again;

	if (!g->broker) {
		return;
	}
	do {
		again = false;
		list_for_each_safe (c, next, &g->channels, of_service) {
			again |= c->client && !client_flush(c);
		}
	} while (again);
	if (stub_flush(g) < 0) {
		all_end(g, FAULT_VM_NOT_RUNNING);
		service_close(g);
		return;
	}
	tell_news(g);
	limit_watch(g);
	if (gdb_broker_is_idle(g->broker) && g->n_channels == 0) {
		service_close(g);
	}
}

static int on_limit(sd_event_source *source, uint64_t now, void *user)
{
	struct gdb_service *g = user;
	usec_t until = g->heard + g->limit_usec;

	g->limit = sd_event_source_disable_unref(g->limit);
	if (clock_monotonic() < until) {
		(void)sd_event_add_time(g->relay->event, &g->limit, CLOCK_MONOTONIC, until, 0,
					on_limit, g);
		return 0;
	}
	g->expired = true;
	gdb_broker_let_go(g->broker);
	pump(g);
	return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct gdb_service *g = user;
	uint8_t bytes[READ_BYTES];
	ssize_t n = -EAGAIN;

	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		n = read(g->fd, bytes, sizeof(bytes));
		n = n < 0 ? -errno : n;
	}
	if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR) ||
	    (n > 0 && gdb_broker_from_stub(g->broker, bytes, (size_t)n) < 0)) {
		/* The VM was switched off, or the stub is none. */
		all_end(g, FAULT_VM_NOT_RUNNING);
		service_close(g);
		return 0;
	}
	pump(g);
	return 0;
}

/* --- channels
 * ------------------------------------------------------------------------------------ */

static void on_data(struct channel *ch, const uint8_t *p, size_t len)
{
	struct gdb_channel *c = from_channel(ch);
	struct gdb_service *g = c->g;
	int err = gdb_client_input(c->client, p, len);

	if (gdb_client_controls(c->client)) {
		g->heard = clock_monotonic();
	}
	if (err < 0) {
		channel_end(c, err == -EPROTO || err == -EMSGSIZE || err == -ENOBUFS
				       ? FAULT_PROTOCOL
				       : FAULT_INTERNAL);
	}
	pump(g);
}

static void on_writable(struct channel *ch)
{
	pump(from_channel(ch)->g);
}

static void on_eof(struct channel *ch)
{
	/* A gdb that says nothing more is no gdb. */
	struct gdb_service *g = from_channel(ch)->g;

	channel_end(from_channel(ch), FAULT_NONE);
	pump(g);
}

static void on_closed(struct channel *ch, const char *reason)
{
	struct gdb_service *g = from_channel(ch)->g;

	channel_drop(from_channel(ch));
	pump(g);
}

static const struct channel_ops channel_ops = {
	.opened = channel_ignore_opened,
	.data = on_data,
	.screen = channel_ignore_screen,
	.gap = channel_ignore_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = channel_ignore_ctl,
	.closed = on_closed,
};

/* Lets in who waits. */
static void admit(struct gdb_service *g, struct gdb_channel *c)
{
	uint8_t mode = TUNNEL_MODE_READ;
	enum fault_code code = gdb_client_new(g->broker, c->mode & TUNNEL_MODE_WRITE,
					      c->mode & TUNNEL_MODE_TAKE, &c->client);

	if (code != FAULT_NONE) {
		channel_end(c, code);
		return;
	}
	if (gdb_client_controls(c->client)) {
		mode |= TUNNEL_MODE_WRITE;
		g->heard = clock_monotonic();
	}
	channel_accept(&c->channel, 0, gdb_client_room(c->client), mode);
}

static int ask(struct gdb_service *g);

/* Nobody comes in; but where only a reader had been asked for, who would control may try. */
static void refused(struct gdb_service *g, enum fault_code code)
{
	bool again = code == FAULT_VM_NOT_STOPPED && !g->asked_control;
	struct gdb_channel *c, *next;

	list_for_each_safe (c, next, &g->channels, of_service) {
		if (!again || !(c->mode & TUNNEL_MODE_WRITE)) {
			channel_end(c, code);
		}
	}
	if (g->n_channels == 0) {
		service_drop(g);
	} else if (ask(g) < 0) {
		all_end(g, FAULT_HOST_AWAY);
		service_drop(g);
	}
}

static int start(struct gdb_service *g, const json_t *result, int fd)
{
	bool was_running = json_is_true(json_object_get(result, "was_running"));
	int err;

	g->fd = fd;
	g->limit_usec =
		(usec_t)json_integer_value(json_object_get(result, "limit_ms")) * USEC_PER_MSEC;
	err = fd_set_nonblock(fd);
	if (err == 0) {
		err = sd_event_add_io(g->relay->event, &g->io, fd, EPOLLIN, on_io, g);
	}
	if (err >= 0) {
		err = gdb_broker_new(was_running, &g->broker);
	}
	return err < 0 ? err : 0;
}

static void on_stub(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
		    void *user)
{
	struct gdb_service *g = user;
	struct gdb_channel *c, *next;

	g->waits = false;
	if (fault || n_fds != 1) {
		refused(g, fault ? fault->code : FAULT_PROTOCOL);
		return;
	}
	if (start(g, result, TAKE_FD(fds[0])) < 0) {
		all_end(g, FAULT_INTERNAL);
		service_close(g);
		return;
	}
	list_for_each_safe (c, next, &g->channels, of_service) {
		admit(g, c);
	}
	pump(g);
}

static int ask(struct gdb_service *g)
{
	const struct gdb_channel *c;
	int err;

	g->asked_control = false;
	list_for_each (c, &g->channels, of_service) {
		g->asked_control |= (c->mode & TUNNEL_MODE_WRITE) != 0;
	}
	err = control_call(g->relay->control, "gdb.open",
			   json_pack("{s:b}", "control", g->asked_control), OPEN_TIMEOUT_USEC,
			   on_stub, g);
	g->waits = err == 0;
	return err;
}

static struct gdb_service *service_new(struct relay *relay)
{
	struct gdb_service *g = calloc(1, sizeof(*g));

	if (g) {
		g->relay = relay;
		g->fd = -1;
		list_init(&g->channels);
		relay->gdb = g;
	}
	return g;
}

void gdb_channel_open(struct relay *relay, struct link_conn *conn, uint16_t id, uint8_t mode)
{
	struct gdb_service *g;
	struct gdb_channel *c;

	if (!(mode & TUNNEL_MODE_READ)) {
		channel_refuse(conn, id, fault_code_name(FAULT_FORBIDDEN));
		return;
	}
	if (relay->gdb && relay->gdb->n_channels >= GDB_CLIENTS_MAX) {
		channel_refuse(conn, id, fault_code_name(FAULT_QUOTA));
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c || (!relay->gdb && !service_new(relay))) {
		free(c);
		channel_refuse(conn, id, fault_code_name(FAULT_INTERNAL));
		return;
	}
	g = relay->gdb;
	c->g = g;
	c->mode = mode;
	list_add_tail(&g->channels, &c->of_service);
	g->n_channels++;
	channel_init(&c->channel, &channel_ops, conn, id);
	if (g->broker) {
		admit(g, c);
		pump(g);
	} else if (!g->waits && ask(g) < 0) {
		channel_end(c, FAULT_HOST_AWAY);
		service_drop(g);
	}
}

void gdb_let_go(struct relay *relay)
{
	if (relay->gdb && relay->gdb->broker) {
		gdb_broker_let_go(relay->gdb->broker);
		pump(relay->gdb);
	}
}

bool gdb_is_on(const struct relay *relay)
{
	return relay->gdb;
}

bool gdb_is_stopped(const struct relay *relay)
{
	return relay->gdb && relay->gdb->broker && gdb_broker_is_stopped(relay->gdb->broker);
}

size_t gdb_count(const struct relay *relay)
{
	return relay->gdb ? relay->gdb->n_channels : 0;
}

struct gdb_service *gdb_service_free(struct gdb_service *g)
{
	if (!g) {
		return NULL;
	}
	all_end(g, FAULT_RELAY_LOST);
	if (g->waits) {
		return NULL; /* goes with the answer */
	}
	if (g->broker && gdb_broker_abandon(g->broker) == 0) {
		struct buf *out = gdb_broker_to_stub(g->broker);

		/* It is little, and a socket's buffer is empty as a rule. */
		while (buf_len(out) > 0 && buf_write_fd(out, g->fd) > 0) {
		}
	}
	service_drop(g);
	return NULL;
}
