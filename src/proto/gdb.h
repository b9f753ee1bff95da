/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gdb's remote serial protocol: packets in and out, and the table of what may be asked.
 *
 * A packet is `$BODY#SUM`, answered with `+` or `-` until QStartNoAckMode; between packets a byte
 * 0x03 interrupts. Bodies are handed out decoded (escapes undone, in replies run lengths expanded)
 * and encoded anew, so whatever a peer means with them, the other side reads the same.
 *
 * The table of requests is the policy, too: what is not in it does not get to a stub, and each
 * entry says whether it reads or controls. Of QEMU's stub left out are, on purpose: qRcmd (it hands
 * the bytes to the emulator's monitor), vKill (ends the emulator), vAttach, `!` and `?` (it removes
 * all breakpoints; ours is the broker's own).
 *
 * Sans-I/O. Source: gdb's manual, appendix "Remote Protocol"; QEMU 7.2, gdbstub.c.
 */
#pragma once

#include <stdbool.h>

#include "buf.h"

#define GDB_PACKET_MAX ((size_t)16384) /* bytes of a body */
/* Room that a body of `len` bytes takes when encoded. */
#define GDB_ENCODED_MAX(len) (2 * (len) + 4)
#define GDB_INTERRUPT_BYTE 0x03

enum gdb_event {
	GDB_MORE, /* all bytes were eaten */
	GDB_PACKET,
	GDB_ACK,
	GDB_NAK,
	GDB_INTERRUPT,
	GDB_CORRUPT, /* a packet whose sum is wrong */
};

struct gdb_reader {
	bool replies; /* of a stub: with run lengths */
	unsigned state;
	bool escaped;
	uint8_t sum, sum_told;
	struct buf body;
};

void gdb_reader_init(struct gdb_reader *r, bool replies);
void gdb_reader_fini(struct gdb_reader *r);
/* Eats bytes up to the end of the next event; *ret_used says how many. -EMSGSIZE: a body of more
 * than GDB_PACKET_MAX bytes, -ENOMEM; nothing more may be put in then. */
int gdb_reader_input(struct gdb_reader *r, const uint8_t *p, size_t len, size_t *ret_used,
		     enum gdb_event *ret) _must_check_;
/* After GDB_PACKET, until the next input; a NUL follows it. */
const char *gdb_reader_body(struct gdb_reader *r, size_t *ret_len);

/* Appends the packet. -ENOBUFS, -ENOMEM: nothing is appended then. */
int gdb_encode(struct buf *out, const void *body, size_t len) _must_check_;

enum gdb_command {
	GDB_UNKNOWN, /* to be answered with an empty packet */
	GDB_WHY,
	GDB_SUPPORTED,
	GDB_NO_ACK,
	GDB_ATTACHED,
	GDB_THREAD,
	GDB_THREAD_RUN,
	GDB_THREAD_CURRENT,
	GDB_THREADS_FIRST,
	GDB_THREADS_NEXT,
	GDB_THREAD_EXTRA,
	GDB_THREAD_ALIVE,
	GDB_FEATURES,
	GDB_REGISTERS,
	GDB_REGISTERS_SET,
	GDB_REGISTER,
	GDB_REGISTER_SET,
	GDB_MEMORY,
	GDB_MEMORY_SET,
	GDB_PHYSICAL,
	GDB_PHYSICAL_SET,
	GDB_STEP_BITS,
	GDB_STEP_FLAGS,
	GDB_STEP_FLAGS_SET,
	GDB_BREAK,
	GDB_UNBREAK,
	GDB_RESUME_HOW,
	GDB_RESUME,
	GDB_CONTINUE,
	GDB_STEP,
	GDB_DETACH,
	GDB_KILL,
	_GDB_COMMAND_MAX,
};

enum gdb_access { GDB_READS, GDB_CONTROLS };

#define GDB_ARGS_MAX 3
#define GDB_THREAD_ALL (-1)

struct gdb_request {
	enum gdb_command command;
	enum gdb_access access;
	uint64_t args[GDB_ARGS_MAX];
	unsigned n_args;
	int thread;	   /* of those that name one; 0: any, GDB_THREAD_ALL */
	const char *bytes; /* hex digits, of those that bring some; in the body */
	size_t bytes_len;
};

/* [body, body+len) with a NUL behind it. What is not in the table, or not as the table says, is
 * GDB_UNKNOWN. */
void gdb_request_parse(const char *body, size_t len, struct gdb_request *ret);
/* A stub's answer that tells that its target has stopped, or is no more. */
bool gdb_reply_is_stop(const char *body, size_t len);
bool gdb_reply_is_exit(const char *body, size_t len);
/* "E" and two digits. */
bool gdb_reply_is_error(const char *body, size_t len);
