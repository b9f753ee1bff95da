/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hub: one source, its scrollback, any number of readers, one writer.
 *
 * Theory of operation: what the source says goes into the ring at once, whatever the readers do: a
 * source that is not drained stalls or freezes its VM. A reader is a position in the stream and
 * nothing else; it takes bytes out of the ring when it likes, and one that was overtaken finds a
 * gap with its length. What the writer types goes through one short queue to the source; while
 * there is no source it is dropped, so that it does not reach the next guest. When it goes, and
 * when a break is due among it, says the typist.
 *
 * A terminal model is fed with every byte. A reader that asks for the screen takes a snapshot of it
 * first, made when he was let in, and goes on with the very next byte.
 *
 * A hub whose ring is not kept (ring.h) drains its source just the same, and has what was said, and
 * the screen, only for as long as somebody reads.
 *
 * Callbacks run inside hub_feed(), hub_lost_some(), hub_source_up(), hub_source_down(),
 * hub_input_sent(), hub_reader_new(), hub_reader_take(), hub_reader_size() and hub_reader_free(),
 * for readers other than the one passed. They may call every function of readers but
 * hub_reader_new() and hub_reader_free().
 */
#pragma once

#include "buf.h"
#include "fault.h"
#include "inputs.h"
#include "ring.h"
#include "tunnel.h"
#include "typist.h"

#define HUB_READERS_MAX 10240
/* Screens that readers have not taken yet, all together. */
#define HUB_SCREENS_MAX_BYTES ((size_t)4 * 1024 * 1024)
/* Of what is kept, so much is read again for the screen, when a hub is opened. */
#define HUB_REPLAY_BYTES ((uint64_t)4 * 1024 * 1024)
/* What the writer may have in the queue; the queue itself holds more, as a former writer's bytes
 * may be in it. */
#define HUB_INPUT_WINDOW ((size_t)16 * 1024)
#define HUB_INPUT_MAX ((size_t)256 * 1024)

struct hub;
struct hub_reader;

struct hub_reader_ops {
	/* hub_reader_next() had nothing and has something now. */
	void (*ready)(void *user);
	/* The reader may write now, or no longer. */
	void (*writer)(bool holds, void *user);
	void (*source)(bool up, void *user);
	/* The writer's window has opened: see hub_reader_input_room(). */
	void (*input_room)(void *user);
	/* The writer sees the console on a terminal of another size from here on. */
	void (*resized)(unsigned rows, unsigned columns, void *user);
	/* A break that hub_reader_break() took is over: the line had it, or not. */
	void (*broke)(bool done, void *user);
};

enum hub_chunk_kind { HUB_NOTHING, HUB_SCREEN, HUB_BYTES, HUB_GAP };

struct hub_chunk {
	enum hub_chunk_kind kind;
	uint64_t offset;
	uint64_t len;	      /* HUB_GAP: 0 when unknown */
	const uint8_t *bytes; /* valid until the next hub_feed() */
};

/* Takes `ring`. `writable`: whether anybody may write to the stream at all. */
int hub_new_take(struct ring *ring, bool writable, struct hub **ret) _must_check_;
/* Takes `ring`, which was made from the hub's own (ring_open_resized()), in its place. Readers that
 * were behind what it keeps find a gap. */
void hub_ring_replace_take(struct hub *h, struct ring *ring);
/* There must be no reader left. Closes the ring. */
struct hub *hub_free(struct hub *h);

/* The source's side. `input_ready` is called when the empty input queue got bytes. `fresh`: nothing
 * was lost since the last source. A source that is not `writable` takes writing from who has it:
 * what he types would vanish. */
void hub_source_up(struct hub *h, bool writable, bool fresh, void (*input_ready)(void *user),
		   void *user);
void hub_source_down(struct hub *h);
void hub_feed(struct hub *h, const void *p, size_t len);
/* The source is still there, but an unknown number of its bytes is not. */
void hub_lost_some(struct hub *h);
struct buf *hub_input(struct hub *h);
/* Takes `len` bytes off the input queue. */
void hub_input_sent(struct hub *h, size_t len);
/* When what is in the queue goes, and when a break is due. */
struct typist *hub_typist(struct hub *h);
/* The break that the typist began is over. */
void hub_broke(struct hub *h, bool done);

struct ring *hub_ring(struct hub *h);
struct inputs *hub_inputs(struct hub *h);
bool hub_has_source(const struct hub *h);
bool hub_writable(const struct hub *h);
bool hub_has_writer(const struct hub *h);
size_t hub_readers(const struct hub *h);
/* As a writer said last; false while none did. */
bool hub_size(const struct hub *h, unsigned *ret_rows, unsigned *ret_columns);

/* `mode`: what the reader may do (policy_mode()). Writing is had at once when it is free, or with
 * TUNNEL_MODE_TAKE. FAULT_QUOTA (readers, or their screens), FAULT_CONSOLE_READ_ONLY or
 * FAULT_WRITER_TAKEN (only writing was asked), FAULT_INTERNAL (no memory). */
enum fault_code hub_reader_new(struct hub *h, const struct hub_reader_ops *ops, void *user,
			       uint64_t from, uint8_t mode, struct hub_reader **ret) _must_check_;
struct hub_reader *hub_reader_free(struct hub_reader *r);
/* Offset of the next byte for the reader. */
uint64_t hub_reader_offset(const struct hub_reader *r);
bool hub_reader_is_writer(const struct hub_reader *r);
/* Asks for writing: true when the reader has it now. */
bool hub_reader_take(struct hub_reader *r);
/* Writing goes from `old` to `r`, the same writer on another connection; false where `old` does not
 * hold it, or `r` may not. */
bool hub_reader_succeed(struct hub_reader *r, struct hub_reader *old);
/* A break behind what was written. False, and nothing is told later, where there can be none. */
bool hub_reader_break(struct hub_reader *r);
/* The size of the terminal that the writer sees the console on: of the screen, from here on.
 * Ignored but from the writer. */
void hub_reader_size(struct hub_reader *r, unsigned rows, unsigned columns);
/* How many bytes a second of what is written go, 0: as they come. Ignored but from the writer. */
void hub_reader_pace(struct hub_reader *r, uint32_t rate);
void hub_reader_next(struct hub_reader *r, struct hub_chunk *ret);
/* The reader has taken the first `len` bytes of the chunk that hub_reader_next() gave it last;
 * ignored for a gap. */
void hub_reader_took(struct hub_reader *r, const struct hub_chunk *chunk, size_t len);
/* Bytes that the reader may write now; 0 for one that does not hold writing. */
size_t hub_reader_input_room(const struct hub_reader *r);
/* What cannot be passed on (no source, no longer the writer) is dropped. -ENOBUFS when the queue is
 * full, -ENOMEM. */
int hub_reader_write(struct hub_reader *r, const void *p, size_t len) _must_check_;
