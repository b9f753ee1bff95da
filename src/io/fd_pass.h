/* SPDX-License-Identifier: Apache-2.0 */
/* Open fds sent along with the bytes of a unix stream socket (SCM_RIGHTS, unix(7)). */
#pragma once

#include <sys/types.h>

#include "macro.h"

#define FD_PASS_MAX 8 /* with one call */

/* One sendmsg(), of at least a byte, that does not wait. The caller keeps the fds. Bytes taken (the
 * fds are with the first), or -errno; -EAGAIN: nothing was taken. */
ssize_t fd_pass_send(int sock, const void *bytes, size_t len, const int *fds,
		     size_t n_fds) _must_check_;
/* One recvmsg() that does not wait: bytes received, 0 at the end, or -errno (-EAGAIN). The fds that
 * came with them, close-on-exec, are the caller's; with more than FD_PASS_MAX all are closed:
 * -EPROTO. */
ssize_t fd_pass_receive(int sock, void *bytes, size_t len, int ret_fds[FD_PASS_MAX],
			size_t *ret_n_fds) _must_check_;
