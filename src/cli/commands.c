/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands. */
#include "commands.h"

#define GROUP(...) ((const struct command *const[]){ __VA_ARGS__, NULL })

const struct command_group command_groups[] = {
	{ "Debug a VM", GROUP(&cmd_debug, &cmd_ssh, &cmd_console, &cmd_vnc, &cmd_gdb, &cmd_boot,
			      &cmd_screenshot, &cmd_keys, &cmd_power, &cmd_nmi, &cmd_sysrq) },
	{ "VMs", GROUP(&cmd_vm_list, &cmd_vm_show, &cmd_vm_domains, &cmd_vm_adopt, &cmd_vm_set,
		       &cmd_vm_release) },
	{ "Sessions", GROUP(&cmd_session_list, &cmd_session_show, &cmd_session_timeline,
			    &cmd_session_renew, &cmd_session_end, &cmd_stack_add) },
	{ "Disks", GROUP(&cmd_disk_attach, &cmd_disk_detach, &cmd_disk_list) },
	{ "Memory", GROUP(&cmd_memory_attach, &cmd_memory_detach, &cmd_memory_list) },
	{ "Ports", GROUP(&cmd_port_attach, &cmd_port_detach, &cmd_port_list) },
	{ "Recordings", GROUP(&cmd_record_list, &cmd_record_get, &cmd_record_play) },
	{ "What happened", GROUP(&cmd_audit, &cmd_events) },
	{ "Who may do what", GROUP(&cmd_whoami, &cmd_token_create, &cmd_token_list,
				   &cmd_token_revoke, &cmd_key_add, &cmd_key_list, &cmd_key_remove,
				   &cmd_user_create, &cmd_user_list, &cmd_project_create,
				   &cmd_project_list, &cmd_project_members, &cmd_project_member) },
	{ "D-VM images", GROUP(&cmd_image_list, &cmd_image_show, &cmd_image_build) },
	{ "Run dvm on this machine", GROUP(&cmd_up, &cmd_down) },
	{ "For other programs",
	  GROUP(&cmd_ssh_config, &cmd_proxy, &cmd_known_hosts, &cmd_complete) },
	{ "About dvm", GROUP(&cmd_help, &cmd_version) },
	{ NULL, NULL },
};
