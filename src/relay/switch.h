/* SPDX-License-Identifier: Apache-2.0 */
/* Joins a channel that one connection opened to a channel of another. */
#pragma once

#include "link_conn.h"

/* Answers the open of `id` on `from_conn` with whatever `to_conn` answers to the open of `service`.
 */
void switch_open(struct link_conn *from_conn, uint16_t id, struct link_conn *to_conn,
		 const char *service, uint8_t mode, uint64_t from);
