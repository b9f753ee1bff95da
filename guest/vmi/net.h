/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, interfaces and routes of a kernel. */
#pragma once

#include "files.h"

#define ADDRESS_TEXT_MAX 160

struct interface_info {
	char name[32], hardware[64];
	uint32_t index, mtu;
	bool up, carrier;
	char addresses[512]; /* "10.0.0.2/24 fe80::1/64" */
};

struct socket_info {
	char protocol[16], state[16];
	char local[ADDRESS_TEXT_MAX], peer[ADDRESS_TEXT_MAX];
	uint64_t receive_queue, send_queue; /* bytes; of one that listens: connections */
	uint64_t inode;
};

struct route_info {
	char destination[32], gateway[32], device[32], type[16];
	uint32_t metric;
};

/* Of the network namespace at `net`. */
void interfaces_each(struct kernel *k, uint64_t net,
		     void (*each)(const struct interface_info *i, void *user), void *user);
/* IPv4 routes of its main table. */
void routes_each(struct kernel *k, uint64_t net,
		 void (*each)(const struct route_info *r, void *user), void *user);
/* What a struct socket is. */
void socket_read(struct kernel *k, uint64_t socket, struct socket_info *ret);
