/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named places where a test makes a program fail, stall or die.
 *
 * Theory of operation: the environment is looked at once. A list of entries, from the environment
 * or from the file, is searched at each pass. Which once- entries of the environment have fired is
 * remembered by their position (the list does not change); a once- entry of the file fires in the
 * program that manages to remove the file.
 */
#include "failpoint.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"

#define FAILPOINT_FILE_MAX 4096
#define FAILPOINT_ENTRIES_MAX 64 /* those behind never fire */
#define FAILPOINT_ENTRY_MAX 128

static struct {
	pthread_once_t once;
	const char *list, *file;
	uint64_t fired; /* a bit for each entry of `list` */
} armed = { .once = PTHREAD_ONCE_INIT };

static void failpoint_arm(void)
{
	armed.list = getenv("DVM_FAILPOINT");
	armed.file = getenv("DVM_FAILPOINT_FILE");
}

static int errno_by_name(const char *name)
{
	for (int e = 1; e < 256; e++) {
		const char *known = strerrorname_np(e);

		if (known && strcmp(known, name) == 0) {
			return e;
		}
	}
	return 0;
}

static void sleep_ms(uint32_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR) {
	}
}

static int failpoint_act(const char *mode)
{
	uint32_t ms;
	int e;

	if (strcmp(mode, "kill") == 0) {
		kill(getpid(), SIGKILL);
	}
	if (strncmp(mode, "sleep:", 6) == 0 && parse_u32(mode + 6, &ms) == 0) {
		sleep_ms(ms);
		return 0;
	}
	if (strcmp(mode, "error") == 0) {
		return -EIO;
	}
	e = strncmp(mode, "error:", 6) == 0 ? errno_by_name(mode + 6) : 0;
	if (e == 0) {
		abort(); /* a typing error must not look like a test that passes */
	}
	return -e;
}

/* Is a once- entry still to fire? If so, it is taken: nobody else fires it. */
static bool failpoint_take(bool from_file, unsigned position)
{
	uint64_t bit = UINT64_C(1) << position;

	if (from_file) {
		return unlink(armed.file) == 0;
	}
	return !(__atomic_fetch_or(&armed.fired, bit, __ATOMIC_RELAXED) & bit);
}

/* Looks `name` up in "NAME=MODE;NAME=MODE…" and does what it says. */
static int failpoint_search(const char *list, bool from_file, const char *name)
{
	size_t name_len = strlen(name);

	for (unsigned i = 0; *list && i < FAILPOINT_ENTRIES_MAX; i++) {
		size_t len = strcspn(list, ";\n");
		char entry[FAILPOINT_ENTRY_MAX];

		if (len < sizeof(entry) && len > name_len && list[name_len] == '=' &&
		    memcmp(list, name, name_len) == 0) {
			const char *mode = entry + name_len + 1;

			memcpy(entry, list, len);
			entry[len] = '\0';
			if (strncmp(mode, "once-", 5) != 0) {
				return failpoint_act(mode);
			}
			if (failpoint_take(from_file, i)) {
				return failpoint_act(mode + 5);
			}
		}
		list += len;
		list += *list != '\0';
	}
	return 0;
}

static int failpoint_pass(const char *name)
{
	_cleanup_free_ char *text = NULL;
	int r = 0;

	if (armed.list) {
		r = failpoint_search(armed.list, false, name);
	}
	if (r == 0 && armed.file && file_read(armed.file, FAILPOINT_FILE_MAX, &text, NULL) == 0) {
		r = failpoint_search(text, true, name);
	}
	return r;
}

int failpoint(const char *name)
{
	pthread_once(&armed.once, failpoint_arm);
	return armed.list || armed.file ? failpoint_pass(name) : 0;
}
