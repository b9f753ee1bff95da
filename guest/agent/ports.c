/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of the targets.
 *
 * The relay says where the hypervisor has put a port: a UART on the PCI bus, or a port of the
 * virtio-serial bus by name. What the D-VM's kernel calls it stands in /sys, as soon as a driver
 * has it; until then there is no link. Scanned as disks are: anew with every event.
 */
#include "ports.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "file.h"
#include "log.h"
#include "parse.h"

#define TARGET_DIR "/dev/target"
/* The first target's console. The kernel has a node of that name for a UART that a PC once had, and
 * that is not there. */
#define CONSOLE_LINK "/dev/ttyS1"

struct found {
	char device[64]; /* below /dev */
	bool tty;
};

/* The first entry of a folder with that prefix. */
static bool dir_find(const char *path, const char *prefix, char *ret, size_t size)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		found = strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
			strlen(entry->d_name) < size;
		if (found) {
			strcpy(ret, entry->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	return found;
}

static bool find_uart(const char *address, struct found *ret)
{
	_cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s/tty", address);

	ret->tty = true;
	return path && dir_find(path, "ttyS", ret->device, sizeof(ret->device));
}

static bool find_virtio(const char *name, struct found *ret)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	bool found = false;

	ret->tty = false;
	while (dir && !found && (entry = readdir(dir))) {
		_cleanup_free_ char *path = strf("/sys/class/virtio-ports/%s/name", entry->d_name);
		_cleanup_free_ char *text = NULL;
		size_t len;

		if (entry->d_name[0] == '.' || !path || file_read(path, 256, &text, &len) < 0) {
			continue;
		}
		text[strcspn(text, "\n")] = '\0';
		found = strcmp(text, name) == 0 && strlen(entry->d_name) < sizeof(ret->device);
		if (found) {
			strcpy(ret->device, entry->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	return found;
}

static bool find_device(const char *place, struct found *ret)
{
	return strncmp(place, "pci ", 4) == 0 ? find_uart(place + 4, ret)
					      : find_virtio(place + 7, ret);
}

/* As a program on the other side of a cable would want it: raw, without echo (which would send all
 * that the target says back to it), open without a carrier. It lasts when the tty is closed. */
static void line_set(struct ports *p, size_t i, const char *place, const char *device)
{
	_cleanup_free_ char *path = strf("/dev/%s", device);
	_cleanup_close_ int fd = -1;
	struct termios settings;

	if (strcmp(p->set[i], place) == 0 || !path) {
		return;
	}
	fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || tcgetattr(fd, &settings) < 0) {
		return; /* the next event comes */
	}
	cfmakeraw(&settings);
	cfsetspeed(&settings, B115200);
	settings.c_cflag |= CLOCAL | CREAD;
	settings.c_cflag &= ~(tcflag_t)(HUPCL | CRTSCTS);
	if (tcsetattr(fd, TCSANOW, &settings) == 0) {
		strcpy(p->set[i], place);
	}
}

/* Replaces `path`, which may be the kernel's own node of a device that is not there. */
static void link_make(const char *to, const char *path)
{
	if ((unlink(path) < 0 && errno != ENOENT) || symlink(to, path) < 0) {
		log_warn("%s cannot be made, ignoring", path);
	}
}

static void port_link(const char *target, const struct config_port *port, const struct found *found)
{
	bool serial = strncmp(port->name, "serial", 6) == 0;
	_cleanup_free_ char *name =
		serial ? strf("ttyS%s", port->name + 6) : strf("lp%s", port->name + 8);
	_cleanup_free_ char *dir = strf(TARGET_DIR "/%s", target);
	_cleanup_free_ char *path = name ? strf(TARGET_DIR "/%s/%s", target, name) : NULL;
	_cleanup_free_ char *to = strf("../../%s", found->device);
	_cleanup_free_ char *shortcut = name ? strf(TARGET_DIR "-%s", name) : NULL;

	if (!dir || !path || !to || !shortcut || dir_make(dir, 0755) < 0) {
		log_warn("%s: no link, ignoring", port->name);
		return;
	}
	link_make(to, path);
	if (port->target != 0) {
		return;
	}
	link_make(found->device, shortcut);
	if (strcmp(port->name, "serial0") == 0 &&
	    strcmp(found->device, strrchr(CONSOLE_LINK, '/') + 1) != 0) {
		link_make(found->device, CONSOLE_LINK);
	}
}

/* Links of ports that are gone; the kernel's nodes are no links. */
static void links_remove(void)
{
	DIR *dir = opendir("/dev");
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "target-", 7) == 0 &&
		    unlinkat(dirfd(dir), entry->d_name, 0) < 0) {
			log_warn("/dev/%s stays, ignoring", entry->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	if (lstat(CONSOLE_LINK, &st) == 0 && S_ISLNK(st.st_mode) &&
	    (unlink(CONSOLE_LINK) < 0 || mknod(CONSOLE_LINK, S_IFCHR | 0600, makedev(4, 65)) < 0)) {
		log_warn("%s is not as it was, ignoring", CONSOLE_LINK);
	}
}

void ports_scan(struct ports *p)
{
	const struct config *config = &p->agent->identity.config;

	links_remove();
	for (size_t i = 0; i < CONFIG_PORTS_MAX; i++) {
		const struct config_port *port = &config->ports[i];
		const char *target;
		struct found found;

		if (i >= config->n_ports || !find_device(port->place, &found)) {
			p->set[i][0] = '\0';
			continue;
		}
		target = identity_target(&p->agent->identity, port->target);
		if (!target) {
			continue;
		}
		if (found.tty) {
			line_set(p, i, port->place, found.device);
		}
		port_link(target, port, &found);
	}
}

void ports_init(struct ports *p, struct agent *a)
{
	*p = (struct ports){ .agent = a };
}
