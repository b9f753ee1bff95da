/* SPDX-License-Identifier: Apache-2.0 */
/* Channels of tunnel links as objects. */
#include "chan.h"

void chan_bind(struct chan *c, const struct chan_ops *ops, struct tunnel_link *link,
	       uint16_t number)
{
	*c = (struct chan){ .ops = ops, .link = link, .number = number };
	tunnel_link_set_data(link, number, c);
}

int chan_open(struct chan *c, const struct chan_ops *ops, struct tunnel_link *link,
	      const char *service, uint8_t mode, uint64_t from, uint64_t window)
{
	uint16_t number;
	int r = tunnel_link_open(link, service, mode, from, window, &number);

	if (r < 0) {
		return r;
	}
	chan_bind(c, ops, link, number);
	return 0;
}

void chan_close(struct chan *c, const char *reason)
{
	if (c->link) {
		tunnel_link_set_data(c->link, c->number, NULL);
		/* fails only when the output is beyond its maximum: the link's owner drops it then
		 */
		if (tunnel_link_close(c->link, c->number, reason) < 0) {
			tunnel_link_reset(c->link);
		}
		c->link = NULL;
	}
}

void chan_ignore_screen(struct chan *c, const uint8_t *p, size_t len, bool last)
{
}

void chan_ignore_gap(struct chan *c, uint64_t length)
{
}

void chan_ignore_ctl(struct chan *c, const struct tunnel_ctl *ctl)
{
}

void chan_ignore_opened(struct chan *c, uint64_t start, uint8_t mode)
{
}

void chan_on_opened(struct tunnel_link *l, uint16_t n, uint64_t start, uint8_t mode, void *user)
{
	struct chan *c = tunnel_link_get_data(l, n);

	if (c) {
		c->ops->opened(c, start, mode);
	}
}

void chan_on_data(struct tunnel_link *l, uint16_t n, uint64_t offset, const uint8_t *p, size_t len,
		  void *user)
{
	struct chan *c = tunnel_link_get_data(l, n);

	if (c) {
		c->ops->data(c, p, len);
	}
}

void chan_on_screen(struct tunnel_link *l, uint16_t n, const uint8_t *p, size_t len, bool last,
		    void *user)
{
	struct chan *c = tunnel_link_get_data(l, n);

	if (c) {
		c->ops->screen(c, p, len, last);
	}
}

void chan_on_gap(struct tunnel_link *l, uint16_t n, uint64_t offset, uint64_t length, void *user)
{
	struct chan *c = tunnel_link_get_data(l, n);

	if (c) {
		c->ops->gap(c, length);
	}
}

void chan_on_writable(struct tunnel_link *l, uint16_t n, void *user)
{
	struct chan *c = tunnel_link_get_data(l, n);

	if (c) {
		c->ops->writable(c);
	}
}

void chan_on_eof(struct tunnel_link *l, uint16_t n, void *user)
{
	struct chan *c = tunnel_link_get_data(l, n);

	if (c) {
		c->ops->eof(c);
	}
}

void chan_on_ctl(struct tunnel_link *l, uint16_t n, const struct tunnel_ctl *ctl, void *user)
{
	struct chan *c = tunnel_link_get_data(l, n);

	if (c) {
		c->ops->ctl(c, ctl);
	}
}

void chan_on_closed(struct tunnel_link *l, uint16_t n, const char *reason, void *user)
{
	struct chan *c = tunnel_link_get_data(l, n);

	if (c) {
		c->link = NULL;
		c->ops->closed(c, reason);
	}
}
