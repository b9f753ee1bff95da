/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest program that does with bytes what a console's relay does: reads them, writes them to
 * each reader, and into a file. No frames, no scrollback, no screen, no times, no walls, and it
 * waits for the slowest: a limit to hold dvm-relay against.
 */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static uint8_t bytes[65536];

static int write_all(int fd, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, bytes + at, len - at);

		if (n <= 0) {
			return -1;
		}
		at += (size_t)n;
	}
	return 0;
}

/* fan_out FROM-FD TO-FD … */
int main(int argc, char **argv)
{
	ssize_t n;

	while (argc > 2 && (n = read(atoi(argv[1]), bytes, sizeof(bytes))) > 0) {
		for (int i = 2; i < argc; i++) {
			if (write_all(atoi(argv[i]), (size_t)n) < 0) {
				return 1;
			}
		}
	}
	return 0;
}
