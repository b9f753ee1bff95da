/* SPDX-License-Identifier: Apache-2.0 */
/* Every method and path of the API, as interfaces/openapi.yaml has them. */
#include "api_handlers.h"
#include "router.h"

/* clang-format off */
const struct api_route api_routes[] = {
	{ "GET", "/healthz", NULL, api_health, no_query, NULL, API_PUBLIC },
	{ "GET", "/metrics", NULL, api_metrics, no_query, NULL, API_PUBLIC },
	{ "GET", "/v1/whoami", NULL, api_whoami, no_query, NULL, 0 },

	{ "GET", "/v1/vms", NULL, api_vm_list, vm_list_query, NULL, 0 },
	{ "POST", "/v1/vms", "vm.adopt", api_vm_adopt, no_query, vm_adopt_fields, API_MADE,
	  api_vm_made_again },
	{ "GET", "/v1/domains", NULL, api_domain_list, no_query, NULL, 0 },
	{ "GET", "/v1/vms/{vm}", NULL, api_vm_get, no_query, NULL, 0 },
	{ "DELETE", "/v1/vms/{vm}", "vm.release", api_vm_forget, no_query, NULL, 0 },
	{ "PUT", "/v1/vms/{vm}/settings", "vm.set", api_vm_set, no_query, vm_set_fields, 0 },
	{ "POST", "/v1/vms/{vm}/actions", "vm.power", api_vm_act, no_query, vm_action_fields, 0,
	  api_vm_acted_again, api_vm_acts_once },
	{ "POST", "/v1/vms/{vm}/keys", "vm.keys", api_vm_keys, no_query, vm_keys_fields, 0, NULL, api_vm_keys_once },
	{ "GET", "/v1/vms/{vm}/screenshot", "vm.screenshot", api_vm_screenshot, no_query, NULL, 0 },
	{ "GET", "/v1/vms/{vm}/recordings", NULL, api_vm_recording_list, no_query, NULL, 0 },
	{ "GET", "/v1/vms/{vm}/recordings/{recording}", NULL, api_vm_recording_get, no_query, NULL, 0 },
	{ "POST", "/v1/vms/{vm}/streams", "stream.open", api_vm_stream, no_query, vm_stream_open_fields, API_SECRET },

	{ "GET", "/v1/sessions", NULL, api_session_list, session_list_query, NULL, 0 },
	{ "POST", "/v1/sessions", "session.create", api_session_start, no_query, session_start_fields, API_MADE,
	  api_session_made_again },
	{ "GET", "/v1/sessions/{session}", NULL, api_session_get, no_query, NULL, 0 },
	{ "DELETE", "/v1/sessions/{session}", "session.end", api_session_end, no_query, NULL, 0 },
	{ "POST", "/v1/sessions/{session}/renew", "session.renew", api_session_renew, no_query, session_renew_fields,
	  API_BODY_OPTIONAL },
	{ "POST", "/v1/sessions/{session}/stacks", "session.stack", api_stack_add, no_query, stack_add_fields, 0 },
	{ "GET", "/v1/sessions/{session}/timeline", NULL, api_session_timeline, seq_query, NULL, 0 },
	{ "POST", "/v1/sessions/{session}/streams", "stream.open", api_session_stream, no_query,
	  session_stream_open_fields, API_SECRET },
	{ "GET", "/v1/sessions/{session}/attachments", NULL, api_attachment_list, no_query, NULL, 0 },
	{ "POST", "/v1/sessions/{session}/attachments", "session.attach", api_attach, no_query, attach_fields,
	  API_MADE },
	{ "GET", "/v1/sessions/{session}/attachments/{attachment}", NULL, api_attachment_get, no_query, NULL, 0 },
	{ "DELETE", "/v1/sessions/{session}/attachments/{attachment}", "session.detach", api_detach, no_query, NULL,
	  0 },
	{ "GET", "/v1/sessions/{session}/recordings", NULL, api_recording_list, no_query, NULL, 0 },
	{ "GET", "/v1/sessions/{session}/recordings/{recording}", NULL, api_recording_get, no_query, NULL, 0 },

	{ "GET", "/v1/images", NULL, api_image_list, no_query, NULL, 0 },
	{ "GET", "/v1/images/{image}", NULL, api_image_get, no_query, NULL, 0 },

	{ "GET", "/v1/events", NULL, api_event_watch, event_query, NULL, 0 },
	{ "GET", "/v1/audit", NULL, api_audit_list, audit_query, NULL, 0 },

	{ "GET", "/v1/tokens", NULL, api_token_list, page_query, NULL, 0 },
	{ "POST", "/v1/tokens", "token.create", api_token_make, no_query, token_make_fields,
	  API_MADE | API_SECRET | API_BODY_OPTIONAL },
	{ "DELETE", "/v1/tokens/{token}", "token.revoke", api_token_revoke, no_query, NULL, 0 },
	{ "GET", "/v1/keys", NULL, api_key_list, page_query, NULL, 0 },
	{ "POST", "/v1/keys", "key.add", api_key_add, no_query, key_add_fields, API_MADE, api_key_made_again },
	{ "DELETE", "/v1/keys/{key}", "key.remove", api_key_remove, no_query, NULL, 0 },
	{ "GET", "/v1/users", NULL, api_user_list, page_query, NULL, 0 },
	{ "POST", "/v1/users", "user.create", api_user_make, no_query, user_make_fields, 0, api_user_made_again },
	{ "GET", "/v1/projects", NULL, api_project_list, page_query, NULL, 0 },
	{ "POST", "/v1/projects", "project.create", api_project_make, no_query, project_make_fields, 0,
	  api_project_made_again },
	{ "GET", "/v1/projects/{project}/members", NULL, api_member_list, no_query, NULL, 0 },
	{ "PUT", "/v1/projects/{project}/members/{user}", "member.set", api_member_set, no_query, member_set_fields,
	  0 },
};
/* clang-format on */
const size_t api_n_routes = ARRAY_SIZE(api_routes);
