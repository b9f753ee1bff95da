/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RPC frames and their fds over a unix stream socket.
 *
 * Theory of operation: fds belong to the frame whose first byte they came with. A read that ends
 * where the frame ends therefore tells for sure whose they are: first the 4 bytes of the length,
 * then the body.
 */
#include "rpc_wire.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#define LENGTH_BYTES 4

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * RPC_FDS_MAX)];
};

static void close_fds(int *fds, size_t *n_fds)
{
	for (size_t i = 0; i < *n_fds; i++) {
		fds[i] = close_fd(fds[i]);
	}
	*n_fds = 0;
}

void rpc_reader_init(struct rpc_reader *r)
{
	*r = (struct rpc_reader){ 0 };
	buf_init(&r->bytes, LENGTH_BYTES + RPC_BODY_MAX);
}

void rpc_reader_fini(struct rpc_reader *r)
{
	close_fds(r->fds, &r->n_fds);
	buf_fini(&r->bytes);
}

void rpc_reader_next(struct rpc_reader *r)
{
	close_fds(r->fds, &r->n_fds);
	buf_clear(&r->bytes);
}

/* Takes the fds that came with a read that found `have` bytes of the frame already there. */
static int take_fds(struct rpc_reader *r, struct msghdr *msg, size_t have)
{
	bool bad = msg->msg_flags & MSG_CTRUNC;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		/* The control buffer has room for RPC_FDS_MAX; they are taken before anything is
		 * refused, so that they are closed. */
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (r->n_fds == RPC_FDS_MAX || have > 0) {
				bad = true;
				close_fd(fd);
			} else {
				r->fds[r->n_fds++] = fd;
			}
		}
	}
	return bad ? -EPROTO : 0;
}

static int read_up_to(struct rpc_reader *r, int fd, size_t want)
{
	while (buf_len(&r->bytes) < want) {
		size_t have = buf_len(&r->bytes);
		union fd_control control;
		struct iovec iov = { .iov_len = want - have };
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control.bytes),
		};
		uint8_t *p;
		ssize_t n;
		int k;

		k = buf_reserve(&r->bytes, iov.iov_len, &p);
		if (k < 0) {
			return k;
		}
		iov.iov_base = p;
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n < 0) {
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		}
		k = take_fds(r, &msg, have);
		if (k < 0) {
			return k;
		}
		if (n == 0) {
			return -ECONNRESET;
		}
		buf_commit(&r->bytes, n);
	}
	return 1;
}

int rpc_reader_read(struct rpc_reader *r, int fd, struct rpc_message *ret)
{
	uint32_t len;
	size_t used;
	int k;

	k = read_up_to(r, fd, LENGTH_BYTES);
	if (k <= 0) {
		return k;
	}
	memcpy(&len, buf_data(&r->bytes), sizeof(len));
	len = be32toh(len);
	if (len < 2 || len > RPC_BODY_MAX) {
		return -EPROTO;
	}
	k = read_up_to(r, fd, LENGTH_BYTES + len);
	if (k <= 0) {
		return k;
	}
	k = rpc_decode(buf_data(&r->bytes), buf_len(&r->bytes), ret, &used);
	return k == 0 ? -EPROTO : k;
}

static int encode(struct buf *out, const struct rpc_message *m)
{
	struct rpc_message with_body = *m;
	int r;

	if (m->body || m->kind == RPC_FAULT) {
		return rpc_encode(out, m);
	}
	with_body.body = json_object();
	r = with_body.body ? rpc_encode(out, &with_body) : -ENOMEM;
	json_decref(with_body.body);
	return r;
}

int rpc_frame_new(const struct rpc_message *m, const int *fds, size_t n_fds, struct rpc_frame **ret)
{
	_cleanup_(rpc_frame_freep) struct rpc_frame *f = NULL;
	int r;

	if (n_fds > RPC_FDS_MAX) {
		return -E2BIG;
	}
	f = calloc(1, sizeof(*f));
	if (!f) {
		return -ENOMEM;
	}
	list_init(&f->link);
	buf_init(&f->bytes, LENGTH_BYTES + RPC_BODY_MAX);
	r = encode(&f->bytes, m);
	if (r < 0) {
		return r == -ENOBUFS ? -EMSGSIZE : r;
	}
	while (f->n_fds < n_fds) {
		int fd = fcntl(fds[f->n_fds], F_DUPFD_CLOEXEC, 3);

		if (fd < 0) {
			return -errno;
		}
		f->fds[f->n_fds++] = fd;
	}
	*ret = TAKE_PTR(f);
	return 0;
}

struct rpc_frame *rpc_frame_free(struct rpc_frame *f)
{
	if (f) {
		list_del(&f->link);
		close_fds(f->fds, &f->n_fds);
		buf_fini(&f->bytes);
		free(f);
	}
	return NULL;
}

int rpc_frame_send(struct rpc_frame *f, int fd)
{
	while (buf_len(&f->bytes) > 0) {
		union fd_control control = { 0 };
		struct iovec iov = { .iov_base = buf_data(&f->bytes),
				     .iov_len = buf_len(&f->bytes) };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		if (f->n_fds > 0) {
			struct cmsghdr *c = &control.align;

			msg.msg_control = control.bytes;
			msg.msg_controllen = CMSG_SPACE(sizeof(int) * f->n_fds);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(sizeof(int) * f->n_fds);
			memcpy(CMSG_DATA(c), f->fds, sizeof(int) * f->n_fds);
		}
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0) {
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		}
		close_fds(f->fds, &f->n_fds);
		buf_consume(&f->bytes, n);
	}
	return 1;
}
