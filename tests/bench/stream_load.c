/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load for the benchmarks of streams: what goes in at one end of each stream is counted, or
 * sent back, at the other.
 *
 * Theory of operation: the driver has made the streams, through whatever is measured, and hands
 * both ends of each over. For throughput one thread writes all streams and another reads them all,
 * each with an epoll of its own; what the reader got between the end of the warm-up and the end
 * counts. Like any program of use they touch what they pass: the writer counts up in it, eight
 * bytes a number, and the reader checks every number. At the end the streams are left empty, for
 * the next load. For echo one thread sends a byte back as it comes; the time of each round trip is
 * taken.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "nsec.h"

#define STREAMS_MAX 256
#define WRITE_BYTES 65536
#define WS_HEADER_BYTES 14
#define WARM_UP_NSEC 100000000ull

struct numbers {
	uint64_t next;
	uint8_t part[8]; /* of the next number */
	size_t n_part;
};

struct stream {
	int near, far;	/* its ends */
	uint8_t *block; /* what is written at once */
	size_t at;	/* in the block */
	struct numbers in, out;
	uint64_t sent, received; /* bytes of numbers */
};

struct load {
	struct stream streams[STREAMS_MAX];
	uint32_t n;
	bool ws;       /* the near ends speak WebSocket */
	uint64_t nsec; /* how long */
	size_t header_len, block_len;
	uint64_t received, first_nsec, last_nsec;
	atomic_bool stop, written;
};

static void nonblocking(int fd)
{
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
		err(1, "fcntl");
	}
}

static void watch(int ep, int fd, uint32_t events, uint32_t i)
{
	struct epoll_event ev = { .events = events, .data.u32 = i };

	nonblocking(fd);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
		err(1, "epoll_ctl");
	}
}

/* Numbers for a whole block. */
static void numbers_write(struct numbers *s, uint8_t *p)
{
	for (size_t i = 0; i < WRITE_BYTES; i += 8, s->next++) {
		memcpy(p + i, &s->next, 8);
	}
}

static void number_check(struct numbers *s, const uint8_t *p)
{
	uint64_t number;

	memcpy(&number, p, 8);
	if (number != s->next) {
		fprintf(stderr, "stream_load: %" PRIu64 " came, not %" PRIu64 "\n", number,
			s->next);
		exit(1);
	}
	s->next++;
}

static void numbers_check(struct numbers *s, const uint8_t *p, size_t len)
{
	while (len > 0 && (s->n_part > 0 || len < 8)) {
		s->part[s->n_part++] = *p++;
		len--;
		if (s->n_part == 8) {
			number_check(s, s->part);
			s->n_part = 0;
		}
	}
	for (; len >= 8; p += 8, len -= 8) {
		number_check(s, p);
	}
	memcpy(s->part, p, len);
	s->n_part += len;
}

static void stream_write(struct load *l, struct stream *s)
{
	ssize_t n;

	if (s->at == 0) {
		numbers_write(&s->in, s->block + l->header_len);
		s->sent += WRITE_BYTES;
	}
	n = write(s->near, s->block + s->at, l->block_len - s->at);
	if (n < 0 && errno != EAGAIN) {
		err(1, "write");
	}
	s->at = (s->at + (n > 0 ? (size_t)n : 0)) % l->block_len;
}

static void *writer(void *user)
{
	struct load *l = user;
	int ep = epoll_create1(EPOLL_CLOEXEC);

	for (uint32_t i = 0; i < l->n; i++) {
		watch(ep, l->streams[i].near, EPOLLOUT, i);
	}
	while (!l->stop) {
		struct epoll_event ready[64];
		int n = epoll_wait(ep, ready, 64, 100);

		for (int k = 0; k < n; k++) {
			stream_write(l, &l->streams[ready[k].data.u32]);
		}
	}
	for (uint32_t i = 0; i < l->n; i++) {
		struct pollfd p = { .fd = l->streams[i].near, .events = POLLOUT };

		while (l->streams[i].at > 0) {
			stream_write(l, &l->streams[i]);
			(void)poll(&p, 1, 100);
		}
	}
	close(ep);
	l->written = true;
	return NULL;
}

static void stream_read(struct load *l, struct stream *s)
{
	static uint8_t bytes[WRITE_BYTES];
	ssize_t n = read(s->far, bytes, sizeof(bytes));

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		err(1, "read");
	}
	if (n > 0) {
		numbers_check(&s->out, bytes, (size_t)n);
		s->received += (size_t)n;
		l->received += (size_t)n;
	}
}

static bool all_received(const struct load *l)
{
	for (uint32_t i = 0; l->written && i < l->n; i++) {
		if (l->streams[i].received < l->streams[i].sent) {
			return false;
		}
	}
	return l->written;
}

static void *reader(void *user)
{
	struct load *l = user;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	uint64_t start = now_nsec();

	for (uint32_t i = 0; i < l->n; i++) {
		watch(ep, l->streams[i].far, EPOLLIN, i);
	}
	while (!l->stop || !all_received(l)) {
		struct epoll_event ready[64];
		int n = epoll_wait(ep, ready, 64, 10);
		uint64_t now = now_nsec();

		if (!l->first_nsec && now >= start + WARM_UP_NSEC) {
			l->first_nsec = now;
			l->received = 0;
		}
		if (!l->stop && now >= start + WARM_UP_NSEC + l->nsec) {
			l->last_nsec = now;
			l->stop = true;
			printf("{\"mib_s\": %.2f, ", (double)l->received / 1048576.0 /
							     ((double)(now - l->first_nsec) / 1e9));
		}
		for (int k = 0; k < n; k++) {
			stream_read(l, &l->streams[ready[k].data.u32]);
		}
	}
	close(ep);
	return NULL;
}

static void throughput(struct load *l)
{
	uint64_t bytes = 0;
	pthread_t in, out;

	if (pthread_create(&out, NULL, reader, l) != 0) {
		err(1, "pthread_create");
	}
	if (pthread_create(&in, NULL, writer, l) != 0) {
		err(1, "pthread_create");
	}
	pthread_join(out, NULL);
	pthread_join(in, NULL);
	for (uint32_t i = 0; i < l->n; i++) {
		bytes += l->streams[i].received;
	}
	printf("\"bytes\": %" PRIu64 "}\n", bytes);
}

static void set_blocking(int fd)
{
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0) {
		err(1, "fcntl");
	}
}

static void *echo(void *user)
{
	struct load *l = user;
	uint8_t byte[16];
	ssize_t n;

	while (!l->stop && (n = read(l->streams[0].far, byte, sizeof(byte))) > 0) {
		if (write(l->streams[0].far, byte, (size_t)n) != n) {
			err(1, "write");
		}
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void round_trips(struct load *l)
{
	/* The block holds one byte here. What comes back is not masked. */
	size_t back = l->ws ? 3 : 1, n_times = 0, max_times = 2000000;
	uint32_t *times = malloc(max_times * sizeof(*times));
	uint64_t start, end;
	pthread_t thread;

	set_blocking(l->streams[0].near);
	set_blocking(l->streams[0].far);
	if (pthread_create(&thread, NULL, echo, l) != 0) {
		err(1, "pthread_create");
	}
	start = now_nsec();
	end = start + WARM_UP_NSEC + l->nsec;
	for (uint64_t sent = start; sent < end && n_times < max_times;) {
		uint8_t got[16];
		uint64_t now;

		sent = now_nsec();
		if (write(l->streams[0].near, l->streams[0].block, l->block_len) !=
		    (ssize_t)l->block_len) {
			err(1, "write");
		}
		for (size_t have = 0; have < back;) {
			ssize_t n = read(l->streams[0].near, got, back - have);

			if (n <= 0) {
				err(1, "read");
			}
			have += (size_t)n;
		}
		now = now_nsec();
		if (sent >= start + WARM_UP_NSEC) {
			times[n_times++] = (uint32_t)(now - sent);
		}
	}
	qsort(times, n_times, sizeof(*times), compare);
	printf("{\"p50_us\": %.2f, \"p99_us\": %.2f, \"n\": %zu}\n",
	       n_times ? times[n_times / 2] / 1e3 : 0.0,
	       n_times ? times[n_times * 99 / 100] / 1e3 : 0.0, n_times);
	exit(0); /* the other thread waits in read() */
}

/* One binary message, masked with zeros. */
static void block_make(struct load *l, struct stream *s, size_t payload)
{
	uint8_t *at = s->block = calloc(1, payload + WS_HEADER_BYTES);

	if (l->ws) {
		*at++ = 0x82;
		*at++ = (uint8_t)(0x80 | (payload < 126 ? payload : 127));
		for (int i = 7; i >= 0 && payload >= 126; i--) {
			*at++ = (uint8_t)((uint64_t)payload >> (8 * i));
		}
		at += 4;
	}
	l->header_len = (size_t)(at - s->block);
	l->block_len = l->header_len + payload;
}

int main(int argc, char **argv)
{
	static struct load l;
	bool echo_mode;
	int i = 3;

	if (argc < 5 || (strcmp(argv[1], "throughput") != 0 && strcmp(argv[1], "echo") != 0)) {
		fputs("usage: stream_load throughput|echo MILLISECONDS [ws] NEAR-FD FAR-FD …\n",
		      stderr);
		return 2;
	}
	echo_mode = strcmp(argv[1], "echo") == 0;
	l.nsec = strtoull(argv[2], NULL, 10) * 1000000;
	if (strcmp(argv[i], "ws") == 0) {
		l.ws = true;
		i++;
	}
	for (; i + 1 < argc && l.n < STREAMS_MAX; i += 2, l.n++) {
		l.streams[l.n].near = atoi(argv[i]);
		l.streams[l.n].far = atoi(argv[i + 1]);
		block_make(&l, &l.streams[l.n], echo_mode ? 1 : WRITE_BYTES);
	}
	if (echo_mode) {
		round_trips(&l);
	}
	throughput(&l);
	return 0;
}
