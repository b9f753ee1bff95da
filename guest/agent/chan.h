/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands behind a channel of a tunnel link: an object with these callbacks. The agent has one
 * link to the relay and one to each local client; all use the same link callbacks, which look the
 * object up and pass the event on.
 */
#pragma once

#include "tunnel_link.h"

struct chan;

/* Each is mandatory. After `closed` the link knows the object no more. */
struct chan_ops {
	void (*opened)(struct chan *c, uint64_t start, uint8_t mode);
	void (*data)(struct chan *c, const uint8_t *p, size_t len);
	void (*screen)(struct chan *c, const uint8_t *p, size_t len, bool last);
	void (*gap)(struct chan *c, uint64_t length);
	void (*writable)(struct chan *c);
	void (*eof)(struct chan *c);
	void (*ctl)(struct chan *c, const struct tunnel_ctl *ctl);
	void (*closed)(struct chan *c, const char *reason);
};

struct chan {
	const struct chan_ops *ops;
	struct tunnel_link *link; /* NULL: not open */
	uint16_t number;
};

/* Ties an open channel of `link` to `c`. */
void chan_bind(struct chan *c, const struct chan_ops *ops, struct tunnel_link *link,
	       uint16_t number);
/* Opens a channel and ties it. -errno as tunnel_link_open(). */
int chan_open(struct chan *c, const struct chan_ops *ops, struct tunnel_link *link,
	      const char *service, uint8_t mode, uint64_t from, uint64_t window) _must_check_;
/* Closes if open; `closed` is not called. */
void chan_close(struct chan *c, const char *reason);

/* For a kind of channel that does not care. */
void chan_ignore_screen(struct chan *c, const uint8_t *p, size_t len, bool last);
void chan_ignore_gap(struct chan *c, uint64_t length);
void chan_ignore_ctl(struct chan *c, const struct tunnel_ctl *ctl);
void chan_ignore_opened(struct chan *c, uint64_t start, uint8_t mode);

/* For struct tunnel_link_ops: everything but `up` and `open`. */
void chan_on_opened(struct tunnel_link *l, uint16_t n, uint64_t start, uint8_t mode, void *user);
void chan_on_data(struct tunnel_link *l, uint16_t n, uint64_t offset, const uint8_t *p, size_t len,
		  void *user);
void chan_on_screen(struct tunnel_link *l, uint16_t n, const uint8_t *p, size_t len, bool last,
		    void *user);
void chan_on_gap(struct tunnel_link *l, uint16_t n, uint64_t offset, uint64_t length, void *user);
void chan_on_writable(struct tunnel_link *l, uint16_t n, void *user);
void chan_on_eof(struct tunnel_link *l, uint16_t n, void *user);
void chan_on_ctl(struct tunnel_link *l, uint16_t n, const struct tunnel_ctl *ctl, void *user);
void chan_on_closed(struct tunnel_link *l, uint16_t n, const char *reason, void *user);
