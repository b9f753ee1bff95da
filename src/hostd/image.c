/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of D-VM images: found, read strictly, verified at every use.
 *
 * Theory of operation: hashing 100 MiB takes a tenth of a second or more, so the store remembers
 * which files it has verified, by device, inode, size and both times: the kernel sets ctime on
 * every change and nobody can set it back. The memory is a ring of VERIFIED_MAX entries; forgetting
 * one costs a hash.
 */
#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"

#define MANIFEST_MAX (64 * 1024)
#define VERIFIED_MAX 64
#define IMAGES_MAX 256
#define ID_PREFIX_MIN 8

struct verified {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec mtime, ctime;
	char sha256[65];
};

struct image_store {
	char *folder;
	pthread_mutex_t lock;
	struct verified verified[VERIFIED_MAX];
	unsigned next;
};

static void image_file_fini(struct image_file *file)
{
	free(file->path);
}

void image_fini(struct image *image)
{
	image_file_fini(&image->kernel);
	image_file_fini(&image->firmware);
	image_file_fini(&image->initrd);
	image_file_fini(&image->root);
	for (size_t i = 0; i < image->n_stacks; i++) {
		image_file_fini(&image->stacks[i]);
	}
	free(image->cmdline);
	*image = (struct image){ 0 };
}

int image_store_new(const char *folder, struct image_store **ret)
{
	struct image_store *s = calloc(1, sizeof(*s));

	if (!s) {
		return -ENOMEM;
	}
	s->folder = strdup(folder);
	if (!s->folder) {
		free(s);
		return -ENOMEM;
	}
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

struct image_store *image_store_free(struct image_store *s)
{
	if (s) {
		pthread_mutex_destroy(&s->lock);
		free(s->folder);
		free(s);
	}
	return NULL;
}

static int damaged(struct fault *fault, const char *what)
{
	fault_set(fault, FAULT_IMAGE_DAMAGED, "The D-VM image is damaged: %s", what);
	fault_hint(fault, "Build it anew: dvm image build");
	return -EREMOTEIO;
}

static int missing(struct fault *fault, const char *which)
{
	fault_set(fault, FAULT_IMAGE_MISSING, "There is no D-VM image \"%s\"", which);
	fault_hint(fault, "Build one: dvm image build");
	return -EREMOTEIO;
}

static bool id_valid(const char *s)
{
	return strlen(s) == IMAGE_ID_LEN && strspn(s, "0123456789abcdef") == IMAGE_ID_LEN;
}

static int read_field(const json_t *object, const char *key, char *field, size_t size)
{
	const char *value = json_string_value(json_object_get(object, key));

	if (!value || strlen(value) >= size) {
		return -EBADMSG;
	}
	strcpy(field, value);
	return 0;
}

/* {"file", "sha256", "size_bytes"} */
static int read_file_entry(const struct image_store *s, const struct image *image,
			   const json_t *object, struct image_file *file)
{
	const json_t *size = json_object_get(object, "size_bytes");

	if (read_field(object, "file", file->name, sizeof(file->name)) < 0 ||
	    !name_valid(file->name) ||
	    read_field(object, "sha256", file->sha256, sizeof(file->sha256)) < 0 ||
	    !id_valid(file->sha256) || !json_is_integer(size) || json_integer_value(size) < 0) {
		return -EBADMSG;
	}
	file->size_bytes = (uint64_t)json_integer_value(size);
	file->path = strf("%s/%s/%s", s->folder, image->id, file->name);
	return file->path ? 0 : -ENOMEM;
}

static int read_stacks(const struct image_store *s, const json_t *manifest, struct image *image)
{
	const json_t *stack;
	size_t i;
	int r;

	json_array_foreach(json_object_get(manifest, "stacks"), i, stack)
	{
		if (i == IMAGE_FILES_MAX) {
			return -EBADMSG;
		}
		r = read_field(stack, "name", image->stack_names[i], sizeof(image->stack_names[i]));
		if (r < 0 || !name_valid(image->stack_names[i])) {
			return -EBADMSG;
		}
		r = read_file_entry(s, image, stack, &image->stacks[i]);
		if (r < 0) {
			return r;
		}
		image->n_stacks++;
	}
	return 0;
}

static int read_manifest(const struct image_store *s, const char *text, size_t len,
			 struct image *image)
{
	json_auto_t *manifest = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const char *cmdline = json_string_value(json_object_get(manifest, "cmdline"));
	int r;

	if (!cmdline || !text_valid(cmdline, 2048) ||
	    read_field(manifest, "name", image->name, sizeof(image->name)) < 0 ||
	    read_field(manifest, "created", image->created, sizeof(image->created)) < 0) {
		return -EBADMSG;
	}
	image->memory_images = json_is_true(json_object_get(manifest, "memory_images"));
	image->stacks_plugged = json_is_true(json_object_get(manifest, "stacks_plugged"));
	image->cmdline = strdup(cmdline);
	if (!image->cmdline) {
		return -ENOMEM;
	}
	r = read_file_entry(s, image, json_object_get(manifest, "kernel"), &image->kernel);
	if (r == 0) {
		r = read_file_entry(s, image, json_object_get(manifest, "initrd"), &image->initrd);
	}
	if (r == 0) {
		r = read_file_entry(s, image, json_object_get(manifest, "root"), &image->root);
	}
	if (r == 0 && json_object_get(manifest, "firmware")) {
		r = read_file_entry(s, image, json_object_get(manifest, "firmware"),
				    &image->firmware);
	}
	if (r == 0) {
		r = read_stacks(s, manifest, image);
	}
	return r;
}

static int image_load(struct image_store *s, const char *id, struct image *ret, struct fault *fault)
{
	_cleanup_(image_fini) struct image image = { 0 };
	_cleanup_free_ char *path = strf("%s/%s/manifest.json", s->folder, id);
	_cleanup_free_ char *text = NULL;
	unsigned char digest[32];
	char hex[65];
	size_t len;
	int r;

	if (!path) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	r = file_read(path, MANIFEST_MAX, &text, &len);
	if (r == -ENOENT) {
		return missing(fault, id);
	}
	if (r < 0 || gnutls_hash_fast(GNUTLS_DIG_SHA256, text, len, digest) < 0) {
		return damaged(fault, "its manifest cannot be read");
	}
	hex_encode(digest, sizeof(digest), hex);
	if (strcmp(hex, id) != 0) {
		return damaged(fault, "its manifest was changed");
	}
	strcpy(image.id, id);
	r = read_manifest(s, text, len, &image);
	if (r < 0) {
		return damaged(fault, "its manifest is not one");
	}
	*ret = image;
	image = (struct image){ 0 };
	return 0;
}

/* Whole ids of the store, at most IMAGES_MAX. */
static int each_id(struct image_store *s, int (*fn)(const char *id, void *user), void *user)
{
	DIR *dir = opendir(s->folder);
	const struct dirent *entry;
	unsigned n = 0;
	int r = 0;

	if (!dir) {
		return errno == ENOENT ? 0 : -errno;
	}
	while (r >= 0 && n < IMAGES_MAX && (entry = readdir(dir))) {
		if (id_valid(entry->d_name)) {
			r = fn(entry->d_name, user);
			n++;
		}
	}
	closedir(dir);
	return r;
}

struct prefix_search {
	const char *prefix;
	char id[IMAGE_ID_LEN + 1];
	unsigned n;
};

static int match_prefix(const char *id, void *user)
{
	struct prefix_search *search = user;

	if (strncmp(id, search->prefix, strlen(search->prefix)) == 0) {
		strcpy(search->id, id);
		search->n++;
	}
	return 0;
}

/* The id that a name stands for: the link's text, which must be an id. */
static bool name_resolve(const struct image_store *s, const char *name,
			 char ret_id[IMAGE_ID_LEN + 1])
{
	_cleanup_free_ char *path = strf("%s/%s", s->folder, name);
	char id[IMAGE_ID_LEN + 1];
	ssize_t n = path ? readlink(path, id, sizeof(id)) : -1;

	if (n != IMAGE_ID_LEN) {
		return false;
	}
	id[n] = 0;
	if (!id_valid(id)) {
		return false;
	}
	strcpy(ret_id, id);
	return true;
}

static bool id_beginning(const char *which)
{
	size_t len = strlen(which);

	return len >= ID_PREFIX_MIN && len <= IMAGE_ID_LEN &&
	       strspn(which, "0123456789abcdef") == len;
}

bool image_reference_valid(const char *which)
{
	return name_valid(which) || id_beginning(which);
}

int image_find(struct image_store *s, const char *which, struct image *ret, struct fault *fault)
{
	struct prefix_search search = { .prefix = which };

	if (name_valid(which) && name_resolve(s, which, search.id)) {
		return image_load(s, search.id, ret, fault);
	}
	if (!id_beginning(which)) {
		return missing(fault, text_valid(which, 64) ? which : "?");
	}
	if (each_id(s, match_prefix, &search) < 0 || search.n == 0) {
		return missing(fault, which);
	}
	if (search.n > 1) {
		return fault_set(fault, FAULT_IMAGE_MISSING,
				 "More than one image begins with \"%s\"", which);
	}
	return image_load(s, search.id, ret, fault);
}

static bool verified_same(const struct verified *v, const struct stat *st, const char *sha256)
{
	return v->device == st->st_dev && v->inode == st->st_ino && v->size == st->st_size &&
	       v->mtime.tv_sec == st->st_mtim.tv_sec && v->mtime.tv_nsec == st->st_mtim.tv_nsec &&
	       v->ctime.tv_sec == st->st_ctim.tv_sec && v->ctime.tv_nsec == st->st_ctim.tv_nsec &&
	       strcmp(v->sha256, sha256) == 0;
}

static bool verified_known(struct image_store *s, const struct stat *st, const char *sha256)
{
	bool known = false;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < VERIFIED_MAX && !known; i++) {
		known = verified_same(&s->verified[i], st, sha256);
	}
	pthread_mutex_unlock(&s->lock);
	return known;
}

static void verified_add(struct image_store *s, const struct stat *st, const char *sha256)
{
	struct verified *v;

	pthread_mutex_lock(&s->lock);
	v = &s->verified[s->next++ % VERIFIED_MAX];
	*v = (struct verified){
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
	};
	strcpy(v->sha256, sha256);
	pthread_mutex_unlock(&s->lock);
}

int image_file_hash(int fd, char ret_hex[65])
{
	_cleanup_free_ uint8_t *block = malloc(1 << 20);
	gnutls_hash_hd_t hash;
	unsigned char digest[32];
	ssize_t n;

	if (!block || gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0) {
		return -ENOMEM;
	}
	while ((n = read(fd, block, 1 << 20)) > 0) {
		gnutls_hash(hash, block, (size_t)n);
	}
	gnutls_hash_deinit(hash, digest);
	if (n < 0) {
		return -errno;
	}
	hex_encode(digest, sizeof(digest), ret_hex);
	return 0;
}

int image_file_verify(struct image_store *s, const struct image_file *file, struct fault *fault)
{
	_cleanup_close_ int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char what[128], hex[65];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		snprintf(what, sizeof(what), "%s is missing", file->name);
		return damaged(fault, what);
	}
	if ((uint64_t)st.st_size != file->size_bytes) {
		snprintf(what, sizeof(what), "%s has the wrong size", file->name);
		return damaged(fault, what);
	}
	if (verified_known(s, &st, file->sha256)) {
		return 0;
	}
	if (image_file_hash(fd, hex) < 0 || strcmp(hex, file->sha256) != 0) {
		snprintf(what, sizeof(what), "%s has the wrong content", file->name);
		return damaged(fault, what);
	}
	verified_add(s, &st, file->sha256);
	return 0;
}

int image_verify(struct image_store *s, const struct image *image, struct fault *fault)
{
	const struct image_file *const files[] = { &image->kernel, &image->initrd, &image->root,
						   &image->firmware };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files) && r == 0; i++) {
		r = files[i]->path ? image_file_verify(s, files[i], fault) : 0;
	}
	for (size_t i = 0; i < image->n_stacks && r == 0; i++) {
		r = image_file_verify(s, &image->stacks[i], fault);
	}
	return r;
}

struct list_job {
	struct image_store *store;
	json_t *images;
	char default_id[IMAGE_ID_LEN + 1];
};

static int list_one(const char *id, void *user)
{
	struct list_job *job = user;
	_cleanup_(image_fini) struct image image = { 0 };
	json_t *stacks;
	uint64_t size;
	struct fault fault;

	if (image_load(job->store, id, &image, &fault) < 0) {
		return 0;
	}
	size = image.kernel.size_bytes + image.firmware.size_bytes + image.initrd.size_bytes +
	       image.root.size_bytes;
	stacks = json_array();
	for (size_t i = 0; i < image.n_stacks; i++) {
		size += image.stacks[i].size_bytes;
		json_array_append_new(stacks, json_pack("{sssI}", "name", image.stack_names[i],
							"size_bytes",
							(json_int_t)image.stacks[i].size_bytes));
	}
	return json_array_append_new(job->images,
				     json_pack("{sssssssIsbso}", "id", image.id, "name", image.name,
					       "created", image.created, "size_bytes",
					       (json_int_t)size, "default",
					       strcmp(id, job->default_id) == 0, "stacks", stacks));
}

int image_list(struct image_store *s, json_t **ret, struct fault *fault)
{
	struct list_job job = { .store = s, .images = json_array() };

	name_resolve(s, IMAGE_DEFAULT_NAME, job.default_id);
	if (each_id(s, list_one, &job) < 0) {
		json_decref(job.images);
		return fault_set(fault, FAULT_INTERNAL, "The images could not be listed");
	}
	*ret = json_pack("{so}", "images", job.images);
	return *ret ? 0 : fault_set(fault, FAULT_INTERNAL, "Out of memory");
}
