/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for a D-VM's agent: the last step of dvm.ensure, which takes as long as a boot
 * and would keep a worker busy for nothing.
 */
#include <errno.h>
#include <string.h>

#include "boots.h"
#include "cleanup.h"
#include "dvm.h"
#include "list.h"
#include "relay.h"

struct boot {
	struct list link;
	struct hostd *hostd;
	struct rpc_request *request;
	sd_event_source *timer;
	char session[DVM_SESSION_MAX + 1];
	char image[65];
	char start[8];
};

struct boots {
	struct list waiting; /* struct boot; bounded by the connections' open calls */
};

int boots_new(struct hostd *h, struct boots **ret)
{
	struct boots *b = calloc(1, sizeof(*b));

	if (!b) {
		return -ENOMEM;
	}
	list_init(&b->waiting);
	*ret = b;
	return 0;
}

static void boot_finish(struct boot *boot, json_t *result, const struct fault *fault)
{
	boot->hostd->starting--;
	list_del(&boot->link);
	sd_event_source_disable_unref(boot->timer);
	if (fault) {
		if (fault->code == FAULT_DVM_TIMEOUT || fault->code == FAULT_DVM_LOST) {
			dvm_suspect_start(boot->hostd, boot->session);
		}
		rpc_request_fault(boot->request, fault);
	} else {
		rpc_request_reply(boot->request, result);
	}
	free(boot);
}

struct boots *boots_free(struct boots *b)
{
	struct boot *boot, *next;
	struct fault fault;

	if (!b) {
		return NULL;
	}
	fault_set(&fault, FAULT_CANCELLED, "The host's service is stopping");
	list_for_each_safe (boot, next, &b->waiting, link) {
		boot_finish(boot, NULL, &fault);
	}
	free(b);
	return NULL;
}

static void boot_check(struct boot *boot)
{
	const struct relay *r = relay_find(boot->hostd->relays, boot->session);
	struct fault fault;

	if (r && relay_agent(r) == RELAY_AGENT_UP && relay_host_key(r)) {
		boot_finish(boot,
			    json_pack("{ssssss}", "image", boot->image, "host_key",
				      relay_host_key(r), "start", boot->start),
			    NULL);
		return;
	}
	if (r && relay_failed(r)) {
		fault_set(&fault, FAULT_DVM_LOST, "The debug VM could not get ready: %s",
			  relay_failed(r));
		boot_finish(boot, NULL, &fault);
		return;
	}
}

static int on_timeout(sd_event_source *source, uint64_t now, void *user)
{
	struct fault fault;

	fault_set(&fault, FAULT_DVM_TIMEOUT, "The debug VM did not get ready in time");
	boot_finish(user, NULL, &fault);
	return 0;
}

void boots_wait_take(struct hostd *h, const char *session, const char *image, const char *start,
		     usec_t timeout, struct rpc_request *request)
{
	struct boot *boot = calloc(1, sizeof(*boot));
	struct fault fault;

	if (!boot || strlen(session) > DVM_SESSION_MAX || strlen(image) > 64 ||
	    strlen(start) >= sizeof(boot->start)) {
		free(boot);
		h->starting--;
		fault_set(&fault, FAULT_INTERNAL, "Out of memory");
		rpc_request_fault(request, &fault);
		return;
	}
	boot->hostd = h;
	boot->request = request;
	strcpy(boot->session, session);
	strcpy(boot->image, image);
	strcpy(boot->start, start);
	list_add_tail(&h->boots->waiting, &boot->link);
	if (sd_event_add_time_relative(h->event, &boot->timer, CLOCK_MONOTONIC, timeout, 10000,
				       on_timeout, boot) < 0) {
		fault_set(&fault, FAULT_INTERNAL, "Out of memory");
		boot_finish(boot, NULL, &fault);
		return;
	}
	boot_check(boot);
}

void boots_check(struct hostd *h, const char *session)
{
	struct boot *boot, *next;

	list_for_each_safe (boot, next, &h->boots->waiting, link) {
		if (strcmp(boot->session, session) == 0) {
			boot_check(boot);
		}
	}
}

void boots_fail(struct hostd *h, const char *session, const struct fault *fault)
{
	struct boot *boot, *next;

	list_for_each_safe (boot, next, &h->boots->waiting, link) {
		if (strcmp(boot->session, session) == 0) {
			boot_finish(boot, NULL, fault);
		}
	}
}
