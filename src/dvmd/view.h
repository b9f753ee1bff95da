/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as the API and the D-VM show them: the schemas Vm, Session, Attachment and Fault of
 * interfaces/openapi.yaml, and no more than they have. Projects and owners are shown by name. All
 * return a new object, NULL on no memory. They show nothing of the host: no domain, no path, no
 * address.
 */
#pragma once

#include "dvmd.h"
#include "identity.h"
#include "store_session.h"
#include "store_vm.h"

/* `session`: "" or the session it is a target of, if the reader may know. */
json_t *view_vm(struct dvmd *d, const struct vm_row *vm, const char *session);
json_t *view_session(struct dvmd *d, const struct session_row *s);
json_t *view_attachment(const struct attachment_row *a);
json_t *view_fault(const struct fault *f);
json_t *view_time(usec_t realtime);
/* A page of a list. Takes `items`. `last_id`: where the next one begins; NULL: there is none. */
json_t *view_page(json_t *items, const char *last_id);
