/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the init.
 *
 * The init has nobody above it who could log: each line goes to /dev/console (the D-VM's own serial
 * port, which the relay records) and to /dev/kmsg (so that `dmesg` inside the D-VM shows it in
 * order with the kernel's lines).
 */
#include "say.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int console_fd = -1;
static int kmsg_fd = -1;

void say_open(void)
{
	if (console_fd < 0) {
		console_fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	}
	if (kmsg_fd < 0) {
		kmsg_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	}
}

static void write_best_effort(int fd, const char *text, size_t len)
{
	if (fd >= 0 && write(fd, text, len) < 0) {
		/* nobody left to tell */
		return;
	}
}

void say(const char *format, ...)
{
	char line[512];
	va_list args;
	size_t len;

	/* <4>: warning; the prefix is eaten by the kernel log and skipped for the console */
	memcpy(line, "<4>dvm-init: ", 13);
	va_start(args, format);
	vsnprintf(line + 13, sizeof(line) - 15, format, args);
	va_end(args);
	len = strlen(line);
	write_best_effort(kmsg_fd, line, len);
	line[len++] = '\r';
	line[len++] = '\n';
	write_best_effort(console_fd, line + 3, len - 3);
}
