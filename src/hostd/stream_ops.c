/* SPDX-License-Identifier: Apache-2.0 */
/* image.*, stream.*, recording.*: what there is to boot, to connect to and to read. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "file.h"
#include "history.h"
#include "image.h"
#include "methods.h"
#include "parse.h"

#define RECORDING_SUFFIX ".cast"
#define RECORDING_READ_MAX 262144

static int op_image_list(struct op *op)
{
	return image_list(op->hostd->images, &op->result, &op->fault);
}

static int op_image_verify(struct op *op)
{
	_cleanup_(image_fini) struct image image = { 0 };
	const char *which = op_string(op, "image", image_reference_valid);
	int r;

	if (!which) {
		return -EREMOTEIO;
	}
	r = image_find(op->hostd->images, which, &image, &op->fault);
	return r < 0 ? r : image_verify(op->hostd->images, &image, &op->fault);
}

static int warm_run(struct op *op)
{
	int r = op_image_verify(op);

	return op->fault.code == FAULT_IMAGE_MISSING ? 0 : r; /* there need not be one yet */
}

static const struct op_method warm_method = { .name = "image check", .run = warm_run };

void images_warm_start(struct hostd *h)
{
	op_start(h, &warm_method, json_pack("{ss}", "image", IMAGE_DEFAULT_NAME), NULL);
}

static bool relay_name_valid(const char *s)
{
	return session_id_valid(s) || vm_id_valid(s);
}

static bool ticket_valid(const char *s)
{
	return strlen(s) == 43 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == 43;
}

static bool service_valid(const char *s)
{
	return s[0] && strlen(s) <= 96 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._/-") == strlen(s);
}

static bool mode_valid(const char *s)
{
	return strcmp(s, "r") == 0 || strcmp(s, "rw") == 0 || strcmp(s, "take") == 0;
}

static int stream_grant(struct op *op)
{
	const char *relay = op_string(op, "relay", relay_name_valid);
	const char *ticket = op_string(op, "ticket", ticket_valid);
	const char *service = op_string(op, "service", service_valid);
	const char *mode = op_string(op, "mode", mode_valid);
	_cleanup_free_ char *path = NULL;
	uint64_t ttl_ms;
	int r;

	if (!relay || !ticket || !service || !mode ||
	    op_number(op, "ttl_ms", 1, 600000, &ttl_ms) < 0) {
		return -EREMOTEIO;
	}
	/* One that is on its way back, after its own death or ours, is waited for. */
	r = relay_exists(op->hostd, relay, NULL) ? relay_need(op->hostd, relay, NULL, &op->fault)
						 : 0;
	if (r < 0) {
		return r;
	}
	r = relay_call(op->hostd, relay, "grant",
		       json_pack("{sssssssbsI}", "ticket", ticket, "service", service, "mode", mode,
				 "raw", op_true(op, "raw"), "ttl_ms", (json_int_t)ttl_ms),
		       -1, -1, NULL, &op->fault);
	if (r < 0) {
		return r;
	}
	path = relay_path(op->hostd, relay, "stream.sock");
	op->result = json_pack("{ss}", "path", path);
	return op->result ? 0 : op_no_memory(op);
}

/* STATE/recordings/SESSION as an fd; -ENOENT. */
static int recordings_open(const struct hostd *h, const char *session)
{
	_cleanup_free_ char *path = strf("%s/recordings/%s", h->state, session);
	int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;

	return fd < 0 ? -errno : fd;
}

static void recording_add(json_t *list, int folder_fd, const char *file)
{
	char name[NAME_MAX + 1];
	size_t len = strlen(file);
	struct stat st;

	if (len <= strlen(RECORDING_SUFFIX) ||
	    strcmp(file + len - strlen(RECORDING_SUFFIX), RECORDING_SUFFIX) != 0 ||
	    fstatat(folder_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) {
		return;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(len - strlen(RECORDING_SUFFIX)), file);
	json_array_append_new(list, json_pack("{sssIss}", "name", name, "size_bytes",
					      (json_int_t)st.st_size, "format", "asciicast-v2"));
}

/* Whether recordings of a VM's own console are meant, not those of a session. */
static bool of_vm(const struct op *op)
{
	return json_object_get(op->params, "vm") != NULL;
}

static int vm_recording_list(struct op *op)
{
	const char *vm = op_string(op, "vm", vm_id_valid);

	if (!vm) {
		return -EREMOTEIO;
	}
	op->result = json_pack("{so}", "recordings", history_list(op->hostd, vm));
	return op->result ? 0 : op_no_memory(op);
}

static int recording_list(struct op *op)
{
	const char *session = of_vm(op) ? NULL : op_string(op, "session", session_id_valid);
	const struct dirent *entry;
	json_t *list;
	DIR *dir;
	int fd;

	if (of_vm(op)) {
		return vm_recording_list(op);
	}
	if (!session) {
		return -EREMOTEIO;
	}
	list = json_array();
	fd = recordings_open(op->hostd, session);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	while (dir && (entry = readdir(dir))) {
		recording_add(list, fd, entry->d_name);
	}
	if (dir) {
		closedir(dir);
	} else {
		close_fd(fd);
	}
	op->result = json_pack("{so}", "recordings", list);
	return op->result ? 0 : op_no_memory(op);
}

static int recording_open(struct op *op, const char *name)
{
	const char *owner = of_vm(op) ? op_string(op, "vm", vm_id_valid)
				      : op_string(op, "session", session_id_valid);
	_cleanup_close_ int folder_fd = -1, fd = -1;
	_cleanup_free_ char *file = NULL;

	if (!owner) {
		return -EREMOTEIO;
	}
	if (of_vm(op)) {
		fd = history_part_open(op->hostd, owner, name);
	} else {
		folder_fd = recordings_open(op->hostd, owner);
		file = strf("%s" RECORDING_SUFFIX, name);
		if (!file) {
			return op_no_memory(op);
		}
		if (folder_fd >= 0) {
			fd = openat(folder_fd, file,
				    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		}
	}
	return fd >= 0 ? TAKE_FD(fd)
		       : fault_set(&op->fault, FAULT_NOT_FOUND, "There is no such recording");
}

static int recording_read(struct op *op)
{
	const char *name = op_string(op, "name", name_valid);
	_cleanup_free_ char *block = NULL, *data = NULL;
	_cleanup_close_ int fd = -1;
	uint64_t offset, length;
	struct stat st;
	ssize_t n;

	if (!name || op_number(op, "offset", 0, INT64_MAX, &offset) < 0 ||
	    op_number(op, "length", 1, RECORDING_READ_MAX, &length) < 0) {
		return -EREMOTEIO;
	}
	fd = recording_open(op, name);
	if (fd < 0) {
		return -EREMOTEIO;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		return fault_set(&op->fault, FAULT_NOT_FOUND, "There is no such recording");
	}
	block = malloc(length);
	if (!block) {
		return op_no_memory(op);
	}
	n = pread(fd, block, length, (off_t)offset);
	data = n < 0 ? NULL : base64_encode(block, (size_t)n);
	if (!data) {
		return fault_set(&op->fault, FAULT_INTERNAL, "The recording could not be read");
	}
	op->result = json_pack("{sssIsb}", "data", data, "size_bytes", (json_int_t)st.st_size,
			       "eof", offset + (uint64_t)n >= (uint64_t)st.st_size);
	return op->result ? 0 : op_no_memory(op);
}

static int recording_remove(struct op *op)
{
	const char *session = op_string(op, "session", session_id_valid);
	_cleanup_free_ char *path = NULL;

	if (!session) {
		return -EREMOTEIO;
	}
	path = strf("%s/recordings/%s", op->hostd->state, session);
	if (!path) {
		return op_no_memory(op);
	}
	if (dir_remove(path) < 0) {
		return fault_set(&op->fault, FAULT_INTERNAL, "The recordings could not be removed");
	}
	return 0;
}

const struct op_method image_methods[] = {
	{ .name = "image.list", .run = op_image_list },
	{ .name = "image.verify", .run = op_image_verify },
	{ .name = NULL },
};

const struct op_method stream_methods[] = {
	{ .name = "stream.grant", .run = stream_grant },
	{ .name = "recording.list", .run = recording_list },
	{ .name = "recording.read", .run = recording_read },
	{ .name = "recording.remove", .key = "session", .run = recording_remove },
	{ .name = NULL },
};
