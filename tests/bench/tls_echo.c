/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Echo of one byte through dvm-gate, as a user's program has it that speaks TLS and WebSocket
 * itself.
 *
 * Theory of operation: as stream_load's echo; the near end is a TCP connection to the gate, on
 * which this makes the handshakes of TLS and WebSocket (the ticket stands in the path).
 */
#include <err.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nsec.h"

#define TIMES_MAX 2000000
#define WARM_UP_NSEC 100000000ull

static void *echo(void *user)
{
	int fd = *(int *)user;
	uint8_t byte[16];
	ssize_t n;

	while ((n = read(fd, byte, sizeof(byte))) > 0) {
		if (write(fd, byte, (size_t)n) != n) {
			errx(1, "the far end is closed");
		}
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void receive(gnutls_session_t s, char *to, size_t len)
{
	while (len > 0) {
		ssize_t n = gnutls_record_recv(s, to, len);

		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
			continue; /* a ticket for later sessions */
		}
		if (n <= 0) {
			errx(1, "the gate has closed the connection");
		}
		to += n;
		len -= (size_t)n;
	}
}

static gnutls_session_t stream_open(int fd, const char *path)
{
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t s;
	char request[512], head[4096] = "";
	size_t len = 0;
	int n;

	if (gnutls_certificate_allocate_credentials(&credentials) < 0 ||
	    gnutls_init(&s, GNUTLS_CLIENT) < 0 || gnutls_set_default_priority(s) < 0 ||
	    gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, credentials) < 0) {
		errx(1, "no TLS");
	}
	gnutls_transport_set_int(s, fd);
	do {
		n = gnutls_handshake(s);
	} while (n < 0 && !gnutls_error_is_fatal(n));
	if (n < 0) {
		errx(1, "%s", gnutls_strerror(n));
	}
	n = snprintf(
		request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
		path);
	if (gnutls_record_send(s, request, (size_t)n) != n) {
		errx(1, "request not sent");
	}
	while (!strstr(head, "\r\n\r\n") && len < sizeof(head) - 1) {
		receive(s, head + len++, 1);
	}
	if (strncmp(head, "HTTP/1.1 101 ", 13) != 0) {
		errx(1, "%s", head);
	}
	return s;
}

int main(int argc, char **argv)
{
	static const char frame[] = { (char)0x82, (char)0x81, 0, 0, 0, 0, 'x' };
	uint32_t *times = malloc(TIMES_MAX * sizeof(*times));
	size_t n_times = 0;
	uint64_t start, end;
	gnutls_session_t s;
	pthread_t thread;
	int far;

	if (argc != 5) {
		fputs("usage: tls_echo MILLISECONDS NEAR-FD FAR-FD PATH\n", stderr);
		return 2;
	}
	far = atoi(argv[3]);
	s = stream_open(atoi(argv[2]), argv[4]);
	if (!times || pthread_create(&thread, NULL, echo, &far) != 0) {
		errx(1, "no thread");
	}
	start = now_nsec();
	end = start + WARM_UP_NSEC + strtoull(argv[1], NULL, 10) * 1000000;
	for (uint64_t sent = start; sent < end && n_times < TIMES_MAX;) {
		char got[3];

		sent = now_nsec();
		if (gnutls_record_send(s, frame, sizeof(frame)) != sizeof(frame)) {
			errx(1, "not sent");
		}
		receive(s, got, sizeof(got));
		if (sent >= start + WARM_UP_NSEC) {
			times[n_times++] = (uint32_t)(now_nsec() - sent);
		}
	}
	qsort(times, n_times, sizeof(*times), compare);
	printf("{\"p50_us\": %.2f, \"p99_us\": %.2f, \"n\": %zu}\n",
	       n_times ? times[n_times / 2] / 1e3 : 0.0,
	       n_times ? times[n_times * 99 / 100] / 1e3 : 0.0, n_times);
	exit(0); /* the other thread waits in read() */
}
