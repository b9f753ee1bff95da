/* SPDX-License-Identifier: Apache-2.0 */
/* Where dvm-gate redeems tickets. */
#include "ticket_server.h"

#include <errno.h>
#include <string.h>

#include "rpc_server.h"
#include "stream_ops.h"

static void redeem(struct dvmd *d, struct rpc_request *request, json_t *params)
{
	const char *ticket = json_string_value(json_object_get(params, "ticket"));
	struct fault fault;
	json_t *result = NULL;
	int r;

	if (ticket) {
		r = ticket_redeem(d, ticket, &result, &fault);
	} else {
		r = fault_set(&fault, FAULT_TICKET_INVALID, "No ticket was given");
	}
	if (r < 0) {
		rpc_request_fault(request, &fault);
	} else {
		rpc_request_reply(request, result);
	}
}

static void on_call(struct rpc_server_peer *peer, struct rpc_request *request, const char *method,
		    json_t *params, void *user)
{
	struct fault fault;

	if (strcmp(method, "ticket.redeem") == 0) {
		redeem(user, request, params);
	} else {
		fault_set(&fault, FAULT_NOT_SUPPORTED, "There is no such method");
		rpc_request_fault(request, &fault);
	}
}

int ticket_server_new_take(struct dvmd *d, int listen_fd, struct rpc_server **ret)
{
	static const struct rpc_server_ops ops = { .who = "a redeemer of tickets",
						   .call = on_call };

	return rpc_server_new_take(d->event, listen_fd, TICKET_PEERS_MAX, &ops, d, ret);
}
