/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the domain XML of D-VMs.
 *
 * What a D-VM may see of its host is decided here: SMBIOS tables with our texts instead of the
 * emulator's (types 0 to 3 through <sysinfo>, 4 and 17 by arguments, since libvirt has no element
 * for them), a CPU model without a version in its name, no emulated IDE or USB device (their names
 * carry the emulator's version), no network.
 */
#include "domain_xml.h"

#include <errno.h>
#include <libxml/xmlwriter.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "file.h"

#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"
/* Known to every QEMU, in every CPU since 2008, and says nothing about the emulator. */
#define DVM_CPU_MODEL "Nehalem"
/* Fills the kernel's random pool at its start: the first login need not wait for virtio-rng, whose
 * PCI device an emulated guest enables in 0.1 s. */
#define DVM_CPU_FEATURE "rdrand"
/* QEMU's default under TCG is an eighth of the guest's memory up to 1 GiB of host memory. */
#define DVM_TCG_CACHE_MIB "64"
#define NBD_RECONNECT_SECONDS "5"

/* Collects the first failure, so that the text below reads as what it writes. */
struct xml {
	xmlBuffer *text;
	xmlTextWriter *writer; /* NULL when out of memory: libxml2 then fails each call */
	bool failed;
};

static void xml_open(struct xml *x, const char *name)
{
	x->failed |= xmlTextWriterStartElement(x->writer, BAD_CAST name) < 0;
}

static void xml_close(struct xml *x)
{
	x->failed |= xmlTextWriterEndElement(x->writer) < 0;
}

static void xml_attr(struct xml *x, const char *name, const char *value)
{
	x->failed |= xmlTextWriterWriteAttribute(x->writer, BAD_CAST name, BAD_CAST value) < 0;
}

static void xml_text(struct xml *x, const char *name, const char *text)
{
	x->failed |= xmlTextWriterWriteElement(x->writer, BAD_CAST name, BAD_CAST text) < 0;
}

/* <name a='av'/>, <name a='av' b='bv'/> */
static void xml_leaf(struct xml *x, const char *name, const char *a, const char *av, const char *b,
		     const char *bv)
{
	xml_open(x, name);
	if (a) {
		xml_attr(x, a, av);
	}
	if (b) {
		xml_attr(x, b, bv);
	}
	xml_close(x);
}

static void xml_sysinfo_entry(struct xml *x, const char *name, const char *text)
{
	xml_open(x, "entry");
	xml_attr(x, "name", name);
	x->failed |= xmlTextWriterWriteString(x->writer, BAD_CAST text) < 0;
	xml_close(x);
}

static void xml_sysinfo(struct xml *x)
{
	xml_open(x, "sysinfo");
	xml_attr(x, "type", "smbios");
	xml_open(x, "bios");
	xml_sysinfo_entry(x, "vendor", "dvm");
	xml_sysinfo_entry(x, "version", "1");
	xml_sysinfo_entry(x, "date", "01/01/2020");
	xml_close(x);
	xml_open(x, "system");
	xml_sysinfo_entry(x, "manufacturer", "dvm");
	xml_sysinfo_entry(x, "product", "debug VM");
	xml_sysinfo_entry(x, "version", "1");
	xml_close(x);
	xml_open(x, "baseBoard");
	xml_sysinfo_entry(x, "manufacturer", "dvm");
	xml_sysinfo_entry(x, "product", "debug VM");
	xml_sysinfo_entry(x, "version", "1");
	xml_close(x);
	xml_open(x, "chassis");
	xml_sysinfo_entry(x, "manufacturer", "dvm");
	xml_sysinfo_entry(x, "version", "1");
	xml_close(x);
	xml_close(x);
}

static void xml_layer(struct xml *x, const struct dvm_layer *layer, const char *dev)
{
	xml_open(x, "disk");
	xml_attr(x, "type", "file");
	xml_attr(x, "device", "disk");
	xml_open(x, "driver");
	xml_attr(x, "name", "qemu");
	xml_attr(x, "type", "raw");
	/* Through the page cache, which all D-VMs of an image share. */
	xml_attr(x, "cache", "writeback");
	xml_close(x);
	xml_leaf(x, "source", "file", layer->path, NULL, NULL);
	xml_leaf(x, "target", "dev", dev, "bus", "virtio");
	xml_leaf(x, "readonly", NULL, NULL, NULL, NULL);
	xml_leaf(x, "shareable", NULL, NULL, NULL, NULL);
	xml_text(x, "serial", layer->name);
	xml_close(x);
}

static void xml_devices(struct xml *x, const struct dvm_spec *spec)
{
	xml_open(x, "devices");
	for (size_t i = 0; i < spec->n_layers; i++) {
		char dev[] = { 'v', 'd', (char)('a' + i), 0 };

		xml_layer(x, &spec->layers[i], dev);
	}
	xml_leaf(x, "controller", "type", "usb", "model", "none");
	xml_leaf(x, "controller", "type", "pci", "model", "pci-root");
	xml_leaf(x, "controller", "type", "virtio-serial", "ports", "16");

	xml_open(x, "serial");
	xml_attr(x, "type", "file");
	xml_leaf(x, "source", "path", spec->log_path, "append", "on");
	xml_leaf(x, "target", "port", "0", NULL, NULL);
	xml_close(x);

	/* No <source>: libvirt makes the socket in the domain's own folder and tells its path. */
	xml_open(x, "channel");
	xml_attr(x, "type", "unix");
	xml_leaf(x, "target", "type", "virtio", "name", DVM_TUNNEL_CHANNEL);
	xml_close(x);

	xml_open(x, "rng");
	xml_attr(x, "model", "virtio");
	xml_open(x, "backend");
	xml_attr(x, "model", "random");
	x->failed |= xmlTextWriterWriteString(x->writer, BAD_CAST "/dev/urandom") < 0;
	xml_close(x);
	xml_close(x);
	xml_leaf(x, "memballoon", "model", "none", NULL, NULL);
	xml_close(x);
}

static void xml_qemu_arguments(struct xml *x)
{
	static const char *const args[] = {
		"-smbios",
		"type=4,manufacturer=dvm,version=1",
		"-smbios",
		"type=17,manufacturer=dvm",
	};

	xml_open(x, "qemu:commandline");
	for (size_t i = 0; i < ARRAY_SIZE(args); i++) {
		xml_leaf(x, "qemu:arg", "value", args[i], NULL, NULL);
	}
	xml_close(x);
}

/* Whose D-VM it is. */
static void xml_session_attrs(struct xml *x, const char *session, const char *image,
			      const char *owner)
{
	xml_attr(x, "id", session);
	xml_attr(x, "image", image);
	xml_attr(x, "owner", owner);
}

static void xml_domain(struct xml *x, const struct dvm_spec *spec, bool kvm)
{
	char number[32];
	char name[sizeof(DVM_DOMAIN_PREFIX) + DVM_SESSION_MAX];

	snprintf(name, sizeof(name), DVM_DOMAIN_PREFIX "%s", spec->session);
	xml_open(x, "domain");
	xml_attr(x, "type", kvm ? "kvm" : "qemu");
	xml_attr(x, "xmlns:qemu", QEMU_NAMESPACE);
	xml_text(x, "name", name);

	xml_open(x, "metadata");
	xml_open(x, DVM_XML_PREFIX ":session");
	xml_attr(x, "xmlns:" DVM_XML_PREFIX, DVM_XML_NAMESPACE);
	xml_session_attrs(x, spec->session, spec->image, spec->owner);
	xml_close(x);
	xml_close(x);

	snprintf(number, sizeof(number), "%u", spec->memory_mib);
	xml_open(x, "memory");
	xml_attr(x, "unit", "MiB");
	x->failed |= xmlTextWriterWriteString(x->writer, BAD_CAST number) < 0;
	xml_close(x);
	/* Of one that waits, a file of pages, of which each is there once it is used. Other memory
	 * the emulator wants by the 2 MiB, of which a small guest uses a part: most of 256 MiB were
	 * there. It is the faster one, for a D-VM that somebody waits for. */
	if (spec->paused) {
		xml_open(x, "memoryBacking");
		xml_leaf(x, "source", "type", "memfd", NULL, NULL);
		xml_leaf(x, "access", "mode", "shared", NULL, NULL);
		xml_close(x);
	}
	snprintf(number, sizeof(number), "%u", spec->vcpus);
	xml_text(x, "vcpu", number);

	xml_sysinfo(x);
	xml_open(x, "os");
	xml_open(x, "type");
	xml_attr(x, "arch", "x86_64");
	xml_attr(x, "machine", "pc");
	x->failed |= xmlTextWriterWriteString(x->writer, BAD_CAST "hvm") < 0;
	xml_close(x);
	if (spec->firmware) {
		xml_open(x, "loader");
		xml_attr(x, "readonly", "yes");
		xml_attr(x, "type", "rom");
		x->failed |= xmlTextWriterWriteString(x->writer, BAD_CAST spec->firmware) < 0;
		xml_close(x);
	}
	xml_text(x, "kernel", spec->kernel);
	if (spec->initrd) {
		xml_text(x, "initrd", spec->initrd);
	}
	xml_text(x, "cmdline", spec->cmdline);
	xml_leaf(x, "smbios", "mode", "sysinfo", NULL, NULL);
	xml_close(x);

	xml_open(x, "features");
	xml_leaf(x, "acpi", NULL, NULL, NULL, NULL); /* hot-plug */
	xml_leaf(x, "apic", NULL, NULL, NULL, NULL);
	if (!kvm) {
		xml_open(x, "tcg");
		xml_open(x, "tb-cache");
		xml_attr(x, "unit", "MiB");
		x->failed |= xmlTextWriterWriteString(x->writer, BAD_CAST DVM_TCG_CACHE_MIB) < 0;
		xml_close(x);
		xml_close(x);
	}
	xml_close(x);

	xml_open(x, "cpu");
	xml_attr(x, "mode", "custom");
	xml_attr(x, "match", "exact");
	xml_attr(x, "check", "none");
	xml_open(x, "model");
	xml_attr(x, "fallback", "forbid");
	x->failed |= xmlTextWriterWriteString(x->writer, BAD_CAST DVM_CPU_MODEL) < 0;
	xml_close(x);
	xml_leaf(x, "feature", "policy", "require", "name", DVM_CPU_FEATURE);
	xml_close(x);

	xml_leaf(x, "clock", "offset", "utc", NULL, NULL);
	xml_text(x, "on_poweroff", "destroy");
	xml_text(x, "on_reboot", "restart");
	xml_text(x, "on_crash", "destroy");
	xml_devices(x, spec);

	if (spec->uid) {
		snprintf(number, sizeof(number), "+%u:+%u", spec->uid, spec->gid);
		/* No relabelling: kernel and layers are shared and stay root's. */
		xml_open(x, "seclabel");
		xml_attr(x, "type", "static");
		xml_attr(x, "model", "dac");
		xml_attr(x, "relabel", "no");
		xml_text(x, "label", number);
		xml_close(x);
	}
	xml_qemu_arguments(x);
	xml_close(x);
}

/* Served on this host. A server that has died comes back at the same place, where the emulator
 * finds it with the next request; those of meanwhile fail, with a libvirt that knows <reconnect>
 * (9.0 does not) only after a moment. */
static void xml_nbd(struct xml *x, const struct dvm_disk *disk)
{
	xml_open(x, "source");
	xml_attr(x, "protocol", "nbd");
	xml_attr(x, "name", "");
	xml_leaf(x, "host", "transport", "unix", "socket", disk->source);
	xml_leaf(x, "reconnect", "delay", NBD_RECONNECT_SECONDS, NULL, NULL);
	xml_close(x);
}

static void xml_disk(struct xml *x, const struct dvm_disk *disk, const char *target_dev)
{
	bool block = disk->backend == DISK_BACKEND_BLOCK;
	bool nbd = disk->backend == DISK_BACKEND_NBD;

	xml_open(x, "disk");
	xml_attr(x, "type", nbd ? "network" : block ? "block" : "file");
	xml_attr(x, "device", "disk");
	/* The format is always stated: probing it would let a guest choose it. */
	xml_leaf(x, "driver", "name", "qemu", "type", disk->format);
	if (nbd) {
		xml_nbd(x, disk);
	} else {
		xml_leaf(x, "source", block ? "dev" : "file", disk->source, NULL, NULL);
	}
	xml_leaf(x, "target", "dev", target_dev, "bus", "virtio");
	if (disk->readonly) {
		xml_leaf(x, "readonly", NULL, NULL, NULL, NULL);
	}
	xml_text(x, "serial", disk->serial);
	xml_close(x);
}

/* A UART on the PCI bus can be plugged in, one on the ISA bus cannot. */
static void xml_port(struct xml *x, const struct dvm_port *port, const char *path)
{
	char name[sizeof(DVM_PORT_CHANNEL) + DVM_PORT_NAME_MAX];

	xml_open(x, port->parallel ? "channel" : "serial");
	xml_attr(x, "type", "unix");
	xml_leaf(x, "source", "mode", "bind", "path", path);
	if (port->parallel) {
		snprintf(name, sizeof(name), DVM_PORT_CHANNEL "%s", port->name);
		xml_leaf(x, "target", "type", "virtio", "name", name);
	} else {
		xml_leaf(x, "target", "type", "pci-serial", NULL, NULL);
	}
	xml_close(x);
}

static struct xml xml_begin(void)
{
	struct xml x = { .text = xmlBufferCreate() };

	x.writer = x.text ? xmlNewTextWriterMemory(x.text, 0) : NULL;
	x.failed = xmlTextWriterSetIndent(x.writer, 1) < 0;
	return x;
}

static int xml_end(struct xml *x, char **ret)
{
	char *copy = NULL;

	x->failed |= xmlTextWriterFlush(x->writer) < 0;
	xmlFreeTextWriter(x->writer);
	if (!x->failed) {
		copy = strdup((const char *)xmlBufferContent(x->text));
	}
	xmlBufferFree(x->text);
	if (!copy) {
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

int domain_xml_dvm(const struct dvm_spec *spec, bool kvm, char **ret)
{
	struct xml x = xml_begin();

	xml_domain(&x, spec, kvm);
	return xml_end(&x, ret);
}

int domain_xml_metadata(const char *session, const char *image, const char *owner, char **ret)
{
	struct xml x = xml_begin();

	/* libvirt puts it into the namespace. */
	xml_open(&x, "session");
	xml_session_attrs(&x, session, image, owner);
	xml_close(&x);
	return xml_end(&x, ret);
}

int domain_xml_disk(const struct dvm_disk *disk, const char *target_dev, char **ret)
{
	struct xml x = xml_begin();

	xml_disk(&x, disk, target_dev);
	return xml_end(&x, ret);
}

int domain_xml_dvm_port(const struct dvm_port *port, const char *path, char **ret)
{
	struct xml x = xml_begin();

	xml_port(&x, port, path);
	return xml_end(&x, ret);
}

/* /dev/kvm alone does not tell: it can exist where the CPU cannot run a guest, which then hangs. */
bool kvm_usable(void)
{
	_cleanup_free_ char *text = NULL;
	char *flags, *end;
	size_t len;

	if (access("/dev/kvm", R_OK | W_OK) < 0 ||
	    file_read("/proc/cpuinfo", 4 << 20, &text, &len) < 0) {
		return false;
	}
	flags = strstr(text, "\nflags");
	if (!flags) {
		return false;
	}
	end = strchr(flags + 1, '\n');
	if (end) {
		*end = 0;
	}
	return strstr(flags, " svm") || strstr(flags, " vmx");
}
