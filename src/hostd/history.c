/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recordings of kept consoles. See history.h.
 *
 * Theory of operation: the folders are the record. A file's name is its number, which only grows,
 * and the time it was begun. The newest of a VM is the one its relay writes; beside it lies its
 * page of state (record.h in the relay). Room is made before a file is begun, for all that it may
 * become, and the newest files of other VMs count as if they had become that already: so what is
 * kept stays below both limits without anybody being watched while he writes. What goes is the VM's
 * own oldest for its own limit, and the oldest of all for the limit of all, and for a full disk.
 */
#include "history.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "dir_each.h"
#include "file.h"
#include "log.h"
#include "parse.h"
#include "relay.h"
#include "server.h"

#define PARTS 8
#define PART_MIN ((uint64_t)256 * 1024)
#define PART_MAX ((uint64_t)64 * 1024 * 1024)
#define NAME_LEN 24 /* "000001-20261127t200511z" and its NUL */
#define NUMBER_MAX 999999u
#define OPEN_TRIES 4

struct part {
	char vm[DVM_SESSION_MAX + 1];
	char name[NAME_LEN];
	uint64_t bytes;
	struct timespec written;
	bool newest; /* of its VM */
};

struct parts {
	struct part *list;
	size_t n, max;
};

/* Who makes room counts what is there. */
static pthread_mutex_t room_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t part_bytes(const struct hostd *h)
{
	uint64_t bytes = MAX(h->config.history_bytes / PARTS, PART_MIN);

	return MIN(bytes, PART_MAX);
}

static bool part_name_valid(const char *s)
{
	static const char form[] = "000000-00000000t000000z";

	if (strlen(s) != strlen(form)) {
		return false;
	}
	for (size_t i = 0; form[i]; i++) {
		if (form[i] == '0' ? s[i] < '0' || s[i] > '9' : s[i] != form[i]) {
			return false;
		}
	}
	return true;
}

static char *part_path(const struct hostd *h, const char *vm, const char *name, const char *suffix)
{
	return strf("%s/consoles/%s/%s%s", h->state, vm, name, suffix);
}

/* "2026-11-27T20:05:11.000Z" */
static void part_begun(const char *name, char out[32])
{
	const char *t = strchr(name, '-') + 1;

	snprintf(out, 32, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2s.000Z", t, t + 4, t + 6, t + 9, t + 11,
		 t + 13);
}

/* --- what there is
 * --------------------------------------------------------------------------------------- */

static int parts_add(struct parts *parts, const struct part *part)
{
	if (parts->n == parts->max) {
		size_t max = parts->max ? parts->max * 2 : 16;
		struct part *list = reallocarray(parts->list, max, sizeof(*list));

		if (!list) {
			return -ENOMEM;
		}
		parts->list = list;
		parts->max = max;
	}
	parts->list[parts->n++] = *part;
	return 0;
}

static void parts_fini(struct parts *parts)
{
	free(parts->list);
}

static int by_age(const void *a, const void *b)
{
	const struct part *one = a, *two = b;

	if (one->written.tv_sec != two->written.tv_sec) {
		return one->written.tv_sec < two->written.tv_sec ? -1 : 1;
	}
	if (one->written.tv_nsec != two->written.tv_nsec) {
		return one->written.tv_nsec < two->written.tv_nsec ? -1 : 1;
	}
	return strcmp(one->name, two->name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct part *)a)->name, ((const struct part *)b)->name);
}

/* Adds those of one VM, the newest last. */
static int parts_of_vm(const struct hostd *h, const char *vm, struct parts *parts)
{
	_cleanup_free_ char *path = strf("%s/consoles/%s", h->state, vm);
	size_t before = parts->n;
	const struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (!path) {
		return -ENOMEM;
	}
	dir = opendir(path);
	if (!dir) {
		return errno == ENOENT ? 0 : -errno;
	}
	while (r == 0 && (entry = readdir(dir))) {
		struct part part = { 0 };
		char name[NAME_MAX + 1];
		char *dot;
		struct stat st;

		snprintf(name, sizeof(name), "%s", entry->d_name);
		dot = strrchr(name, '.');
		if (!dot || strcmp(dot, HISTORY_SUFFIX) != 0) {
			continue;
		}
		*dot = '\0';
		if (!part_name_valid(name) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode)) {
			continue;
		}
		snprintf(part.vm, sizeof(part.vm), "%s", vm);
		memcpy(part.name, name, NAME_LEN);
		part.bytes = (uint64_t)st.st_size;
		part.written = st.st_mtim;
		r = parts_add(parts, &part);
	}
	closedir(dir);
	if (r == 0 && parts->n > before) {
		qsort(parts->list + before, parts->n - before, sizeof(*parts->list), by_name);
		parts->list[parts->n - 1].newest = true;
	}
	return r;
}

struct all_job {
	const struct hostd *hostd;
	struct parts *parts;
};

static int add_vm(const char *vm, void *user)
{
	struct all_job *job = user;

	return parts_of_vm(job->hostd, vm, job->parts);
}

/* Of all VMs, the oldest first. */
static int parts_of_all(const struct hostd *h, struct parts *parts)
{
	_cleanup_free_ char *path = strf("%s/consoles", h->state);
	struct all_job job = { .hostd = h, .parts = parts };
	int r = path ? dir_each(path, vm_id_valid, add_vm, &job) : -ENOMEM;

	if (r == 0 && parts->n > 0) {
		qsort(parts->list, parts->n, sizeof(*parts->list), by_age);
	}
	return r;
}

/* --- room
 * ------------------------------------------------------------------------------------------------
 */

static void part_remove(const struct hostd *h, struct parts *parts, size_t i)
{
	const struct part *part = &parts->list[i];
	_cleanup_free_ char *cast = part_path(h, part->vm, part->name, HISTORY_SUFFIX);
	_cleanup_free_ char *state = part_path(h, part->vm, part->name, ".state");

	if (!cast || !state || (unlink(cast) < 0 && errno != ENOENT)) {
		log_warn("%s: recording %s of its console could not be removed, ignoring", part->vm,
			 part->name);
	}
	if (state) {
		(void)unlink(state);
	}
	memmove(&parts->list[i], &parts->list[i + 1], (parts->n - i - 1) * sizeof(*parts->list));
	parts->n--;
}

/* The oldest that may go: of `vm` (NULL: of whomever), but no other VM's newest. -1: none. */
static ssize_t oldest(const struct parts *parts, const char *vm, const char *keep_newest_but_of)
{
	for (size_t i = 0; i < parts->n; i++) {
		const struct part *part = &parts->list[i];

		if (vm && strcmp(part->vm, vm) != 0) {
			continue;
		}
		if (part->newest &&
		    (!keep_newest_but_of || strcmp(part->vm, keep_newest_but_of) != 0)) {
			continue;
		}
		return (ssize_t)i;
	}
	return -1;
}

static uint64_t sum(const struct parts *parts, const char *vm, uint64_t part_max, bool own)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < parts->n; i++) {
		const struct part *part = &parts->list[i];
		bool mine = strcmp(part->vm, vm) == 0;

		if (own && !mine) {
			continue;
		}
		bytes += part->newest && !mine ? MAX(part->bytes, part_max) : part->bytes;
	}
	return bytes;
}

/* Makes room for one more part of the VM. -EDQUOT: all others are being written. */
static int room_make(const struct hostd *h, const char *vm)
{
	_cleanup_(parts_fini) struct parts parts = { 0 };
	uint64_t more = part_bytes(h);
	ssize_t i;
	int r;

	pthread_mutex_lock(&room_lock);
	r = parts_of_all(h, &parts);
	while (r == 0 && sum(&parts, vm, more, true) + more > h->config.history_bytes) {
		i = oldest(&parts, vm, vm);
		if (i < 0) {
			break;
		}
		part_remove(h, &parts, (size_t)i);
	}
	while (r == 0 && sum(&parts, vm, more, false) + more > h->config.history_total_bytes) {
		i = oldest(&parts, NULL, vm);
		if (i < 0) {
			r = -EDQUOT;
			break;
		}
		log_warn("%s: its oldest recording is removed: the limit of all consoles' together "
			 "is reached",
			 parts.list[i].vm);
		part_remove(h, &parts, (size_t)i);
	}
	pthread_mutex_unlock(&room_lock);
	return r;
}

static int vm_trim(const char *vm, void *user)
{
	const struct hostd *h = user;
	_cleanup_(parts_fini) struct parts parts = { 0 };
	ssize_t i = 0;
	int r = parts_of_vm(h, vm, &parts);

	while (r == 0 && i >= 0 && sum(&parts, vm, 0, true) > h->config.history_bytes) {
		i = oldest(&parts, vm, NULL);
		if (i >= 0) {
			part_remove(h, &parts, (size_t)i);
		}
	}
	return r;
}

void history_trim(struct hostd *h)
{
	_cleanup_free_ char *path = strf("%s/consoles", h->state);
	_cleanup_(parts_fini) struct parts parts = { 0 };
	ssize_t i = 0;
	int r;

	pthread_mutex_lock(&room_lock);
	r = path ? dir_each(path, vm_id_valid, vm_trim, h) : -ENOMEM;
	if (r == 0) {
		r = parts_of_all(h, &parts);
	}
	while (r == 0 && i >= 0 && sum(&parts, "", 0, false) > h->config.history_total_bytes) {
		i = oldest(&parts, NULL, NULL);
		if (i >= 0) {
			part_remove(h, &parts, (size_t)i);
		}
	}
	pthread_mutex_unlock(&room_lock);
	if (r < 0) {
		log_warn("the recordings of consoles were not looked through: %s, ignoring",
			 strerror(-r));
	}
}

/* The disk is full: the oldest of all goes. -ENOSPC: there is none that may. */
static int room_free(const struct hostd *h)
{
	_cleanup_(parts_fini) struct parts parts = { 0 };
	ssize_t i;
	int r;

	pthread_mutex_lock(&room_lock);
	r = parts_of_all(h, &parts);
	i = r == 0 ? oldest(&parts, NULL, NULL) : -1;
	if (i >= 0) {
		log_warn("%s: the oldest recording of its console is removed: the disk is full",
			 parts.list[i].vm);
		part_remove(h, &parts, (size_t)i);
	}
	pthread_mutex_unlock(&room_lock);
	return r < 0 ? r : i < 0 ? -ENOSPC : 0;
}

/* --- opening
 * --------------------------------------------------------------------------------------------- */

static int part_open(struct hostd *h, const char *vm, const char *name, struct fault *fault)
{
	_cleanup_free_ char *cast_path = part_path(h, vm, name, HISTORY_SUFFIX);
	_cleanup_free_ char *state_path = part_path(h, vm, name, ".state");
	_cleanup_close_ int cast_fd = -1, state_fd = -1;
	int r;

	if (!cast_path || !state_path) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	cast_fd = open(cast_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = cast_fd < 0 ? -errno : 0;
	if (r == 0) {
		state_fd = open(state_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		r = state_fd < 0 ? -errno : 0;
	}
	if (r < 0) {
		return fault_set(fault, r == -ENOSPC ? FAULT_DISK_FULL : FAULT_INTERNAL,
				 "The console's recording could not be begun");
	}
	return relay_call(h, vm, "history.open",
			  json_pack("{sssI}", "name", name, "max_bytes", (json_int_t)part_bytes(h)),
			  cast_fd, state_fd, NULL, fault);
}

/* Pages of state of files that are written no more. */
static void states_remove(const struct hostd *h, const struct parts *parts)
{
	for (size_t i = 0; i < parts->n; i++) {
		_cleanup_free_ char *path =
			part_path(h, parts->list[i].vm, parts->list[i].name, ".state");

		if (path) {
			(void)unlink(path);
		}
	}
}

static void name_make(const struct parts *parts, char out[NAME_LEN])
{
	unsigned number = 1;
	time_t now = (time_t)(clock_realtime() / USEC_PER_SEC);
	struct tm tm;

	if (parts->n > 0) {
		number = (unsigned)strtoul(parts->list[parts->n - 1].name, NULL, 10) % NUMBER_MAX +
			 1;
	}
	gmtime_r(&now, &tm);
	snprintf(out, NAME_LEN, "%06u-%04u%02u%02ut%02u%02u%02uz", number % 1000000,
		 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
		 (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		 (unsigned)tm.tm_sec % 100);
}

static int part_begin(struct hostd *h, const char *vm, const struct parts *parts,
		      struct fault *fault)
{
	char name[NAME_LEN];
	int r = room_make(h, vm);

	if (r < 0) {
		return fault_set(fault, r == -EDQUOT ? FAULT_QUOTA : FAULT_INTERNAL,
				 "There is no room for the console's recording");
	}
	name_make(parts, name);
	r = part_open(h, vm, name, fault);
	if (r == 0) {
		states_remove(h, parts);
		return 0;
	}
	/* Nothing is in it that was not to be begun anew. */
	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ char *path = part_path(h, vm, name, i ? HISTORY_SUFFIX : ".state");

		if (path) {
			(void)unlink(path);
		}
	}
	return r;
}

static const char *text_of(const json_t *object, const char *member)
{
	const char *s = json_string_value(json_object_get(object, member));

	return s ? s : "";
}

/* One attempt: the file that is to be written next. */
static int refresh_once(struct hostd *h, const char *vm, const json_t *now, struct fault *fault)
{
	_cleanup_(parts_fini) struct parts parts = { 0 };
	bool goes_on = !json_is_object(now) || strcmp(text_of(now, "stopped"), "disk-full") == 0;
	int r = parts_of_vm(h, vm, &parts);

	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "The console's recordings are not read");
	}
	if (goes_on && parts.n > 0) {
		r = part_open(h, vm, parts.list[parts.n - 1].name, fault);
		if (r == 0 || fault->code != FAULT_CONFLICT) {
			return r;
		}
		log_warn("%s: recording %s of its console is damaged, beginning the next", vm,
			 parts.list[parts.n - 1].name);
	}
	return part_begin(h, vm, &parts, fault);
}

/* `ret_kept`: what the console says is to be kept at all. */
static int status_get(struct hostd *h, const char *vm, json_t **ret, bool *ret_kept,
		      struct fault *fault)
{
	json_auto_t *status = NULL;
	int r = relay_call(h, vm, "status", NULL, -1, -1, &status, fault);

	if (r == 0) {
		*ret = json_incref(json_object_get(status, "history"));
		*ret_kept = !json_is_false(json_object_get(json_object_get(status, "hub"), "keep"));
	}
	return r;
}

static void remove_all(struct hostd *h, const char *vm)
{
	_cleanup_(parts_fini) struct parts parts = { 0 };

	pthread_mutex_lock(&room_lock);
	if (parts_of_vm(h, vm, &parts) < 0) {
		log_warn("%s: the recordings of its console could not be looked through", vm);
	}
	while (parts.n > 0) {
		part_remove(h, &parts, parts.n - 1);
	}
	pthread_mutex_unlock(&room_lock);
}

/* The configuration may be another one than when the file was opened. */
static void limit_set(struct hostd *h, const char *vm, const json_t *now)
{
	const char *name = text_of(now, "name");
	struct fault fault;

	if ((uint64_t)json_integer_value(json_object_get(now, "max_bytes")) != part_bytes(h) &&
	    part_name_valid(name) && part_open(h, vm, name, &fault) < 0) {
		log_warn("%s: its recording keeps its old limit: %s, ignoring", vm, fault.message);
	}
}

/* Once for each trouble: RUN/relay/VM/unrecorded notes that it was told. */
static void tell(struct hostd *h, const char *vm, const struct fault *fault)
{
	_cleanup_free_ char *note = relay_path(h, vm, "unrecorded");

	if (!note || access(note, F_OK) == 0) {
		return;
	}
	if (file_write_atomic(note, "", 0, 0600) < 0) {
		log_debug("%s: it will be told again", vm);
	}
	log_warn("%s: its console is not recorded: %s", vm, fault->message);
	server_notify_later(h, "history.stopped",
			    json_pack("{ssss}", "vm", vm, "code", fault_code_name(fault->code)));
}

static void trouble_over(struct hostd *h, const char *vm)
{
	_cleanup_free_ char *note = relay_path(h, vm, "unrecorded");

	if (note) {
		(void)unlink(note);
	}
}

void history_refresh(struct hostd *h, const char *vm, bool again)
{
	json_auto_t *now = NULL;
	struct fault fault = { 0 };
	bool full, freed, kept;
	int r = status_get(h, vm, &now, &kept, &fault);

	/* A relay of before recordings were made says nothing of it. */
	if (r < 0 || !now) {
		return;
	}
	if (!again) {
		trouble_over(h, vm);
	}
	if (!kept) {
		remove_all(h, vm);
		return;
	}
	if (json_is_object(now) && !*text_of(now, "stopped")) {
		limit_set(h, vm, now);
		return;
	}
	full = strcmp(text_of(now, "stopped"), "disk-full") == 0;
	for (unsigned i = 0; i < OPEN_TRIES; i++) {
		/* Room may have come in another way too: tried in any case. */
		freed = full && room_free(h) == 0;
		fault = (struct fault){ 0 };
		r = refresh_once(h, vm, now, &fault);
		if (r == 0 && full && !freed) {
			fault_set(&fault, FAULT_DISK_FULL, "The disk is full");
		}
		full = fault.code == FAULT_DISK_FULL;
		if (r == 0 || !full || (i > 0 && !freed)) {
			break;
		}
	}
	if (fault.code != FAULT_NONE) {
		tell(h, vm, &fault);
	}
}

/* --- for those who ask
 * ----------------------------------------------------------------------------------- */

json_t *history_list(struct hostd *h, const char *vm)
{
	_cleanup_(parts_fini) struct parts parts = { 0 };
	json_auto_t *now = NULL;
	struct fault fault;
	json_t *list;
	bool kept;

	/* Ahead of the files: what is written meanwhile is not of the offset that is told. */
	if (status_get(h, vm, &now, &kept, &fault) < 0) {
		now = NULL;
	}
	if (parts_of_vm(h, vm, &parts) < 0) {
		return json_array();
	}
	list = json_array();
	for (size_t i = 0; i < parts.n; i++) {
		const struct part *part = &parts.list[i];
		bool written = strcmp(text_of(now, "name"), part->name) == 0;
		json_int_t told = json_integer_value(json_object_get(now, "bytes"));
		char begun[32];

		part_begun(part->name, begun);
		json_array_append_new(
			list, json_pack("{sssIsssssO?}", "name", part->name, "size_bytes",
					written ? told : (json_int_t)part->bytes, "format",
					"asciicast-v2", "begun", begun, "offset",
					written && json_is_integer(json_object_get(now, "offset"))
						? json_object_get(now, "offset")
						: NULL));
	}
	return list;
}

json_t *history_summary(struct hostd *h, const char *vm)
{
	_cleanup_(parts_fini) struct parts parts = { 0 };
	json_auto_t *now = NULL;
	struct fault fault;
	uint64_t bytes = 0;
	char since[32];
	bool kept;

	if (status_get(h, vm, &now, &kept, &fault) < 0) {
		now = NULL;
	}
	if (parts_of_vm(h, vm, &parts) < 0) {
		parts.n = 0;
	}
	for (size_t i = 0; i < parts.n; i++) {
		bytes += parts.list[i].bytes;
	}
	if (parts.n > 0) {
		part_begun(parts.list[0].name, since);
	}
	return json_pack("{sIss?sO?}", "bytes", (json_int_t)bytes, "since",
			 parts.n > 0 ? since : NULL, "stopped", json_object_get(now, "stopped"));
}

int history_part_open(const struct hostd *h, const char *vm, const char *name)
{
	_cleanup_free_ char *path = NULL;
	int fd;

	if (!part_name_valid(name)) {
		return -ENOENT;
	}
	path = part_path(h, vm, name, HISTORY_SUFFIX);
	fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	return fd < 0 ? (path ? -errno : -ENOMEM) : fd;
}
