/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files, atomically. */
#pragma once

#include <sys/types.h>

#include "macro.h"

/* Reads at most max_bytes; -EFBIG beyond. *ret is NUL-terminated. */
int file_read(const char *path, size_t max_bytes, char **ret, size_t *ret_len) _must_check_;
/* Temporary file in the same folder, fsync, rename, fsync of the folder. */
int file_write_atomic(const char *path, const void *p, size_t len, mode_t mode) _must_check_;
/* Appends what `from` has from its offset on to `to`, inside the kernel, sharing blocks where the
 * file system can. */
int file_copy(int from, int to) _must_check_;
/* mkdir -p; existing folders keep their mode. */
int dir_make(const char *path, mode_t mode) _must_check_;
/* Removes a folder and all in it without following links; missing is fine. */
int dir_remove(const char *path) _must_check_;
/* write()s it all to a blocking fd. */
int write_all(int fd, const void *p, size_t len) _must_check_;
int fd_set_nonblock(int fd) _must_check_;
