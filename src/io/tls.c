/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's end of TLS by GnuTLS.
 *
 * Theory of operation: GnuTLS encrypts a record as soon as it is given one, and keeps what the
 * socket did not take until it is called again. So a write counts as done once the record is
 * inside, and `unsent` says that this record goes first. Towards us one read of the socket serves
 * several records; that buffer is given back as soon as the socket is empty. GnuTLS allocates for
 * records on their way only: an idle connection holds no buffers.
 */
#include "tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"

#define AHEAD_MAX (64 * 1024)

/* AEAD ciphers and ephemeral keys only. */
#define PRIORITY                                                                                   \
	"SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-MAC-ALL:+" \
	"AEAD:"                                                                                    \
	"%SERVER_PRECEDENCE"

struct tls_server {
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	gnutls_datum_t ticket_key;
};

struct tls_conn {
	gnutls_session_t session;
	int fd;
	struct buf ahead; /* read from the socket, not asked for by GnuTLS yet */
	bool established, unsent;
};

/* GnuTLS asks for 5 bytes of header, then for the rest of a record: one read of the socket serves
 * many of these. */
static ssize_t pull(gnutls_transport_ptr_t user, void *p, size_t len)
{
	struct tls_conn *c = user;
	ssize_t n;

	if (buf_len(&c->ahead) == 0) {
		n = buf_read_fd(&c->ahead, c->fd, AHEAD_MAX);
		if (n <= 0) {
			buf_fini(&c->ahead);
			gnutls_transport_set_errno(c->session, -n);
			return n < 0 ? -1 : 0;
		}
	}
	len = MIN(len, buf_len(&c->ahead));
	memcpy(p, buf_data(&c->ahead), len);
	buf_consume(&c->ahead, len);
	return len;
}

DEFINE_CLEANUP(struct tls_server *, tls_server_free);
DEFINE_CLEANUP(struct tls_conn *, tls_conn_free);

static int error_to_errno(int r)
{
	switch (r) {
	case GNUTLS_E_AGAIN:
	case GNUTLS_E_INTERRUPTED:
		return -EAGAIN;
	case GNUTLS_E_MEMORY_ERROR:
		return -ENOMEM;
	case GNUTLS_E_PREMATURE_TERMINATION:
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_PUSH_ERROR:
		return -ECONNRESET;
	default:
		/* Also GNUTLS_E_REHANDSHAKE: keys are not negotiated twice. */
		return -EPROTO;
	}
}

int tls_server_new(const char *certificate_path, const char *key_path, struct tls_server **ret,
		   struct fault *fault)
{
	_cleanup_(tls_server_freep) struct tls_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory.");
	}
	r = gnutls_certificate_allocate_credentials(&s->credentials);
	if (r >= 0) {
		r = gnutls_certificate_set_x509_key_file(s->credentials, certificate_path, key_path,
							 GNUTLS_X509_FMT_PEM);
	}
	if (r >= 0) {
		r = gnutls_priority_init(&s->priority, PRIORITY, NULL);
	}
	if (r >= 0) {
		r = gnutls_session_ticket_key_generate(&s->ticket_key);
	}
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "The certificate cannot be used: %s",
				 gnutls_strerror(r));
	}
	*ret = TAKE_PTR(s);
	return 0;
}

struct tls_server *tls_server_free(struct tls_server *s)
{
	if (s) {
		if (s->ticket_key.data) {
			gnutls_memset(s->ticket_key.data, 0, s->ticket_key.size);
			gnutls_free(s->ticket_key.data);
		}
		if (s->priority) {
			gnutls_priority_deinit(s->priority);
		}
		if (s->credentials) {
			gnutls_certificate_free_credentials(s->credentials);
		}
		free(s);
	}
	return NULL;
}

int tls_conn_new(struct tls_server *s, int fd, struct tls_conn **ret)
{
	static const char protocol[] = "http/1.1";
	const gnutls_datum_t alpn = { .data = (unsigned char *)protocol,
				      .size = sizeof(protocol) - 1 };
	_cleanup_(tls_conn_freep) struct tls_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		return -ENOMEM;
	}
	c->fd = fd;
	buf_init(&c->ahead, AHEAD_MAX);
	r = gnutls_init(&c->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
	if (r >= 0) {
		r = gnutls_priority_set(c->session, s->priority);
	}
	if (r >= 0) {
		r = gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, s->credentials);
	}
	if (r >= 0) {
		r = gnutls_session_ticket_enable_server(c->session, &s->ticket_key);
	}
	if (r >= 0) {
		r = gnutls_alpn_set_protocols(c->session, &alpn, 1, 0);
	}
	if (r < 0) {
		return error_to_errno(r);
	}
	gnutls_certificate_server_set_request(c->session, GNUTLS_CERT_IGNORE);
	/* The owner's clock ends slow handshakes. */
	gnutls_handshake_set_timeout(c->session, GNUTLS_INDEFINITE_TIMEOUT);
	gnutls_transport_set_ptr2(c->session, c, (gnutls_transport_ptr_t)(intptr_t)fd);
	gnutls_transport_set_pull_function(c->session, pull);
	*ret = TAKE_PTR(c);
	return 0;
}

struct tls_conn *tls_conn_free(struct tls_conn *c)
{
	if (c) {
		if (c->session) {
			gnutls_deinit(c->session);
		}
		buf_fini(&c->ahead);
		free(c);
	}
	return NULL;
}

int tls_handshake(struct tls_conn *c)
{
	int r;

	do {
		r = gnutls_handshake(c->session);
	} while (r < 0 && r != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(r));
	if (r < 0) {
		return error_to_errno(r);
	}
	c->established = true;
	return 0;
}

ssize_t tls_read(struct tls_conn *c, void *p, size_t len)
{
	ssize_t n;

	do {
		n = gnutls_record_recv(c->session, p, len);
	} while (n == GNUTLS_E_WARNING_ALERT_RECEIVED);
	return n < 0 ? error_to_errno(n) : n;
}

int tls_flush(struct tls_conn *c)
{
	ssize_t n;

	if (c->unsent) {
		n = gnutls_record_send(c->session, NULL, 0);
		if (n < 0) {
			return error_to_errno(n);
		}
		c->unsent = false;
	}
	return 0;
}

ssize_t tls_write(struct tls_conn *c, const void *p, size_t len)
{
	ssize_t n;
	int r;

	r = tls_flush(c);
	if (r < 0) {
		return r;
	}
	if (len > TLS_RECORD_MAX) {
		len = TLS_RECORD_MAX;
	}
	n = gnutls_record_send(c->session, p, len);
	if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
		c->unsent = true;
		return len;
	}
	return n < 0 ? error_to_errno(n) : n;
}

bool tls_wants_write(const struct tls_conn *c)
{
	return c->established ? c->unsent : gnutls_record_get_direction(c->session) == 1;
}

bool tls_has_pending(const struct tls_conn *c)
{
	return gnutls_record_check_pending(c->session) > 0;
}

void tls_bye(struct tls_conn *c)
{
	gnutls_bye(c->session, GNUTLS_SHUT_WR);
}
