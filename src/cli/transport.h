/* SPDX-License-Identifier: Apache-2.0 */
/* What all connections of the command line have in common: whom they trust, and what their failures
 * mean. */
#pragma once

#include <curl/curl.h>

#include "buf.h"
#include "config.h"
#include "fault.h"

/* Resets `h` and sets URL, proxy and trust; `error` holds CURL_ERROR_SIZE bytes and must outlive
 * the transfer. */
int transport_set_up(CURL *h, const struct config *c, const char *url, char *error) _must_check_;
/* -EREMOTEIO with a fault, or -ENOMEM. */
int transport_fault(const struct config *c, CURLcode code, const char *error, struct fault *fault);
/* The fault of an answer whose status is not good: its problem document, or one made from the
 * status where the body is none. */
int transport_problem(const struct buf *body, long status, struct fault *fault);
