/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of what can go wrong, for REST, CLI, RPC and the tunnel. */
#include "fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Exit codes of the command line: what a script can do about it. */
enum {
	EXIT_REQUEST = 2, /* say it differently */
	EXIT_DENIED = 3,  /* get the right to do it */
	EXIT_MISSING = 4, /* name something that is there */
	EXIT_STATE = 5,	  /* change the state of things first */
	EXIT_LATER = 6,	  /* try again */
	EXIT_FAILED = 7,  /* ask the operator */
};

static const struct {
	const char *name;
	int http_status;
	int exit_status;
	bool transient;
	const char *title;
	const char *hint;
} codes[] = {
	/* clang-format off */
	[FAULT_NONE] = { "none", 500, EXIT_FAILED, false,
		"No fault",
		"" },

	[FAULT_BAD_REQUEST] = { "bad-request", 400, EXIT_REQUEST, false,
		"The request is not understood",
		"Compare it with the API description." },
	[FAULT_BAD_JSON] = { "bad-json", 400, EXIT_REQUEST, false,
		"The body is not the JSON that was expected",
		"Send one JSON object, in UTF-8, with Content-Type: application/json." },
	[FAULT_UNKNOWN_FIELD] = { "unknown-field", 400, EXIT_REQUEST, false,
		"A field is not known here",
		"Look for a typing error; unknown fields are never ignored." },
	[FAULT_BAD_VALUE] = { "bad-value", 422, EXIT_REQUEST, false,
		"A value is not allowed here",
		"" },
	[FAULT_TOO_LARGE] = { "too-large", 413, EXIT_REQUEST, false,
		"The request is too large",
		"Send less at once." },
	[FAULT_UNAUTHENTICATED] = { "unauthenticated", 401, EXIT_DENIED, false,
		"No valid token",
		"Set DVM_TOKEN to a token that is neither mistyped nor revoked." },
	[FAULT_FORBIDDEN] = { "forbidden", 403, EXIT_DENIED, false,
		"Not allowed",
		"Ask an administrator of the project for this right." },
	[FAULT_NOT_FOUND] = { "not-found", 404, EXIT_MISSING, false,
		"There is no such thing",
		"List what there is, and check the project you are in." },
	[FAULT_METHOD_NOT_ALLOWED] = { "method-not-allowed", 405, EXIT_REQUEST, false,
		"This cannot be done with that",
		"See the Allow header for what can." },
	[FAULT_IDEMPOTENCY_MISMATCH] = { "idempotency-mismatch", 422, EXIT_REQUEST, false,
		"The Idempotency-Key was used for another request",
		"Use a new key for a new request." },
	[FAULT_TICKET_INVALID] = { "ticket-invalid", 403, EXIT_DENIED, false,
		"The ticket is used up, too old or unknown",
		"Ask for a new ticket; each works once, for a short time." },
	[FAULT_QUOTA] = { "quota", 429, EXIT_STATE, false,
		"The quota is used up",
		"End a session that is no longer needed, or ask for a larger quota." },

	[FAULT_CONFLICT] = { "conflict", 409, EXIT_STATE, false,
		"The state of things does not allow it now",
		"Look at the present state, then decide again." },
	[FAULT_VM_IN_SESSION] = { "vm-in-session", 409, EXIT_STATE, false,
		"The VM is being debugged in another session",
		"Join or end that session: `dvm session list` shows yours." },
	[FAULT_VM_RUNNING] = { "vm-running", 409, EXIT_STATE, false,
		"The VM must be off for this",
		"Shut it down first: `dvm power shutdown VM`, or `off` to pull the plug." },
	[FAULT_VM_NOT_RUNNING] = { "vm-not-running", 409, EXIT_STATE, false,
		"The VM must be running for this",
		"Start it first: `dvm power on VM`." },
	[FAULT_VM_NOT_STOPPED] = { "vm-not-stopped", 409, EXIT_STATE, false,
		"The VM runs, and only who controls its debugger may stop it",
		"Wait until it is stopped, or ask for the rights to control it." },
	[FAULT_VM_FENCED] = { "vm-fenced", 409, EXIT_STATE, false,
		"The VM is held off while its disk is being repaired",
		"Give its disk back first: `target disk detach`, or end the session." },
	[FAULT_VM_GONE] = { "vm-gone", 410, EXIT_MISSING, false,
		"The VM no longer exists",
		"`dvm vm list` shows the VMs there are." },
	[FAULT_SESSION_NOT_READY] = { "session-not-ready", 409, EXIT_LATER, true,
		"The session is not ready yet",
		"Wait until `dvm session show` says ready." },
	[FAULT_SESSION_ENDED] = { "session-ended", 410, EXIT_MISSING, false,
		"The session has ended",
		"Start a new one: `dvm debug VM`." },
	[FAULT_LEASE_EXPIRED] = { "lease-expired", 410, EXIT_MISSING, false,
		"The session's lease has run out",
		"Start a new session; renew its lease while you use it." },
	[FAULT_ALREADY_ATTACHED] = { "already-attached", 409, EXIT_STATE, false,
		"It is attached already",
		"Use it as it is, or detach it first." },
	[FAULT_NOT_ATTACHED] = { "not-attached", 409, EXIT_STATE, false,
		"It is not attached",
		"Attach it first." },
	[FAULT_CONSOLE_UNSUPPORTED] = { "console-unsupported", 409, EXIT_STATE, false,
		"The VM has no console that can be opened",
		"Give the VM a serial console; it counts from its next start on." },
	[FAULT_CONSOLE_READ_ONLY] = { "console-read-only", 409, EXIT_STATE, false,
		"The console can only be watched",
		"" },
	[FAULT_WRITER_TAKEN] = { "writer-taken", 409, EXIT_STATE, false,
		"Somebody else types on this console",
		"Watch, or take typing over: `dvm console --take VM`." },
	[FAULT_DISPLAY_UNSUPPORTED] = { "display-unsupported", 409, EXIT_STATE, false,
		"The VM has no display that can be opened",
		"Give the VM a VNC display; it counts from its next start on." },
	[FAULT_IMAGE_MISSING] = { "image-missing", 404, EXIT_MISSING, false,
		"There is no such D-VM image",
		"`dvm image list` shows the images there are; `dvm image build` makes one." },
	[FAULT_IMAGE_DAMAGED] = { "image-damaged", 500, EXIT_FAILED, false,
		"The D-VM image is damaged",
		"Use another image, or have this one built again." },
	[FAULT_STACK_MISSING] = { "stack-missing", 404, EXIT_MISSING, false,
		"The D-VM image has no such stack",
		"`dvm image show` lists the stacks of an image." },

	[FAULT_NO_CAPACITY] = { "no-capacity", 503, EXIT_LATER, true,
		"There is no room for a D-VM at the moment",
		"Try again later, or ask for a smaller D-VM." },
	[FAULT_HOST_AWAY] = { "host-away", 503, EXIT_LATER, true,
		"The VM's host does not answer",
		"Try again in a minute; if it lasts, tell the operator." },
	[FAULT_HYPERVISOR_AWAY] = { "hypervisor-away", 503, EXIT_LATER, true,
		"The hypervisor does not answer",
		"Try again in a minute; VMs and open sessions run on meanwhile." },
	[FAULT_HYPERVISOR_FAILED] = { "hypervisor-failed", 502, EXIT_FAILED, false,
		"The hypervisor could not do it",
		"Look at the VM's state and try once more; if it lasts, tell the operator." },
	[FAULT_DVM_TIMEOUT] = { "dvm-timeout", 504, EXIT_LATER, true,
		"The D-VM did not start in time",
		"Start a new session; if it lasts, tell the operator." },
	[FAULT_DVM_LOST] = { "dvm-lost", 502, EXIT_LATER, true,
		"The D-VM is gone",
		"Start a new session; the target was not touched by this." },
	[FAULT_RELAY_LOST] = { "relay-lost", 503, EXIT_LATER, true,
		"The connection to the stream was lost",
		"Connect again; streams go on where you were." },
	[FAULT_STORE_FULL] = { "store-full", 507, EXIT_LATER, true,
		"dvm cannot write down its state",
		"Nothing was changed. Tell the operator, then try again." },
	[FAULT_DISK_FULL] = { "disk-full", 507, EXIT_LATER, true,
		"There is no space left for this",
		"Remove old recordings, or tell the operator." },
	[FAULT_TIMEOUT] = { "timeout", 504, EXIT_LATER, true,
		"It took too long",
		"Look whether it was done after all, else try again." },
	[FAULT_CANCELLED] = { "cancelled", 409, EXIT_STATE, false,
		"It was cancelled",
		"" },
	[FAULT_NOT_SUPPORTED] = { "not-supported", 501, EXIT_REQUEST, false,
		"This is not supported",
		"" },
	[FAULT_PROTOCOL] = { "protocol", 502, EXIT_FAILED, false,
		"The other side broke the protocol",
		"Check that both sides are of the same release." },
	[FAULT_INTERNAL] = { "internal", 500, EXIT_FAILED, false,
		"dvm made a mistake",
		"Tell the operator what you did and when; the log has the rest." },
	/* clang-format on */
};
static_assert(ARRAY_SIZE(codes) == _FAULT_MAX, "each code has its row");

/* Codes come from other programs: one out of range reads as our own mistake. */
static enum fault_code known(enum fault_code code)
{
	return (unsigned)code < _FAULT_MAX ? code : FAULT_INTERNAL;
}

const char *fault_code_name(enum fault_code code)
{
	return codes[known(code)].name;
}

enum fault_code fault_code_parse(const char *name)
{
	for (unsigned i = FAULT_NONE + 1; i < _FAULT_MAX; i++) {
		if (strcmp(codes[i].name, name) == 0) {
			return (enum fault_code)i;
		}
	}
	return FAULT_INTERNAL;
}

const char *fault_code_title(enum fault_code code)
{
	return codes[known(code)].title;
}

int fault_code_http_status(enum fault_code code)
{
	return codes[known(code)].http_status;
}

int fault_code_exit_status(enum fault_code code)
{
	return codes[known(code)].exit_status;
}

const char *fault_code_hint(enum fault_code code)
{
	return codes[known(code)].hint;
}

bool fault_code_transient(enum fault_code code)
{
	return codes[known(code)].transient;
}

/* vsnprintf() that does not cut a UTF-8 sequence in two. */
static void format_cut(char *out, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, size, fmt, ap);
	size_t end = size - 1;

	if (n < 0) {
		out[0] = '\0';
	}
	if (n < 0 || (size_t)n < size) {
		return;
	}
	while (end > 0 && ((uint8_t)out[end - 1] & 0xc0) == 0x80) {
		end--;
	}
	/* `end` is behind the lead byte of the last sequence, or behind plain text. */
	if (end > 0 && (uint8_t)out[end - 1] >= 0xc0) {
		static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
		size_t len = size - end;

		if (len > 4 || (uint8_t)out[end - 1] < lead[len] ||
		    (len < 4 && (uint8_t)out[end - 1] >= lead[len + 1])) {
			out[end - 1] = '\0';
		}
	}
}

int fault_set(struct fault *f, enum fault_code code, const char *fmt, ...)
{
	struct fault made = { .code = code }; /* the arguments may lie in *f */
	va_list ap;

	if (!f) {
		return -EREMOTEIO;
	}
	va_start(ap, fmt);
	format_cut(made.message, sizeof(made.message), fmt, ap);
	va_end(ap);
	strncpy(made.hint, fault_code_hint(code), sizeof(made.hint) - 1);
	*f = made;
	return -EREMOTEIO;
}

void fault_hint(struct fault *f, const char *fmt, ...)
{
	char hint[FAULT_HINT_MAX];
	va_list ap;

	if (!f) {
		return;
	}
	va_start(ap, fmt);
	format_cut(hint, sizeof(hint), fmt, ap);
	va_end(ap);
	memcpy(f->hint, hint, sizeof(hint));
}
