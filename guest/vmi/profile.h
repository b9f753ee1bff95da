/* SPDX-License-Identifier: Apache-2.0 */
/* Many stacks as one tree: how often each was seen, and a flame graph of it. Pure. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "macro.h"

#define PROFILE_NODES_MAX 100000
#define PROFILE_DEPTH_MAX 160
#define PROFILE_NAME_MAX 128

struct profile;

struct profile_line {
	char name[PROFILE_NAME_MAX];
	uint64_t self, total; /* samples in it; in it or in what it calls */
};

int profile_new(struct profile **ret) _must_check_;
struct profile *profile_free(struct profile *p);
/* A stack from its outermost name on. -ENOSPC (the sample counts, cut) or -ENOMEM. */
int profile_add(struct profile *p, const char *const *names, size_t n) _must_check_;
uint64_t profile_samples(const struct profile *p);
/*
 * By name, the most often seen itself first; of recursive calls each sample counts once. Returns
 * how many of the at most `max` there are.
 */
size_t profile_lines(const struct profile *p, struct profile_line *lines, size_t max);
/* Calls `each` for each different stack, outermost name first. */
void profile_each(const struct profile *p,
		  void (*each)(const char *const *names, size_t n, uint64_t samples, void *user),
		  void *user);
/* A picture that stands for itself: no script, no font, no address in it. */
void profile_svg(const struct profile *p, FILE *out, const char *title);
