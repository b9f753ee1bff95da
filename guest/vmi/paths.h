/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a kernel by their names: open files, mount points, and what is no file at all. */
#pragma once

#include "kernel.h"

#define PATH_TEXT_MAX 1024

/* Of a dentry on a vfsmount, from the root of its mount namespace. */
void path_text(struct kernel *k, uint64_t vfsmount, uint64_t dentry, char out[PATH_TEXT_MAX]);
/* Of an open struct file: as /proc/PID/fd has it ("socket:[1234]", "/etc/passwd (deleted)"). */
void path_of_file(struct kernel *k, uint64_t file, char out[PATH_TEXT_MAX]);
/* The struct socket of a file; 0 if it is none. */
uint64_t path_socket(struct kernel *k, uint64_t file);
