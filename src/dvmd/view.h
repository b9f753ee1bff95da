/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as the API and the D-VM show them. Times are RFC 3339, null where there is none yet. All
 * return a new object, NULL on no memory. They show nothing of the host: no domain, no path, no
 * address.
 *
 * The schemas Vm, VmDetail, Session, Attachment and Fault of interfaces/openapi.yaml, and no more
 * than they have (an unknown member fails a test). Projects and owners are shown by name.
 *
 * VM: {"id","name","project":NAME,"state","state_at","session":ID|null,"fenced":bool,"created"}
 *             vm_get() adds "hardware": null |
 *             {"memory_mib","vcpus","disks":[{"dev","size_bytes","readonly","kind"}],
 *              "consoles":[{"type","usable"}],"graphics":["vnc"]}
 * session:
 * {"id","project":NAME,"owner":NAME,"state","state_at","image":null|TEXT,"stacks":[],"placement",
 *              "targets":[{"vm","name"}] by number,"attachments":[…],"address":"ID.dvm",
 *              "host_key":null|TEXT,"lease_s","lease_expires","created","ready_at","ended",
 *              "end_reason":null|TEXT,"fault":null|{…}}; session_get() adds
 * "timeline":[{"state","at"}] attachment:
 * {"id","vm","kind","mode","state","devices":[],"created","fault":null|{…}} fault:
 * {"code","message","hint"}
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
