/* SPDX-License-Identifier: Apache-2.0 */
/* The way to the agent in this D-VM, and through it to the relay. */
#include "client.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "target.h"

#define SOCKET_PATH "/run/dvm/agent.sock"
#define SOCKET_ENV "DVM_AGENT_SOCKET"
#define OUTPUT_MAX_BYTES (512 * 1024)
#define WINDOW_BYTES 65536
#define HELLO_TIMEOUT (5 * USEC_PER_SEC)
#define VERB_TIMEOUT (180 * USEC_PER_SEC)
#define AGENT_JSON_MAX 16384

static int connect_socket(void)
{
	const char *path = getenv(SOCKET_ENV) ?: SOCKET_PATH;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -errno;
	}
	if (strlen(path) >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return -errno;
	}
	if (fd_set_nonblock(fd) < 0) {
		return -EIO;
	}
	return TAKE_FD(fd);
}

static void move_bytes(struct client *c, short revents)
{
	static uint8_t bytes[65536];
	struct buf *out;

	if (revents & (POLLIN | POLLHUP | POLLERR)) {
		ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			c->lost = true;
			return;
		}
		if (n > 0 && tunnel_link_input(c->link, bytes, n) < 0) {
			c->lost = true;
			return;
		}
	}
	out = tunnel_link_output(c->link);
	while (buf_len(out) > 0) {
		ssize_t n = send(c->fd, buf_data(out), buf_len(out), MSG_NOSIGNAL);

		if (n < 0) {
			c->lost |= errno != EAGAIN && errno != EINTR;
			return;
		}
		tunnel_link_output_sent(c->link, n);
	}
}

bool client_turn(struct client *c, int extra_fd, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = c->fd, .events = POLLIN },
				 { .fd = extra_fd, .events = POLLIN } };

	move_bytes(c, 0);
	if (c->lost) {
		return false;
	}
	if (buf_len(tunnel_link_output(c->link)) > 0) {
		fds[0].events |= POLLOUT;
	}
	if (poll(fds, 2, timeout_ms) <= 0) {
		return false;
	}
	move_bytes(c, fds[0].revents);
	return extra_fd >= 0 && fds[1].revents != 0;
}

int client_connect(struct client *c, const struct tunnel_link_ops *ops, void *user,
		   struct fault *ret_fault)
{
	usec_t until = clock_monotonic() + HELLO_TIMEOUT;
	int r;

	*c = (struct client){ .fd = connect_socket() };
	if (c->fd < 0) {
		r = c->fd;
		c->fd = -1;
		fault_set(ret_fault, FAULT_DVM_LOST, "the agent of this debug VM does not answer");
		fault_hint(ret_fault, "It is restarted by itself; try again in a second.");
		return r;
	}
	r = tunnel_link_new(TUNNEL_DIALER, ops, user, OUTPUT_MAX_BYTES, &c->link);
	if (r < 0) {
		fault_set(ret_fault, FAULT_INTERNAL, "no memory");
		client_close(c);
		return r;
	}
	while (!c->lost && !tunnel_link_is_up(c->link) && clock_monotonic() < until) {
		client_turn(c, -1, 200);
	}
	if (!tunnel_link_is_up(c->link)) {
		fault_set(ret_fault, FAULT_DVM_LOST, "the agent of this debug VM does not answer");
		client_close(c);
		return -ETIMEDOUT;
	}
	return 0;
}

void client_close(struct client *c)
{
	c->link = tunnel_link_free(c->link);
	c->fd = close_fd(c->fd);
}

/* One question and its answer on a channel of its own. */
struct request {
	const char *line;	    /* NULL: nothing to send */
	struct verb_reader *reader; /* for `verb` … */
	struct buf *raw;	    /* … or for `agent` */
	bool closed;
	char reason[64];
	int error;
};

static void request_up(struct tunnel_link *l, void *user)
{
}

static void request_open(struct tunnel_link *l, uint16_t channel, const char *service, uint8_t mode,
			 uint64_t from, void *user)
{
	struct request *q = user;

	if (tunnel_link_refuse(l, channel, "not-found") < 0) {
		q->error = -EPROTO;
	}
}

static void request_opened(struct tunnel_link *l, uint16_t channel, uint64_t start, uint8_t mode,
			   void *user)
{
	struct request *q = user;

	/* a line is far below any window: it goes out whole */
	if (q->line &&
	    (tunnel_link_send(l, channel, q->line, strlen(q->line)) != (ssize_t)strlen(q->line) ||
	     tunnel_link_send(l, channel, "\n", 1) != 1)) {
		q->error = -EPROTO;
	}
}

static void request_data(struct tunnel_link *l, uint16_t channel, uint64_t offset, const uint8_t *p,
			 size_t len, void *user)
{
	struct request *q = user;
	int r = q->reader ? verb_reader_input(q->reader, p, len) : buf_append(q->raw, p, len);

	if (r == 0) {
		r = tunnel_link_credit(l, channel, offset + len + WINDOW_BYTES);
	}
	if (r < 0) {
		q->error = r;
	}
}

static void request_gap(struct tunnel_link *l, uint16_t channel, uint64_t offset, uint64_t length,
			void *user)
{
}

static void request_writable(struct tunnel_link *l, uint16_t channel, void *user)
{
}

static void request_eof(struct tunnel_link *l, uint16_t channel, void *user)
{
}

static void request_ctl(struct tunnel_link *l, uint16_t channel, const struct tunnel_ctl *ctl,
			void *user)
{
}

static void request_closed(struct tunnel_link *l, uint16_t channel, const char *reason, void *user)
{
	struct request *q = user;

	q->closed = true;
	snprintf(q->reason, sizeof(q->reason), "%s", reason);
}

static const struct tunnel_link_ops request_ops = {
	.up = request_up,
	.open = request_open,
	.opened = request_opened,
	.data = request_data,
	.gap = request_gap,
	.writable = request_writable,
	.eof = request_eof,
	.ctl = request_ctl,
	.closed = request_closed,
};

static int request_run(struct request *q, const char *service, struct fault *ret_fault)
{
	usec_t until = clock_monotonic() + VERB_TIMEOUT;
	struct client c;
	uint16_t channel;
	int r;

	r = client_connect(&c, &request_ops, q, ret_fault);
	if (r < 0) {
		return r;
	}
	r = tunnel_link_open(c.link, service, TUNNEL_MODE_READ | TUNNEL_MODE_WRITE,
			     TUNNEL_FROM_KEPT, WINDOW_BYTES, &channel);
	if (r < 0) {
		fault_set(ret_fault, FAULT_INTERNAL, "the agent cannot be asked: %s", strerror(-r));
	}
	while (r == 0 && !q->closed && !(q->reader && q->reader->done)) {
		client_turn(&c, -1, 1000);
		if (q->error < 0) {
			fault_set(ret_fault, FAULT_PROTOCOL, "the answer makes no sense");
			r = q->error;
		} else if (c.lost) {
			fault_set(ret_fault, FAULT_DVM_LOST,
				  "the agent of this debug VM went away");
			r = -EPIPE;
		} else if (clock_monotonic() > until) {
			fault_set(ret_fault, FAULT_TIMEOUT, "no answer in time");
			r = -ETIMEDOUT;
		}
	}
	if (r == 0 && q->closed && q->reason[0]) {
		enum fault_code code = fault_code_parse(q->reason);

		r = fault_set(ret_fault, code, "%s", fault_code_title(code));
	}
	client_close(&c);
	return r;
}

static void print_note(const char *text, void *user)
{
	fprintf(stderr, "%s\n", text);
}

int client_verb(const char *line, char **ret_text, struct fault *ret_fault)
{
	struct verb_reader reader;
	struct request q = { .line = line, .reader = &reader };
	int r;

	verb_reader_init(&reader, print_note, NULL);
	r = request_run(&q, "verb", ret_fault);
	/* the answer counts more than how the channel ended after it */
	if (reader.done && reader.fault.code != FAULT_NONE) {
		*ret_fault = reader.fault;
		r = -EREMOTEIO;
	} else if (reader.done) {
		*ret_text = TAKE_PTR(reader.text);
		r = 0;
	} else if (r == 0) {
		r = fault_set(ret_fault, FAULT_RELAY_LOST,
			      "the connection was lost before the answer came");
	}
	verb_reader_fini(&reader);
	return r;
}

int client_agent(char **ret_json, struct fault *ret_fault)
{
	struct buf raw;
	struct request q = { .raw = &raw };
	int r;

	buf_init(&raw, AGENT_JSON_MAX);
	r = request_run(&q, "agent", ret_fault);
	if (r == 0) {
		*ret_json = strndup((const char *)buf_data(&raw), buf_len(&raw));
		r = *ret_json ? 0 : -ENOMEM;
	}
	buf_fini(&raw);
	return r;
}

int client_target(const char *wanted, char ret_name[64], struct fault *ret_fault)
{
	_cleanup_free_ char *text = NULL;
	json_t *root, *targets;
	int r = client_agent(&text, ret_fault);

	if (r < 0) {
		return r;
	}
	root = json_loads(text, 0, NULL);
	targets = json_object_get(root, "targets");
	if (json_array_size(targets) == 0) {
		r = fault_set(ret_fault, FAULT_NOT_FOUND, "this session has no target");
	}
	for (size_t i = 0; r == 0 && i <= json_array_size(targets); i++) {
		const char *name = json_string_value(json_array_get(targets, i));

		if (!name) {
			r = fault_set(ret_fault, FAULT_NOT_FOUND,
				      "this session has no target named %s", wanted);
			fault_hint(ret_fault, "`target info` names them.");
		} else if (!wanted || strcmp(wanted, name) == 0) {
			snprintf(ret_name, 64, "%s", name);
			break;
		}
	}
	json_decref(root);
	return r;
}
