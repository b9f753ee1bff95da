/* SPDX-License-Identifier: Apache-2.0 */
/* RPC frames and their fds (PROTOCOL.host §1) over a unix stream socket: one reader and one writer
 * a connection. */
#pragma once

#include "buf.h"
#include "cleanup.h"
#include "list.h"
#include "rpc.h"

/* A frame on its way in. */
struct rpc_reader {
	struct buf bytes;
	int fds[RPC_FDS_MAX];
	size_t n_fds;
};

void rpc_reader_init(struct rpc_reader *r);
void rpc_reader_fini(struct rpc_reader *r);
/* Reads on until a frame is whole, never beyond it. 1: `ret` holds its message, the fds stand in
 * `r` until rpc_reader_next(); 0: no more to read now; -ECONNRESET: the peer has gone; -EPROTO:
 * malformed. */
int rpc_reader_read(struct rpc_reader *r, int fd, struct rpc_message *ret) _must_check_;
/* Closes the fds that were not taken (set to -1) and gets ready for the next frame. */
void rpc_reader_next(struct rpc_reader *r);

/* A frame on its way out. */
struct rpc_frame {
	struct list link; /* for its owner */
	struct buf bytes;
	int fds[RPC_FDS_MAX]; /* ours; sent with the first byte */
	size_t n_fds;
};

/* Encodes `m` (no body: an empty one); the fds are dup'ed. -EMSGSIZE (too large), -E2BIG (too many
 * fds), -ENOMEM, -EMFILE. */
int rpc_frame_new(const struct rpc_message *m, const int *fds, size_t n_fds,
		  struct rpc_frame **ret) _must_check_;
struct rpc_frame *rpc_frame_free(struct rpc_frame *f);
DEFINE_CLEANUP(struct rpc_frame *, rpc_frame_free);
/* 1: all sent; 0: the socket takes no more now; -errno. */
int rpc_frame_send(struct rpc_frame *f, int fd) _must_check_;
