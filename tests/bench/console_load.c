/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load for the benchmark of a console: how fast it gets to all who read it, and into its
 * recording, without a byte lost.
 *
 * Theory of operation: a guest says so many MiB of text as fast as it is taken, while one thread
 * takes what comes at the other ends: frames of PROTOCOL.tunnel, of which DATA is counted, or the
 * bytes as they are. The clock stops when everybody has had everything, and the recording's state
 * page says so, too. What comes is checked line by line in length and place of its ends.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nsec.h"

#define READERS_MAX 16
#define WRITE_BYTES 65536
#define TUNNEL_DATA 5
#define TUNNEL_GAP 6
#define TUNNEL_HEADER 8

static const char line[] =
	"[   12.345678] usb 1-1: new high-speed USB device number 5 using xhci_hcd\r\n";
#define LINE_BYTES (sizeof(line) - 1)

struct reader {
	int fd;
	bool frames;
	uint8_t head[TUNNEL_HEADER + 8]; /* of a frame, with a DATA's offset */
	size_t n_head, body;		 /* bytes of it that came; that are still to come */
	bool data;			 /* the body is text */
	uint64_t got;
};

struct guest {
	int fd;
	uint64_t bytes;
	uint64_t start_nsec;
};

/* As in src/stream/recorder.c. */
struct state_page {
	char magic[8];
	uint64_t start_realtime, count;
	struct {
		uint64_t offset, length, at_usec;
	} slot[2];
};

static void *guest_run(void *user)
{
	struct guest *g = user;
	uint8_t *text = malloc(WRITE_BYTES + LINE_BYTES);
	uint64_t sent = 0;

	for (size_t i = 0; i < WRITE_BYTES + LINE_BYTES; i++) {
		text[i] = (uint8_t)line[i % LINE_BYTES];
	}
	g->start_nsec = now_nsec();
	while (sent < g->bytes) {
		uint64_t left = g->bytes - sent;
		ssize_t n = write(g->fd, text + sent % LINE_BYTES,
				  left < WRITE_BYTES ? (size_t)left : WRITE_BYTES);

		if (n < 0) {
			err(1, "write");
		}
		sent += (uint64_t)n;
	}
	free(text);
	return NULL;
}

/* Whether the ends of lines stand where they must. */
static void text_check(const uint8_t *p, size_t len, uint64_t offset)
{
	for (size_t i = (size_t)((LINE_BYTES - 1 + LINE_BYTES - offset % LINE_BYTES) % LINE_BYTES);
	     i < len; i += LINE_BYTES) {
		if (p[i] != '\n') {
			fprintf(stderr, "console_load: no end of a line at %" PRIu64 "\n",
				offset + i);
			exit(1);
		}
	}
}

static void head_done(struct reader *r)
{
	uint32_t len;

	memcpy(&len, r->head + 4, 4);
	r->body = __builtin_bswap32(len);
	r->data = r->head[0] == TUNNEL_DATA;
	if (r->head[0] == TUNNEL_GAP) {
		fputs("console_load: bytes were lost\n", stderr);
		exit(1);
	}
}

static void frames_take(struct reader *r, const uint8_t *p, size_t len)
{
	while (len > 0) {
		size_t want = r->n_head < TUNNEL_HEADER ? TUNNEL_HEADER
			      : r->data			? TUNNEL_HEADER + 8
							: TUNNEL_HEADER;
		size_t n;

		if (r->n_head < want) {
			n = want - r->n_head < len ? want - r->n_head : len;
			memcpy(r->head + r->n_head, p, n);
			r->n_head += n;
			if (r->n_head == TUNNEL_HEADER) {
				head_done(r);
			} else if (r->n_head == TUNNEL_HEADER + 8) {
				r->body -= 8;
			}
		} else {
			n = r->body < len ? r->body : len;
			if (r->data) {
				text_check(p, n, r->got);
				r->got += n;
			}
			r->body -= n;
		}
		p += n;
		len -= n;
		if (r->n_head >= TUNNEL_HEADER && r->body == 0) {
			r->n_head = 0;
			r->data = false;
		}
	}
}

static void reader_take(struct reader *r)
{
	static uint8_t bytes[4 * WRITE_BYTES];
	ssize_t n = read(r->fd, bytes, sizeof(bytes));

	if (n <= 0) {
		err(1, "read");
	}
	if (r->frames) {
		frames_take(r, bytes, (size_t)n);
		return;
	}
	text_check(bytes, (size_t)n, r->got);
	r->got += (uint64_t)n;
}

static void readers_run(struct reader *readers, int n, uint64_t bytes)
{
	for (int left = n; left > 0;) {
		struct pollfd polls[READERS_MAX];

		for (int i = 0; i < n; i++) {
			polls[i] = (struct pollfd){
				.fd = readers[i].got < bytes ? readers[i].fd : -1,
				.events = POLLIN,
			};
		}
		if (poll(polls, (nfds_t)n, 30000) <= 0) {
			err(1, "poll");
		}
		left = 0;
		for (int i = 0; i < n; i++) {
			if (polls[i].revents) {
				reader_take(&readers[i]);
			}
			left += readers[i].got < bytes;
		}
	}
}

static void recording_wait(int fd, uint64_t offset)
{
	volatile struct state_page *page = mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, fd, 0);
	const struct timespec pause = { .tv_nsec = 200000 };
	uint64_t start = now_nsec();

	if (page == MAP_FAILED) {
		err(1, "mmap");
	}
	while (page->slot[page->count % 2].offset < offset) {
		if (now_nsec() - start > 30000000000ull) {
			fputs("console_load: the recording lags or has stopped\n", stderr);
			exit(1);
		}
		nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv)
{
	static struct reader readers[READERS_MAX];
	struct guest guest = { 0 };
	uint64_t start_offset, end;
	int state_fd, n = 0;
	pthread_t thread;

	if (argc < 7 || (strcmp(argv[1], "frames") != 0 && strcmp(argv[1], "raw") != 0)) {
		fputs("usage: console_load frames|raw BYTES OFFSET GUEST-FD STATE-FD|-1 READER-FD "
		      "…\n",
		      stderr);
		return 2;
	}
	guest.bytes = strtoull(argv[2], NULL, 10) / LINE_BYTES * LINE_BYTES;
	start_offset = strtoull(argv[3], NULL, 10);
	guest.fd = atoi(argv[4]);
	state_fd = atoi(argv[5]);
	for (int i = 6; i < argc && n < READERS_MAX; i++, n++) {
		readers[n].fd = atoi(argv[i]);
		readers[n].frames = strcmp(argv[1], "frames") == 0;
	}
	if (fcntl(guest.fd, F_SETFL, fcntl(guest.fd, F_GETFL) & ~O_NONBLOCK) < 0) {
		err(1, "fcntl");
	}
	if (pthread_create(&thread, NULL, guest_run, &guest) != 0) {
		err(1, "pthread_create");
	}
	readers_run(readers, n, guest.bytes);
	pthread_join(thread, NULL);
	if (state_fd >= 0) {
		recording_wait(state_fd, start_offset + guest.bytes);
	}
	end = now_nsec();
	printf("{\"mib_s\": %.2f, \"bytes\": %" PRIu64 "}\n",
	       (double)guest.bytes / 1048576.0 / ((double)(end - guest.start_nsec) / 1e9),
	       guest.bytes);
	return 0;
}
