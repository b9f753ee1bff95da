/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP answers that the gate gives itself. */
#include "answer.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "cleanup.h"

#define RETRY_AFTER_S 2

/* Only for statuses of the fault table that the gate can meet; HTTP clients read the number. */
static const char *reason(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 413:
		return "Content Too Large";
	case 429:
		return "Too Many Requests";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	default:
		return status < 500 ? "Client Error" : "Server Error";
	}
}

static char *problem(const struct fault *f, int status)
{
	json_auto_t *o = NULL;

	o = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", "about:blank", "title",
		      fault_code_title(f->code), "status", status, "code", fault_code_name(f->code),
		      "detail", f->message[0] ? f->message : fault_code_title(f->code), "hint",
		      f->hint[0] ? f->hint : "Try again.");
	return o ? json_dumps(o, JSON_COMPACT) : NULL;
}

int answer_fault(struct buf *out, const struct fault *f, const char *request_id)
{
	int status = fault_code_http_status(f->code);
	_cleanup_free_ char *body = problem(f, status);
	int r;

	if (!body) {
		return -ENOMEM;
	}
	r = buf_printf(out,
		       "HTTP/1.1 %d %s\r\n"
		       "Content-Type: application/problem+json\r\n"
		       "Content-Length: %zu\r\n"
		       "Cache-Control: no-store\r\n"
		       "X-Request-Id: %s\r\n"
		       "Connection: close\r\n",
		       status, reason(status), strlen(body), request_id);
	if (r == 0 && fault_code_transient(f->code)) {
		r = buf_printf(out, "Retry-After: %d\r\n", RETRY_AFTER_S);
	}
	return r < 0 ? r : buf_printf(out, "\r\n%s", body);
}

int answer_switch(struct buf *out, const char *accept, const char *protocol, const char *request_id)
{
	int r;

	r = buf_printf(out,
		       "HTTP/1.1 101 Switching Protocols\r\n"
		       "Upgrade: websocket\r\n"
		       "Connection: Upgrade\r\n"
		       "Sec-WebSocket-Accept: %s\r\n"
		       "X-Request-Id: %s\r\n",
		       accept, request_id);
	if (r == 0 && protocol) {
		r = buf_printf(out, "Sec-WebSocket-Protocol: %s\r\n", protocol);
	}
	return r < 0 ? r : buf_append(out, "\r\n", 2);
}
