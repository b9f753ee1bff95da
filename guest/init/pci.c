/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which PCI devices get their driver at once, and which later.
 *
 * Enabling a PCI device is slow in an emulated machine (for its interrupt the kernel interprets the
 * root bus's _PRT, which is likely the larger part). So only what the agent's start needs is probed
 * at the start; the rest when the user is already in.
 */
#include "pci.h"
#include "say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUS "/sys/bus/pci/"

/* Virtio 1.2, section 4.1.2: vendor; device 0x1000.. transitional, 0x1040 + type modern */
#define VIRTIO_VENDOR 0x1af4

static const unsigned needed_devices[] = { 0x1001, 0x1042 /* block */, 0x1003,
					   0x1043 /* console */ };
static const unsigned rng_devices[] = { 0x1005, 0x1044 };

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		r = -errno;
	}
	if (fd >= 0) {
		close(fd);
	}
	return r;
}

static unsigned read_id(const char *device, const char *attribute)
{
	char path[320], text[16] = "";
	int fd;

	snprintf(path, sizeof(path), BUS "devices/%s/%s", device, attribute);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (read(fd, text, sizeof(text) - 1) < 0) {
			text[0] = '\0';
		}
		close(fd);
	}
	return (unsigned)strtoul(text, NULL, 16);
}

static bool in_list(unsigned id, const unsigned *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i] == id) {
			return true;
		}
	}
	return false;
}

static bool wanted(const char *device, bool all, bool with_rng)
{
	unsigned id;

	if (all) {
		return true;
	}
	if (read_id(device, "vendor") != VIRTIO_VENDOR) {
		return false;
	}
	id = read_id(device, "device");
	return in_list(id, needed_devices, sizeof(needed_devices) / sizeof(needed_devices[0])) ||
	       (with_rng && in_list(id, rng_devices, sizeof(rng_devices) / sizeof(rng_devices[0])));
}

static void probe(bool all, bool with_rng)
{
	struct dirent *entry;
	DIR *dir = opendir(BUS "devices");

	if (!dir) {
		say("no PCI bus: %m");
		return;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && wanted(entry->d_name, all, with_rng)) {
			/* fails for a device that no driver wants, or that has one */
			(void)!write_text(BUS "drivers_probe", entry->d_name);
		}
	}
	closedir(dir);
}

void pci_hold(void)
{
	int r = write_text(BUS "drivers_autoprobe", "0");

	if (r < 0) {
		say("PCI probing cannot be held: %s, ignoring", strerror(-r));
	}
}

void pci_probe_needed(bool with_rng)
{
	probe(false, with_rng);
	if (write_text(BUS "drivers_autoprobe", "1") < 0) {
		say("PCI probing cannot be taken up again: nothing can be plugged in");
	}
}

void pci_probe_rest(void)
{
	probe(true, true);
}
