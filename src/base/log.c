/* SPDX-License-Identifier: Apache-2.0 */
/* Logging to stderr: each record is one line and one write(). */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_LINE_MAX 2048

static const struct {
	const char *name;
	int priority; /* syslog(3) */
} levels[] = {
	[LOG_LEVEL_ERR] = { "err", 3 },
	[LOG_LEVEL_WARN] = { "warn", 4 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};
static_assert(ARRAY_SIZE(levels) == LOG_LEVEL_DEBUG + 1, "each level has a name");

static struct {
	const char *program;
	enum log_level level;
	bool with_priority;
} logger = { .program = "dvm", .level = LOG_LEVEL_INFO };

/* JOURNAL_STREAM names the socket the service manager gave us; only when stderr still is that
 * socket, it asks. */
static bool journal_on_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uint64_t dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%" SCNu64 ":%" SCNu64, &dev, &ino) != 2) {
		return false;
	}
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_open(const char *program)
{
	const char *level = getenv("DVM_LOG");

	logger.program = program;
	logger.with_priority = journal_on_stderr();
	for (size_t i = 0; level && i < ARRAY_SIZE(levels); i++) {
		if (strcmp(level, levels[i].name) == 0) {
			logger.level = (enum log_level)i;
		}
	}
}

void log_set_level(enum log_level level)
{
	logger.level = level;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	char line[LOG_LINE_MAX];
	size_t start = 0, len;
	va_list ap;
	ssize_t n;

	if (level > logger.level) {
		return;
	}
	if (logger.with_priority) {
		start = (size_t)snprintf(line, sizeof(line), "<%d>", levels[level].priority);
	}
	start += (size_t)snprintf(line + start, 64, "%.60s: ", logger.program);
	errno = saved; /* for %m */
	va_start(ap, fmt);
	vsnprintf(line + start, sizeof(line) - start - 1, fmt, ap);
	va_end(ap);
	len = start + strlen(line + start);
	for (size_t i = start; i < len; i++) {
		/* A peer's text must neither forge a record nor steer the reader's terminal. */
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
			line[i] = '?';
		}
	}
	line[len++] = '\n';
	n = write(STDERR_FILENO, line, len);
	(void)n; /* nowhere left to complain */
	errno = saved;
}
