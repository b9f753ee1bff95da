/* SPDX-License-Identifier: Apache-2.0 */
/* dvmd's two front doors: HTTP on RUN/api.sock and the gate's tickets on RUN/ticket.sock. */
#pragma once

#include "dvmd.h"

struct api;

/* Listens; requests are served from the loop. */
int api_new(struct dvmd *d, struct api **ret, struct fault *fault) _must_check_;
/* Drops every connection; answers that come later go nowhere. */
struct api *api_free(struct api *a);
