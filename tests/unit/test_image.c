/* SPDX-License-Identifier: Apache-2.0 */
/* Images: found by id, prefix and name, verified, and damage of every kind. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"
#include "test.h"

static char folder[] = "/tmp/dvm-test-image-XXXXXX";
static char id[IMAGE_ID_LEN + 1];
static struct image_store *store;
static struct fault fault;

static void sha256(const char *text, size_t len, char hex[65])
{
	unsigned char digest[32];

	assert_int_equal(gnutls_hash_fast(GNUTLS_DIG_SHA256, text, len, digest), 0);
	hex_encode(digest, sizeof(digest), hex);
}

static void file_put(const char *name, const char *text)
{
	_cleanup_free_ char *path = strf("%s/%s/%s", folder, id, name);

	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644), 0);
}

/* An image whose files hold their own names. */
static void image_put(void)
{
	static const char *const files[] = { "kernel", "initrd", "root", "stack-disk", "firmware" };
	_cleanup_free_ char *manifest = NULL, *dir = NULL, *link = NULL;
	char hashes[5][65];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		sha256(files[i], strlen(files[i]), hashes[i]);
	}
	manifest = strf(
		"{\"name\":\"default\",\"created\":\"2026-11-23T00:00:00Z\",\"cmdline\":\"quiet\","
		"\"kernel\":{\"file\":\"kernel\",\"sha256\":\"%s\",\"size_bytes\":6},"
		"\"firmware\":{\"file\":\"firmware\",\"sha256\":\"%s\",\"size_bytes\":8},"
		"\"initrd\":{\"file\":\"initrd\",\"sha256\":\"%s\",\"size_bytes\":6},"
		"\"root\":{\"file\":\"root\",\"sha256\":\"%s\",\"size_bytes\":4},"
		"\"stacks\":[{\"name\":\"disk\",\"file\":\"stack-disk\",\"sha256\":\"%s\","
		"\"size_bytes\":10}]}",
		hashes[0], hashes[4], hashes[1], hashes[2], hashes[3]);
	sha256(manifest, strlen(manifest), id);
	dir = strf("%s/%s", folder, id);
	link = strf("%s/default", folder);
	assert_int_equal(dir_make(dir, 0755), 0);
	file_put("manifest.json", manifest);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		file_put(files[i], files[i]);
	}
	unlink(link);
	assert_int_equal(symlink(id, link), 0);
}

static int use(const char *which)
{
	_cleanup_(image_fini) struct image image = { 0 };
	int r = image_find(store, which, &image, &fault);

	return r < 0 ? r : image_verify(store, &image, &fault);
}

static void is_found(void **state)
{
	_cleanup_(image_fini) struct image image = { 0 };
	char prefix[9];

	snprintf(prefix, sizeof(prefix), "%.8s", id);
	assert_int_equal(use(id), 0);
	assert_int_equal(use(prefix), 0);
	assert_int_equal(use("default"), 0);
	assert_int_equal(image_find(store, "default", &image, &fault), 0);
	assert_string_equal(image.id, id);
	assert_string_equal(image.cmdline, "quiet");
	assert_int_equal(image.n_stacks, 1);
	assert_string_equal(image.stack_names[0], "disk");
	assert_string_equal(image.stacks[0].name, "stack-disk");
}

static void is_missing(void **state)
{
	static const char *const names[] = {
		"nothing",  "",
		"abc",	    "../etc",
		"00000000", "0000000000000000000000000000000000000000000000000000000000000000"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(use(names[i]), -EREMOTEIO);
		assert_int_equal(fault.code, FAULT_IMAGE_MISSING);
	}
}

static void is_damaged(const char *file, const char *bad)
{
	assert_int_equal(use("default"), 0);
	file_put(file, bad);
	assert_int_equal(use("default"), -EREMOTEIO);
	assert_int_equal(fault.code, FAULT_IMAGE_DAMAGED);
	assert_true(fault.hint[0] != 0);
	image_put();
}

static void damage(void **state)
{
	_cleanup_free_ char *path = strf("%s/%s/root", folder, id);

	is_damaged("root", "rooT");
	is_damaged("root", "roots");
	is_damaged("stack-disk", "");
	is_damaged("manifest.json", "{}");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(use("default"), -EREMOTEIO);
	assert_int_equal(fault.code, FAULT_IMAGE_DAMAGED);
	/* not through a link, not a folder */
	assert_int_equal(symlink("kernel", path), 0);
	assert_int_equal(use("default"), -EREMOTEIO);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(use("default"), -EREMOTEIO);
	assert_int_equal(rmdir(path), 0);
	image_put();
	assert_int_equal(use("default"), 0);
}

static void damage_that_keeps_the_times(void **state)
{
	_cleanup_free_ char *path = strf("%s/%s/root", folder, id);
	struct timespec times[2];
	struct stat st;
	FILE *file;

	assert_int_equal(use("default"), 0);
	assert_int_equal(stat(path, &st), 0);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	file = fopen(path, "r+");
	assert_non_null(file);
	fputs("evil", file);
	fclose(file);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(use("default"), -EREMOTEIO);
	assert_int_equal(fault.code, FAULT_IMAGE_DAMAGED);
	image_put();
}

static void listing(void **state)
{
	json_auto_t *list = NULL;
	const json_t *image;

	assert_int_equal(image_list(store, &list, &fault), 0);
	assert_int_equal(json_array_size(json_object_get(list, "images")), 1);
	image = json_array_get(json_object_get(list, "images"), 0);
	assert_string_equal(json_string_value(json_object_get(image, "id")), id);
	assert_int_equal(json_integer_value(json_object_get(image, "size_bytes")), 34);
	assert_true(json_is_true(json_object_get(image, "default")));
}

static int set_up(void **state)
{
	if (!mkdtemp(folder)) {
		return -1;
	}
	image_put();
	return image_store_new(folder, &store);
}

static int tear_down(void **state)
{
	store = image_store_free(store);
	return dir_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_found), cmocka_unit_test(is_missing),
		cmocka_unit_test(damage),   cmocka_unit_test(damage_that_keeps_the_times),
		cmocka_unit_test(listing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
