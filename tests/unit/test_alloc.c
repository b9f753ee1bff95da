/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No memory, at each place in turn: base, proto and stream give an error, leave nothing behind, and
 * go on when there is memory again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alloc.h"
#include "buf.h"
#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "http_head.h"
#include "hub.h"
#include "ini.h"
#include "map.h"
#include "parse.h"
#include "recorder.h"
#include "rpc.h"
#include "terminal.h"
#include "test.h"
#include "tunnel_link.h"

static int use_buf(void)
{
	static const char bytes[1000];
	struct buf b;
	int r = 0;

	buf_init(&b, 1 << 20);
	for (int i = 0; r == 0 && i < 50; i++) {
		size_t before = buf_len(&b);

		r = buf_append(&b, bytes, sizeof(bytes));
		assert_int_equal(buf_len(&b), before + (r == 0 ? sizeof(bytes) : 0));
	}
	if (r == 0) {
		r = buf_printf(&b, "%s", "text");
	}
	buf_fini(&b);
	return r;
}

static int use_map(void)
{
	static int value;
	struct map *m = map_new();
	int r = m ? 0 : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < 100; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%u", i);
		r = map_put(m, key, &value, NULL);
		assert_int_equal(map_size(m), r == 0 ? i + 1 : i);
		assert_ptr_equal(map_get(m, key), r == 0 ? &value : NULL);
	}
	map_free(m);
	return r;
}

static int use_texts(void)
{
	_cleanup_free_ char *coded = base64_encode("hello", 5);
	_cleanup_free_ char *id = coded ? random_id("s", 8) : NULL;
	_cleanup_free_ char *text = id ? strf("%s", id) : NULL;
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t len;

	if (!text) {
		return -ENOMEM;
	}
	return base64_decode(coded, strlen(coded), &bytes, &len);
}

static char folder[] = "/tmp/dvm-test-alloc-XXXXXX";

static int ignore_key(const char *section, const char *key, const char *value, unsigned line,
		      void *user, struct fault *fault)
{
	return 0;
}

static int use_files(void)
{
	static const char ini[] = "[a]\nb = c\n";
	char path[64], deep[64];
	struct fault fault;
	int r;

	snprintf(path, sizeof(path), "%s/a.ini", folder);
	snprintf(deep, sizeof(deep), "%s/b/c", folder);
	r = file_write_atomic(path, ini, strlen(ini), 0600);
	if (r == 0) {
		r = ini_parse_file(path, ignore_key, NULL, &fault);
	}
	if (r == 0) {
		r = dir_make(deep, 0700);
	}
	return r == 0 ? dir_remove(deep) : r;
}

static int use_http_head(void)
{
	static const char text[] = "GET /x HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
	struct http_head h;
	struct buf b;
	size_t used;
	int r;

	assert_int_equal(http_head_decode(text, strlen(text), &h, &used), 1);
	buf_init(&b, 4096);
	r = http_head_forward(&b, &h, NULL, "X: y\r\n");
	assert_true(r == 0 || buf_len(&b) == 0);
	buf_fini(&b);
	return r;
}

static int decode_rpc(struct buf *b)
{
	struct rpc_message m;
	size_t used;
	int r = rpc_decode(buf_data(b), buf_len(b), &m, &used);

	if (r == 1) {
		rpc_message_fini(&m);
		return 0;
	}
	return r;
}

static int use_rpc(void)
{
	static const char fault[] =
		"\0\0\0\x2c{\"id\":1,\"fault\":{\"code\":\"quota\",\"hint\":\"h\"}}";
	struct rpc_message m = { .kind = RPC_CALL, .id = 1, .method = "a.b" };
	struct buf b;
	int r;

	buf_init(&b, 1 << 20);
	m.body = json_pack("{s:s, s:[i, b]}", "text", "some text", "list", 1, 1);
	r = m.body ? rpc_encode(&b, &m) : -ENOMEM;
	if (r == 0) {
		r = decode_rpc(&b);
	}
	rpc_message_fini(&m);
	if (r == 0) {
		r = rpc_encode(&b, &m); /* no body: {} */
	}
	buf_clear(&b);
	if (r == 0) {
		r = buf_append(&b, fault, sizeof(fault) - 1);
	}
	if (r == 0) {
		r = decode_rpc(&b);
	}
	buf_fini(&b);
	return r;
}

/* A tunnel whose listener grants all and sends back what it gets. */

static void on_up(struct tunnel_link *l, void *user)
{
}

static void on_open(struct tunnel_link *l, uint16_t ch, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	int *r = user;

	*r = tunnel_link_accept(l, ch, 0, 100000, mode);
}

static void on_opened(struct tunnel_link *l, uint16_t ch, uint64_t start, uint8_t mode, void *user)
{
}

static void on_data(struct tunnel_link *l, uint16_t ch, uint64_t offset, const uint8_t *p,
		    size_t len, void *user)
{
	int *r = user;
	ssize_t n = tunnel_link_send(l, ch, p, len);

	if (n < 0) {
		*r = (int)n;
	}
}

static void on_gap(struct tunnel_link *l, uint16_t ch, uint64_t offset, uint64_t length, void *user)
{
}

static void on_channel(struct tunnel_link *l, uint16_t ch, void *user)
{
}

static void on_ctl(struct tunnel_link *l, uint16_t ch, const struct tunnel_ctl *ctl, void *user)
{
}

static void on_closed(struct tunnel_link *l, uint16_t ch, const char *reason, void *user)
{
}

static const struct tunnel_link_ops ops = {
	.up = on_up,
	.open = on_open,
	.opened = on_opened,
	.data = on_data,
	.gap = on_gap,
	.writable = on_channel,
	.eof = on_channel,
	.ctl = on_ctl,
	.closed = on_closed,
};

/* In two pieces, so that a part of a frame is kept. */
static int carry(struct tunnel_link *from, struct tunnel_link *to)
{
	struct buf *out = tunnel_link_output(from);
	size_t len = buf_len(out), half = len / 2;
	int r = tunnel_link_input(to, buf_data(out), half);

	if (r == 0) {
		r = tunnel_link_input(to, buf_data(out) + half, len - half);
	}
	tunnel_link_output_sent(from, len);
	return r;
}

static int talk(struct tunnel_link *dialer, struct tunnel_link *listener)
{
	static const char bytes[50000];
	uint16_t ch = 0;
	int r = 0;

	for (int round = 0; r == 0 && round < 6; round++) {
		r = carry(dialer, listener);
		if (r == 0) {
			r = carry(listener, dialer);
		}
		if (r == 0 && round == 2) {
			r = tunnel_link_open(dialer, "x", 3, 0, 100000, &ch);
		}
		if (r == 0 && round == 3) {
			ssize_t n = tunnel_link_send(dialer, ch, bytes, sizeof(bytes));

			r = n == sizeof(bytes) ? 0 : n < 0 ? (int)n : -EINVAL;
		}
		if (r == 0 && round == 4) {
			r = tunnel_link_close(dialer, ch, "");
		}
	}
	return r;
}

static bool portlike;

static int use_tunnel(void)
{
	struct tunnel_link *dialer = NULL, *listener = NULL;
	int owner = 0, r;

	r = tunnel_link_new(TUNNEL_DIALER, &ops, &owner, 0, &dialer);
	if (r == 0) {
		r = tunnel_link_new(TUNNEL_LISTENER, &ops, &owner, 0, &listener);
	}
	if (r == 0 && portlike) {
		tunnel_link_set_portlike(dialer);
		tunnel_link_set_portlike(listener);
	}
	if (r == 0) {
		r = talk(dialer, listener);
	}
	if (r == 0) {
		r = owner;
	}
	/* However it went: a port comes up again when there is memory. */
	if (dialer && listener && portlike) {
		fail_none();
		tunnel_link_reset(dialer);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(carry(dialer, listener), 0);
			assert_int_equal(carry(listener, dialer), 0);
		}
		assert_true(tunnel_link_is_up(dialer) && tunnel_link_is_up(listener));
	}
	tunnel_link_free(dialer);
	tunnel_link_free(listener);
	return r;
}

static void reader_ignores(void *user)
{
}

static void reader_ignores_bool(bool on, void *user)
{
}

static const struct hub_reader_ops reader_ops = {
	.ready = reader_ignores,
	.writer = reader_ignores_bool,
	.source = reader_ignores_bool,
	.input_room = reader_ignores,
	.broke = reader_ignores_bool,
};

static int use_hub_with(struct hub *h)
{
	struct hub_reader *reader;
	int r;

	if (hub_reader_new(h, &reader_ops, NULL, 0, 3, &reader) != FAULT_NONE) {
		return -ENOMEM;
	}
	hub_source_up(h, true, true, reader_ignores, NULL);
	r = hub_reader_write(reader, "typed", 5);
	hub_reader_free(reader);
	return r;
}

static int use_hub(void)
{
	static const uint8_t boot[RING_BOOT_ID_BYTES];
	_cleanup_close_ int fd = memfd_create("ring", MFD_CLOEXEC);
	struct ring *ring;
	struct hub *h;
	int r = ring_open(fd, 4096, boot, &ring);

	if (r < 0) {
		return r;
	}
	r = hub_new_take(ring, true, &h);
	if (r < 0) {
		ring_close(ring);
		return r;
	}
	r = use_hub_with(h);
	hub_free(h);
	return r;
}

static int use_recorder(void)
{
	const struct recorder_options options = { .columns = 80, .rows = 25, .max_bytes = 65536 };
	static const char bytes[5000];
	struct recorder *recorder;
	bool stopped;
	int r;

	r = recorder_open_take(memfd_create("cast", MFD_CLOEXEC),
			       memfd_create("state", MFD_CLOEXEC), &options, 1, &recorder);
	if (r < 0) {
		return r;
	}
	recorder_start(recorder, 0, 1);
	recorder_data(recorder, bytes, sizeof(bytes), 2);
	recorder_gap(recorder, 0, 3);
	stopped = recorder_stopped(recorder) != FAULT_NONE;
	recorder_close(recorder);
	return stopped ? -ENOMEM : 0;
}

/* A resize that fails leaves the terminal as it was. */
static int use_terminal(void)
{
	struct terminal *t;
	unsigned rows, columns;
	struct buf out;
	int r = terminal_new(24, 80, &t);

	if (r < 0) {
		return r;
	}
	terminal_feed(t, "text", 4);
	r = terminal_resize(t, 30, 100);
	terminal_screen_size(t, &rows, &columns);
	assert_int_equal(rows, r == 0 ? 30 : 24);
	buf_init(&out, TERMINAL_SNAPSHOT_MAX);
	if (r == 0) {
		r = terminal_snapshot(t, &out);
		assert_int_equal(buf_len(&out) > 0, r == 0);
	}
	buf_fini(&out);
	terminal_free(t);
	return r;
}

static void base(void **state)
{
	assert_true(fail_each(use_buf, false) >= 8);
	assert_true(fail_each(use_map, false) > 100);
	assert_int_equal(fail_each(use_texts, false), 4);
	assert_true(fail_each(use_files, false) >= 4);
}

static void proto(void **state)
{
	assert_true(fail_each(use_http_head, false) >= 4);
	json_set_alloc_funcs(malloc, free);
	assert_true(fail_each(use_rpc, false) > 10);
}

static void tunnel(void **state)
{
	portlike = false;
	/* HELLO is written later when there is no memory for it. */
	assert_true(fail_each(use_tunnel, true) >= 8);
	portlike = true;
	assert_true(fail_each(use_tunnel, true) >= 8);
}

static void stream(void **state)
{
	assert_true(fail_each(use_hub, false) >= 4);
	assert_true(fail_each(use_recorder, false) >= 3);
	assert_true(fail_each(use_terminal, false) >= 13);
}

static int folder_make(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
	return dir_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base),
		cmocka_unit_test(proto),
		cmocka_unit_test(tunnel),
		cmocka_unit_test(stream),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
