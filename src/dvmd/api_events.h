/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The feed of events as server-sent events.
 *
 * Theory of operation: a client has a place in the record of events (the seq it was sent last) and
 * at most one batch of text. When libmicrohttpd can send more to it, the next batch is read from
 * the store; when there is none, its connection sleeps until something is recorded. So a slow
 * client costs no memory and misses nothing; one that does not read at all is dropped by the
 * server's time-out. Every FEED_HEARTBEAT each client gets a comment line, and its token is looked
 * at again: a feed does not outlive the right to it.
 */
#pragma once

#include "dvmd.h"

#define FEED_HEARTBEAT (15 * USEC_PER_SEC)
#define FEED_CLIENTS_MAX 256
#define FEED_CLIENTS_PER_USER 16
#define FEED_BATCH 64 /* events */

struct api;
struct api_feed;

int api_feed_new(struct dvmd *d, struct api_feed **ret) _must_check_;
/* After all its clients have gone (http_server_free()). */
struct api_feed *api_feed_free(struct api_feed *feed);
struct api_feed *api_feed_of(struct api *a);
