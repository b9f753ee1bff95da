/* SPDX-License-Identifier: Apache-2.0 */
/* One source, its scrollback, many readers, one writer. See hub.h. */
#include "hub.h"

#include "cleanup.h"
#include "list.h"
#include "terminal.h"

struct hub {
	struct ring *ring;
	struct terminal *terminal;
	size_t screens_bytes; /* with readers */
	bool writable;	      /* the stream's own rule */
	bool source, source_writable;
	void (*input_ready)(void *user);
	void *input_user;
	struct buf input;
	struct typist typist;
	struct inputs inputs;
	struct list readers;
	size_t n_readers;
	struct hub_reader *writer;
	unsigned rows, columns; /* as a writer said; 0: none did */
};

struct hub_reader {
	struct hub *hub;
	struct list of_hub;
	const struct hub_reader_ops *ops;
	void *user;
	uint8_t mode;
	uint64_t offset;
	struct buf screen; /* before anything else */
	uint64_t mark;	   /* number of the next mark that the reader has not seen */
	bool idle;	   /* hub_reader_next() had nothing */
};

/* What is kept, for the screen, with its losses. */
static void terminal_replay(struct hub *h)
{
	uint64_t at = ring_floor(h->ring), head = ring_head(h->ring), number, mark;

	if (head - at > HUB_REPLAY_BYTES) {
		at = head - HUB_REPLAY_BYTES;
	}
	number = ring_mark_seek(h->ring, at);
	for (;;) {
		bool marked = ring_mark_get(h->ring, &number, &mark);
		uint64_t end = marked ? mark : head;

		while (at < end) {
			const uint8_t *p;
			size_t n = ring_peek(h->ring, at, &p);

			n = (size_t)MIN((uint64_t)n, end - at);
			terminal_feed(h->terminal, p, n);
			at += n;
		}
		if (!marked) {
			return;
		}
		terminal_gap(h->terminal);
		number++;
	}
}

int hub_new_take(struct ring *ring, bool writable, struct hub **ret)
{
	struct hub *h = calloc(1, sizeof(*h));

	if (!h) {
		return -ENOMEM;
	}
	if (terminal_new(TERMINAL_ROWS, TERMINAL_COLUMNS, &h->terminal) < 0) {
		free(h);
		return -ENOMEM;
	}
	h->ring = ring;
	h->writable = writable;
	terminal_replay(h);
	buf_init(&h->input, HUB_INPUT_MAX);
	list_init(&h->readers);
	*ret = h;
	return 0;
}

/* Where nothing is kept: what was said while somebody read goes with the last who does. */
static void forget(struct hub *h)
{
	if (!ring_is_kept(h->ring) && h->n_readers == 0) {
		ring_forget(h->ring);
		terminal_forget(h->terminal);
	}
}

void hub_ring_replace_take(struct hub *h, struct ring *ring)
{
	assert(ring_head(ring) == ring_head(h->ring));
	ring_close(h->ring);
	h->ring = ring;
	forget(h);
}

struct hub *hub_free(struct hub *h)
{
	if (!h) {
		return NULL;
	}
	assert(list_empty(&h->readers));
	buf_fini(&h->input);
	terminal_free(h->terminal);
	ring_close(h->ring);
	free(h);
	return NULL;
}

static void readers_wake(struct hub *h)
{
	struct hub_reader *r;

	list_for_each (r, &h->readers, of_hub) {
		if (r->idle) {
			r->idle = false;
			r->ops->ready(r->user);
		}
	}
}

static void readers_tell_source(struct hub *h)
{
	struct hub_reader *r;

	list_for_each (r, &h->readers, of_hub) {
		r->ops->source(h->source, r->user);
	}
}

static void writer_set(struct hub *h, struct hub_reader *r)
{
	h->writer = r;
	typist_pace(&h->typist, 0);
}

/* Whether anybody can write. While the source is away the stream's own rule decides alone. */
static bool can_write(const struct hub *h)
{
	return h->writable && (!h->source || h->source_writable);
}

/* The first break is done with. */
static bool break_over(struct hub *h, bool done)
{
	struct hub_reader *r;
	void *who;

	if (!typist_break_end(&h->typist, &who)) {
		return false;
	}
	r = who;
	if (r) {
		r->ops->broke(done, r->user);
	}
	return true;
}

void hub_lost_some(struct hub *h)
{
	/* Before the first byte of all nothing can have been lost. */
	if (ring_head(h->ring) > 0) {
		ring_mark(h->ring);
		terminal_gap(h->terminal);
		readers_wake(h);
	}
}

void hub_source_up(struct hub *h, bool writable, bool fresh, void (*input_ready)(void *user),
		   void *user)
{
	bool was = h->source;

	if (!fresh) {
		hub_lost_some(h);
	}
	h->source = true;
	h->source_writable = writable;
	h->input_ready = input_ready;
	h->input_user = user;
	if (h->writer && !can_write(h)) {
		struct hub_reader *old = h->writer;

		writer_set(h, NULL);
		old->ops->writer(false, old->user);
	}
	if (!was) {
		readers_tell_source(h);
	}
}

void hub_source_down(struct hub *h)
{
	size_t len = buf_len(&h->input);

	if (!h->source) {
		return;
	}
	h->source = false;
	h->input_ready = NULL;
	typist_dropped(&h->typist, len);
	hub_input_sent(h, len);
	while (break_over(h, false)) {
	}
	readers_tell_source(h);
}

void hub_feed(struct hub *h, const void *p, size_t len)
{
	if (len == 0) {
		return;
	}
	if (!ring_is_kept(h->ring) && h->n_readers == 0) {
		ring_skip(h->ring, len);
		return;
	}
	ring_append(h->ring, p, len);
	terminal_feed(h->terminal, p, len);
	readers_wake(h);
}

struct buf *hub_input(struct hub *h)
{
	return &h->input;
}

void hub_input_sent(struct hub *h, size_t len)
{
	buf_consume(&h->input, len);
	if (len > 0 && h->writer && buf_len(&h->input) < HUB_INPUT_WINDOW) {
		h->writer->ops->input_room(h->writer->user);
	}
}

struct typist *hub_typist(struct hub *h)
{
	return &h->typist;
}

void hub_broke(struct hub *h, bool done)
{
	if (h->typist.breaking && break_over(h, done) && h->source) {
		h->input_ready(h->input_user);
	}
}

struct inputs *hub_inputs(struct hub *h)
{
	return &h->inputs;
}

struct ring *hub_ring(struct hub *h)
{
	return h->ring;
}

bool hub_has_source(const struct hub *h)
{
	return h->source;
}

bool hub_writable(const struct hub *h)
{
	return h->writable;
}

bool hub_has_writer(const struct hub *h)
{
	return h->writer != NULL;
}

size_t hub_readers(const struct hub *h)
{
	return h->n_readers;
}

/* The one place where writing changes hands. */
static bool writer_try(struct hub_reader *r)
{
	struct hub *h = r->hub;
	struct hub_reader *old = h->writer;

	if (old == r) {
		return true;
	}
	if (!can_write(h) || !(r->mode & TUNNEL_MODE_WRITE) ||
	    (old && !(r->mode & TUNNEL_MODE_TAKE))) {
		return false;
	}
	writer_set(h, r);
	if (old) {
		old->ops->writer(false, old->user);
	}
	return true;
}

static uint64_t reader_start(const struct hub *h, uint64_t from)
{
	uint64_t floor = ring_floor(h->ring), head = ring_head(h->ring);

	if (from == TUNNEL_FROM_LIVE || from == TUNNEL_FROM_SCREEN) {
		return head;
	}
	/* Also for an offset that has not been yet: the reader knows another stream than this one.
	 */
	if (from < floor || from > head) {
		return floor;
	}
	return from;
}

/* The screen as it stands. Writing alone is no reason to see it. */
static enum fault_code reader_screen(struct hub_reader *r)
{
	struct hub *h = r->hub;

	if (!(r->mode & TUNNEL_MODE_READ)) {
		return FAULT_NONE;
	}
	if (h->screens_bytes + TERMINAL_SNAPSHOT_MAX > HUB_SCREENS_MAX_BYTES) {
		return FAULT_QUOTA;
	}
	if (terminal_snapshot(h->terminal, &r->screen) < 0) {
		return FAULT_INTERNAL;
	}
	h->screens_bytes += buf_len(&r->screen);
	return FAULT_NONE;
}

static void reader_screen_took(struct hub_reader *r, size_t len)
{
	buf_consume(&r->screen, len);
	r->hub->screens_bytes -= len;
	if (buf_len(&r->screen) == 0) {
		buf_fini(&r->screen);
	}
}

enum fault_code hub_reader_new(struct hub *h, const struct hub_reader_ops *ops, void *user,
			       uint64_t from, uint8_t mode, struct hub_reader **ret)
{
	enum fault_code code = FAULT_NONE;
	struct hub_reader *r;

	if (h->n_readers >= HUB_READERS_MAX) {
		return FAULT_QUOTA;
	}
	if (!(mode & TUNNEL_MODE_READ) && !can_write(h)) {
		return FAULT_CONSOLE_READ_ONLY;
	}
	if (!(mode & (TUNNEL_MODE_READ | TUNNEL_MODE_TAKE)) && h->writer) {
		return FAULT_WRITER_TAKEN;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		return FAULT_INTERNAL;
	}
	r->hub = h;
	r->ops = ops;
	r->user = user;
	r->mode = mode;
	r->offset = reader_start(h, from);
	r->mark = ring_mark_seek(h->ring, from == TUNNEL_FROM_LIVE || from == TUNNEL_FROM_SCREEN
						  ? UINT64_MAX
						  : r->offset);
	buf_init(&r->screen, TERMINAL_SNAPSHOT_MAX);
	if (from == TUNNEL_FROM_SCREEN) {
		code = reader_screen(r);
	}
	if (code != FAULT_NONE) {
		buf_fini(&r->screen);
		free(r);
		return code;
	}
	list_add_tail(&h->readers, &r->of_hub);
	h->n_readers++;
	(void)writer_try(r);
	*ret = r;
	return FAULT_NONE;
}

struct hub_reader *hub_reader_free(struct hub_reader *r)
{
	if (!r) {
		return NULL;
	}
	if (r->hub->writer == r) {
		writer_set(r->hub, NULL);
	}
	typist_forget(&r->hub->typist, r);
	reader_screen_took(r, buf_len(&r->screen));
	list_del(&r->of_hub);
	r->hub->n_readers--;
	forget(r->hub);
	free(r);
	return NULL;
}

uint64_t hub_reader_offset(const struct hub_reader *r)
{
	return r->offset;
}

bool hub_reader_is_writer(const struct hub_reader *r)
{
	return r->hub->writer == r;
}

bool hub_reader_take(struct hub_reader *r)
{
	return writer_try(r);
}

bool hub_reader_succeed(struct hub_reader *r, struct hub_reader *old)
{
	struct hub *h = r->hub;

	if (h->writer != old || old == r || !can_write(h) || !(r->mode & TUNNEL_MODE_WRITE)) {
		return false;
	}
	writer_set(h, r);
	old->ops->writer(false, old->user);
	return true;
}

bool hub_reader_break(struct hub_reader *r)
{
	struct hub *h = r->hub;

	if (h->writer != r || !h->source || !h->source_writable ||
	    !typist_break(&h->typist, buf_len(&h->input), r)) {
		return false;
	}
	h->input_ready(h->input_user);
	return true;
}

void hub_reader_size(struct hub_reader *r, unsigned rows, unsigned columns)
{
	struct hub *h = r->hub;
	struct hub_reader *other;
	int err;

	if (h->writer != r || rows == 0 || columns == 0) {
		return;
	}
	err = terminal_resize(h->terminal, rows, columns);
	(void)err; /* no memory: the screen goes on in the size it has */
	if (rows == h->rows && columns == h->columns) {
		return;
	}
	h->rows = rows;
	h->columns = columns;
	list_for_each (other, &h->readers, of_hub) {
		if (other != r) {
			other->ops->resized(rows, columns, other->user);
		}
	}
}

bool hub_size(const struct hub *h, unsigned *ret_rows, unsigned *ret_columns)
{
	*ret_rows = h->rows;
	*ret_columns = h->columns;
	return h->rows > 0;
}

void hub_reader_pace(struct hub_reader *r, uint32_t rate)
{
	if (r->hub->writer == r) {
		typist_pace(&r->hub->typist, rate);
	}
}

void hub_reader_next(struct hub_reader *r, struct hub_chunk *ret)
{
	struct ring *ring = r->hub->ring;
	uint64_t floor = ring_floor(ring), mark, len;

	*ret = (struct hub_chunk){ .kind = HUB_NOTHING, .offset = r->offset };
	if (!(r->mode & TUNNEL_MODE_READ)) {
		return;
	}
	if (buf_len(&r->screen) > 0) {
		ret->kind = HUB_SCREEN;
		ret->bytes = buf_data(&r->screen);
		ret->len = buf_len(&r->screen);
		return;
	}
	if (r->offset < floor) {
		ret->kind = HUB_GAP;
		ret->len = floor - r->offset;
		return;
	}
	len = ring_peek(ring, r->offset, &ret->bytes);
	if (ring_mark_get(ring, &r->mark, &mark)) {
		if (mark <= r->offset) {
			ret->kind = HUB_GAP;
			return;
		}
		len = MIN(len, mark - r->offset);
	}
	if (len == 0) {
		r->idle = true;
		return;
	}
	ret->kind = HUB_BYTES;
	ret->len = len;
}

void hub_reader_took(struct hub_reader *r, const struct hub_chunk *chunk, size_t len)
{
	if (chunk->kind == HUB_SCREEN) {
		reader_screen_took(r, len);
	} else if (chunk->kind == HUB_BYTES) {
		assert(len <= chunk->len);
		r->offset += len;
	} else if (chunk->kind == HUB_GAP) {
		r->offset += chunk->len;
		if (chunk->len == 0) {
			r->mark = ring_mark_seek(r->hub->ring, r->offset + 1);
		}
	}
}

size_t hub_reader_input_room(const struct hub_reader *r)
{
	size_t len = buf_len(&r->hub->input);

	return r->hub->writer == r && len < HUB_INPUT_WINDOW ? HUB_INPUT_WINDOW - len : 0;
}

int hub_reader_write(struct hub_reader *r, const void *p, size_t len)
{
	struct hub *h = r->hub;
	bool was_empty = buf_len(&h->input) == 0;
	int err;

	if (len == 0 || h->writer != r || !h->source || !h->source_writable) {
		return 0;
	}
	err = buf_append(&h->input, p, len);
	if (err < 0) {
		return err;
	}
	if (was_empty) {
		h->input_ready(h->input_user);
	}
	return 0;
}
