/* SPDX-License-Identifier: Apache-2.0 */
/* Operations: queued, run in a worker, answered. */
#include "op.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "failpoint.h"
#include "log.h"
#include "parse.h"

static void op_run(void *arg)
{
	struct op *op = arg;

	op->status = op->method->run(op);
}

void op_reply(struct op *op)
{
	struct rpc_request *request = op->request;

	op->request = NULL;
	if (!request) {
		return;
	}
	if (op->status < 0) {
		rpc_request_fault(request, &op->fault);
	} else {
		rpc_request_reply_fds(request, op->result ? json_incref(op->result) : NULL, &op->fd,
				      op->fd >= 0 ? 1 : 0);
	}
}

static void op_done(void *arg)
{
	struct op *op = arg;

	op->hostd->ops_running--;
	if (op->status < 0 && !fault_code_transient(op->fault.code)) {
		log_warn("%s: %s: %s", op->method->name, fault_code_name(op->fault.code),
			 op->fault.message);
	} else {
		log_debug("%s: %s", op->method->name, op->status < 0 ? op->fault.message : "done");
	}
	if (op->method->finish) {
		op->method->finish(op);
	}
	op_reply(op);
	if (op->hostd->stopping && op->hostd->ops_running == 0) {
		sd_event_exit(op->hostd->event, 0);
	}
	close_fd(op->fd);
	json_decref(op->params);
	json_decref(op->result);
	free(op);
}

void op_start(struct hostd *h, const struct op_method *method, json_t *params,
	      struct rpc_request *request)
{
	struct fault fault;
	struct op *op = calloc(1, sizeof(*op));
	_cleanup_free_ char *key_of_kind = NULL;
	const char *key = NULL;

	if (!params) {
		params = json_object();
	}
	if (!op || !params) {
		fault_set(&fault, FAULT_INTERNAL, "Out of memory");
		goto refuse;
	}
	if (method->key) {
		key = json_string_value(json_object_get(params, method->key));
	}
	if (key && method->kind) {
		key_of_kind = strf("%s %s", method->kind, key);
		if (!key_of_kind) {
			fault_set(&fault, FAULT_INTERNAL, "Out of memory");
			goto refuse;
		}
		key = key_of_kind;
	}
	*op = (struct op){
		.hostd = h,
		.params = params,
		.request = request,
		.method = method,
		.fd = -1,
		/* when it is never run: */
		.status = -EREMOTEIO,
	};
	fault_set(&op->fault, FAULT_CANCELLED, "The host's service is stopping");
	if (h->stopping || worker_submit(h->workers, key, op_run, op_done, op) < 0) {
		fault_set(&fault, FAULT_HOST_AWAY, "The host has too much to do");
		goto refuse;
	}
	h->ops_running++;
	return;
refuse:
	if (request) {
		rpc_request_fault(request, &fault);
	}
	json_decref(params);
	free(op);
}

const char *op_string(struct op *op, const char *key, bool (*valid)(const char *))
{
	const char *value = json_string_value(json_object_get(op->params, key));

	if (!value || !valid(value)) {
		fault_set(&op->fault, FAULT_BAD_VALUE, "\"%s\" is missing or malformed", key);
		return NULL;
	}
	return value;
}

int op_number(struct op *op, const char *key, uint64_t min, uint64_t max, uint64_t *ret)
{
	const json_t *json = json_object_get(op->params, key);
	json_int_t value = json_integer_value(json);

	if (!json_is_integer(json) || value < 0 || (uint64_t)value < min || (uint64_t)value > max) {
		return fault_set(&op->fault, FAULT_BAD_VALUE, "\"%s\" is missing or out of range",
				 key);
	}
	*ret = (uint64_t)value;
	return 0;
}

bool op_true(const struct op *op, const char *key)
{
	return json_is_true(json_object_get(op->params, key));
}

int op_no_memory(struct op *op)
{
	return fault_set(&op->fault, FAULT_INTERNAL, "Out of memory");
}

int op_failpoint(struct fault *fault, const char *name)
{
	int r = failpoint(name);

	if (r == -ENOSPC) {
		return fault_set(fault, FAULT_DISK_FULL, "The host's disk is full");
	}
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "A test made this step fail");
	}
	return 0;
}
