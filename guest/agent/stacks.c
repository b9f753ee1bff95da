/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks that come while the D-VM runs.
 *
 * Theory of operation: what was there at the boot, init made a layer of the root (init/layers.c).
 * An overlay takes no more layers once it is mounted, so for later ones each directory that a stack
 * has files in gets an overlay of its own: the stacks, and below them the directory as the root has
 * it, which stays within reach through a second mount of the root. With each further stack the next
 * generation is mounted over the one before; what was written into that stays as its upper layer.
 * Programs that run keep the files that they have open.
 */
#include "stacks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "file.h"
#include "log.h"
#include "parse.h"

#define MOUNTS "/run/dvm/stack"
#define ROOT "/run/dvm/root"
#define OVER "/run/dvm/over"
#define OVER_OPTIONS "mode=755,size=40%,nr_inodes=100k"
/* The kernel takes one page of them. */
#define OPTIONS_MAX 4000
#define MOUNTS_TEXT_MAX 65536

static const char *const directories[] = { "usr", "etc" };
static const char *const layer_types[] = { "erofs", "squashfs" };

/* An agent that was started anew finds what the one before it has laid over. */
void stacks_init(struct stacks *s, struct agent *a)
{
	bool more = a->options.apply;

	*s = (struct stacks){ .agent = a };
	while (more) {
		_cleanup_free_ char *path = strf(OVER "/%u", s->generation + 1);

		more = path && access(path, F_OK) == 0;
		s->generation += more;
	}
}

static struct stack *stack_find(struct stacks *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->known[i].name, name) == 0) {
			return &s->known[i];
		}
	}
	return NULL;
}

static void stack_know(struct stacks *s, const char *name, enum stack_state state)
{
	if (s->n < CONFIG_STACKS_MAX) {
		strcpy(s->known[s->n].name, name);
		s->known[s->n++].state = state;
	}
}

static bool mounts_say(const char *what, const char *name, char end)
{
	_cleanup_free_ char *text = NULL, *wanted = strf("%s%s%c", what, name, end);
	size_t len;

	return wanted && file_read("/proc/mounts", MOUNTS_TEXT_MAX, &text, &len) == 0 &&
	       strstr(text, wanted);
}

/* Init names its layers /m/stack-NAME; `base` is in the root itself. */
static bool is_in_root(const char *name)
{
	return strcmp(name, "base") == 0 || mounts_say("/m/stack-", name, ':');
}

/* The name of its block device; NULL while it is not there. */
static char *device_of(const char *name)
{
	_cleanup_free_ char *wanted = strf("stack-%s", name);
	struct dirent *entry;
	char *found = NULL;
	DIR *dir = opendir("/sys/block");

	while (dir && wanted && !found && (entry = readdir(dir))) {
		_cleanup_free_ char *path = strf("/sys/block/%s/serial", entry->d_name);
		_cleanup_free_ char *serial = NULL;
		size_t len;

		if (strncmp(entry->d_name, "vd", 2) == 0 && path &&
		    file_read(path, 64, &serial, &len) == 0) {
			serial[strcspn(serial, "\n")] = '\0';
			if (strcmp(serial, wanted) == 0) {
				found = strf("/dev/%s", entry->d_name);
			}
		}
	}
	if (dir) {
		closedir(dir);
	}
	return found;
}

static int stack_mount(const char *device, const char *name)
{
	_cleanup_free_ char *where = strf(MOUNTS "/%s", name);
	int r = where ? dir_make(where, 0755) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(layer_types); i++) {
		if (mount(device, where, layer_types[i], MS_RDONLY | MS_NODEV, NULL) == 0) {
			return 0;
		}
		if (errno != EINVAL && errno != ENODEV) {
			r = -errno;
		}
	}
	return r < 0 ? r : -EINVAL;
}

static int stack_compare(const void *a, const void *b)
{
	return strcmp(((const struct stack *)a)->name, ((const struct stack *)b)->name);
}

static bool has_directory(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* "lowerdir=…,upperdir=…,workdir=…" of one directory; 0 and nothing when no stack has it. */
static int overlay_options(struct stacks *s, const char *directory, struct buf *out)
{
	const char *comma = "lowerdir=";
	size_t n = 0;
	int r = 0;

	for (unsigned g = s->generation; r == 0 && g > 1; g--) {
		_cleanup_free_ char *upper = strf(OVER "/%u/%s/upper", g - 1, directory);

		if (upper && has_directory(upper)) {
			r = buf_printf(out, "%s%s", comma, upper);
			comma = ":";
		}
	}
	for (size_t i = 0; r == 0 && i < s->n; i++) {
		_cleanup_free_ char *path = strf(MOUNTS "/%s/%s", s->known[i].name, directory);

		if (s->known[i].state == STACK_MOUNTED && path && has_directory(path)) {
			r = buf_printf(out, "%s%s", comma, path);
			comma = ":";
			n++;
		}
	}
	if (r == 0 && n == 0) {
		buf_clear(out);
		return 0;
	}
	if (r == 0) {
		r = buf_printf(out,
			       ":" ROOT "/%s,upperdir=" OVER "/%u/%s/upper,workdir=" OVER
			       "/%u/%s/work%c",
			       directory, s->generation, directory, s->generation, directory, 0);
	}
	return r;
}

static int directory_over(struct stacks *s, const char *directory)
{
	_cleanup_free_ char *upper = strf(OVER "/%u/%s/upper", s->generation, directory);
	_cleanup_free_ char *work = strf(OVER "/%u/%s/work", s->generation, directory);
	_cleanup_free_ char *where = strf("/%s", directory);
	struct buf options;
	int r;

	buf_init(&options, OPTIONS_MAX);
	r = upper && work && where ? overlay_options(s, directory, &options) : -ENOMEM;
	if (r == 0 && buf_len(&options) > 0) {
		r = dir_make(upper, 0755);
		if (r == 0) {
			r = dir_make(work, 0755);
		}
		if (r == 0 && mount("stacks", where, "overlay", 0, buf_data(&options)) < 0) {
			r = -errno;
		}
	}
	buf_fini(&options);
	return r;
}

/* Once: the root as it is without us, and room for what is written into what we lay over. */
static int first_time(void)
{
	int r = dir_make(ROOT, 0755);

	if (r == 0) {
		r = dir_make(OVER, 0755);
	}
	if (r == 0 && (mount("/", ROOT, NULL, MS_BIND, NULL) < 0 ||
		       mount("tmpfs", OVER, "tmpfs", MS_NODEV, OVER_OPTIONS) < 0)) {
		r = -errno;
	}
	return r;
}

static void lay_over(struct stacks *s)
{
	int r = s->generation++ == 0 ? first_time() : 0;

	qsort(s->known, s->n, sizeof(s->known[0]), stack_compare);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(directories); i++) {
		r = directory_over(s, directories[i]);
	}
	if (r < 0) {
		log_err("stacks: %s", strerror(-r));
	}
}

bool stacks_scan(struct stacks *s)
{
	const struct config *c = &s->agent->identity.config;
	bool apply = s->agent->options.apply, changed = false;
	size_t before = s->n;

	for (size_t i = 0; i < c->n_stacks; i++) {
		const char *name = c->stacks[i];
		_cleanup_free_ char *device = NULL;
		int r;

		if (stack_find(s, name)) {
			continue;
		}
		if (!apply || is_in_root(name)) {
			stack_know(s, name, STACK_IN_ROOT);
			continue;
		}
		if (mounts_say(MOUNTS "/", name, ' ')) {
			stack_know(s, name, STACK_MOUNTED);
			continue;
		}
		device = device_of(name);
		if (!device) {
			continue;
		}
		r = stack_mount(device, name);
		if (r < 0) {
			/* A stack less: what is there still gives a shell to say so. */
			log_err("stack %s: %s", name, strerror(-r));
		}
		stack_know(s, name, r == 0 ? STACK_MOUNTED : STACK_FAILED);
		changed |= r == 0;
	}
	if (changed) {
		lay_over(s);
	}
	return s->n != before;
}

bool stacks_complete(const struct stacks *s)
{
	const struct config *c = &s->agent->identity.config;

	for (size_t i = 0; i < c->n_stacks; i++) {
		if (!stack_find((struct stacks *)s, c->stacks[i])) {
			return false;
		}
	}
	return true;
}

const char *stacks_there(const struct stacks *s, size_t *it)
{
	while (*it < s->n) {
		const struct stack *stack = &s->known[(*it)++];

		if (stack->state != STACK_FAILED) {
			return stack->name;
		}
	}
	return NULL;
}
