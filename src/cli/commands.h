/* SPDX-License-Identifier: Apache-2.0 */
/* Every command, declared once; commands.c puts them into groups. */
#pragma once

#include "command.h"

extern const struct command cmd_audit;
extern const struct command cmd_boot;
extern const struct command cmd_complete;
extern const struct command cmd_console;
extern const struct command cmd_debug;
extern const struct command cmd_disk_attach;
extern const struct command cmd_disk_detach;
extern const struct command cmd_disk_list;
extern const struct command cmd_down;
extern const struct command cmd_events;
extern const struct command cmd_gdb;
extern const struct command cmd_help;
extern const struct command cmd_image_build;
extern const struct command cmd_image_list;
extern const struct command cmd_image_show;
extern const struct command cmd_key_add;
extern const struct command cmd_key_list;
extern const struct command cmd_key_remove;
extern const struct command cmd_keys;
extern const struct command cmd_known_hosts;
extern const struct command cmd_memory_attach;
extern const struct command cmd_memory_detach;
extern const struct command cmd_memory_list;
extern const struct command cmd_nmi;
extern const struct command cmd_sysrq;
extern const struct command cmd_port_attach;
extern const struct command cmd_port_detach;
extern const struct command cmd_port_list;
extern const struct command cmd_power;
extern const struct command cmd_project_create;
extern const struct command cmd_project_list;
extern const struct command cmd_project_member;
extern const struct command cmd_project_members;
extern const struct command cmd_proxy;
extern const struct command cmd_record_get;
extern const struct command cmd_record_list;
extern const struct command cmd_record_play;
extern const struct command cmd_screenshot;
extern const struct command cmd_session_end;
extern const struct command cmd_session_list;
extern const struct command cmd_session_renew;
extern const struct command cmd_stack_add;
extern const struct command cmd_session_show;
extern const struct command cmd_session_timeline;
extern const struct command cmd_ssh;
extern const struct command cmd_ssh_config;
extern const struct command cmd_token_create;
extern const struct command cmd_token_list;
extern const struct command cmd_token_revoke;
extern const struct command cmd_up;
extern const struct command cmd_user_create;
extern const struct command cmd_user_list;
extern const struct command cmd_version;
extern const struct command cmd_vm_adopt;
extern const struct command cmd_vm_set;
extern const struct command cmd_vm_domains;
extern const struct command cmd_vm_list;
extern const struct command cmd_vm_release;
extern const struct command cmd_vm_show;
extern const struct command cmd_vnc;
extern const struct command cmd_whoami;
