/* SPDX-License-Identifier: Apache-2.0 */
/* The life of D-VMs at libvirt. */
#include "libvirt_dvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "adopted.h"
#include "clock.h"
#include "domain_xml.h"
#include "emulator_ram.h"
#include "emulator_user.h"
#include "libvirt_domain.h"
#include "log.h"
#include "parse.h"
#include "save_image.h"
#include "unix.h"

/* Where libvirt that runs as root keeps its pid files. */
#define EMULATOR_RUN_FOLDER "/run/libvirt/qemu"
#define POLL_MS 50
#define FORCED_PATIENCE_MS 5000

static int dvm_find(struct libvirt_link *l, virConnectPtr conn, const char *session,
		    virDomainPtr *ret, struct fault *fault)
{
	char name[sizeof(DVM_DOMAIN_PREFIX) + DVM_SESSION_MAX];
	char found[DVM_SESSION_MAX + 1], owner[DVM_OWNER_MAX + 1];
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	/* One that was adopted keeps the name that it was started with. */
	if (!adopted_uuid(libvirt_link_adopted(l), session, name)) {
		snprintf(name, sizeof(name), DVM_DOMAIN_PREFIX "%s", session);
	}
	r = libvirt_domain_find(l, conn, name, &domain, fault);
	if (r < 0 && fault->code != FAULT_VM_GONE) {
		return r;
	}
	/* A name alone makes no D-VM of somebody else's domain. */
	if (r < 0 || !libvirt_domain_metadata(domain, found, owner) ||
	    strcmp(found, session) != 0) {
		return fault_set(fault, FAULT_DVM_LOST, "The session's debug VM is gone");
	}
	*ret = TAKE_PTR(domain);
	return 0;
}

static int dvm_get(struct hypervisor *hv, const char *session, virDomainPtr *ret,
		   struct fault *fault)
{
	_cleanup_connection_ virConnectPtr conn = NULL;
	int r = libvirt_link_get(libvirt_link_of(hv), &conn, fault);

	return r < 0 ? r : dvm_find(libvirt_link_of(hv), conn, session, ret, fault);
}

/* Everything that differs between two sessions left out. */
int libvirt_dvm_shape(struct hypervisor *hv, const struct dvm_spec *spec, char **ret,
		      struct fault *fault)
{
	_cleanup_connection_ virConnectPtr conn = NULL;
	_cleanup_free_ char *xml = NULL;
	struct dvm_spec shape = *spec;
	unsigned long emulator, library;
	int r;

	r = libvirt_link_get(libvirt_link_of(hv), &conn, fault);
	if (r < 0) {
		return r;
	}
	if (virConnectGetVersion(conn, &emulator) < 0 ||
	    virConnectGetLibVersion(conn, &library) < 0) {
		return libvirt_link_fault(libvirt_link_of(hv), fault, "tell its version");
	}
	shape.session = shape.owner = shape.log_path = "";
	shape.uid = shape.gid = 0;
	shape.paused = false; /* what its memory is made of, the guest does not see */
	if (domain_xml_dvm(&shape, kvm_usable(), &xml) == 0) {
		*ret = strf("libvirt %lu emulator %lu\n%s", library, emulator, xml);
	}
	return xml && *ret ? 0 : fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

/* The domain as it was when its memory was saved, under the name of this one. */
static int domain_restore(struct hypervisor *hv, virConnectPtr conn, const struct dvm_spec *spec,
			  const char *xml, struct fault *fault)
{
	char name[sizeof(DVM_DOMAIN_PREFIX) + DVM_SESSION_MAX];
	int r = save_image_set_domain(spec->memory, xml);

	if (r < 0) {
		return fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The debug VM's memory image cannot be used: %s", strerror(-r));
	}
	if (virDomainRestoreFlags(conn, spec->memory, NULL, VIR_DOMAIN_SAVE_PAUSED) < 0) {
		return libvirt_link_fault(libvirt_link_of(hv), fault,
					  "start the debug VM from its memory image");
	}
	if (!spec->paused) {
		return libvirt_dvm_resume(hv, spec->session, fault);
	}
	snprintf(name, sizeof(name), DVM_DOMAIN_PREFIX "%s", spec->session);
	/* The emulator touched every page when it read the image. Where libvirt is the user's own,
	 * its folder is another one, and the memory stays. */
	r = emulator_ram_trim(EMULATOR_RUN_FOLDER, name, (uint64_t)spec->memory_mib << 20);
	if (r < 0) {
		log_debug("%s: its memory stays as it is: %s", name, strerror(-r));
	}
	return 0;
}

int libvirt_dvm_create(struct hypervisor *hv, const struct dvm_spec *spec, struct fault *fault)
{
	_cleanup_connection_ virConnectPtr conn = NULL;
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_free_ char *xml = NULL;
	struct dvm_spec spec_here = *spec;
	bool kvm = kvm_usable();
	struct fault none;
	int r;

	r = libvirt_link_get(libvirt_link_of(hv), &conn, fault);
	if (r < 0) {
		return r;
	}
	if (dvm_find(libvirt_link_of(hv), conn, spec->session, &domain, &none) == 0) {
		return 0;
	}
	if (spec->uid) {
		r = emulator_folder_open(EMULATOR_FOLDER);
		if (r < 0) {
			return fault_set(fault, FAULT_HYPERVISOR_FAILED,
					 "The debug VM's user cannot be let in: %s", strerror(-r));
		}
		if (kvm) {
			spec_here.gid = emulator_group("/dev/kvm", spec->gid);
		}
	}
	r = domain_xml_dvm(&spec_here, kvm, &xml);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	if (spec->memory) {
		return domain_restore(hv, conn, spec, xml, fault);
	}
	domain = virDomainCreateXML(conn, xml, 0);
	if (!domain) {
		return libvirt_link_fault(libvirt_link_of(hv), fault, "start the debug VM");
	}
	return 0;
}

int libvirt_dvm_save(struct hypervisor *hv, const char *session, const char *path,
		     struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	r = dvm_get(hv, session, &domain, fault);
	if (r == 0 && virDomainSaveFlags(domain, path, NULL, VIR_DOMAIN_SAVE_RUNNING) < 0) {
		r = libvirt_link_fault(libvirt_link_of(hv), fault,
				       "save the debug VM's memory image");
	}
	return r;
}

int libvirt_dvm_destroy(struct hypervisor *hv, const char *session, struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	r = dvm_get(hv, session, &domain, fault);
	if (r < 0) {
		return fault->code == FAULT_DVM_LOST ? 0 : r;
	}
	if (virDomainDestroy(domain) < 0 && libvirt_domain_state(domain) != DOMAIN_OFF) {
		return libvirt_link_fault(libvirt_link_of(hv), fault, "remove the debug VM");
	}
	adopted_remove(libvirt_link_adopted(libvirt_link_of(hv)), session);
	return 0;
}

/* What goes wrong because the D-VM has just ended is told as that. */
static int dvm_lost(virDomainPtr domain, int r, struct fault *fault)
{
	return r < 0 && libvirt_domain_state(domain) == DOMAIN_OFF
		       ? fault_set(fault, FAULT_DVM_LOST, "The session's debug VM is gone")
		       : r;
}

int libvirt_dvm_get(struct hypervisor *hv, const char *session, struct domain_info *ret,
		    struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	r = dvm_get(hv, session, &domain, fault);
	if (r == 0) {
		r = dvm_lost(domain,
			     libvirt_domain_info(libvirt_link_of(hv), domain, ret, NULL, fault),
			     fault);
	}
	return r;
}

static int dvm_power(struct hypervisor *hv, const char *session, enum power_verb verb,
		     struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	int r;

	r = dvm_get(hv, session, &domain, fault);
	if (r == 0) {
		r = libvirt_domain_power(libvirt_link_of(hv), domain, verb,
					 libvirt_domain_state(domain), fault);
		r = dvm_lost(domain, r, fault);
	}
	return r;
}

int libvirt_dvm_resume(struct hypervisor *hv, const char *session, struct fault *fault)
{
	return dvm_power(hv, session, POWER_RESUME, fault);
}

int libvirt_dvm_pause(struct hypervisor *hv, const char *session, struct fault *fault)
{
	return dvm_power(hv, session, POWER_PAUSE, fault);
}

/* The metadata is where it stands whose it is: changed in one step, and kept by libvirt. */
int libvirt_dvm_adopt(struct hypervisor *hv, const struct dvm_adoption *adoption,
		      struct fault *fault)
{
	struct libvirt_link *l = libvirt_link_of(hv);
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_free_ char *xml = NULL;
	char uuid[VIR_UUID_STRING_BUFLEN];
	int r;

	r = dvm_get(hv, adoption->member, &domain, fault);
	if (r < 0) {
		return r;
	}
	if (domain_xml_metadata(adoption->session, adoption->image, adoption->owner, &xml) < 0 ||
	    virDomainGetUUIDString(domain, uuid) < 0 ||
	    adopted_put(libvirt_link_adopted(l), adoption->session, uuid) < 0) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, xml, DVM_XML_PREFIX,
				 DVM_XML_NAMESPACE, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		r = libvirt_link_fault(l, fault, "hand the debug VM over");
		adopted_remove(libvirt_link_adopted(l), adoption->session);
		return dvm_lost(domain, r, fault);
	}
	return 0;
}

static int tunnel_read(struct hypervisor *hv, const char *session, char **ret_path, bool *ret_open,
		       struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_free_ char *xml = NULL;
	int r;

	r = dvm_get(hv, session, &domain, fault);
	if (r == 0) {
		r = libvirt_domain_xml(libvirt_link_of(hv), domain, &xml, fault);
	}
	if (r < 0) {
		return r;
	}
	r = domain_xml_read_tunnel(xml, ret_path, ret_open);
	return r < 0 ? libvirt_read_fault(r, fault) : 0;
}

int libvirt_dvm_settled(struct hypervisor *hv, const char *session, bool *ret, struct fault *fault)
{
	_cleanup_free_ char *path = NULL;

	return tunnel_read(hv, session, &path, ret, fault);
}

int libvirt_dvm_tunnel_open(struct hypervisor *hv, const char *session, int *ret_fd,
			    struct fault *fault)
{
	_cleanup_free_ char *path = NULL;
	bool open;
	int r;

	r = tunnel_read(hv, session, &path, &open, fault);
	if (r < 0) {
		return r;
	}
	r = unix_connect(path, ret_fd);
	if (r < 0) {
		return fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The debug VM's channel could not be opened: %s", strerror(-r));
	}
	return 0;
}

static const struct domain_disk *disk_with_serial(const struct domain_info *info,
						  const char *serial)
{
	for (size_t i = 0; i < info->n_disks; i++) {
		if (strcmp(info->disks[i].serial, serial) == 0) {
			return &info->disks[i];
		}
	}
	return NULL;
}

int libvirt_dvm_disk_attach(struct hypervisor *hv, const struct dvm_disk *disk, struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	_cleanup_free_ char *xml = NULL;
	const struct domain_disk *there;
	char dev[16];
	int r;

	r = dvm_get(hv, disk->session, &domain, fault);
	if (r == 0) {
		r = libvirt_domain_info(libvirt_link_of(hv), domain, &info, NULL, fault);
	}
	if (r < 0) {
		return r;
	}
	there = disk_with_serial(&info, disk->serial);
	if (there && there->readonly == disk->readonly) {
		return 0;
	}
	if (there) {
		fault_set(fault, FAULT_ALREADY_ATTACHED, "The disk is attached in another mode");
		fault_hint(fault, "Detach it first.");
		return -EREMOTEIO;
	}
	r = domain_free_dev(&info, dev);
	if (r < 0) {
		return fault_set(fault, FAULT_NO_CAPACITY,
				 "The debug VM has no place for another disk");
	}
	r = domain_xml_disk(disk, dev, &xml);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	if (virDomainAttachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		return libvirt_link_fault(libvirt_link_of(hv), fault, "attach the disk");
	}
	return 0;
}

/* libvirt drops a disk from the live XML when the emulator says DEVICE_DELETED, and not before.
 * Looking there instead of waiting for the event also works across a reconnect. 1: gone, 0: still
 * there. */
static int disk_wait_gone(struct libvirt_link *l, virDomainPtr domain, const char *serial,
			  unsigned patience_ms, struct fault *fault)
{
	usec_t until = clock_monotonic() + patience_ms * USEC_PER_MSEC;

	for (;;) {
		_cleanup_free_ char *xml = NULL, *disk = NULL;
		int r;

		r = libvirt_domain_xml(l, domain, &xml, fault);
		if (r < 0) {
			return fault->code == FAULT_VM_GONE ? 1 : r;
		}
		r = domain_xml_read_disk(xml, serial, &disk);
		if (r == -ENOENT) {
			return 1;
		}
		if (r < 0) {
			return libvirt_read_fault(r, fault);
		}
		if (clock_monotonic() >= until) {
			return 0;
		}
		usleep(POLL_MS * 1000);
	}
}

int libvirt_dvm_disk_detach(struct hypervisor *hv, const char *session, const char *serial,
			    unsigned patience_ms, struct fault *fault)
{
	struct libvirt_link *l = libvirt_link_of(hv);
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_free_ char *xml = NULL, *disk = NULL;
	int r;

	r = dvm_get(hv, session, &domain, fault);
	if (r == 0) {
		r = libvirt_domain_xml(l, domain, &xml, fault);
	}
	if (r < 0) {
		return fault->code == FAULT_DVM_LOST || fault->code == FAULT_VM_GONE ? 0 : r;
	}
	r = domain_xml_read_disk(xml, serial, &disk);
	if (r == -ENOENT) {
		return 0;
	}
	if (r < 0) {
		return libvirt_read_fault(r, fault);
	}
	/* A paused guest never answers an unplug request. An error here may mean "asked already":
	 * wait all the same. */
	libvirt_domain_power(l, domain, POWER_RESUME, libvirt_domain_state(domain), fault);
	if (virDomainDetachDeviceFlags(domain, disk, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		libvirt_link_fault(l, fault, "detach the disk");
	}
	r = disk_wait_gone(l, domain, serial, patience_ms, fault);
	if (r != 0) {
		return r < 0 ? r : 0;
	}
	/* The emulator completes pending unplugs at a reset, whatever the guest does. */
	if (virDomainReset(domain, 0) == 0) {
		r = disk_wait_gone(l, domain, serial, FORCED_PATIENCE_MS, fault);
		if (r != 0) {
			return r < 0 ? r : 0;
		}
	}
	return libvirt_dvm_destroy(hv, session, fault);
}

/* Beside the tunnel's socket, in a folder of the domain's own: where the emulator's user may make
 * it. */
static int dvm_port_path(const char *xml, const struct dvm_port *port, char **ret,
			 struct fault *fault)
{
	_cleanup_free_ char *tunnel = NULL;
	char *path, *slash;
	bool open;
	int r = domain_xml_read_tunnel(xml, &tunnel, &open);

	if (r < 0) {
		return libvirt_read_fault(r, fault);
	}
	slash = strrchr(tunnel, '/');
	path = slash ? strf("%.*s/%s", (int)(slash - tunnel), tunnel, port->name) : NULL;
	if (!path) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	*ret = path;
	return 0;
}

struct dvm_port_state {
	char *path;
	char *xml; /* of the device; NULL: it is not there */
	char place[DVM_PORT_PLACE_MAX + 1];
};

static void dvm_port_state_fini(struct dvm_port_state *s)
{
	free(s->path);
	free(s->xml);
}

static int dvm_port_look(struct libvirt_link *l, virDomainPtr domain, const struct dvm_port *port,
			 struct dvm_port_state *ret, struct fault *fault)
{
	_cleanup_free_ char *xml = NULL;
	int r = libvirt_domain_xml(l, domain, &xml, fault);

	dvm_port_state_fini(ret);
	*ret = (struct dvm_port_state){ 0 };
	if (r == 0) {
		r = dvm_port_path(xml, port, &ret->path, fault);
	}
	if (r < 0) {
		return r;
	}
	r = domain_xml_read_dvm_port(xml, ret->path, &ret->xml, ret->place);
	return r == -ENOENT || r == 0 ? 0 : libvirt_read_fault(r, fault);
}

/* The D-VM and how the port stands in it. */
static int dvm_port_find(struct hypervisor *hv, const struct dvm_port *port,
			 virDomainPtr *ret_domain, struct dvm_port_state *ret, struct fault *fault)
{
	int r = dvm_get(hv, port->session, ret_domain, fault);

	if (r == 0) {
		r = dvm_port_look(libvirt_link_of(hv), *ret_domain, port, ret, fault);
		r = dvm_lost(*ret_domain, r, fault);
	}
	return r;
}

int libvirt_dvm_port_attach(struct hypervisor *hv, const struct dvm_port *port,
			    char ret_place[DVM_PORT_PLACE_MAX + 1], struct fault *fault)
{
	struct libvirt_link *l = libvirt_link_of(hv);
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(dvm_port_state_fini) struct dvm_port_state state = { 0 };
	_cleanup_free_ char *xml = NULL;
	int r = dvm_port_find(hv, port, &domain, &state, fault);

	if (r == 0 && !state.xml) {
		if (domain_xml_dvm_port(port, state.path, &xml) < 0) {
			return fault_set(fault, FAULT_INTERNAL, "Out of memory");
		}
		if (virDomainAttachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_LIVE) < 0) {
			r = libvirt_link_fault(l, fault, "attach the port");
		} else {
			r = dvm_port_look(l, domain, port, &state, fault);
		}
	}
	if (r < 0) {
		return dvm_lost(domain, r, fault);
	}
	if (!state.xml) {
		return fault_set(fault, FAULT_HYPERVISOR_FAILED, "The port did not appear");
	}
	strcpy(ret_place, state.place);
	return 0;
}

int libvirt_dvm_port_open(struct hypervisor *hv, const struct dvm_port *port, int *ret_fd,
			  struct fault *fault)
{
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(dvm_port_state_fini) struct dvm_port_state state = { 0 };
	int r = dvm_port_find(hv, port, &domain, &state, fault);

	if (r < 0) {
		return r;
	}
	r = unix_connect(state.path, ret_fd);
	return r < 0 ? fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The debug VM's port could not be opened: %s", strerror(-r))
		     : 0;
}

int libvirt_dvm_port_detach(struct hypervisor *hv, const struct dvm_port *port,
			    unsigned patience_ms, struct fault *fault)
{
	struct libvirt_link *l = libvirt_link_of(hv);
	_cleanup_domain_ virDomainPtr domain = NULL;
	_cleanup_(dvm_port_state_fini) struct dvm_port_state state = { 0 };
	usec_t until = clock_monotonic() + patience_ms * USEC_PER_MSEC;
	int r = dvm_port_find(hv, port, &domain, &state, fault);

	if (r < 0) {
		return fault->code == FAULT_DVM_LOST || fault->code == FAULT_VM_GONE ? 0 : r;
	}
	if (!state.xml) {
		return 0;
	}
	/* An error here may mean "asked already": it is looked at all the same. */
	if (virDomainDetachDeviceFlags(domain, state.xml, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		libvirt_link_fault(l, fault, "detach the port");
	}
	do {
		r = dvm_port_look(l, domain, port, &state, fault);
		if (r < 0) {
			return fault->code == FAULT_VM_GONE ? 0 : r;
		}
		if (!state.xml) {
			break;
		}
		usleep(POLL_MS * 1000);
	} while (clock_monotonic() < until);
	return 0;
}
