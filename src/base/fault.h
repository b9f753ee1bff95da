/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong at the seams between programs and at the API: a stable code, one sentence for the
 * reader, and a hint what to do next. The table in fault.c is the only list of codes: REST, CLI,
 * RPC and the tunnel's CLOSE reasons all use it.
 *
 * A fault's text reaches users: it must never name a host, an address, a path, a process or a
 * version.
 */
#pragma once

#include <stdbool.h>

#include "macro.h"

enum fault_code {
	FAULT_NONE = 0,
	/* the request */
	FAULT_BAD_REQUEST,
	FAULT_BAD_JSON,
	FAULT_UNKNOWN_FIELD,
	FAULT_BAD_VALUE,
	FAULT_TOO_LARGE,
	FAULT_UNAUTHENTICATED,
	FAULT_FORBIDDEN,
	FAULT_NOT_FOUND,
	FAULT_METHOD_NOT_ALLOWED,
	FAULT_IDEMPOTENCY_MISMATCH,
	FAULT_TICKET_INVALID,
	FAULT_QUOTA,
	/* the state of things */
	FAULT_CONFLICT,
	FAULT_VM_IN_SESSION,
	FAULT_VM_RUNNING,
	FAULT_VM_NOT_RUNNING,
	FAULT_VM_NOT_STOPPED,
	FAULT_VM_FENCED,
	FAULT_VM_GONE,
	FAULT_SESSION_NOT_READY,
	FAULT_SESSION_ENDED,
	FAULT_LEASE_EXPIRED,
	FAULT_ALREADY_ATTACHED,
	FAULT_NOT_ATTACHED,
	FAULT_CONSOLE_UNSUPPORTED,
	FAULT_CONSOLE_READ_ONLY,
	FAULT_WRITER_TAKEN,
	FAULT_DISPLAY_UNSUPPORTED,
	FAULT_IMAGE_MISSING,
	FAULT_IMAGE_DAMAGED,
	FAULT_STACK_MISSING,
	/* the machinery */
	FAULT_NO_CAPACITY,
	FAULT_HOST_AWAY,
	FAULT_HYPERVISOR_AWAY,
	FAULT_HYPERVISOR_FAILED,
	FAULT_DVM_TIMEOUT,
	FAULT_DVM_LOST,
	FAULT_RELAY_LOST,
	FAULT_STORE_FULL,
	FAULT_DISK_FULL,
	FAULT_TIMEOUT,
	FAULT_CANCELLED,
	FAULT_NOT_SUPPORTED,
	FAULT_PROTOCOL,
	FAULT_INTERNAL,
	_FAULT_MAX,
};

#define FAULT_MESSAGE_MAX 240
#define FAULT_HINT_MAX 240

/* Plain value: copied by assignment, nothing to free. `{ 0 }` means no fault. */
struct fault {
	enum fault_code code;
	char message[FAULT_MESSAGE_MAX];
	char hint[FAULT_HINT_MAX];
};

/* Stable name as in `"code": "vm-in-session"`; never NULL. */
const char *fault_code_name(enum fault_code code);
/* FAULT_INTERNAL for a name that is not in the table. */
enum fault_code fault_code_parse(const char *name);
/* Title for problem+json, HTTP status 400..599, the CLI's exit code 2..125, default hint ("" if
 * none). */
const char *fault_code_title(enum fault_code code);
int fault_code_http_status(enum fault_code code);
int fault_code_exit_status(enum fault_code code);
const char *fault_code_hint(enum fault_code code);
/* True where trying the same again later can succeed (host away, hypervisor away, time-out …). */
bool fault_code_transient(enum fault_code code);

/* Fills `f` (may be NULL: ignored) with code, text and the code's default hint. Texts are cut at
 * the maximum. Returns -EREMOTEIO, so that `return fault_set(f, …)` reads well. */
int fault_set(struct fault *f, enum fault_code code, const char *fmt, ...) _printf_(3, 4);
/* Replaces the hint. */
void fault_hint(struct fault *f, const char *fmt, ...) _printf_(2, 3);
