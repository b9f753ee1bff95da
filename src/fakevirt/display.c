/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A display that is pretended: RFB 3.8 without a password on a unix socket, any number of viewers.
 * It sends a picture of one colour whenever one is asked for and writes down what else it is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "bytes.h"
#include "cleanup.h"
#include "fakevirt.h"
#include "file.h"
#include "parse.h"
#include "unix.h"

#define WIDTH 64
#define HEIGHT 48
#define VIEWERS_MAX 32
#define IN_MAX 65536
#define OUT_MAX (1024 * 1024)
#define KEYS_MAX 4096

struct viewer {
	struct list link;
	struct fake_display *v;
	int fd;
	sd_event_source *io;
	unsigned step; /* of the handshake */
	unsigned bytes_per_pixel;
	size_t skip; /* of a text that nobody reads */
	struct buf in, out;
};

struct fake_display {
	struct fake_domain *d;
	char *path;
	int listen_fd;
	sd_event_source *listen_io;
	struct list viewers;
	unsigned n_viewers, exclusive;
	json_t *seen, *keys;
};

static void viewer_free(struct viewer *w)
{
	list_del(&w->link);
	w->v->n_viewers--;
	sd_event_source_disable_unref(w->io);
	close_fd(w->fd);
	buf_fini(&w->in);
	buf_fini(&w->out);
	free(w);
}

static void count(struct fake_display *v, const char *what)
{
	json_int_t n = json_integer_value(json_object_get(v->seen, what));

	json_object_set_new(v->seen, what, json_integer(n + 1));
}

/* --- the protocol, RFC 6143
 * -------------------------------------------------------------------- */

static int init_send(struct viewer *w)
{
	static const uint8_t head[20] = { 0, WIDTH, 0, HEIGHT, 32, 24, 0, 1, 0, 255,
					  0, 255,   0, 255,    16, 8,  0, 0, 0, 0 };
	_cleanup_free_ char *name = strf("QEMU (%s)", w->v->d->name);
	uint8_t len[4] = { 0 };
	int r = name ? buf_append(&w->out, head, sizeof(head)) : -ENOMEM;

	if (r == 0) {
		len[3] = (uint8_t)strlen(name);
		r = buf_append(&w->out, len, sizeof(len));
	}
	return r < 0 ? r : buf_append(&w->out, name, len[3]);
}

/* The whole screen, raw. */
static int picture_send(struct viewer *w)
{
	static const uint8_t head[16] = { 0, 0, 0, 1, 0, 0, 0, 0, 0, WIDTH, 0, HEIGHT, 0, 0, 0, 0 };
	uint8_t row[WIDTH * 4];
	int r = buf_append(&w->out, head, sizeof(head));

	memset(row, 0xa5, sizeof(row));
	for (unsigned y = 0; y < HEIGHT && r == 0; y++) {
		r = buf_append(&w->out, row, WIDTH * w->bytes_per_pixel);
	}
	return r;
}

/* One step of the handshake: bytes used, 0 for more of them, -errno. */
static ssize_t handshake(struct viewer *w, const uint8_t *p, size_t len)
{
	static const size_t need[] = { 12, 1, 1 };
	int r = 0;

	if (len < need[w->step]) {
		return 0;
	}
	if (w->step == 0) {
		r = memcmp(p, "RFB 003.008\n", 12) == 0 ? buf_append(&w->out, "\1\1", 2) : -EPROTO;
	} else if (w->step == 1) {
		r = p[0] == 1 ? buf_append(&w->out, "\0\0\0", 4) : -EPROTO;
	} else {
		w->v->exclusive += p[0] == 0;
		r = init_send(w);
	}
	return r < 0 ? r : (ssize_t)need[w->step++];
}

static size_t message_len(const uint8_t *p, size_t len)
{
	switch (p[0]) {
	case 0:
		return 20;
	case 2:
		return len < 4 ? 4 : 4 + 4 * (size_t)get_u16(p + 2);
	case 3:
		return 10;
	case 4:
	case 6:
		return 8;
	case 5:
		return 6;
	case 255:
		return len < 4 ? 4 : p[1] == 0 ? 12 : p[3] == 2 ? 10 : 4;
	default:
		return 0;
	}
}

static ssize_t message(struct viewer *w, const uint8_t *p, size_t len)
{
	size_t need = message_len(p, len);
	char type[16];
	int r = 0;

	if (need == 0) {
		return -EPROTO;
	}
	if (len < need) {
		return 0;
	}
	snprintf(type, sizeof(type), p[0] == 255 ? "%d.%d" : "%d", p[0], p[1]);
	count(w->v, type);
	if (p[0] == 0) {
		w->bytes_per_pixel = p[4] / 8;
		r = w->bytes_per_pixel >= 1 && w->bytes_per_pixel <= 4 ? 0 : -EPROTO;
	} else if (p[0] == 3) {
		r = picture_send(w);
	} else if (p[0] == 6) {
		w->skip = get_u32(p + 4);
	}
	return r < 0 ? r : (ssize_t)need;
}

static int input(struct viewer *w)
{
	while (buf_len(&w->in) > 0) {
		const uint8_t *p = buf_data(&w->in);
		size_t len = buf_len(&w->in);
		ssize_t n;

		if (w->skip > 0) {
			n = (ssize_t)MIN(len, w->skip);
			w->skip -= (size_t)n;
		} else {
			n = w->step < 3 ? handshake(w, p, len) : message(w, p, len);
		}
		if (n <= 0) {
			return (int)n;
		}
		buf_consume(&w->in, (size_t)n);
	}
	return 0;
}

/* --- its connections
 * --------------------------------------------------------------------------- */

static int flush(struct viewer *w)
{
	while (buf_len(&w->out) > 0) {
		ssize_t n = buf_write_fd(&w->out, w->fd);

		if (n == -EAGAIN) {
			break;
		}
		if (n < 0) {
			return (int)n;
		}
	}
	/* A viewer that does not read is not listened to. */
	return sd_event_source_set_io_events(w->io, buf_len(&w->out) > 0 ? EPOLLOUT : EPOLLIN);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct viewer *w = user;
	ssize_t n = 1;
	int r = 0;

	if (events & EPOLLIN) {
		n = buf_read_fd(&w->in, w->fd, buf_room(&w->in));
	}
	if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR)) {
		viewer_free(w);
		return 0;
	}
	r = input(w);
	if (r == 0) {
		r = flush(w);
	}
	if (r < 0 || (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN))) {
		viewer_free(w);
	}
	return 0;
}

static int viewer_new_take(struct fake_display *v, int fd)
{
	struct viewer *w = v->n_viewers < VIEWERS_MAX ? calloc(1, sizeof(*w)) : NULL;
	int r;

	if (!w) {
		close_fd(fd);
		return -ENOMEM;
	}
	w->v = v;
	w->fd = fd;
	w->bytes_per_pixel = 4;
	buf_init(&w->in, IN_MAX);
	buf_init(&w->out, OUT_MAX);
	list_add_tail(&v->viewers, &w->link);
	v->n_viewers++;
	r = sd_event_add_io(v->d->f->event, &w->io, fd, EPOLLIN, on_io, w);
	if (r >= 0) {
		r = buf_append(&w->out, "RFB 003.008\n", 12);
	}
	if (r >= 0) {
		r = flush(w);
	}
	if (r < 0) {
		viewer_free(w);
	}
	return r;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct fake_display *v = user;
	int connected;

	if (unix_accept(v->listen_fd, &connected) == 0) {
		(void)viewer_new_take(v, connected);
	}
	return 0;
}

int fake_display_new(struct fake_domain *d, const char *path, struct fake_display **ret)
{
	struct fake_display *v = calloc(1, sizeof(*v));
	int r;

	if (!v) {
		return -ENOMEM;
	}
	*v = (struct fake_display){ .d = d,
				    .path = strdup(path),
				    .listen_fd = -1,
				    .seen = json_object(),
				    .keys = json_array() };
	list_init(&v->viewers);
	r = v->path ? unix_listen(path, 0600, &v->listen_fd) : -ENOMEM;
	if (r == 0) {
		r = sd_event_add_io(d->f->event, &v->listen_io, v->listen_fd, EPOLLIN,
				    on_connection, v);
	}
	if (r < 0) {
		fake_display_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

struct fake_display *fake_display_free(struct fake_display *v)
{
	if (!v) {
		return NULL;
	}
	while (!list_empty(&v->viewers)) {
		viewer_free(container_of(v->viewers.next, struct viewer, link));
	}
	sd_event_source_disable_unref(v->listen_io);
	if (v->listen_fd >= 0) {
		unlink(v->path);
	}
	close_fd(v->listen_fd);
	json_decref(v->seen);
	json_decref(v->keys);
	free(v->path);
	free(v);
	return NULL;
}

const char *fake_display_path(const struct fake_display *v)
{
	return v->path;
}

void fake_display_key(struct fake_display *v, const json_t *codes)
{
	if (json_array_size(v->keys) < KEYS_MAX) {
		json_array_append(v->keys, (json_t *)codes);
	}
}

json_t *fake_display_json(const struct fake_display *v)
{
	return json_pack("{sisisOsO}", "viewers", (int)v->n_viewers, "exclusive", (int)v->exclusive,
			 "seen", v->seen, "keys", v->keys);
}

/* One black pixel, with a text such as a real one must not have either: whoever shows the picture
 * on is to leave it out. */
int fake_screen_make(const char *path)
{
	static const uint8_t png[] = {
		0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
		0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00,
		0x00, 0x3a, 0x7e, 0x9b, 0x55, 0x00, 0x00, 0x00, 0x0d, 0x74, 0x45, 0x58, 0x74, 0x53,
		0x6f, 0x66, 0x74, 0x77, 0x61, 0x72, 0x65, 0x00, 0x51, 0x45, 0x4d, 0x55, 0x61, 0x99,
		0x14, 0x54, 0x00, 0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x60,
		0x00, 0x00, 0x00, 0x02, 0x00, 0x01, 0x48, 0xaf, 0xa4, 0x71, 0x00, 0x00, 0x00, 0x00,
		0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
	};

	return file_write_atomic(path, png, sizeof(png), 0600);
}
