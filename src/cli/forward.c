/* SPDX-License-Identifier: Apache-2.0 */
/* A stream behind a port of the loopback. See forward.h. */
#include "forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "file.h"
#include "list.h"

#define IN_MAX ((size_t)64 * 1024)
#define TABLE_ADDRESS_MAX 38 /* 32 digits, colon, 4 digits */

struct conn {
	struct list link;
	struct forward *forward;
	int fd;
	struct stream_client *stream;
	struct buf in;	/* from the program */
	struct buf out; /* to the program; at most STREAM_WINDOW */
	bool in_eof, eof_sent, out_eof;
	int error;
};

struct forward {
	struct cli *cli;
	const struct ticket_request *request;
	int listen_fd;
	struct list conns;
	size_t n_conns;
	unsigned n_accepted;
};

int forward_listen(uint16_t port, int *ret_fd, uint16_t *ret_port, struct fault *fault)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(address);
	const int on = 1;

	if (fd < 0) {
		return -errno;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, FORWARD_CONNS_MAX) < 0) {
		fault_set(fault, FAULT_BAD_VALUE, "cannot listen on port %u: %s", port,
			  strerror(errno));
		fault_hint(fault, "another port, or none: then a free one is taken");
		return -EREMOTEIO;
	}
	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
		return -errno;
	}
	*ret_port = ntohs(address.sin_port);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int forward_new_take(struct cli *cli, const struct ticket_request *request, int listen_fd,
		     struct forward **ret)
{
	struct forward *f = calloc(1, sizeof(*f));

	if (!f) {
		close_fd(listen_fd);
		return -ENOMEM;
	}
	f->cli = cli;
	f->request = request;
	f->listen_fd = listen_fd;
	list_init(&f->conns);
	*ret = f;
	return 0;
}

static void conn_free(struct conn *c)
{
	list_del(&c->link);
	c->forward->n_conns--;
	stream_client_free(c->stream);
	close_fd(c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c);
}

struct forward *forward_free(struct forward *f)
{
	if (f) {
		while (!list_empty(&f->conns)) {
			conn_free(container_of(f->conns.next, struct conn, link));
		}
		close_fd(f->listen_fd);
		free(f);
	}
	return NULL;
}

/* --- the stream's side
 * ------------------------------------------------------------------------- */

static void on_data(const uint8_t *p, size_t len, void *user)
{
	struct conn *c = user;

	if (buf_append(&c->out, p, len) < 0) {
		c->error = -ENOBUFS;
	}
}

static void on_gap(uint64_t length, void *user)
{
	struct conn *c = user;

	c->error = -EPIPE;
}

static void on_eof(void *user)
{
	struct conn *c = user;

	c->out_eof = true;
}

static void on_opened(uint64_t start, uint8_t mode, void *user)
{
	const struct conn *c = user;

	if (strcmp(c->forward->request->mode, "r") != 0 && !(mode & TUNNEL_MODE_WRITE)) {
		fprintf(stderr, "dvm: somebody else controls it, or may: this one only reads\n");
	}
}

static const struct stream_client_ops stream_ops = {
	.opened = on_opened,
	.data = on_data,
	.screen = stream_client_ignore_screen,
	.gap = on_gap,
	.writer = stream_client_ignore_flag,
	.source = stream_client_ignore_flag,
	.broke = stream_client_ignore_flag,
	.input = stream_client_ignore_input,
	.eof = on_eof,
};

/* --- who connects
 * ------------------------------------------------------------------------------ */

/* An address as the kernel's tables of connections write it; as the IPv6 one it is mapped to where
 * `mapped`. */
static void table_address(const struct sockaddr_in *a, bool mapped, char out[TABLE_ADDRESS_MAX])
{
	char prefix[25] = "";

	if (mapped) {
		snprintf(prefix, sizeof(prefix), "%08X%08X%08X", 0, 0, htonl(0xffff));
	}
	snprintf(out, TABLE_ADDRESS_MAX, "%s%08X:%04X", prefix, a->sin_addr.s_addr,
		 ntohs(a->sin_port));
}

/* Whose the socket is that is `local` and connected to `remote`. What its program has closed
 * already belongs to nobody any more, which the table shows as root's. */
static int table_find(const char *path, const char *local, const char *remote, uid_t *ret)
{
	FILE *table = fopen(path, "re");
	char line[512];
	int r = -ENOENT;

	if (!table) {
		return -errno;
	}
	while (r < 0 && fgets(line, sizeof(line), table)) {
		char from[TABLE_ADDRESS_MAX], to[TABLE_ADDRESS_MAX];
		unsigned long inode;
		unsigned uid;

		/* sl local remote state tx:rx timer:when retransmits uid timeout inode … */
		if (sscanf(line, " %*d: %37s %37s %*X %*X:%*X %*X:%*X %*X %u %*d %lu", from, to,
			   &uid, &inode) == 4 &&
		    inode != 0 && strcmp(from, local) == 0 && strcmp(to, remote) == 0) {
			*ret = uid;
			r = 0;
		}
	}
	fclose(table);
	return r;
}

/* The user of the other end of a connection within this machine. His program may have come with a
 * socket of IPv6. */
static int peer_uid(int fd, uid_t *ret)
{
	struct sockaddr_in ours, theirs;
	socklen_t ours_len = sizeof(ours), theirs_len = sizeof(theirs);
	int r = -ENOENT;

	if (getsockname(fd, (struct sockaddr *)&ours, &ours_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&theirs, &theirs_len) < 0) {
		return -errno;
	}
	for (int mapped = 0; mapped < 2 && r < 0; mapped++) {
		char local[TABLE_ADDRESS_MAX], remote[TABLE_ADDRESS_MAX];

		table_address(&theirs, mapped, local);
		table_address(&ours, mapped, remote);
		r = table_find(mapped ? "/proc/net/tcp6" : "/proc/net/tcp", local, remote, ret);
	}
	return r;
}

static int conn_start(struct conn *c, struct fault *fault)
{
	const int on = 1;
	int r = fd_set_nonblock(c->fd);

	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (r == 0) {
		r = stream_client_new(&stream_ops, c, &c->stream);
	}
	return r < 0 ? r
		     : ticket_connect(c->forward->cli, c->forward->request, TUNNEL_FROM_KEPT,
				      c->stream, fault);
}

static void say(int error, struct fault *fault)
{
	if (error != -EREMOTEIO && error != -ECONNRESET) {
		fault_set(fault, FAULT_INTERNAL, "%s", strerror(-error));
	}
	cli_print_fault(fault);
}

static void accept_one(struct forward *f)
{
	_cleanup_close_ int fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct fault fault = { 0 };
	struct conn *c;
	uid_t uid = (uid_t)-1;
	int r;

	if (fd < 0) {
		return;
	}
	if (peer_uid(fd, &uid) < 0 || (uid != geteuid() && uid != 0)) {
		fprintf(stderr, "dvm: somebody else has tried to connect, and was not let in\n");
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		return;
	}
	c->forward = f;
	c->fd = TAKE_FD(fd);
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, STREAM_WINDOW);
	list_add_tail(&f->conns, &c->link);
	f->n_conns++;
	f->n_accepted++;
	r = conn_start(c, &fault);
	if (r < 0) {
		say(r, &fault);
		conn_free(c);
	}
}

/* --- moving
 * ------------------------------------------------------------------------------------ */

static int conn_read(struct conn *c)
{
	ssize_t n;

	if (!c->in_eof && buf_room(&c->in) > 0) {
		n = buf_read_fd(&c->in, c->fd, buf_room(&c->in));
		if (n < 0 && n != -EAGAIN && n != -EINTR) {
			return -EPIPE;
		}
		c->in_eof = n == 0;
	}
	if (buf_len(&c->in) > 0) {
		n = stream_client_write(c->stream, buf_data(&c->in), buf_len(&c->in));
		if (n < 0) {
			return (int)n;
		}
		buf_consume(&c->in, (size_t)n);
	}
	if (c->in_eof && buf_len(&c->in) == 0 && !c->eof_sent) {
		c->eof_sent = true;
		return stream_client_eof(c->stream);
	}
	return 0;
}

static int conn_write(struct conn *c)
{
	size_t before = buf_len(&c->out), done;

	while (buf_len(&c->out) > 0) {
		ssize_t n = buf_write_fd(&c->out, c->fd);

		if (n == -EAGAIN) {
			break;
		}
		if (n < 0 && n != -EINTR) {
			return -EPIPE;
		}
	}
	done = before - buf_len(&c->out);
	if (c->out_eof && buf_len(&c->out) == 0) {
		shutdown(c->fd, SHUT_WR);
	}
	return done > 0 ? stream_client_done(c->stream, done) : 0;
}

/* 0: it goes on; 1: it has ended; -errno. */
static int conn_step(struct conn *c, struct fault *fault)
{
	int r = stream_client_pump(c->stream, fault);
	int ended = r;

	if (r == 0) {
		r = c->error;
	}
	/* What came before the end still goes to the program. */
	if (r >= 0) {
		r = conn_write(c);
	}
	if (r == 0 && ended == 0) {
		r = conn_read(c);
	}
	if (r == 0 && ended == 0) {
		r = stream_client_pump(c->stream, fault);
	}
	return r != 0 ? r : ended;
}

size_t forward_poll(struct forward *f, struct pollfd *fds)
{
	struct conn *c;
	size_t n = 0;

	fds[n++] = (struct pollfd){ .fd = f->n_conns < FORWARD_CONNS_MAX ? f->listen_fd : -1,
				    .events = POLLIN };
	list_for_each (c, &f->conns, link) {
		short events = 0;

		if (!c->in_eof && buf_room(&c->in) > 0) {
			events |= POLLIN;
		}
		if (buf_len(&c->out) > 0) {
			events |= POLLOUT;
		}
		fds[n++] = (struct pollfd){ .fd = events ? c->fd : -1, .events = events };
		fds[n++] = (struct pollfd){ .fd = stream_client_fd(c->stream),
					    .events = stream_client_events(c->stream) };
	}
	return n;
}

void forward_step(struct forward *f)
{
	struct conn *c, *next;

	list_for_each_safe (c, next, &f->conns, link) {
		struct fault fault = { 0 };
		int r = conn_step(c, &fault);

		if (r == 0) {
			continue;
		}
		if (r < 0 && r != -EPIPE) {
			say(r, &fault);
		}
		conn_free(c);
	}
	if (f->n_conns < FORWARD_CONNS_MAX) {
		accept_one(f);
	}
}

size_t forward_open(const struct forward *f)
{
	return f->n_conns;
}

unsigned forward_accepted(const struct forward *f)
{
	return f->n_accepted;
}
