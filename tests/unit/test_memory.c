/* SPDX-License-Identifier: Apache-2.0 */
/* Memory images: made, found, copied, damaged, and the oldest gone. */
#include "memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"
#include "test.h"

static char folder[] = "/tmp/dvm-test-memory-XXXXXX";
static struct image_store *images;
static struct memory_store *store;

static void put(const char *path, const char *text)
{
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600), 0);
}

static unsigned n_files(void)
{
	DIR *dir = opendir(folder);
	unsigned n = 0;

	assert_non_null(dir);
	for (const struct dirent *entry; (entry = readdir(dir));) {
		n += entry->d_name[0] != '.';
	}
	closedir(dir);
	return n;
}

static void make(const char *shape, const char *text)
{
	struct memory_making *m;

	assert_int_equal(memory_begin(store, shape, &m), 0);
	put(memory_making_path(m), text);
	assert_int_equal(memory_finish(m), 0);
	memory_making_free(m);
}

static int set_up(void **state)
{
	return !mkdtemp(folder) || image_store_new("/nonexistent", &images) < 0 ||
	       memory_store_new(folder, images, &store) < 0;
}

static int tear_down(void **state)
{
	memory_store_free(store);
	image_store_free(images);
	return dir_remove(folder);
}

static void what_was_made_is_found_and_copied(void **state)
{
	_cleanup_free_ char *copy = strf("%s.copy", folder), *text = NULL;
	char name[MEMORY_NAME_LEN + 1], again[MEMORY_NAME_LEN + 1];

	assert_false(memory_find(store, "shape", name));
	make("shape", "what it held");
	assert_true(memory_find(store, "shape", name));
	assert_false(memory_find(store, "shap", again));
	assert_int_equal(memory_copy(store, name, copy), 0);
	assert_int_equal(file_read(copy, 100, &text, NULL), 0);
	assert_string_equal(text, "what it held");
	/* what becomes of a copy does not touch it */
	put(copy, "changed");
	assert_true(memory_find(store, "shape", again));
	assert_string_equal(name, again);
	assert_int_equal(memory_copy(store, name, "/nonexistent/copy"), -ENOENT);
	memory_drop(store, name);
	memory_drop(store, name);
	assert_false(memory_find(store, "shape", name));
	assert_int_equal(memory_copy(store, name, copy), -ENOENT);
	unlink(copy);
}

static void a_damaged_one_is_removed(void **state)
{
	_cleanup_free_ char *path = NULL;
	char name[MEMORY_NAME_LEN + 1];

	make("shape", "what it held");
	assert_true(memory_find(store, "shape", name));
	path = strf("%s/%s", folder, name);
	put(path, "what it hold");
	assert_false(memory_find(store, "shape", name));
	assert_int_equal(access(path, F_OK), -1);
	/* names that are none are left alone */
	memory_drop(store, "../x");
	assert_int_equal(n_files(), 0);
}

static void one_of_a_shape_is_made_at_a_time(void **state)
{
	struct memory_making *m, *other;
	char name[MEMORY_NAME_LEN + 1];

	assert_int_equal(memory_begin(store, "shape", &m), 0);
	assert_true(memory_is_making(store, memory_making_name(m)));
	assert_false(memory_is_making(store, "t-0"));
	assert_int_equal(memory_begin(store, "shape", &other), -EALREADY);
	assert_int_equal(memory_begin(store, "another", &other), 0);
	assert_string_not_equal(memory_making_name(m), memory_making_name(other));
	memory_making_free(other);
	/* nothing was written: nothing is kept */
	assert_int_equal(memory_finish(m), -ENOENT);
	put(memory_making_path(m), "half of it");
	memory_making_free(m);
	assert_false(memory_find(store, "shape", name));
	assert_int_equal(n_files(), 0);
}

static void parts_of_the_dead_are_removed(void **state)
{
	_cleanup_free_ char *path = NULL;
	char shape[65];

	memset(shape, 'a', 64);
	shape[64] = 0;
	path = strf("%s/%s.part", folder, shape);
	put(path, "half of it");
	memory_store_free(store);
	assert_int_equal(memory_store_new(folder, images, &store), 0);
	assert_int_equal(n_files(), 0);
}

static void so_many_are_kept(void **state)
{
	char name[MEMORY_NAME_LEN + 1];

	for (unsigned i = 0; i < MEMORY_IMAGES_MAX + 3; i++) {
		_cleanup_free_ char *shape = strf("shape %u", i);

		make(shape, "what it held");
		assert_true(memory_find(store, shape, name));
	}
	assert_int_equal(n_files(), MEMORY_IMAGES_MAX);
}

static void makers_are_told_to_stop(void **state)
{
	assert_false(memory_store_stopping(store));
	memory_store_stop(store);
	assert_true(memory_store_stopping(store));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_made_is_found_and_copied),
		cmocka_unit_test(a_damaged_one_is_removed),
		cmocka_unit_test(one_of_a_shape_is_made_at_a_time),
		cmocka_unit_test(parts_of_the_dead_are_removed),
		cmocka_unit_test(so_many_are_kept),
		cmocka_unit_test(makers_are_told_to_stop),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
