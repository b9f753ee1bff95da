/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of the API's routes (api_routes.c), one file a resource. */
#pragma once

#include "api_call.h"

/* api_service.c */
void api_health(struct api_call *c);
void api_metrics(struct api_call *c);
void api_whoami(struct api_call *c);

/* api_vm.c */
void api_vm_list(struct api_call *c);
void api_vm_get(struct api_call *c);
void api_vm_adopt(struct api_call *c);
void api_vm_forget(struct api_call *c);
void api_vm_set(struct api_call *c);
void api_vm_act(struct api_call *c);
void api_domain_list(struct api_call *c);

/* api_screen.c */
void api_vm_keys(struct api_call *c);
void api_vm_screenshot(struct api_call *c);

/* api_session.c */
void api_session_list(struct api_call *c);
void api_session_get(struct api_call *c);
void api_session_start(struct api_call *c);
void api_session_end(struct api_call *c);
void api_session_renew(struct api_call *c);
void api_stack_add(struct api_call *c);
void api_session_timeline(struct api_call *c);

/* api_attachment.c */
void api_attachment_list(struct api_call *c);
void api_attachment_get(struct api_call *c);
void api_attach(struct api_call *c);
void api_detach(struct api_call *c);

/* api_stream.c */
void api_vm_stream(struct api_call *c);
void api_session_stream(struct api_call *c);

/* api_recording.c */
void api_recording_list(struct api_call *c);
void api_recording_get(struct api_call *c);
void api_vm_recording_list(struct api_call *c);
void api_vm_recording_get(struct api_call *c);

/* api_image.c */
void api_image_list(struct api_call *c);
void api_image_get(struct api_call *c);

/* api_events.c, api_audit.c */
void api_event_watch(struct api_call *c);
void api_audit_list(struct api_call *c);

/* api_token.c */
void api_token_list(struct api_call *c);
void api_token_make(struct api_call *c);
void api_token_revoke(struct api_call *c);

/* api_key.c */
void api_key_list(struct api_call *c);
void api_key_add(struct api_call *c);
void api_key_remove(struct api_call *c);

/* api_user.c */
void api_user_list(struct api_call *c);
void api_user_make(struct api_call *c);

/* api_project.c */
void api_project_list(struct api_call *c);
void api_project_make(struct api_call *c);
void api_member_list(struct api_call *c);
void api_member_set(struct api_call *c);

/* The same, repeated, when it was done to `object` (struct api_route). */
void api_vm_made_again(struct api_call *c, const char *object);
void api_vm_acted_again(struct api_call *c, const char *object);
bool api_vm_keys_once(const struct api_call *c);
bool api_vm_acts_once(const struct api_call *c);
void api_session_made_again(struct api_call *c, const char *object);
void api_key_made_again(struct api_call *c, const char *object);
void api_user_made_again(struct api_call *c, const char *object);
void api_project_made_again(struct api_call *c, const char *object);
