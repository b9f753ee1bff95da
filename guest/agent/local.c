/* SPDX-License-Identifier: Apache-2.0 */
/* Programs inside the D-VM that want something of the relay: the `target` command and its like. */
#include "local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "log.h"
#include "switch.h"

#define CLIENTS_MAX 32
#define CHANNELS_MAX 4 /* of one client; times switch.c's window this fits in OUTPUT_MAX_BYTES */
#define OUTPUT_MAX_BYTES (1024 * 1024)
#define READ_BYTES 65536
#define ANSWER_MAX_BYTES 8192

struct client {
	struct list list;
	struct local *local;
	struct source source;
	struct tunnel_link *link;
	struct switched *channels[CHANNELS_MAX];
	bool dead;
};

static void client_flush(struct client *c)
{
	struct buf *out = tunnel_link_output(c->link);

	while (!c->dead && buf_len(out) > 0) {
		ssize_t n = send(c->source.fd, buf_data(out), buf_len(out), MSG_NOSIGNAL);

		if (n >= 0) {
			tunnel_link_output_sent(c->link, n);
		} else if (errno == EAGAIN || errno == EINTR) {
			return;
		} else {
			c->dead = true;
		}
	}
}

static void client_ready(struct source *s, uint32_t events)
{
	struct client *c = container_of(s, struct client, source);
	static uint8_t bytes[READ_BYTES];
	ssize_t n;

	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
		return;
	}
	n = recv(s->fd, bytes, sizeof(bytes), 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		c->dead = true;
	} else if (n > 0 && tunnel_link_input(c->link, bytes, n) < 0) {
		c->dead = true;
	}
}

/* The service `agent`: an answer in one go, small enough for any window. */
static int answer_agent(struct client *c, uint16_t channel)
{
	struct buf json;
	ssize_t n;
	int r;

	buf_init(&json, ANSWER_MAX_BYTES);
	r = identity_json(&c->local->agent->identity, &json);
	if (r == 0) {
		r = tunnel_link_accept(c->link, channel, 0, 0, TUNNEL_MODE_READ);
	}
	if (r == 0) {
		n = tunnel_link_send(c->link, channel, buf_data(&json), buf_len(&json));
		r = n == (ssize_t)buf_len(&json) ? 0 : -EPROTO;
	}
	if (r == 0) {
		r = tunnel_link_eof(c->link, channel);
	}
	if (r == 0) {
		r = tunnel_link_close(c->link, channel, "");
	}
	buf_fini(&json);
	return r;
}

static int client_open_channel(struct client *c, uint16_t channel, const char *service,
			       uint8_t mode, uint64_t from)
{
	struct switched **slot = NULL;

	if (strcmp(service, "agent") == 0) {
		return answer_agent(c, channel);
	}
	if (strcmp(service, "verb") != 0 && strncmp(service, "console/", 8) != 0) {
		return tunnel_link_refuse(c->link, channel, "not-found");
	}
	for (size_t i = 0; i < CHANNELS_MAX; i++) {
		if (c->channels[i] && switched_is_dead(c->channels[i])) {
			c->channels[i] = switched_free(c->channels[i]);
		}
		if (!c->channels[i]) {
			slot = &c->channels[i];
		}
	}
	if (!slot) {
		return tunnel_link_refuse(c->link, channel, "quota");
	}
	return switched_open(c->local->agent->port.link, c->link, channel, service, mode, from,
			     slot);
}

static void link_up(struct tunnel_link *l, void *user)
{
}

static void link_open(struct tunnel_link *l, uint16_t channel, const char *service, uint8_t mode,
		      uint64_t from, void *user)
{
	struct client *c = user;

	if (client_open_channel(c, channel, service, mode, from) < 0) {
		c->dead = true;
	}
}

static const struct tunnel_link_ops link_ops = {
	.up = link_up,
	.open = link_open,
	.opened = chan_on_opened,
	.data = chan_on_data,
	.screen = chan_on_screen,
	.gap = chan_on_gap,
	.writable = chan_on_writable,
	.eof = chan_on_eof,
	.ctl = chan_on_ctl,
	.closed = chan_on_closed,
};

static void client_free(struct client *c)
{
	for (size_t i = 0; i < CHANNELS_MAX; i++) {
		c->channels[i] = switched_free(c->channels[i]);
	}
	tunnel_link_free(c->link);
	source_close(&c->source);
	list_del(&c->list);
	c->local->n_clients--;
	free(c);
}

static void accept_client(struct source *s, uint32_t events)
{
	struct local *l = container_of(s, struct local, listener);
	_cleanup_close_ int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;

	if (fd < 0 || l->n_clients >= CLIENTS_MAX) {
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		return;
	}
	if (tunnel_link_new(TUNNEL_LISTENER, &link_ops, c, OUTPUT_MAX_BYTES, &c->link) < 0) {
		free(c);
		return;
	}
	c->local = l;
	source_init_take(&c->source, &l->agent->loop, TAKE_FD(fd), client_ready);
	list_add_tail(&l->clients, &c->list);
	l->n_clients++;
}

void local_prepare(struct local *l)
{
	struct client *c, *tmp;

	list_for_each_safe (c, tmp, &l->clients, list) {
		client_flush(c);
		if (c->dead) {
			client_free(c);
			continue;
		}
		source_watch(&c->source,
			     EPOLLIN | (buf_len(tunnel_link_output(c->link)) > 0 ? EPOLLOUT : 0u));
	}
	source_watch(&l->listener, EPOLLIN);
}

int local_init(struct local *l, struct agent *a)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;

	*l = (struct local){ .agent = a, .listener.fd = -1 };
	list_init(&l->clients);
	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/agent.sock",
		     a->options.run_dir) >= (int)sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(address.sun_path, 0600) < 0 || listen(fd, CLIENTS_MAX) < 0) {
		return -errno;
	}
	source_init_take(&l->listener, &a->loop, TAKE_FD(fd), accept_client);
	return 0;
}

void local_fini(struct local *l)
{
	struct client *c, *tmp;

	list_for_each_safe (c, tmp, &l->clients, list) {
		client_free(c);
	}
	source_close(&l->listener);
}
