/* SPDX-License-Identifier: Apache-2.0 */
/* Switches a local client's channel through to the relay. */
#pragma once

#include "chan.h"

struct switched;

/*
 * Opens `service` at the relay for the client's `channel` (which its link has just announced),
 * refuses it when that is not possible. *ret is owned by the caller: switched_free() once
 * switched_is_dead(). Returns 0, also when refused
 * (*ret is NULL then), or -errno.
 */
int switched_open(struct tunnel_link *relay, struct tunnel_link *client, uint16_t channel,
		  const char *service, uint8_t mode, uint64_t from,
		  struct switched **ret) _must_check_;
bool switched_is_dead(const struct switched *s);
struct switched *switched_free(struct switched *s); /* closes what is open */
