/* SPDX-License-Identifier: Apache-2.0 */
/* What it takes to start a D-VM: an image that is whole, memory, a name. For workers. */
#pragma once

#include <jansson.h>

#include "hostd.h"
#include "image.h"
#include "op.h"

/* Of the host's memory, what an emulator takes besides the guest's. */
#define EMULATOR_MIB 128

/* The spec's texts are the image's, the log's path its own. */
struct dvm_plan {
	struct dvm_spec spec;
	struct image image;
	char *log_path;
};
void dvm_plan_fini(struct dvm_plan *plan);

/* Image, stacks, memory_mib and vcpus out of the parameters, checked, as a new session.json. The
 * image is its id then. */
int dvm_params(struct op *op, json_t **ret) _must_check_;
/* `state`: image, stacks, memory_mib, vcpus, uid. The image is verified; it has no name yet. */
int dvm_plan(struct hostd *h, const json_t *state, struct dvm_plan *ret,
	     struct fault *fault) _must_check_;
/* Plugs a stack in; fine when it is there. */
int dvm_layer_attach(struct hostd *h, const char *session, const struct dvm_layer *layer,
		     struct fault *fault) _must_check_;
/* `name`: the session's id, or what stands for it; borrowed. */
int dvm_plan_name(struct hostd *h, struct dvm_plan *plan, const char *name,
		  struct fault *fault) _must_check_;
