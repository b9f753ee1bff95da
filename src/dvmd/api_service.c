/* SPDX-License-Identifier: Apache-2.0 */
/* /healthz, /metrics, /v1/whoami */
#include "api_handlers.h"
#include "buf.h"
#include "cleanup.h"
#include "host_link.h"
#include "metrics.h"
#include "store_event.h"

#include <string.h>

#define HEALTH_TIMEOUT (2 * USEC_PER_SEC)
#define METRICS_BYTES_MAX (1024 * 1024)

static void health_answer(struct api_call *c, bool host, bool hypervisor)
{
	struct fault fault;
	uint64_t seq;
	bool store = store_event_last(c->d->store, &seq, &fault) == 0;
	bool ok = store && host && hypervisor;

	api_reply_take(c, ok ? 200 : 503,
		       json_pack("{s:s, s:{s:s, s:s, s:s}}", "status", ok ? "ok" : "degraded",
				 "components", "store", store ? "up" : "down", "host",
				 host ? "up" : "down", "hypervisor", hypervisor ? "up" : "down"));
}

static void on_host_info(const json_t *result, const struct fault *fault, void *user)
{
	const char *hypervisor = json_string_value(json_object_get(result, "hypervisor"));

	health_answer(user, !fault, hypervisor && strcmp(hypervisor, "up") == 0);
}

void api_health(struct api_call *c)
{
	if (!c->d->host || !host_link_is_up(c->d->host)) {
		health_answer(c, false, false);
		return;
	}
	host_link_call(c->d->host, "host.info", NULL, HEALTH_TIMEOUT, on_host_info, c);
}

void api_metrics(struct api_call *c)
{
	_cleanup_(buf_fini) struct buf out;
	struct fault fault;
	char *text;
	size_t len;

	buf_init(&out, METRICS_BYTES_MAX);
	if (metrics_write(c->d->metrics, &out) < 0) {
		api_no_memory(&fault);
		api_fault(c, &fault);
		return;
	}
	len = buf_len(&out);
	text = malloc(len + 1);
	if (!text) {
		api_no_memory(&fault);
		api_fault(c, &fault);
		return;
	}
	memcpy(text, buf_data(&out), len);
	api_reply_text_take(c, "text/plain; version=0.0.4; charset=utf-8", text, len);
}

void api_whoami(struct api_call *c)
{
	const struct principal *p = &c->who;
	json_t *projects = json_array();

	for (size_t i = 0; i < p->n_projects; i++) {
		json_array_append_new(projects,
				      json_pack("{s:s, s:o}", "name", p->projects[i].name, "rights",
						rights_to_json(p->projects[i].rights)));
	}
	api_reply_take(c, 200,
		       json_pack("{s:s, s:o, s:o, s:s}", "user", p->user_name, "rights",
				 rights_to_json(p->rights), "projects", projects, "token",
				 p->token));
}
