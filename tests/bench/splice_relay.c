/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest relay that there can be: one epoll, and two splice() calls a move. No policy, no
 * tickets, no walls, no half-close, no error handling: a limit to hold dvm-relay against.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct way {
	int from, to, pipe[2];
};

int main(int argc, char **argv)
{
	struct way *ways = calloc((size_t)argc, sizeof(*ways));
	int ep = epoll_create1(0), n_ways = 0;

	for (int i = 1; i + 1 < argc; i += 2) {
		int fds[2] = { atoi(argv[i]), atoi(argv[i + 1]) };

		for (int k = 0; k < 2; k++) {
			struct way *w = &ways[n_ways++];
			struct epoll_event ev = { .events = EPOLLIN, .data.ptr = w };

			w->from = fds[k];
			w->to = fds[1 - k];
			if (pipe(w->pipe) < 0 || fcntl(w->pipe[0], F_SETPIPE_SZ, 256 * 1024) < 0 ||
			    epoll_ctl(ep, EPOLL_CTL_ADD, w->from, &ev) < 0) {
				return 1;
			}
		}
	}
	for (;;) {
		struct epoll_event ready[64];
		int n = epoll_wait(ep, ready, 64, -1);

		for (int i = 0; i < n; i++) {
			struct way *w = ready[i].data.ptr;
			ssize_t got = splice(w->from, NULL, w->pipe[1], NULL, 256 * 1024,
					     SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

			if (got == 0) {
				epoll_ctl(ep, EPOLL_CTL_DEL, w->from, NULL);
			}
			while (got > 0) {
				ssize_t sent = splice(w->pipe[0], NULL, w->to, NULL, (size_t)got,
						      SPLICE_F_MOVE);

				if (sent <= 0) {
					return 1;
				}
				got -= sent;
			}
			if (got < 0) {
				return 1;
			}
		}
	}
}
