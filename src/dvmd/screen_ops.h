/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's screen and keyboard, without a viewer: pictures and key chords. */
#pragma once

#include "fields.h"
#include "vm_ops.h"

#define SCREENSHOTS_MAX 4 /* under way at once */
#define KEYS_TEXT_MAX 256

/* `png` is the callee's (free()) and NULL on a fault. */
typedef void (*screen_reply_fn)(uint8_t *png, size_t len, const struct fault *fault, void *user);

/* The screen as it is now. */
void vm_screenshot(struct dvmd *d, const struct principal *p, const char *ref, screen_reply_fn fn,
		   void *user);
/* Presses chords ("ctrl-alt-del") one after the other, or types a text: one of the two.
 * {"vm":ID,"chords":N} when the last was sent. */
void vm_keys(struct dvmd *d, const struct principal *p, const char *ref,
	     const struct field_list *chords, const char *text, ops_reply_fn fn, void *user);
