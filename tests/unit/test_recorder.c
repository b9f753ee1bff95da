/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings: every line is JSON, no byte is missing or twice over a SIGKILL, limits and full disks
 * stop it. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "recorder.h"
#include "test.h"
#include "tunnel.h"

#define START ((usec_t)1700000000 * USEC_PER_SEC)

static int failpoint_fd; /* the list of failpoints, empty but where a test arms one */

struct files {
	int cast, state;
};

static struct files files_new(void)
{
	struct files f = {
		.cast = memfd_create("cast", MFD_CLOEXEC),
		.state = memfd_create("state", MFD_CLOEXEC),
	};

	assert_true(f.cast >= 0 && f.state >= 0);
	return f;
}

static void files_close(struct files *f)
{
	close(f->cast);
	close(f->state);
}

static int try_open(const struct files *f, uint64_t max_bytes, usec_t now, struct recorder **ret)
{
	struct recorder_options o = { .columns = 80, .rows = 25, .max_bytes = max_bytes };

	return recorder_open_take(dup(f->cast), dup(f->state), &o, now, ret);
}

static struct recorder *recorder_of(const struct files *f, usec_t now)
{
	struct recorder *r = NULL;

	assert_int_equal(try_open(f, RECORDER_BYTES_MAX, now, &r), 0);
	return r;
}

/* All "o" text and, as "<…>", all markers and sizes; every line is checked. */
static char *play(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1), *out = calloc(1, (size_t)size + 1), *save = NULL;
	double last = 0;
	json_t *line;

	assert_non_null(text);
	assert_non_null(out);
	assert_int_equal(pread(fd, text, (size_t)size, 0), size);
	assert_true(size > 0 && text[size - 1] == '\n');
	line = json_loads(strtok_r(text, "\n", &save), 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(line, "version")), 2);
	assert_int_equal(json_integer_value(json_object_get(line, "width")), 80);
	assert_int_equal(json_integer_value(json_object_get(line, "height")), 25);
	assert_int_equal(json_integer_value(json_object_get(line, "timestamp")),
			 START / USEC_PER_SEC);
	json_decref(line);
	for (char *p = strtok_r(NULL, "\n", &save); p; p = strtok_r(NULL, "\n", &save)) {
		double at;
		const char *kind, *data;

		line = json_loads(p, JSON_ALLOW_NUL, NULL);
		assert_non_null(line);
		assert_int_equal(json_array_size(line), 3);
		at = json_number_value(json_array_get(line, 0));
		assert_true(at >= last);
		last = at;
		kind = json_string_value(json_array_get(line, 1));
		data = json_string_value(json_array_get(line, 2));
		if (strcmp(kind, "m") == 0 || strcmp(kind, "r") == 0) {
			strcat(strcat(strcat(out, "<"), data), ">");
		} else {
			assert_string_equal(kind, "o");
			strcat(out, data);
		}
		json_decref(line);
	}
	free(text);
	return out;
}

static void check_play(int fd, const char *expected)
{
	char *out = play(fd);

	assert_string_equal(out, expected);
	free(out);
}

static void writes_events(void **state)
{
	struct files f = files_new();
	struct recorder *r = recorder_of(&f, START);

	(void)state;
	assert_int_equal(recorder_offset(r), TUNNEL_FROM_KEPT);
	recorder_start(r, 100, START);
	assert_int_equal(recorder_offset(r), 100);
	recorder_data(r, "say \"hi\\\"\r\n\t\x1b[0m\x7f", 17, START + 1500);
	assert_int_equal(recorder_offset(r), 117);
	recorder_gap(r, 50, START + 2 * USEC_PER_SEC);
	assert_int_equal(recorder_offset(r), 167);
	recorder_gap(r, 0, START + USEC_PER_SEC); /* the clock was set back */
	recorder_source(r, false, START + 3 * USEC_PER_SEC);
	recorder_source(r, true, START + 4 * USEC_PER_SEC);
	recorder_data(r, "end", 3, START + 5 * USEC_PER_SEC);
	assert_int_equal(recorder_stopped(r), FAULT_NONE);
	recorder_close(r);
	check_play(f.cast,
		   "say \"hi\\\"\r\n\t\x1b[0m\x7f<50 bytes lost><bytes lost, number unknown>"
		   "<the console is gone><the console is back>end");
	files_close(&f);
}

static void characters_across_borders(void **state)
{
	static const char text[] = "aä€😀z";
	struct files f = files_new();
	struct recorder *r = recorder_of(&f, START);

	(void)state;
	recorder_start(r, 0, START);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		recorder_data(r, text + i, 1, START);
	}
	recorder_data(r, "\xff\xe2\x82", 3, START);
	recorder_gap(r, 1, START); /* what was begun will never be whole */
	recorder_data(r, "\x80\xed\xa0\x80.", 5, START);
	recorder_close(r);
	check_play(f.cast, "aä€😀z\uFFFD\uFFFD<1 bytes lost>\uFFFD\uFFFD\uFFFD\uFFFD.");
	files_close(&f);
}

static void large_and_random(void **state)
{
	struct files f = files_new();
	struct recorder *r = recorder_of(&f, START);
	static uint8_t noise[65528];

	(void)state;
	srandom(4);
	recorder_start(r, 0, START);
	for (int i = 0; i < 20; i++) {
		for (size_t k = 0; k < sizeof(noise); k++) {
			noise[k] = (uint8_t)(1 + random() % 255);
		}
		recorder_data(r, noise, i % 2 ? sizeof(noise) : (size_t)random() % sizeof(noise),
			      START);
	}
	memset(noise, 0, sizeof(noise));
	recorder_data(r, noise, sizeof(noise), START);
	assert_int_equal(recorder_stopped(r), FAULT_NONE);
	recorder_close(r);
	free(play(f.cast));
	files_close(&f);
}

/* The stream is fed again from where the recorder says, as a hub would do it. */
/* Any character at any place of a word, alone and doubled: what is played is what was said. */
static void every_character_at_every_place(void **state)
{
	(void)state;
	for (unsigned c = 1; c < 128; c++) {
		struct files f = files_new();
		struct recorder *r = recorder_of(&f, START);
		char said[20 * 20 + 1] = "";

		for (unsigned at = 0; at < 19; at++) {
			char piece[20];

			memset(piece, 'a' + (int)at, sizeof(piece));
			piece[at] = (char)c;
			piece[(at + c) % sizeof(piece)] = (char)c;
			memcpy(said + at * sizeof(piece), piece, sizeof(piece));
		}
		recorder_start(r, 0, START);
		recorder_data(r, said, strlen(said), START);
		assert_int_equal(recorder_offset(r), strlen(said));
		check_play(f.cast, said);
		recorder_close(r);
		files_close(&f);
	}
}

static void continues_after_sigkill(void **state)
{
	static const char pattern[] = "0123456789ä€😀\n";
	static char stream[200000], expected[200001];
	struct files f = files_new();
	size_t len = 0;
	int status;

	(void)state;
	while (len + sizeof(pattern) < sizeof(stream)) {
		memcpy(stream + len, pattern, sizeof(pattern) - 1);
		len += sizeof(pattern) - 1;
	}
	memcpy(expected, stream, len);
	srandom(5);
	for (bool done = false; !done;) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			struct recorder *r = recorder_of(&f, START);
			size_t at;

			if (recorder_offset(r) == TUNNEL_FROM_KEPT) {
				recorder_start(r, 0, START);
			}
			at = recorder_offset(r);
			recorder_start(r, at, START);
			while (at < len) {
				size_t n = MIN(len - at, (size_t)(at % 97 + 1));

				recorder_data(r, stream + at, n, START);
				at += n;
			}
			_exit(recorder_stopped(r) == FAULT_NONE ? 0 : 1);
		}
		usleep(500 + (useconds_t)random() % 4000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		done = WIFEXITED(status);
		assert_true(!done || WEXITSTATUS(status) == 0);
	}
	check_play(f.cast, expected);
	files_close(&f);
}

static void cuts_a_half_written_line(void **state)
{
	struct files f = files_new();
	struct recorder *r = recorder_of(&f, START);
	off_t size;

	(void)state;
	recorder_start(r, 0, START);
	recorder_data(r, "one", 3, START);
	recorder_close(r);
	size = lseek(f.cast, 0, SEEK_END);
	assert_int_equal(pwrite(f.cast, "[1.0, \"o\", \"tw", 14, size), 14);
	r = recorder_of(&f, START + USEC_PER_SEC);
	assert_int_equal(recorder_bytes(r), size);
	assert_int_equal(recorder_offset(r), 3);
	recorder_start(r, 5, START + USEC_PER_SEC); /* two bytes are no longer kept */
	recorder_data(r, "three", 5, START + USEC_PER_SEC);
	recorder_close(r);
	r = recorder_of(&f, START + USEC_PER_SEC);
	recorder_start(r, 2, START + USEC_PER_SEC); /* another stream */
	assert_int_equal(recorder_offset(r), 2);
	recorder_close(r);
	check_play(f.cast, "one<2 bytes lost>three<bytes lost, number unknown>");
	files_close(&f);
}

static void stops_at_its_limit(void **state)
{
	struct files f = files_new();
	struct recorder *r = NULL;

	(void)state;
	assert_int_equal(try_open(&f, 2048, START, &r), 0);
	recorder_start(r, 0, START);
	for (int i = 0; i < 1000; i++) {
		recorder_data(r, "0123456789", 10, START);
		recorder_gap(r, 0, START);
	}
	assert_int_equal(recorder_stopped(r), FAULT_QUOTA);
	assert_true(recorder_bytes(r) <= 2048);
	recorder_close(r);
	free(play(f.cast));
	assert_true(lseek(f.cast, 0, SEEK_END) <= 2048);
	files_close(&f);
}

/* Sizes are events, also in the middle of a character. */
static void sizes(void **state)
{
	struct files f = files_new();
	struct recorder *r = recorder_of(&f, START);

	(void)state;
	recorder_start(r, 0, START);
	recorder_resize(r, 80, 25, START); /* as the header says */
	recorder_data(r, "a\xe2\x82", 3, START);
	recorder_resize(r, 132, 50, START);
	recorder_resize(r, 132, 50, START);
	recorder_resize(r, 0, 50, START);
	recorder_resize(r, 132, 1001, START);
	recorder_data(r, "\xac", 1, START);
	recorder_resize(r, 1, 1000, START);
	assert_int_equal(recorder_offset(r), 4);
	recorder_close(r);
	check_play(f.cast, "a<132x50>€<1x1000>");
	files_close(&f);
}

/* A limit that became less is reached with the next line; the next file has what did not go in. */
static void goes_on_in_the_next_file(void **state)
{
	const struct recorder_options o = {
		.columns = 80, .rows = 25, .max_bytes = 65536, .full = "see the next"
	};
	struct files f = files_new(), next = files_new();
	struct recorder *r = NULL;
	uint64_t at;

	(void)state;
	assert_int_equal(recorder_open_take(dup(f.cast), dup(f.state), &o, START, &r), 0);
	recorder_start(r, 100, START);
	recorder_data(r, "first", 5, START);
	assert_int_equal(recorder_limit(r), 65536);
	recorder_limit_set(r, 1024);
	recorder_data(r, " second", 7, START);
	assert_int_equal(recorder_stopped(r), FAULT_NONE);
	for (int i = 0; i < 1000 && recorder_stopped(r) == FAULT_NONE; i++) {
		recorder_gap(r, 1, START);
	}
	assert_int_equal(recorder_stopped(r), FAULT_QUOTA);
	assert_true(recorder_bytes(r) <= 1024);
	at = recorder_offset(r);
	recorder_data(r, "lost", 4, START);
	assert_int_equal(recorder_offset(r), at);
	recorder_close(r);

	assert_int_equal(recorder_open_take(dup(next.cast), dup(next.state), &o, START, &r), 0);
	recorder_start(r, at, START);
	recorder_start(r, at + 3, START);
	recorder_data(r, "third", 5, START);
	recorder_close(r);
	check_play(next.cast, "<3 bytes lost>third");
	files_close(&f);
	files_close(&next);
}

static void stops_on_a_full_disk(void **state)
{
	struct files f = files_new();
	struct recorder *r = recorder_of(&f, START);

	(void)state;
	recorder_start(r, 0, START);
	recorder_data(r, "kept", 4, START);
	assert_int_equal(write_all(failpoint_fd, "recorder.write=error:ENOSPC", 27), 0);
	recorder_data(r, "lost", 4, START);
	assert_int_equal(ftruncate(failpoint_fd, 0), 0);
	assert_int_equal(recorder_stopped(r), FAULT_DISK_FULL);
	recorder_data(r, "also lost", 9, START);
	recorder_gap(r, 3, START);
	recorder_source(r, true, START);
	assert_int_equal(recorder_offset(r), 4);
	recorder_close(r);
	check_play(f.cast, "kept");
	files_close(&f);
}

/* A write that gets half of its line in leaves nothing of it. */
static void takes_half_a_line_back(void **state)
{
	struct rlimit limit = { .rlim_max = RLIM_INFINITY };
	struct files f = files_new();
	struct recorder *r = recorder_of(&f, START);

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	recorder_start(r, 0, START);
	recorder_data(r, "kept", 4, START);
	limit.rlim_cur = (rlim_t)recorder_bytes(r) + 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	recorder_data(r, "lost", 4, START);
	limit.rlim_cur = RLIM_INFINITY;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(recorder_stopped(r), FAULT_QUOTA);
	assert_int_equal(lseek(f.cast, 0, SEEK_END), recorder_bytes(r));
	recorder_close(r);
	check_play(f.cast, "kept");
	files_close(&f);
}

static void refuses_files_that_do_not_match(void **state)
{
	struct files f = files_new();
	struct recorder *r = NULL;

	(void)state;
	assert_int_equal(write(f.cast, "precious", 8), 8);
	assert_int_equal(try_open(&f, RECORDER_BYTES_MAX, START, &r), -EBADMSG);
	assert_int_equal(lseek(f.cast, 0, SEEK_END), 8);
	files_close(&f);

	f = files_new();
	r = recorder_of(&f, START);
	recorder_close(r);
	assert_int_equal(ftruncate(f.cast, 3), 0);
	assert_int_equal(try_open(&f, RECORDER_BYTES_MAX, START, &r), -EBADMSG);
	files_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_events),
		cmocka_unit_test(characters_across_borders),
		cmocka_unit_test(large_and_random),
		cmocka_unit_test(every_character_at_every_place),
		cmocka_unit_test(continues_after_sigkill),
		cmocka_unit_test(cuts_a_half_written_line),
		cmocka_unit_test(stops_at_its_limit),
		cmocka_unit_test(goes_on_in_the_next_file),
		cmocka_unit_test(sizes),
		cmocka_unit_test(stops_on_a_full_disk),
		cmocka_unit_test(takes_half_a_line_back),
		cmocka_unit_test(refuses_files_that_do_not_match),
	};
	char path[] = "/tmp/dvm-test-XXXXXX";
	int failed;

	failpoint_fd = mkostemp(path, O_APPEND | O_CLOEXEC);
	if (failpoint_fd < 0 || setenv("DVM_FAILPOINT_FILE", path, 1) < 0) {
		return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	close(failpoint_fd);
	return failed;
}
