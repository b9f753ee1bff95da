/* SPDX-License-Identifier: Apache-2.0 */
/* The server's end of TLS on non-blocking sockets: 1.3 and 1.2, session tickets, HTTP/1.1 by ALPN.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "fault.h"

/* Certificate, key and ticket key, shared by all connections; must outlive them. */
struct tls_server;

int tls_server_new(const char *certificate_path, const char *key_path, struct tls_server **ret,
		   struct fault *fault) _must_check_;
struct tls_server *tls_server_free(struct tls_server *s);

struct tls_conn;

#define TLS_RECORD_MAX 16384

/* Borrows `fd`, which must stay open until tls_conn_free(). */
int tls_conn_new(struct tls_server *s, int fd, struct tls_conn **ret) _must_check_;
struct tls_conn *tls_conn_free(struct tls_conn *c);

/* All return -EAGAIN when the socket has to be waited for: to be written to if tls_wants_write(),
 * else to be read. -EPROTO: not TLS, or none that we speak; -ECONNRESET: cut off. */
int tls_handshake(struct tls_conn *c) _must_check_;
/* Bytes read; 0: the peer said that it sends no more. */
ssize_t tls_read(struct tls_conn *c, void *p, size_t len) _must_check_;
/* Bytes taken, at most TLS_RECORD_MAX; some may still stand inside: tls_flush() before the end. */
ssize_t tls_write(struct tls_conn *c, const void *p, size_t len) _must_check_;
int tls_flush(struct tls_conn *c) _must_check_;
bool tls_wants_write(const struct tls_conn *c);
/* Bytes that are decrypted already: the socket's readiness says nothing about them. */
bool tls_has_pending(const struct tls_conn *c);
/* Tells the peer that we send no more, if the socket takes it at once. */
void tls_bye(struct tls_conn *c);
