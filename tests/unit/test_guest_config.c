/* SPDX-License-Identifier: Apache-2.0 */
/* The D-VM's configuration texts (PROTOCOL.agent §1), the serials of disks, and the host key's
 * format. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "disks.h"
#include "hostkey.h"

static const char whole[] =
	"session s-3k9w2x1y\nhostname s-3k9w2x1y\nkey ssh-ed25519 AAAA alice\nkey ssh-rsa BBBB "
	"bob\n"
	"clock 1795427734.000123\n"
	"seed 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
	"lease 3600\ntarget 0 patient\ntarget 2 web-1\nstack disk\n"
	"port 0 serial1 pci 0000:00:07.0\nport 2 parallel0 virtio org.dvm.port.t2-parallel0\nend\n";

static void assert_whole(const struct config *c)
{
	assert_string_equal(c->session, "s-3k9w2x1y");
	assert_string_equal(c->hostname, "s-3k9w2x1y");
	assert_int_equal(c->n_keys, 2);
	assert_string_equal(c->keys[1], "ssh-rsa BBBB bob");
	assert_int_equal(c->clock, 1795427734000123);
	assert_true(c->has_seed);
	assert_int_equal(c->seed[31], 0x1f);
	assert_string_equal(c->targets[0], "patient");
	assert_string_equal(c->targets[1], "");
	assert_string_equal(c->targets[2], "web-1");
	assert_int_equal(c->n_stacks, 1);
	assert_int_equal(c->n_ports, 2);
	assert_string_equal(c->ports[0].name, "serial1");
	assert_string_equal(c->ports[0].place, "pci 0000:00:07.0");
	assert_int_equal(c->ports[1].target, 2);
	assert_string_equal(c->ports[1].place, "virtio org.dvm.port.t2-parallel0");
	assert_true(c->lease_until > 0);
}

static void config_in_any_pieces(void **state)
{
	for (size_t piece = 1; piece < sizeof(whole); piece += 7) {
		struct config_reader reader;
		struct config config;
		size_t used, at = 0;
		int r = 0;

		config_reader_init(&reader);
		while (at < sizeof(whole) - 1 && r == 0) {
			size_t n = MIN(piece, sizeof(whole) - 1 - at);

			r = config_reader_input(&reader, (const uint8_t *)whole + at, n, &config,
						&used);
			assert_true(r >= 0);
			at += used;
		}
		assert_int_equal(r, 1);
		assert_int_equal(at, sizeof(whole) - 1);
		assert_whole(&config);
		config_fini(&config);
		config_reader_fini(&reader);
	}
}

static void config_leaves_nonsense_out(void **state)
{
	struct buf text;
	struct config_reader reader;
	struct config config;
	size_t used;

	buf_init(&text, 1024 * 1024);
	assert_int_equal(buf_printf(&text, "hostname ../../etc\nhostname a b\nsession \ntarget 99 "
					   "x\ntarget x y\ntarget 0\n"
					   "lease -1\nclock 1.2\nseed 00\nfuture words of a newer "
					   "relay\n\n\x01\x02\nnoword\n"
					   "port 0\nport 0 serial1\nport 0 usb1 pci 1\n"
					   "port 0 serial1 pci ../x\nport 0 serial1 pci ..\n"
					   "port 16 serial1 pci 1\nport 0 serial12 pci 1\n"),
			 0);
	/* a line beyond the maximum */
	assert_int_equal(buf_append(&text, "key ", 4), 0);
	for (int i = 0; i < 20000; i++) {
		assert_int_equal(buf_append(&text, "x", 1), 0);
	}
	/* too many keys */
	assert_int_equal(buf_append(&text, "\n", 1), 0);
	for (int i = 0; i < 3 * CONFIG_KEYS_MAX; i++) {
		assert_int_equal(buf_printf(&text, "key ssh-ed25519 %d\n", i), 0);
	}
	assert_int_equal(buf_printf(&text, "hostname good\nend\nrest"), 0);
	config_reader_init(&reader);
	assert_int_equal(
		config_reader_input(&reader, buf_data(&text), buf_len(&text), &config, &used), 1);
	assert_int_equal(used, buf_len(&text) - 4);
	assert_string_equal(config.hostname, "good");
	assert_string_equal(config.session, "");
	assert_string_equal(config.targets[0], "");
	assert_int_equal(config.n_keys, CONFIG_KEYS_MAX);
	assert_string_equal(config.keys[0], "ssh-ed25519 0");
	assert_int_equal(config.n_ports, 0);
	assert_int_equal(config.clock, 0);
	assert_false(config.has_seed);
	config_fini(&config);
	config_reader_fini(&reader);
	buf_fini(&text);
}

static void disk_serials(void **state)
{
	static const char *const bad[] = { "",	      "t",	    "t-",	  "t0",
					   "t0-",     "root",	    "stack-disk", "tx-vda",
					   "t-1-vda", "t00000-vda", "t0-../x",	  "t0-a b",
					   "t+1-vda" };
	const char *device;
	uint32_t n;

	assert_int_equal(disk_serial_parse("t0-vda", &n, &device), 0);
	assert_int_equal(n, 0);
	assert_string_equal(device, "vda");
	assert_int_equal(disk_serial_parse("t12-sdb", &n, &device), 0);
	assert_int_equal(n, 12);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(disk_serial_parse(bad[i], &n, &device), -EINVAL);
	}
}

/* RFC 8032, section 7.1, test 1: secret and public key. */
static void host_key_of_a_known_secret(void **state)
{
	static const uint8_t secret[32] = { 0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60,
					    0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
					    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19,
					    0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60 };
	static const uint8_t public_half[4] = { 0xd7, 0x5a, 0x98, 0x01 };
	struct buf private;
	char *public;

	buf_init(&private, 256);
	assert_int_equal(hostkey_format(secret, &private, &public), 0);
	assert_string_equal(
		public,
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea");
	assert_int_equal(buf_len(&private), 4 + 11 + 4 + 64);
	assert_memory_equal(buf_data(&private), "\0\0\0\x0bssh-ed25519\0\0\0\x40", 4 + 11 + 4);
	assert_memory_equal(buf_data(&private) + 19, secret, 32);
	assert_memory_equal(buf_data(&private) + 19 + 32, public_half, sizeof(public_half));
	buf_fini(&private);
	free(public);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_in_any_pieces),
		cmocka_unit_test(config_leaves_nonsense_out),
		cmocka_unit_test(disk_serials),
		cmocka_unit_test(host_key_of_a_known_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
