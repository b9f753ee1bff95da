/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's domain XML, https://libvirt.org/formatdomain.html: written for D-VMs, read for any
 * domain. Text of others only ever enters it as escaped text, so a name cannot become markup.
 */
#pragma once

#include "hypervisor.h"

/* The element in a D-VM's <metadata> that makes it ours: <session id='…' image='…' owner='…'/>. */
#define DVM_XML_NAMESPACE "urn:dvm:domain:1"
#define DVM_XML_PREFIX "dvm"
#define DVM_DOMAIN_PREFIX "dvm-"
#define DVM_TUNNEL_CHANNEL "org.dvm.tunnel.0"
/* Before the name of a port that arrives as a virtio-serial port. */
#define DVM_PORT_CHANNEL "org.dvm.port."

/* True where the CPU and the kernel can run guests in hardware; else D-VMs are emulated. */
bool kvm_usable(void);

/* The whole domain of a D-VM. Free with free(). -ENOMEM. */
int domain_xml_dvm(const struct dvm_spec *spec, bool kvm, char **ret) _must_check_;
/* Our metadata element, which says whose D-VM it is. */
int domain_xml_metadata(const char *session, const char *image, const char *owner,
			char **ret) _must_check_;
/* A <disk> for hot-plug as `target_dev` ("vdb"). */
int domain_xml_disk(const struct dvm_disk *disk, const char *target_dev, char **ret) _must_check_;

/* Where a running domain's console is. */
enum console_backend {
	CONSOLE_BACKEND_NONE,  /* no console device */
	CONSOLE_BACKEND_OTHER, /* one that nobody can connect to */
	CONSOLE_BACKEND_PTY,
	CONSOLE_BACKEND_UNIX,
	CONSOLE_BACKEND_TCP,
	CONSOLE_BACKEND_FILE,
};

struct console_place {
	enum console_backend backend;
	char *path;	   /* pty, unix, file */
	char *host, *port; /* tcp */
	char *log;	   /* <log file>, NULL if none */
	char alias[64];	   /* of the device; "" if it has none (an inactive domain) */
};
void console_place_fini(struct console_place *place);

/* Everything of struct domain_info but uuid, state and sizes; `ret_place` (may be NULL) is the
 * first serial port, else the first console, of that very run. -EBADMSG for XML that is not a
 * domain, -ENOMEM. */
int domain_xml_read(const char *xml, struct domain_info *ret,
		    struct console_place *ret_place) _must_check_;
/* Where a port of a domain is; backend CONSOLE_BACKEND_NONE where there is no such port. */
int domain_xml_read_port(const char *xml, enum vm_port port,
			 struct console_place *ret) _must_check_;
/* What the watchdog of a domain does when it barks, as the emulator calls it ("reset", "pause");
 * -ENOENT where there is none. */
#define WATCHDOG_ACTION_MAX 15
int domain_xml_read_watchdog(const char *xml, char ret[WATCHDOG_ACTION_MAX + 1]) _must_check_;
/* A <serial> or <channel> for hot-plug, whose host's end is a socket at `path`. */
int domain_xml_dvm_port(const struct dvm_port *port, const char *path, char **ret) _must_check_;
/* The element with that socket, as it stands, and where the guest finds it; -ENOENT. */
int domain_xml_read_dvm_port(const char *xml, const char *path, char **ret_xml,
			     char ret_place[DVM_PORT_PLACE_MAX + 1]) _must_check_;
/* A D-VM's tunnel socket, and whether its agent has the other end open; -ENOENT if the XML has
 * none. */
int domain_xml_read_tunnel(const char *xml, char **ret_path, bool *ret_open) _must_check_;
/* The <disk> element with that serial, as it stands, for detaching; -ENOENT. */
int domain_xml_read_disk(const char *xml, const char *serial, char **ret_disk_xml) _must_check_;
/* First of vda … vdz, vdaa … that no disk in `info` has. */
int domain_free_dev(const struct domain_info *info, char ret_dev[16]) _must_check_;
/* Our metadata element. -EBADMSG. */
int domain_xml_read_metadata(const char *xml, char ret_session[DVM_SESSION_MAX + 1],
			     char ret_owner[DVM_OWNER_MAX + 1]) _must_check_;
