/* SPDX-License-Identifier: Apache-2.0 */
/* A record is one line, whatever its text. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "test.h"

static int real_stderr, pipe_read;

static int catch_stderr(void **state)
{
	int fds[2];

	real_stderr = dup(STDERR_FILENO);
	if (pipe2(fds, O_NONBLOCK) < 0 || dup2(fds[1], STDERR_FILENO) < 0) {
		return -1;
	}
	close(fds[1]);
	pipe_read = fds[0];
	return 0;
}

static int release_stderr(void **state)
{
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(pipe_read);
	return 0;
}

static const char *logged(void)
{
	static char text[8192];
	ssize_t n = read(pipe_read, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void one_line_a_record(void **state)
{
	log_open("test");
	log_info("hello %s", "world");
	assert_string_equal(logged(), "test: hello world\n");
	log_err("two\nlines\x1b[31m");
	assert_string_equal(logged(), "test: two?lines?[31m\n");
	errno = ENOSPC;
	log_warn("%m");
	assert_int_equal(errno, ENOSPC);
	assert_string_equal(logged(), "test: No space left on device\n");
}

static void levels(void **state)
{
	log_open("test");
	log_debug("hidden");
	assert_string_equal(logged(), "");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("shown");
	assert_string_equal(logged(), "test: shown\n");
	setenv("DVM_LOG", "err", 1);
	log_open("test");
	log_warn("hidden");
	assert_string_equal(logged(), "");
	setenv("DVM_LOG", "nonsense", 1);
	log_open("test");
	log_err("shown");
	assert_string_equal(logged(), "test: shown\n");
	unsetenv("DVM_LOG");
	log_set_level(LOG_LEVEL_INFO);
}

static void priorities_for_the_journal(void **state)
{
	struct stat st;
	char stream[64];

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open("test");
	log_err("x");
	assert_string_equal(logged(), "<3>test: x\n");
	log_info("x");
	assert_string_equal(logged(), "<6>test: x\n");
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_open("test");
	log_info("x");
	assert_string_equal(logged(), "test: x\n");
	unsetenv("JOURNAL_STREAM");
}

static void long_records_are_cut(void **state)
{
	static char big[5000];
	const char *text;

	memset(big, 'x', sizeof(big) - 1);
	log_open("test");
	log_info("%s", big);
	text = logged();
	assert_in_range(strlen(text), 2000, 2048);
	assert_int_equal(text[strlen(text) - 1], '\n');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, catch_stderr, release_stderr)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_line_a_record),
		TEST(levels),
		TEST(priorities_for_the_journal),
		TEST(long_records_are_cut),
	};

	unsetenv("DVM_LOG");
	unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
