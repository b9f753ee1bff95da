/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of src/io/tls.c and tls_cert.c, with GnuTLS's client at the other end of a socket
 * pair. */
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"
#include "test.h"
#include "tls.h"
#include "tls_cert.h"
#include "unix.h"

struct fixture {
	char dir[32];
	char *crt, *key, *pin;
	struct tls_server *server;
	gnutls_certificate_credentials_t trust;

	int fds[2];
	struct tls_conn *conn;
	gnutls_session_t client;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct fault fault = { 0 };

	strcpy(f->dir, "/tmp/dvm-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->crt = strf("%s/gate.crt", f->dir);
	f->key = strf("%s/gate.key", f->dir);
	f->pin = strf("%s/gate.pin", f->dir);
	assert_int_equal(tls_cert_ensure(f->dir, NULL, 0, &fault), 0);
	assert_int_equal(tls_server_new(f->crt, f->key, &f->server, &fault), 0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&f->trust), 0);
	assert_true(gnutls_certificate_set_x509_trust_file(f->trust, f->crt, GNUTLS_X509_FMT_PEM) ==
		    1);
	f->fds[0] = f->fds[1] = -1;
	*state = f;
	return 0;
}

static void disconnect(struct fixture *f)
{
	if (f->client) {
		gnutls_deinit(f->client);
		f->client = NULL;
	}
	f->conn = tls_conn_free(f->conn);
	f->fds[0] = close_fd(f->fds[0]);
	f->fds[1] = close_fd(f->fds[1]);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	disconnect(f);
	tls_server_free(f->server);
	gnutls_certificate_free_credentials(f->trust);
	assert_int_equal(dir_remove(f->dir), 0);
	free(f->crt);
	free(f->key);
	free(f->pin);
	free(f);
	return 0;
}

static void connect_client(struct fixture *f, const char *priority, const char *name)
{
	assert_int_equal(unix_pair(f->fds), 0);
	assert_int_equal(tls_conn_new(f->server, f->fds[0], &f->conn), 0);
	assert_int_equal(gnutls_init(&f->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
	assert_int_equal(gnutls_priority_set_direct(f->client, priority, NULL), 0);
	assert_int_equal(gnutls_credentials_set(f->client, GNUTLS_CRD_CERTIFICATE, f->trust), 0);
	gnutls_session_set_verify_cert(f->client, name, 0);
	gnutls_transport_set_int(f->client, f->fds[1]);
}

/* The server's result; the client's in *ret. */
static int shake(struct fixture *f, int *ret)
{
	int server = -EAGAIN, client = GNUTLS_E_AGAIN;

	for (unsigned i = 0; i < 100 && (server == -EAGAIN || client == GNUTLS_E_AGAIN); i++) {
		if (client == GNUTLS_E_AGAIN) {
			client = gnutls_handshake(f->client);
		}
		if (server == -EAGAIN) {
			server = tls_handshake(f->conn);
		}
	}
	*ret = client;
	return server;
}

static void shake_well(struct fixture *f)
{
	int client;

	assert_int_equal(shake(f, &client), 0);
	assert_int_equal(client, 0);
}

/* A ticket that comes first looks like "nothing yet". */
static ssize_t client_recv(struct fixture *f, void *p, size_t len)
{
	ssize_t n = GNUTLS_E_AGAIN;

	for (unsigned i = 0; i < 10 && n == GNUTLS_E_AGAIN; i++) {
		n = gnutls_record_recv(f->client, p, len);
	}
	return n;
}

static void test_files(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *pin = NULL;
	struct stat st;

	assert_int_equal(stat(f->key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(file_read(f->pin, 256, &pin, NULL), 0);
	assert_memory_equal(pin, "sha256//", 8);
	assert_int_equal(strlen(pin), 8 + 44 + 1);
}

static void test_pin_and_key_last(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *pin[2] = { 0 }, *crt[3] = { 0 };
	static const char *const names[] = { "gate.example.org", "192.0.2.7" };
	struct fault fault = { 0 };
	int client;

	assert_int_equal(file_read(f->pin, 256, &pin[0], NULL), 0);
	assert_int_equal(file_read(f->crt, 8192, &crt[0], NULL), 0);
	assert_int_equal(tls_cert_ensure(f->dir, NULL, 0, &fault), 0);
	assert_int_equal(file_read(f->crt, 8192, &crt[1], NULL), 0);
	assert_string_equal(crt[0], crt[1]);

	assert_int_equal(tls_cert_ensure(f->dir, names, 2, &fault), 0);
	assert_int_equal(file_read(f->crt, 8192, &crt[2], NULL), 0);
	assert_string_not_equal(crt[0], crt[2]);
	assert_int_equal(file_read(f->pin, 256, &pin[1], NULL), 0);
	assert_string_equal(pin[0], pin[1]);
	free(pin[1]);
	free(crt[1]);
	free(crt[2]);
	pin[1] = crt[1] = crt[2] = NULL;

	tls_server_free(f->server);
	assert_int_equal(tls_server_new(f->crt, f->key, &f->server, &fault), 0);
	gnutls_certificate_free_credentials(f->trust);
	assert_int_equal(gnutls_certificate_allocate_credentials(&f->trust), 0);
	assert_true(gnutls_certificate_set_x509_trust_file(f->trust, f->crt, GNUTLS_X509_FMT_PEM) ==
		    1);
	for (unsigned i = 0; i < 2; i++) {
		connect_client(f, "NORMAL", names[i]);
		shake_well(f);
		disconnect(f);
	}
	connect_client(f, "NORMAL", "other.example.org");
	shake(f, &client);
	assert_int_equal(client, GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR);
	free(pin[0]);
	free(crt[0]);
	pin[0] = crt[0] = NULL;
}

static void test_damaged_key_is_a_fault(void **state)
{
	struct fixture *f = *state;
	struct fault fault = { 0 };

	assert_int_equal(file_write_atomic(f->key, "garbage", 7, 0600), 0);
	assert_int_equal(tls_cert_ensure(f->dir, NULL, 0, &fault), -EREMOTEIO);
	assert_int_equal(fault.code, FAULT_INTERNAL);
	assert_null(strstr(fault.message, "/tmp"));
}

static void test_certificate_of_another_key_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct fault fault = { 0 };
	struct tls_server *again;

	assert_int_equal(unlink(f->key), 0);
	assert_int_equal(tls_cert_ensure(f->dir, NULL, 0, &fault), 0);
	assert_int_equal(tls_server_new(f->crt, f->key, &again, &fault), 0);
	tls_server_free(again);
}

static void test_versions(void **state)
{
	static const struct {
		const char *priority;
		gnutls_protocol_t version; /* 0: refused */
	} cases[] = {
		{ "NORMAL", GNUTLS_TLS1_3 },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.2", GNUTLS_TLS1_2 },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT", 0 },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC:+AES-256-CBC", 0 },
	};
	struct fixture *f = *state;
	int client;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		connect_client(f, cases[i].priority, "localhost");
		if (cases[i].version) {
			shake_well(f);
			assert_int_equal(gnutls_protocol_get_version(f->client), cases[i].version);
		} else {
			assert_int_equal(shake(f, &client), -EPROTO);
		}
		disconnect(f);
	}
}

static void test_data_both_ways(void **state)
{
	struct fixture *f = *state;
	char text[64];

	connect_client(f, "NORMAL", "127.0.0.1");
	shake_well(f);
	assert_false(tls_wants_write(f->conn));
	assert_int_equal(tls_read(f->conn, text, sizeof(text)), -EAGAIN);
	assert_int_equal(gnutls_record_send(f->client, "hello", 5), 5);
	assert_int_equal(tls_read(f->conn, text, 2), 2);
	assert_true(tls_has_pending(f->conn));
	assert_int_equal(tls_read(f->conn, text + 2, sizeof(text) - 2), 3);
	assert_memory_equal(text, "hello", 5);
	assert_false(tls_has_pending(f->conn));
	assert_int_equal(tls_write(f->conn, "world", 5), 5);
	assert_int_equal(client_recv(f, text, sizeof(text)), 5);
	assert_memory_equal(text, "world", 5);

	assert_int_equal(gnutls_bye(f->client, GNUTLS_SHUT_WR), 0);
	assert_int_equal(tls_read(f->conn, text, sizeof(text)), 0);
	tls_bye(f->conn);
	assert_int_equal(client_recv(f, text, sizeof(text)), 0);
}

static void test_nothing_is_lost_when_the_socket_is_full(void **state)
{
	struct fixture *f = *state;
	size_t sent = 0, received = 0;
	uint8_t block[40000], got[40000];
	int r = 0;

	for (size_t i = 0; i < sizeof(block); i++) {
		block[i] = i * 7;
	}
	connect_client(f, "NORMAL", "localhost");
	shake_well(f);
	while (sent < 100 * sizeof(block)) {
		size_t at = sent % sizeof(block);
		ssize_t n = tls_write(f->conn, block + at, sizeof(block) - at);

		if (n > 0) {
			assert_true(n <= TLS_RECORD_MAX);
			sent += n;
			continue;
		}
		assert_int_equal(n, -EAGAIN);
		assert_true(tls_wants_write(f->conn));
		n = client_recv(f, got, sizeof(got));
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++) {
			assert_int_equal(got[i], block[(received + i) % sizeof(block)]);
		}
		received += n;
	}
	while (received < sent) {
		ssize_t n;

		r = tls_flush(f->conn);
		assert_true(r == 0 || r == -EAGAIN);
		n = client_recv(f, got, sizeof(got));
		assert_true(n > 0);
		received += n;
	}
	assert_int_equal(tls_flush(f->conn), 0);
	assert_false(tls_wants_write(f->conn));
}

static void test_cut_off_and_garbage(void **state)
{
	struct fixture *f = *state;
	char text[64];
	int client;

	connect_client(f, "NORMAL", "localhost");
	shake_well(f);
	gnutls_deinit(f->client);
	f->client = NULL;
	f->fds[1] = close_fd(f->fds[1]);
	assert_int_equal(tls_read(f->conn, text, sizeof(text)), -ECONNRESET);
	disconnect(f);

	connect_client(f, "NORMAL", "localhost");
	assert_int_equal(write(f->fds[1], "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27), 27);
	assert_int_equal(tls_handshake(f->conn), -EPROTO);
	disconnect(f);

	connect_client(f, "NORMAL", "localhost");
	f->fds[1] = close_fd(f->fds[1]);
	assert_int_equal(shake(f, &client), -ECONNRESET);
}

static void test_sessions_resume(void **state)
{
	struct fixture *f = *state;
	gnutls_datum_t session = { 0 };
	char text[8];

	connect_client(f, "NORMAL", "localhost");
	shake_well(f);
	assert_int_equal(tls_write(f->conn, "x", 1), 1);
	assert_int_equal(client_recv(f, text, 1), 1); /* the ticket comes before */
	assert_int_equal(gnutls_session_get_data2(f->client, &session), 0);
	disconnect(f);

	connect_client(f, "NORMAL", "localhost");
	assert_int_equal(gnutls_session_set_data(f->client, session.data, session.size), 0);
	shake_well(f);
	assert_true(gnutls_session_is_resumed(f->client));
	gnutls_free(session.data);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_files),
		TEST(test_pin_and_key_last),
		TEST(test_damaged_key_is_a_fault),
		TEST(test_certificate_of_another_key_is_replaced),
		TEST(test_versions),
		TEST(test_data_both_ways),
		TEST(test_nothing_is_lost_when_the_socket_is_full),
		TEST(test_cut_off_and_garbage),
		TEST(test_sessions_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
