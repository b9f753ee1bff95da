/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the D-VM's root file system from its read-only layers.
 *
 * Disks are known by their virtio-blk serial, not by their order: `root` is the base layer,
 * `stack-NAME` one stack. All are shared with other D-VMs and mounted read-only; a tmpfs of limited
 * size takes what is written. Layers are stacked in the order of their names, so two D-VMs with the
 * same stacks see the same files.
 */
#include "layers.h"
#include "say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYERS_MAX 16 /* the overlay's options must fit in one page */
#define NAME_MAX_BYTES 32
#define UPPER_OPTIONS "mode=755,size=60%,nr_inodes=200k"

struct layer {
	char device[NAME_MAX_BYTES]; /* vda */
	char serial[NAME_MAX_BYTES]; /* stack-disk */
};

static const char *const layer_types[] = { "erofs", "squashfs" };

static int read_line(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		return -errno;
	}
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0) {
		return -errno;
	}
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

static int layer_compare(const void *a, const void *b)
{
	const struct layer *first = a, *second = b;

	return strcmp(first->serial, second->serial);
}

/* Fills `layers` with the stacks in order of name and then the root; returns how many, 0 if the
 * root is not there. */
static int layers_find(struct layer *layers)
{
	struct layer root = { 0 };
	struct dirent *entry;
	int n = 0;
	DIR *dir = opendir("/sys/block");

	if (!dir) {
		return 0;
	}
	while ((entry = readdir(dir))) {
		char path[320], serial[NAME_MAX_BYTES];
		struct layer *layer = NULL;

		if (strncmp(entry->d_name, "vd", 2) != 0 ||
		    strlen(entry->d_name) >= NAME_MAX_BYTES) {
			continue;
		}
		snprintf(path, sizeof(path), "/sys/block/%s/serial", entry->d_name);
		if (read_line(path, serial, sizeof(serial)) < 0) {
			continue;
		}
		if (strcmp(serial, "root") == 0) {
			layer = &root;
		} else if (strncmp(serial, "stack-", 6) == 0 && n < LAYERS_MAX - 1) {
			layer = &layers[n++];
		}
		if (layer) {
			strcpy(layer->device, entry->d_name);
			strcpy(layer->serial, serial);
		}
	}
	closedir(dir);
	if (root.device[0] == '\0') {
		return 0;
	}
	qsort(layers, n, sizeof(*layers), layer_compare);
	layers[n++] = root;
	return n;
}

static int layer_mount(const struct layer *layer, const char *where)
{
	char device[64];
	int r = -EINVAL;

	mkdir(where, 0755);
	snprintf(device, sizeof(device), "/dev/%s", layer->device);
	for (size_t i = 0; i < sizeof(layer_types) / sizeof(layer_types[0]); i++) {
		if (mount(device, where, layer_types[i], MS_RDONLY | MS_NODEV, NULL) == 0) {
			return 0;
		}
		/* of several errors, "not this type" says the least */
		if (errno != EINVAL && errno != ENODEV) {
			r = -errno;
		}
	}
	return r;
}

int layers_mount(int wait_ms)
{
	struct layer layers[LAYERS_MAX];
	char options[2048] = "lowerdir=";
	int n, r, waited_ms = 0;

	while ((n = layers_find(layers)) == 0) {
		if (waited_ms >= wait_ms) {
			say("no disk with the serial \"root\": the D-VM was started without its "
			    "image");
			return -ENODEV;
		}
		poll(NULL, 0, 20);
		waited_ms += 20;
	}
	mkdir("/m", 0755);
	mkdir(LAYERS_NEWROOT, 0755);
	for (int i = 0; i < n; i++) {
		char where[64];

		snprintf(where, sizeof(where), "/m/%s", layers[i].serial);
		r = layer_mount(&layers[i], where);
		if (r < 0) {
			say("layer %s on /dev/%s cannot be mounted: %s", layers[i].serial,
			    layers[i].device, strerror(-r));
			if (i == n - 1) {
				return r;
			}
			continue; /* a stack less; the base still gives a shell to say so */
		}
		if (options[9] != '\0') {
			strcat(options, ":");
		}
		strcat(options, where);
	}
	mkdir("/m/rw", 0755);
	if (mount("tmpfs", "/m/rw", "tmpfs", MS_NODEV, UPPER_OPTIONS) < 0) {
		say("tmpfs for the writable layer: %m");
		return -errno;
	}
	mkdir("/m/rw/upper", 0755);
	mkdir("/m/rw/work", 0755);
	strcat(options, ",upperdir=/m/rw/upper,workdir=/m/rw/work");
	if (mount("root", LAYERS_NEWROOT, "overlay", 0, options) < 0) {
		r = -errno;
		say("overlay of the layers: %s", strerror(-r));
		return r;
	}
	return 0;
}

int layers_switch_root(void)
{
	static const char *const moved[] = { "/dev", "/proc", "/sys" };

	for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
		char where[32];

		snprintf(where, sizeof(where), LAYERS_NEWROOT "%s", moved[i]);
		mkdir(where, 0755);
		if (mount(moved[i], where, NULL, MS_MOVE, NULL) < 0) {
			say("moving %s: %m", moved[i]);
			return -errno;
		}
	}
	if (chdir(LAYERS_NEWROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 ||
	    chroot(".") < 0 || chdir("/") < 0) {
		say("switching to the new root: %m");
		return -errno;
	}
	return 0;
}
