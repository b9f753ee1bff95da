/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has dvm-hostd make memory images, from which D-VMs start without booting: for D-VMs of the
 * default image with no stack and with each of its stacks once the host is there, and for whatever
 * a session was started with, since others with the same stacks are likely to follow.
 *
 * Nobody waits for it, so a failure is only logged; the D-VMs boot then.
 */
#include "prepare.h"

#include <stdlib.h>
#include <string.h>

#include "host_link.h"
#include "log.h"
#include "once.h"
#include "store_session.h"

/* Stacks of the default image. */
#define PREPARE_STACKS_MAX 3
#define LIST_TIMEOUT (10 * USEC_PER_SEC)
/* After the host's start, which may be somebody's who is about to start a session. */
#define PREPARE_FIRST_AFTER (3 * USEC_PER_SEC)
/* Not in the first moments of a session, whose user is at work on the same processors. */
#define PREPARE_AFTER (5 * USEC_PER_SEC)
#define PREPARE_TIMEOUT (300 * USEC_PER_SEC)
#define PREPARES_MAX 8

struct prepare {
	struct dvmd *d;
	json_t *params;
};

static void prepare_free(void *user)
{
	struct prepare *p = user;

	p->d->n_prepares--;
	json_decref(p->params);
	free(p);
}

static void prepared(const json_t *result, const struct fault *fault, void *user)
{
	if (fault) {
		log_info("memory image: %s", fault->message);
	} else if (json_is_true(json_object_get(result, "made"))) {
		log_info("memory image: made");
	}
}

static void prepare_now(void *user)
{
	const struct prepare *p = user;

	host_link_call(p->d->host, "dvm.prepare", json_incref(p->params), PREPARE_TIMEOUT, prepared,
		       NULL);
}

/* Takes `stacks`. */
static void prepare_after(struct dvmd *d, const char *image, json_t *stacks, usec_t after)
{
	struct prepare *p = d->n_prepares < PREPARES_MAX ? malloc(sizeof(*p)) : NULL;

	if (!d->config.dvm_memory_images || !p) {
		json_decref(stacks);
		free(p);
		return;
	}
	*p = (struct prepare){ .d = d };
	d->n_prepares++;
	p->params = json_pack("{s:s,s:o,s:i,s:i}", "image", image, "stacks", stacks, "memory_mib",
			      (int)d->config.dvm_memory_mib, "vcpus", (int)d->config.dvm_vcpus);
	if (!p->params || once_later(d->event, after, prepare_now, prepare_free, p) < 0) {
		prepare_free(p);
	}
}

static bool is_default(const struct dvmd *d, const json_t *image)
{
	const char *name = json_string_value(json_object_get(image, "name"));

	return d->config.image[0] ? name && strcmp(name, d->config.image) == 0
				  : json_is_true(json_object_get(image, "default"));
}

static void pool_set(const json_t *result, const struct fault *fault, void *user)
{
	if (fault) {
		log_warn("pool: %s", fault->message);
	}
}

void prepare_pool(struct dvmd *d)
{
	const struct config *c = &d->config;

	host_link_call(d->host, "pool.set",
		       json_pack("{s:s,s:i,s:i,s:i,s:i,s:i,s:I}", "image",
				 c->image[0] ? c->image : "default", "memory_mib",
				 (int)c->dvm_memory_mib, "vcpus", (int)c->dvm_vcpus, "min",
				 (int)c->pool_min, "max", (int)c->pool_max, "budget_mib",
				 (int)c->pool_memory_mib, "refill_ms",
				 (json_int_t)(c->pool_refill / USEC_PER_MSEC)),
		       LIST_TIMEOUT, pool_set, d);
}

static void images_listed(const json_t *result, const struct fault *fault, void *user)
{
	struct dvmd *d = user;
	const json_t *image, *stack;
	size_t i, j;

	json_array_foreach(json_object_get(result, "images"), i, image)
	{
		const char *id = json_string_value(json_object_get(image, "id"));

		if (!id || !is_default(d, image)) {
			continue;
		}
		prepare_after(d, id, json_array(), PREPARE_FIRST_AFTER);
		json_array_foreach(json_object_get(image, "stacks"), j, stack)
		{
			if (j < PREPARE_STACKS_MAX) {
				prepare_after(d, id,
					      json_pack("[O]", json_object_get(stack, "name")),
					      PREPARE_FIRST_AFTER);
			}
		}
		return;
	}
}

void prepare_default(struct dvmd *d)
{
	host_link_call(d->host, "image.list", NULL, LIST_TIMEOUT, images_listed, d);
}

void prepare_like(struct dvmd *d, const struct session_row *row)
{
	prepare_after(d, row->image, json_incref(row->stacks), PREPARE_AFTER);
}
