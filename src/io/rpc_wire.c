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

#include "fd_pass.h"

#define LENGTH_BYTES 4

static_assert(RPC_FDS_MAX == FD_PASS_MAX, "a frame's fds come with one read");

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

static int read_up_to(struct rpc_reader *r, int fd, size_t want)
{
	while (buf_len(&r->bytes) < want) {
		size_t have = buf_len(&r->bytes), n_fds = 0;
		int fds[FD_PASS_MAX];
		uint8_t *p;
		ssize_t n;
		int k;

		k = buf_reserve(&r->bytes, want - have, &p);
		if (k < 0) {
			return k;
		}
		n = fd_pass_receive(fd, p, want - have, fds, &n_fds);
		if (n < 0) {
			return n == -EAGAIN ? 0 : (int)n;
		}
		if (n_fds > 0 && have > 0) {
			close_fds(fds, &n_fds);
			return -EPROTO;
		}
		if (n_fds > 0) {
			memcpy(r->fds, fds, sizeof(fds));
			r->n_fds = n_fds;
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
		ssize_t n =
			fd_pass_send(fd, buf_data(&f->bytes), buf_len(&f->bytes), f->fds, f->n_fds);

		if (n < 0) {
			return n == -EAGAIN ? 0 : (int)n;
		}
		close_fds(f->fds, &f->n_fds);
		buf_consume(&f->bytes, n);
	}
	return 1;
}
