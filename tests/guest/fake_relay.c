/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay for tests of the D-VM's inside: the dialer's end of the tunnel, with scripted answers.
 *
 * usage: fake_relay (--fd N | --connect PATH) --config FILE [--listen PATH] [--console-bytes N] [--
 * COMMAND …]
 *
 * With a COMMAND instead of --fd or --connect: starts it with the other end of a socket pair as its
 * fd 3, and ends with it.
 *
 * Sends FILE as the configuration, prints what the agent says on `config`, one line each with the
 * seconds since the start. Every connection to --listen becomes an `ssh` channel. A console has N
 * bytes of past ("line 1\n", "line 2\n" …), echoes what is typed, and loses 100 bytes (a gap) when
 * `!` is typed. The first `#` of an input that has a name, and what came with it after it, is not
 * had: the channel is closed instead. A break is made for who has said `$` before, else it cannot
 * be. Verbs get canned answers.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "parse.h"
#include "tunnel_link.h"
#include "typed.h"

#define PEERS_MAX 32
#define WINDOW 65536

enum kind { KIND_CONFIG, KIND_SSH, KIND_CONSOLE, KIND_VERB };

struct peer {
	enum kind kind;
	bool used, accepted, answered;
	bool eof; /* the client sends no more */
	uint16_t channel;
	int fd;		    /* KIND_SSH */
	struct buf in, out; /* in: from the agent; out: to it */
	bool named;	    /* its input is relay.input */
	bool breaks;
};

static struct {
	struct tunnel_link *link;
	int fd, listener;
	struct peer peers[PEERS_MAX];
	char *config, *past;
	size_t past_len;
	usec_t start;
	/* the last writer that has named his input */
	uint64_t input, had;
	bool broke_off;
} relay = { .fd = -1, .listener = -1 };

static void die(const char *what, int r)
{
	fprintf(stderr, "fake_relay: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void check(const char *what, int r)
{
	if (r < 0) {
		die(what, r);
	}
}

static struct peer *peer_new(enum kind kind)
{
	for (size_t i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &relay.peers[i];

		if (!p->used) {
			*p = (struct peer){ .kind = kind, .used = true, .fd = -1 };
			buf_init(&p->in, 1024 * 1024);
			buf_init(&p->out, 4 * 1024 * 1024);
			return p;
		}
	}
	return NULL;
}

static void peer_free(struct peer *p)
{
	buf_fini(&p->in);
	buf_fini(&p->out);
	p->fd = close_fd(p->fd);
	p->used = false;
}

static void peer_open(struct peer *p, const char *service)
{
	check(service, tunnel_link_open(relay.link, service, TUNNEL_MODE_READ | TUNNEL_MODE_WRITE,
					0, WINDOW, &p->channel));
	tunnel_link_set_data(relay.link, p->channel, p);
}

static void peer_flush(struct peer *p)
{
	ssize_t n;

	if (!p->used || !p->accepted || buf_len(&p->out) == 0) {
		return;
	}
	n = tunnel_link_send(relay.link, p->channel, buf_data(&p->out), buf_len(&p->out));
	if (n > 0) {
		buf_consume(&p->out, n);
	}
}

static void say(struct peer *p, const char *text)
{
	check("answer", buf_append(&p->out, text, strlen(text)));
	peer_flush(p);
}

static void on_up(struct tunnel_link *l, void *user)
{
	struct peer *p = peer_new(KIND_CONFIG);

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%.3f up\n", (clock_monotonic() - relay.start) / 1e6);
	peer_open(p, "config");
}

static void on_open(struct tunnel_link *l, uint16_t channel, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	bool console = strncmp(service, "console/", 8) == 0;
	struct peer *p;
	uint64_t start = 0;

	if ((!console && strcmp(service, "verb") != 0) ||
	    strcmp(service, "console/stranger") == 0) {
		check("refuse", tunnel_link_refuse(l, channel, "not-found"));
		return;
	}
	p = peer_new(console ? KIND_CONSOLE : KIND_VERB);
	p->channel = channel;
	p->accepted = true;
	if (console) {
		start = MIN(from, (uint64_t)relay.past_len);
		if (from == TUNNEL_FROM_KEPT) {
			start = 0;
		}
	}
	check("accept", tunnel_link_accept(l, channel, start, WINDOW, mode & 3));
	tunnel_link_set_data(l, channel, p);
	if (from == TUNNEL_FROM_SCREEN) {
		check("screen",
		      tunnel_link_send_screen(l, channel, "the screen, ", 12, false) != 12);
		static const char screen[] = "the screen, in pieces";
		ssize_t n = tunnel_link_send_screen(l, channel, screen, 12, false);

		check("screen", n == 12 ? 0 : -EIO);
		n = tunnel_link_send_screen(l, channel, screen + 12, strlen(screen) - 12, true);
		check("screen", n > 0 ? 0 : -EIO);
	}
	if (console) {
		check("past", buf_append(&p->out, relay.past + start, relay.past_len - start));
		peer_flush(p);
	}
}

static void on_opened(struct tunnel_link *l, uint16_t channel, uint64_t start, uint8_t mode,
		      void *user)
{
	struct peer *p = tunnel_link_get_data(l, channel);

	p->accepted = true;
	if (p->kind == KIND_CONFIG) {
		say(p, relay.config);
	}
	peer_flush(p);
}

static void answer_verb(struct peer *p, const char *line)
{
	if (strcmp(line, "info") == 0) {
		say(p, "ok "
		       "{\"id\":\"s-test\",\"state\":\"ready\",\"owner\":\"alice\",\"project\":"
		       "\"demo\","
		       "\"targets\":[{\"vm\":\"v-1\",\"name\":\"patient\"}],\"stacks\":[\"disk\"],"
		       "\"lease_expires\":\"2026-01-01T00:00:00.000Z\",\"attachments\":[{\"vm\":"
		       "\"v-1\","
		       "\"kind\":\"disk\",\"mode\":\"rw\",\"state\":\"attached\",\"devices\":[\"t0-"
		       "vda\"]}]}\n");
	} else if (strcmp(line, "power off patient") == 0) {
		say(p, "note pulling the plug\nok patient is off\n");
	} else if (strcmp(line, "power on patient") == 0) {
		say(p, "fault vm-fenced the VM's disks are in a debug VM|Give them back: target "
		       "disk detach\n");
	} else if (strncmp(line, "disk attach patient r", 21) == 0) {
		say(p, "ok {\"devices\":[\"t0-vda\"]}\n");
	} else if (strcmp(line, "disk detach patient") == 0 || strncmp(line, "session ", 8) == 0) {
		say(p, "ok\n");
	} else {
		say(p, "fault not-supported no such verb|\n");
	}
	p->answered = true;
}

static void tell_input(struct peer *p, uint64_t had)
{
	const struct tunnel_ctl ctl = { .op = TUNNEL_CTL_INPUT, .id = relay.input, .at = had };

	check("input", tunnel_link_ctl(relay.link, p->channel, &ctl));
}

/* Returns false when the channel is gone. */
static bool console_typed(struct peer *p, const uint8_t *bytes, size_t len)
{
	const uint8_t *cut = p->named && !relay.broke_off ? memchr(bytes, '#', len) : NULL;
	size_t n = cut ? (size_t)(cut - bytes) : len;

	if (p->named) {
		relay.had += n;
	}
	if (p->named && !cut) {
		tell_input(p, relay.had);
	}
	check("echo", buf_append(&p->out, bytes, n));
	relay.past = realloc(relay.past, relay.past_len + n + 1);
	memcpy(relay.past + relay.past_len, bytes, n);
	relay.past_len += n;
	p->breaks |= memchr(bytes, '$', n) != NULL;
	peer_flush(p);
	if (memchr(bytes, '!', n)) {
		check("gap", tunnel_link_send_gap(relay.link, p->channel, 100));
	}
	if (cut) {
		relay.broke_off = true;
		check("close", tunnel_link_close(relay.link, p->channel, ""));
		peer_free(p);
	}
	return !cut;
}

static void on_data(struct tunnel_link *l, uint16_t channel, uint64_t offset, const uint8_t *bytes,
		    size_t len, void *user)
{
	struct peer *p = tunnel_link_get_data(l, channel);
	uint8_t *newline;

	if (!p) {
		return;
	}
	switch (p->kind) {
	case KIND_CONSOLE:
		if (!console_typed(p, bytes, len)) {
			return;
		}
		break;
	case KIND_SSH:
		check("ssh", buf_append(&p->in, bytes, len));
		return; /* credit when it is written */
	case KIND_CONFIG:
	case KIND_VERB:
		check("line", buf_append(&p->in, bytes, len));
		while ((newline = memchr(buf_data(&p->in), '\n', buf_len(&p->in)))) {
			*newline = '\0';
			if (p->kind == KIND_VERB) {
				answer_verb(p, (char *)buf_data(&p->in));
			} else {
				printf("%.3f %s\n", (clock_monotonic() - relay.start) / 1e6,
				       buf_data(&p->in));
				fflush(stdout);
			}
			buf_consume(&p->in, newline + 1 - buf_data(&p->in));
			if (buf_len(&p->in) == 0) {
				break;
			}
		}
		break;
	}
	check("credit", tunnel_link_credit(l, channel, offset + len + WINDOW));
	if (p->answered && buf_len(&p->out) == 0) {
		check("close", tunnel_link_close(l, channel, ""));
		peer_free(p);
	}
}

static void on_gap(struct tunnel_link *l, uint16_t channel, uint64_t offset, uint64_t length,
		   void *user)
{
}

static void on_writable(struct tunnel_link *l, uint16_t channel, void *user)
{
	struct peer *p = tunnel_link_get_data(l, channel);

	if (p) {
		peer_flush(p);
	}
}

static void on_eof(struct tunnel_link *l, uint16_t channel, void *user)
{
}

static void on_ctl(struct tunnel_link *l, uint16_t channel, const struct tunnel_ctl *ctl,
		   void *user)
{
	struct tunnel_ctl writer = { .op = TUNNEL_CTL_WRITER, .on = true };
	struct peer *p = tunnel_link_get_data(l, channel);

	if (ctl->op == TUNNEL_CTL_TAKE) {
		check("ctl", tunnel_link_ctl(l, channel, &writer));
	}
	if (p && ctl->op == TUNNEL_CTL_INPUT) {
		bool known = ctl->id == relay.input;

		relay.had = known ? relay.had : 0;
		relay.input = ctl->id;
		p->named = true;
		tell_input(p, known ? relay.had : TYPED_UNKNOWN);
	}
	if (p && ctl->op == TUNNEL_CTL_BREAK) {
		check("broke", tunnel_link_ctl(l, channel,
					       &(struct tunnel_ctl){ .op = TUNNEL_CTL_BROKE,
								     .on = p->breaks }));
	}
}

static void on_closed(struct tunnel_link *l, uint16_t channel, const char *reason, void *user)
{
	struct peer *p = tunnel_link_get_data(l, channel);

	if (p) {
		/* what sshd said last must still reach its client */
		if (p->kind == KIND_SSH && buf_len(&p->in) > 0) {
			fcntl(p->fd, F_SETFL, 0);
			(void)!write_all(p->fd, buf_data(&p->in), buf_len(&p->in));
		}
		peer_free(p);
	}
}

static const struct tunnel_link_ops ops = {
	.up = on_up,
	.open = on_open,
	.opened = on_opened,
	.data = on_data,
	.gap = on_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = on_ctl,
	.closed = on_closed,
};

static int unix_socket(const char *path, bool listening)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (listening) {
		unlink(path);
		check(path, bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
					    listen(fd, 8) < 0
				    ? -errno
				    : 0);
		return fd;
	}
	for (int i = 0; connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0; i++) {
		if (i == 1000) {
			die(path, -errno);
		}
		poll(NULL, 0, 10);
	}
	return fd;
}

static void ssh_move(struct peer *p, short revents)
{
	static uint8_t bytes[16384];
	size_t room = p->accepted ? tunnel_link_room(relay.link, p->channel) : 0;
	ssize_t n;

	if (buf_len(&p->in) > 0 && buf_write_fd(&p->in, p->fd) > 0) {
		check("credit", tunnel_link_credit(relay.link, p->channel,
						   tunnel_link_rx_offset(relay.link, p->channel) -
							   buf_len(&p->in) + WINDOW));
	}
	if (!(revents & (POLLIN | POLLHUP)) || room == 0 || p->eof) {
		return;
	}
	n = read(p->fd, bytes, MIN(sizeof(bytes), room));
	if (n > 0) {
		check("send", tunnel_link_send(relay.link, p->channel, bytes, n) == n ? 0 : -EIO);
	} else if (n == 0) {
		check("eof", tunnel_link_eof(relay.link, p->channel));
		p->eof = true;
	}
}

static void link_move(short revents)
{
	static uint8_t bytes[65536];
	struct buf *out;

	if (revents & (POLLIN | POLLHUP)) {
		ssize_t n = read(relay.fd, bytes, sizeof(bytes));

		if (n == 0) {
			printf("%.3f end\n", (clock_monotonic() - relay.start) / 1e6);
			exit(0);
		}
		if (n > 0) {
			check("input", tunnel_link_input(relay.link, bytes, n));
		}
	}
	out = tunnel_link_output(relay.link);
	while (buf_len(out) > 0) {
		ssize_t n = write(relay.fd, buf_data(out), buf_len(out));

		if (n <= 0) {
			break;
		}
		tunnel_link_output_sent(relay.link, n);
	}
}

static void run(void)
{
	usec_t dialed = clock_monotonic();

	for (;;) {
		struct pollfd fds[PEERS_MAX + 2] = {
			{ .fd = relay.fd,
			  .events = POLLIN |
				    (buf_len(tunnel_link_output(relay.link)) ? POLLOUT : 0) },
			{ .fd = tunnel_link_is_up(relay.link) ? relay.listener : -1,
			  .events = POLLIN },
		};

		for (size_t i = 0; i < PEERS_MAX; i++) {
			struct peer *p = &relay.peers[i];

			fds[i + 2].fd = p->used && p->kind == KIND_SSH ? p->fd : -1;
			if (fds[i + 2].fd >= 0) {
				fds[i + 2].events =
					(buf_len(&p->in) ? POLLOUT : 0) |
					(p->accepted && !p->eof &&
							 tunnel_link_room(relay.link, p->channel)
						 ? POLLIN
						 : 0);
			}
		}
		poll(fds, ARRAY_SIZE(fds), 200);
		for (size_t i = 0; i < PEERS_MAX; i++) {
			if (fds[i + 2].fd >= 0 && relay.peers[i].used) {
				ssh_move(&relay.peers[i], fds[i + 2].revents);
			}
		}
		if (fds[1].revents) {
			struct peer *p = peer_new(KIND_SSH);

			p->fd = accept4(relay.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
			peer_open(p, "ssh");
		}
		link_move(fds[0].revents);
		if (!tunnel_link_is_up(relay.link) &&
		    buf_len(tunnel_link_output(relay.link)) == 0 &&
		    clock_monotonic() - dialed > USEC_PER_SEC) {
			tunnel_link_reset(relay.link);
			dialed = clock_monotonic();
		}
	}
}

static int spawn(char **command)
{
	int pair[2];
	pid_t pid;

	check("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ? -errno : 0);
	pid = fork();
	check("fork", pid < 0 ? -errno : 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(pair[1], 3);
		if (pair[0] != 3) {
			close(pair[0]);
		}
		execv(command[0], command);
		die(command[0], -errno);
	}
	close(pair[1]);
	printf("pid %d\n", (int)pid);
	fflush(stdout);
	return pair[0];
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "fd", required_argument, NULL, 'f' },
		{ "connect", required_argument, NULL, 'c' },
		{ "config", required_argument, NULL, 'C' },
		{ "listen", required_argument, NULL, 'l' },
		{ "console-bytes", required_argument, NULL, 'b' },
		{ 0 },
	};
	uint64_t past = 50000;
	size_t len;
	int c;

	relay.start = clock_monotonic();
	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		switch (c) {
		case 'f':
			relay.fd = atoi(optarg);
			break;
		case 'c':
			relay.fd = unix_socket(optarg, false);
			break;
		case 'C':
			check(optarg, file_read(optarg, 65536, &relay.config, &len));
			break;
		case 'l':
			relay.listener = unix_socket(optarg, true);
			break;
		case 'b':
			check(optarg, parse_u64(optarg, &past));
			break;
		default:
			return 2;
		}
	}
	if (relay.fd < 0 && optind < argc) {
		relay.fd = spawn(argv + optind);
	}
	if (relay.fd < 0 || !relay.config) {
		return 2;
	}
	relay.past = malloc(past + 32);
	for (unsigned i = 1; relay.past_len < past; i++) {
		relay.past_len += sprintf(relay.past + relay.past_len, "line %u\n", i);
	}
	check("fd", fd_set_nonblock(relay.fd));
	check("link", tunnel_link_new(TUNNEL_DIALER, &ops, NULL, 4 * 1024 * 1024, &relay.link));
	tunnel_link_set_portlike(relay.link);
	run();
	return 0;
}
