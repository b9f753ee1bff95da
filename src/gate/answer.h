/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP answers that the gate gives itself. */
#pragma once

#include "buf.h"
#include "fault.h"

/* Appends a whole answer: application/problem+json for `f`, and "Connection: close". */
int answer_fault(struct buf *out, const struct fault *f, const char *request_id) _must_check_;
/* Appends "101 Switching Protocols" with the accept key and, if not NULL, the subprotocol. */
int answer_switch(struct buf *out, const char *accept, const char *protocol,
		  const char *request_id) _must_check_;
