/* SPDX-License-Identifier: Apache-2.0 */
/* What it takes to start a D-VM. */
#include "dvm_plan.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "hostinfo.h"
#include "parse.h"
#include "session_file.h"

#define MEMORY_MIN_MIB 64
#define MEMORY_MAX_MIB 65536
#define VCPUS_MAX 64

/* Left to the host when a D-VM starts, besides the D-VM's own memory and the emulator's. */
#define MEMORY_RESERVE_MIB 256

static int enough_memory(unsigned memory_mib, struct fault *fault)
{
	uint64_t free_mib, total_mib;

	if (host_memory(&free_mib, &total_mib) == 0 &&
	    free_mib < (uint64_t)memory_mib + EMULATOR_MIB + MEMORY_RESERVE_MIB) {
		fault_set(fault, FAULT_NO_CAPACITY,
			  "There is not enough memory for a debug VM of %u MiB", memory_mib);
		fault_hint(fault, "End another session, or ask for less memory.");
		return -EREMOTEIO;
	}
	return 0;
}

static int add_layer(struct dvm_spec *spec, const char *name, const char *path, struct fault *fault)
{
	if (spec->n_layers == DVM_LAYERS_MAX) {
		return fault_set(fault, FAULT_BAD_VALUE, "Too many stacks");
	}
	spec->layers[spec->n_layers++] = (struct dvm_layer){ .name = name, .path = path };
	return 0;
}

/* `base` is in the root; the others are layers of their own where the image has one. */
static int add_stacks(struct dvm_spec *spec, const struct image *image, const json_t *stacks,
		      struct fault *fault)
{
	const json_t *stack;
	size_t i;

	json_array_foreach(stacks, i, stack)
	{
		const char *name = json_string_value(stack);
		size_t at = 0;
		int r;

		while (at < image->n_stacks && strcmp(image->stack_names[at], name) != 0) {
			at++;
		}
		if (at == image->n_stacks) {
			if (strcmp(name, "base") == 0) {
				continue;
			}
			fault_set(fault, FAULT_STACK_MISSING, "The D-VM image has no stack \"%s\"",
				  name);
			return -EREMOTEIO;
		}
		r = add_layer(spec, image->stacks[at].name, image->stacks[at].path, fault);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

void dvm_plan_fini(struct dvm_plan *plan)
{
	image_fini(&plan->image);
	free(plan->log_path);
}

int dvm_plan(struct hostd *h, const json_t *state, struct dvm_plan *ret, struct fault *fault)
{
	struct dvm_spec *spec = &ret->spec;
	struct image *image = &ret->image;
	int r;

	*ret = (struct dvm_plan){ 0 };
	spec->memory_mib = (unsigned)json_integer_value(json_object_get(state, "memory_mib"));
	spec->vcpus = (unsigned)json_integer_value(json_object_get(state, "vcpus"));
	spec->uid = spec->gid = (uid_t)json_integer_value(json_object_get(state, "uid"));
	r = enough_memory(spec->memory_mib, fault);
	if (r == 0) {
		r = image_find(h->images, session_string(state, "image"), image, fault);
	}
	if (r == 0) {
		r = image_verify(h->images, image, fault);
	}
	if (r < 0) {
		return r;
	}
	spec->owner = h->id;
	spec->image = image->id;
	spec->kernel = image->kernel.path;
	spec->firmware = image->firmware.path;
	spec->initrd = image->initrd.path;
	spec->cmdline = image->cmdline;
	r = add_layer(spec, image->root.name, image->root.path, fault);
	return r < 0 ? r : add_stacks(spec, image, json_object_get(state, "stacks"), fault);
}

int dvm_layer_attach(struct hostd *h, const char *session, const struct dvm_layer *layer,
		     struct fault *fault)
{
	const struct dvm_disk disk = {
		.session = session,
		.serial = layer->name,
		.source = layer->path,
		.format = "raw",
		.backend = DISK_BACKEND_FILE,
		.readonly = true,
	};

	return h->hv->ops->dvm_disk_attach(h->hv, &disk, fault);
}

int dvm_plan_name(struct hostd *h, struct dvm_plan *plan, const char *name, struct fault *fault)
{
	plan->log_path = session_path(h, name, "console.log");
	plan->spec.session = name;
	plan->spec.log_path = plan->log_path;
	return plan->log_path ? 0 : fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

static bool strings_valid(const json_t *list, bool (*valid)(const char *), size_t max)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > max) {
		return false;
	}
	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item) || !valid(json_string_value(item))) {
			return false;
		}
	}
	return true;
}

int dvm_params(struct op *op, json_t **ret)
{
	_cleanup_(image_fini) struct image image = { 0 };
	const char *which = op_string(op, "image", image_reference_valid);
	json_t *stacks = json_object_get(op->params, "stacks");
	uint64_t memory_mib, vcpus;
	int r;

	if (!which ||
	    op_number(op, "memory_mib", MEMORY_MIN_MIB, MEMORY_MAX_MIB, &memory_mib) < 0 ||
	    op_number(op, "vcpus", 1, VCPUS_MAX, &vcpus) < 0) {
		return -EREMOTEIO;
	}
	if (!strings_valid(stacks, name_valid, DVM_LAYERS_MAX)) {
		return fault_set(&op->fault, FAULT_BAD_VALUE, "\"stacks\" is missing or malformed");
	}
	r = image_find(op->hostd->images, which, &image, &op->fault);
	if (r < 0) {
		return r;
	}
	*ret = json_pack("{sssOsIsI}", "image", image.id, "stacks", stacks, "memory_mib",
			 (json_int_t)memory_mib, "vcpus", (json_int_t)vcpus);
	return *ret ? 0 : op_no_memory(op);
}
