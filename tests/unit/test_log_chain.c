/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a rotated log are read next, in which order. */
#include "log_chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"
#include "test.h"

static char folder[] = "/tmp/dvm-test-log-chain-XXXXXX";

/* "" or ".0" … */
static char *name(const char *suffix)
{
	return strf("%s/log%s", folder, suffix);
}

static void put(const char *suffix, const char *text)
{
	_cleanup_free_ char *path = name(suffix);

	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600), 0);
}

static void rotate(const char *from, const char *to)
{
	_cleanup_free_ char *old = name(from), *new = name(to);

	assert_int_equal(rename(old, new), 0);
}

static struct stat look(const char *suffix)
{
	_cleanup_free_ char *path = name(suffix);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st;
}

/* What the files hold, one after the other. */
static void expect_chain(const struct stat *last, bool known, const char *text)
{
	_cleanup_(log_chain_fini) struct log_chain chain = { 0 };
	_cleanup_free_ char *path = name("");
	char got[256] = "";

	assert_int_equal(
		log_chain_open(path, last ? last->st_dev : 0, last ? last->st_ino : 0, &chain), 0);
	for (size_t i = 0; i < chain.n_fds; i++) {
		size_t len = strlen(got);

		assert_true(read(chain.fds[i], got + len, sizeof(got) - len - 1) > 0);
	}
	assert_string_equal(got, text);
	assert_int_equal(chain.known, known);
}

static void files_in_order(void **state)
{
	struct stat a, b, gone;

	put("", "a ");
	a = look("");
	expect_chain(NULL, false, "a ");
	expect_chain(&a, true, "a ");
	rotate("", ".0");
	put("", "b ");
	b = look("");
	expect_chain(&a, true, "a b ");
	rotate(".0", ".1");
	rotate("", ".0");
	put("", "c ");
	expect_chain(&a, true, "a b c ");
	expect_chain(&b, true, "b c ");
	expect_chain(NULL, false, "c ");
	gone = a;
	gone.st_ino = look(".0").st_ino + look(".1").st_ino + look("").st_ino;
	expect_chain(&gone, false, "a b c ");
}

static void file_that_is_not_there(void **state)
{
	_cleanup_free_ char *path = name(".none");
	struct log_chain chain;

	assert_int_equal(log_chain_open(path, 0, 0, &chain), -ENOENT);
}

static void a_file_met_twice_is_taken_once(void **state)
{
	_cleanup_free_ char *zero = name(".0"), *one = name(".1");
	struct stat b;

	unlink(zero);
	unlink(one);
	put("", "c ");
	put(".0", "b ");
	assert_int_equal(link(zero, one), 0);
	put(".2", "a ");
	b = look(".2");
	expect_chain(&b, true, "a b c ");
}

static int setup(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	return dir_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_in_order),
		cmocka_unit_test(a_file_met_twice_is_taken_once),
		cmocka_unit_test(file_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
