/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory images: what D-VMs hold in memory at the moment at which all of one shape are alike, when
 * they have booted and no session has them yet. A D-VM that starts from one does not boot.
 *
 * Kept as STATE/memory/SHAPE-SUM: SHAPE is the SHA-256 of what two D-VMs must have in common
 * (hypervisor_ops.dvm_shape), SUM that of the file. All of it can be removed at any time.
 */
#pragma once

#include <stdbool.h>

#include "fault.h"
#include "image.h"

#define MEMORY_NAME_LEN (64 + 1 + 64)
/* The ones that were used longest ago go. */
#define MEMORY_IMAGES_MAX 8

struct memory_store;
/* May be used by any number of threads at once. `images` verifies the files. */
int memory_store_new(const char *folder, struct image_store *images,
		     struct memory_store **ret) _must_check_;
struct memory_store *memory_store_free(struct memory_store *s);

/* The name of the image for that shape in `ret_name`, verified; a damaged one is removed. False if
 * there is none. */
bool memory_find(struct memory_store *s, const char *shape, char ret_name[MEMORY_NAME_LEN + 1]);
/* A copy of it at `path`, for a driver to use up. Negative errno. */
int memory_copy(struct memory_store *s, const char *name, const char *path) _must_check_;
/* Fine when there is none. */
void memory_drop(struct memory_store *s, const char *name);

/* One that is being made. -EALREADY when one of that shape is. */
struct memory_making;
int memory_begin(struct memory_store *s, const char *shape,
		 struct memory_making **ret) _must_check_;
/* Names its D-VM, "t-…", in place of a session's id. */
const char *memory_making_name(const struct memory_making *m);
/* Where its file is to be written; there is none. */
const char *memory_making_path(const struct memory_making *m);
/* Keeps the file. Negative errno. */
int memory_finish(struct memory_making *m) _must_check_;
/* Removes the file unless it was kept. */
struct memory_making *memory_making_free(struct memory_making *m);
/* Whether a D-VM of that name is being made now. */
bool memory_is_making(struct memory_store *s, const char *name);

/* Whoever makes one is to give up. */
void memory_store_stop(struct memory_store *s);
bool memory_store_stopping(const struct memory_store *s);
