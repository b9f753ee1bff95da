/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of D-VM images: STATE/images/ID/{manifest.json, kernel, firmware, initrd, root,
 * stack-…}, and links NAME -> ID. ID is the SHA-256 of manifest.json, which holds the SHA-256 of
 * every file: an image is what its id says, or damaged.
 */
#pragma once

#include <jansson.h>

#include "fault.h"

#define IMAGE_ID_LEN 64
#define IMAGE_FILES_MAX 16
#define IMAGE_DEFAULT_NAME "default"

struct image_file {
	char name[64]; /* of the file; also the serial of its disk */
	char sha256[65];
	uint64_t size_bytes;
	char *path;
};

struct image {
	char id[IMAGE_ID_LEN + 1];
	char name[64];
	char created[32];
	char *cmdline;
	bool memory_images;  /* its agent keeps what PROTOCOL.agent §6 says */
	bool stacks_plugged; /* and takes stacks while it runs */
	struct image_file kernel, initrd, root;
	struct image_file firmware; /* path NULL: the hypervisor's own */
	struct image_file stacks[IMAGE_FILES_MAX];
	char stack_names[IMAGE_FILES_MAX][64];
	size_t n_stacks;
};
void image_fini(struct image *image);

struct image_store;
/* May be used by any number of threads at once. */
int image_store_new(const char *folder, struct image_store **ret) _must_check_;
struct image_store *image_store_free(struct image_store *s);

/* What image_find() takes: a name, an id, or the beginning of one. */
bool image_reference_valid(const char *which);
/* `which`: id, unique prefix of 8 or more characters, or name. FAULT_IMAGE_MISSING;
 * FAULT_IMAGE_DAMAGED when the manifest is not what the id says. */
int image_find(struct image_store *s, const char *which, struct image *ret,
	       struct fault *fault) _must_check_;
/* Size and content of every file. What was verified is remembered until the file changes. */
int image_verify(struct image_store *s, const struct image *image,
		 struct fault *fault) _must_check_;
/* The same for one file, which need not belong to an image. */
int image_file_verify(struct image_store *s, const struct image_file *file,
		      struct fault *fault) _must_check_;
/* SHA-256 of the rest of an open file, in hex. */
int image_file_hash(int fd, char ret_hex[65]) _must_check_;
/* {"images":[…]} as in PROTOCOL.host; damaged ones are left out. */
int image_list(struct image_store *s, json_t **ret, struct fault *fault) _must_check_;
