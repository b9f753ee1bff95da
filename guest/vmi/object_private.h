/* SPDX-License-Identifier: Apache-2.0 */
/* What kernel.c keeps for object.c: the ways that were found before. */
#pragma once

struct kernel;
struct object_memo;

struct object_memo *object_memo_new(void);
struct object_memo *object_memo_free(struct object_memo *m);
struct object_memo *kernel_memo(struct kernel *k);
