/* SPDX-License-Identifier: Apache-2.0 */
/* A one-time ticket for a stream, and the stream opened with it. */
#include "ticket.h"

#include <poll.h>
#include <string.h>

#include "cleanup.h"
#include "view.h"

#define ASK_TRIES 5

/* A ticket whose answer was lost on the way is lost with it (its secret is not kept): another one.
 */
static int ask(struct cli *cli, const struct ticket_request *request, json_t **ret,
	       struct fault *fault)
{
	int r = -EREMOTEIO;

	for (unsigned i = 0; i < ASK_TRIES && (i == 0 || fault->code == FAULT_CONFLICT); i++) {
		r = cli_call(cli, "POST", request->path,
			     json_pack("{s:s, s:s}", "kind", request->kind, "mode", request->mode),
			     ret, fault);
		if (r != -EREMOTEIO) {
			break;
		}
	}
	return r;
}

int ticket_connect(struct cli *cli, const struct ticket_request *request, uint64_t from,
		   struct stream_client *s, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *ticket = NULL;
	const char *url, *service;
	uint8_t mode = TUNNEL_MODE_READ;
	int r;

	r = ask(cli, request, &ticket, fault);
	if (r < 0) {
		return r;
	}
	url = json_text(ticket, "url");
	service = json_text(ticket, "service");
	if (!url || !service) {
		return fault_set(fault, FAULT_PROTOCOL, "the server's answer is not a ticket");
	}
	if (strcmp(request->mode, "r") != 0) {
		mode |= TUNNEL_MODE_WRITE;
	}
	if (strcmp(request->mode, "take") == 0) {
		mode |= TUNNEL_MODE_TAKE;
	}
	return stream_client_connect(s, &cli->config, url, service, mode, from, fault);
}

int write_out(int fd, const void *p, size_t len)
{
	const char *c = p;

	while (len > 0) {
		ssize_t n = write(fd, c, len);

		if (n >= 0) {
			c += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			struct pollfd w = { .fd = fd, .events = POLLOUT };

			poll(&w, 1, -1);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}
