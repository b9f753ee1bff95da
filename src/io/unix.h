/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets. Paths longer than sun_path are reached through /proc/self/fd of their folder. */
#pragma once

#include <sys/types.h>

#include "macro.h"

/* Replaces a stale socket of that name (-EADDRINUSE: somebody listens there); *ret_fd is
 * non-blocking, close-on-exec. */
int unix_listen(const char *path, mode_t mode, int *ret_fd) _must_check_;
/* Non-blocking, close-on-exec; the connection stands. -ECONNREFUSED: nobody listens; -EAGAIN: its
 * queue is full. */
int unix_connect(const char *path, int *ret_fd) _must_check_;
/* -EAGAIN when none waits. Non-blocking, close-on-exec. */
int unix_accept(int listen_fd, int *ret_fd) _must_check_;
int unix_peer(int fd, pid_t *ret_pid, uid_t *ret_uid) _must_check_;
int unix_pair(int ret_fds[2]) _must_check_;
/* A lock file `path` that holds our pid for as long as we live (F_SETLK). -EEXIST: another process
 * has it. */
int pid_lock(const char *path, int *ret_fd) _must_check_;
/* Who holds it: pid, or 0. Not for the holder itself: closing the file ends a process's own lock.
 */
pid_t pid_lock_owner(const char *path);
