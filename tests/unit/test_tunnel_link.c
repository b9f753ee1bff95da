/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends of a tunnel, joined by a pipe that cuts bytes anywhere: every byte once, in order,
 * within its credit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "tunnel_link.h"

/* What an end did, as text: the tests compare transcripts. */
struct end {
	struct tunnel_link *link;
	char log[8192];
	bool accepts; /* opens are granted from offset 0 with a window of 1000 */
};

static void note(struct end *e, const char *fmt, ...) _printf_(2, 3);

static void note(struct end *e, const char *fmt, ...)
{
	size_t len = strlen(e->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->log + len, sizeof(e->log) - len, fmt, ap);
	va_end(ap);
}

static void on_up(struct tunnel_link *l, void *user)
{
	note(user, "up ");
}

static void on_open(struct tunnel_link *l, uint16_t ch, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	struct end *e = user;

	note(e, "open(%u,%s,%u,%lld) ", ch, service, mode, (long long)from);
	if (e->accepts) {
		assert_int_equal(tunnel_link_accept(l, ch, 0, 1000, mode), 0);
	}
}

static void on_opened(struct tunnel_link *l, uint16_t ch, uint64_t start, uint8_t mode, void *user)
{
	note(user, "opened(%u,%llu,%u) ", ch, (unsigned long long)start, mode);
}

static void on_data(struct tunnel_link *l, uint16_t ch, uint64_t offset, const uint8_t *p,
		    size_t len, void *user)
{
	note(user, "data(%u,%llu,%.*s) ", ch, (unsigned long long)offset, (int)MIN(len, (size_t)40),
	     (const char *)p);
}

static void on_gap(struct tunnel_link *l, uint16_t ch, uint64_t offset, uint64_t length, void *user)
{
	note(user, "gap(%u,%llu,%llu) ", ch, (unsigned long long)offset,
	     (unsigned long long)length);
}

static void on_writable(struct tunnel_link *l, uint16_t ch, void *user)
{
	note(user, "writable(%u) ", ch);
}

static void on_eof(struct tunnel_link *l, uint16_t ch, void *user)
{
	note(user, "eof(%u) ", ch);
}

static void on_ctl(struct tunnel_link *l, uint16_t ch, const struct tunnel_ctl *ctl, void *user)
{
	note(user, "ctl(%u,%u,%u,%u,%d) ", ch, ctl->op, ctl->rows, ctl->columns, ctl->on);
}

static void on_closed(struct tunnel_link *l, uint16_t ch, const char *reason, void *user)
{
	note(user, "closed(%u,%s) ", ch, reason);
	/* The owner may look, but no longer act. */
	assert_int_equal(tunnel_link_send(l, ch, "x", 1), -ENOENT);
	assert_int_equal(tunnel_link_close(l, ch, ""), -ENOENT);
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

static struct end dialer, listener;

static void end_start(struct end *e, enum tunnel_role role)
{
	*e = (struct end){ .accepts = true };
	assert_int_equal(tunnel_link_new(role, &ops, e, 0, &e->link), 0);
}

static int start_both(void **state)
{
	end_start(&dialer, TUNNEL_DIALER);
	end_start(&listener, TUNNEL_LISTENER);
	return 0;
}

static int stop_both(void **state)
{
	dialer.link = tunnel_link_free(dialer.link);
	listener.link = tunnel_link_free(listener.link);
	return 0;
}

/* Moves at most `max` bytes of output into the other end. */
static size_t carry(struct end *from, struct end *to, size_t max)
{
	struct buf *out = tunnel_link_output(from->link);
	size_t len = MIN(buf_len(out), max);

	if (len > 0) {
		uint8_t *copy = malloc(len);

		assert_non_null(copy);
		memcpy(copy, buf_data(out), len);
		tunnel_link_output_sent(from->link, len);
		assert_int_equal(tunnel_link_input(to->link, copy, len), 0);
		free(copy);
	}
	return len;
}

static void settle(size_t max)
{
	while (carry(&dialer, &listener, max) + carry(&listener, &dialer, max) > 0) {
	}
}

#define expect(end, text)                                                                          \
	do {                                                                                       \
		assert_string_equal((end).log, text);                                              \
		(end).log[0] = '\0';                                                               \
	} while (0)

static void a_channel_from_open_to_close(void **state)
{
	uint16_t ch;

	assert_int_equal(tunnel_link_open(dialer.link, "ssh", 3, 0, 500, &ch), -ENOTCONN);
	settle(1);
	expect(dialer, "up ");
	expect(listener, "up ");
	assert_int_equal(tunnel_link_open(dialer.link, "ssh", 3, 7, 500, &ch), 0);
	assert_int_equal(ch, 1);
	assert_int_equal(tunnel_link_send(dialer.link, ch, "early", 5), -EINVAL);
	settle(1);
	expect(listener, "open(1,ssh,3,7) ");
	expect(dialer, "opened(1,0,3) ");
	assert_int_equal(tunnel_link_room(dialer.link, ch), 1000);
	assert_int_equal(tunnel_link_room(listener.link, ch), 500);
	assert_int_equal(tunnel_link_send(dialer.link, ch, "hello", 5), 5);
	assert_int_equal(tunnel_link_send(listener.link, ch, "world", 5), 5);
	assert_int_equal(tunnel_link_send_gap(listener.link, ch, 600), 0);
	settle(3);
	expect(listener, "data(1,0,hello) ");
	expect(dialer, "data(1,0,world) gap(1,5,600) ");
	assert_int_equal(tunnel_link_tx_offset(listener.link, ch), 605);
	assert_int_equal(tunnel_link_rx_offset(dialer.link, ch), 605);
	assert_int_equal(tunnel_link_rx_limit(dialer.link, ch), 500);
	assert_int_equal(tunnel_link_send(listener.link, ch, "x", 1), 0);
	assert_int_equal(tunnel_link_credit(dialer.link, ch, 400), 0);
	assert_int_equal(tunnel_link_credit(dialer.link, ch, 607), 0);
	settle(3);
	expect(listener, "writable(1) ");
	assert_int_equal(tunnel_link_send(listener.link, ch, "abc", 3), 2);
	assert_int_equal(tunnel_link_ctl(dialer.link, ch,
					 &(struct tunnel_ctl){ .op = TUNNEL_CTL_WINSIZE,
							       .rows = 25,
							       .columns = 80 }),
			 0);
	assert_int_equal(tunnel_link_eof(dialer.link, ch), 0);
	assert_int_equal(tunnel_link_send(dialer.link, ch, "x", 1), -EPIPE);
	settle(3);
	expect(dialer, "data(1,605,ab) ");
	expect(listener, "ctl(1,2,25,80,0) eof(1) ");
	assert_int_equal(tunnel_link_close(listener.link, ch, "vm-gone"), 0);
	assert_int_equal(tunnel_link_close(listener.link, ch, ""), -ENOENT);
	settle(3);
	expect(dialer, "closed(1,vm-gone) ");
	expect(listener, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_channel_from_open_to_close, start_both,
						stop_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
