/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Linux kernel's log out of its memory.
 *
 * Theory of operation: since 5.10 there are three rings. Descriptors, which have a number (id) that
 * only rises, a state, and where in the ring of texts the text begins and ends; an info for each
 * descriptor with time, level and length; and the texts, each after its descriptor's number. The
 * valid ones are from tail_id to head_id. A record is taken only if the descriptor has the number
 * that belongs there: the machine may be writing meanwhile.
 *
 * Before 5.10 the log is one buffer of records that have their length in front.
 */
#include "printk.h"

#include <errno.h>
#include <string.h>

#include "le.h"
#include "text.h"

#define DESC_BYTES_MAX 128
#define INFO_BYTES_MAX 256
#define RING_BITS_MAX 22
#define DAMAGED_MAX 65536 /* of one after the other it is no log any more */
#define STATE_SHIFT 62
#define STATE_COMMITTED 1
#define STATE_FINALIZED 2
#define ID_MASK (((uint64_t)1 << STATE_SHIFT) - 1)
#define CALLER_CPU ((uint32_t)1 << 31)

struct layout {
	uint64_t desc_ring, text_ring;
	uint64_t count_bits, descs, infos, head_id, tail_id;
	uint64_t desc_size, state, lpos, begin, next;
	uint64_t info_size, sequence, time, text_len, caller;
	uint64_t size_bits, data;
};

static bool get_layout(const struct vmcoreinfo *v, struct layout *l)
{
	const struct {
		const char *kind, *name;
		uint64_t *to;
	} wanted[] = {
		{ "OFFSET", "printk_ringbuffer.desc_ring", &l->desc_ring },
		{ "OFFSET", "printk_ringbuffer.text_data_ring", &l->text_ring },
		{ "OFFSET", "prb_desc_ring.count_bits", &l->count_bits },
		{ "OFFSET", "prb_desc_ring.descs", &l->descs },
		{ "OFFSET", "prb_desc_ring.infos", &l->infos },
		{ "OFFSET", "prb_desc_ring.head_id", &l->head_id },
		{ "OFFSET", "prb_desc_ring.tail_id", &l->tail_id },
		{ "SIZE", "prb_desc", &l->desc_size },
		{ "OFFSET", "prb_desc.state_var", &l->state },
		{ "OFFSET", "prb_desc.text_blk_lpos", &l->lpos },
		{ "OFFSET", "prb_data_blk_lpos.begin", &l->begin },
		{ "OFFSET", "prb_data_blk_lpos.next", &l->next },
		{ "SIZE", "printk_info", &l->info_size },
		{ "OFFSET", "printk_info.seq", &l->sequence },
		{ "OFFSET", "printk_info.ts_nsec", &l->time },
		{ "OFFSET", "printk_info.text_len", &l->text_len },
		{ "OFFSET", "printk_info.caller_id", &l->caller },
		{ "OFFSET", "prb_data_ring.size_bits", &l->size_bits },
		{ "OFFSET", "prb_data_ring.data", &l->data },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (!vmcoreinfo_value(v, wanted[i].kind, wanted[i].name, wanted[i].to) ||
		    *wanted[i].to > 4096) {
			return false;
		}
	}
	return l->desc_size <= DESC_BYTES_MAX && l->lpos + l->begin + 8 <= l->desc_size &&
	       l->lpos + l->next + 8 <= l->desc_size && l->state + 8 <= l->desc_size &&
	       l->info_size <= INFO_BYTES_MAX && l->sequence + 8 <= l->info_size &&
	       l->time + 8 <= l->info_size && l->text_len + 4 <= l->info_size &&
	       l->caller + 4 <= l->info_size;
}

static int read_u64(const struct printk_memory *m, uint64_t address, uint64_t *ret)
{
	uint8_t bytes[8];
	int r = m->read(m->user, address, bytes, sizeof(bytes));

	*ret = r < 0 ? 0 : le_u64(bytes);
	return r;
}

static int read_u32(const struct printk_memory *m, uint64_t address, uint32_t *ret)
{
	uint8_t bytes[4];
	int r = m->read(m->user, address, bytes, sizeof(bytes));

	*ret = r < 0 ? 0 : le_u32(bytes);
	return r;
}

struct ring {
	const struct printk_memory *memory;
	const struct layout *layout;
	uint64_t descs, infos, data, head, tail;
	unsigned count_bits, size_bits;
};

static int open_ring(struct ring *g, uint64_t address)
{
	const struct layout *l = g->layout;
	uint64_t desc_ring = address + l->desc_ring, text_ring = address + l->text_ring;
	uint32_t count_bits, size_bits;

	if (read_u32(g->memory, desc_ring + l->count_bits, &count_bits) < 0 ||
	    read_u64(g->memory, desc_ring + l->descs, &g->descs) < 0 ||
	    read_u64(g->memory, desc_ring + l->infos, &g->infos) < 0 ||
	    read_u64(g->memory, desc_ring + l->head_id, &g->head) < 0 ||
	    read_u64(g->memory, desc_ring + l->tail_id, &g->tail) < 0 ||
	    read_u32(g->memory, text_ring + l->size_bits, &size_bits) < 0 ||
	    read_u64(g->memory, text_ring + l->data, &g->data) < 0) {
		return -EFAULT;
	}
	if (count_bits > RING_BITS_MAX || size_bits > 40) {
		return -EBADMSG;
	}
	g->count_bits = count_bits;
	g->size_bits = size_bits;
	g->head &= ID_MASK;
	g->tail &= ID_MASK;
	if (((g->head - g->tail) & ID_MASK) >= (uint64_t)1 << count_bits) {
		return -EBADMSG;
	}
	return 0;
}

/* The text of a block; the block begins with the descriptor's number. */
static bool read_text(const struct ring *g, uint64_t id, uint64_t begin, uint64_t next, size_t len,
		      char text[PRINTK_TEXT_MAX])
{
	uint64_t size = (uint64_t)1 << g->size_bits, at = begin & (size - 1), room, number;

	if (begin & next & 1) { /* a record without text */
		text[0] = '\0';
		return true;
	}
	if (begin >> g->size_bits == (next - 1) >> g->size_bits) {
		room = next - begin;
	} else {
		at = 0; /* it would not have fitted before the end */
		room = next & (size - 1);
	}
	if (room < 8 || room > size || at + room > size ||
	    read_u64(g->memory, g->data + at, &number) < 0 || (number & ID_MASK) != id) {
		return false;
	}
	len = (size_t)MIN((uint64_t)len, room - 8);
	len = MIN(len, (size_t)PRINTK_TEXT_MAX - 1);
	if (g->memory->read(g->memory->user, g->data + at + 8, text, len) < 0) {
		return false;
	}
	text[len] = '\0';
	return true;
}

/* 0: taken; -ENOENT: is not there (yet, or no more); -EBADMSG. */
static int read_record(const struct ring *g, uint64_t id, struct printk_record *record,
		       char text[PRINTK_TEXT_MAX])
{
	const struct layout *l = g->layout;
	uint64_t index = id & (((uint64_t)1 << g->count_bits) - 1), state;
	uint8_t desc[DESC_BYTES_MAX], info[INFO_BYTES_MAX];

	if (g->memory->read(g->memory->user, g->descs + index * l->desc_size, desc, l->desc_size) <
		    0 ||
	    g->memory->read(g->memory->user, g->infos + index * l->info_size, info, l->info_size) <
		    0) {
		return -EBADMSG;
	}
	state = le_u64(desc + l->state);
	if ((state & ID_MASK) != id ||
	    (state >> STATE_SHIFT != STATE_COMMITTED && state >> STATE_SHIFT != STATE_FINALIZED)) {
		return -ENOENT;
	}
	*record = (struct printk_record){
		.sequence = le_u64(info + l->sequence),
		.time_ns = le_u64(info + l->time),
		/* VMCOREINFO does not name them; they have followed the length ever since there is
		 * this ring: u8 facility, u8 flags:5, u8 level:3 */
		.facility = info[l->text_len + 2],
		.level = info[l->text_len + 3] >> 5,
		.caller = le_u32(info + l->caller) & ~CALLER_CPU,
		.by_cpu = le_u32(info + l->caller) & CALLER_CPU,
		.text = text,
	};
	if (!read_text(g, id, le_u64(desc + l->lpos + l->begin), le_u64(desc + l->lpos + l->next),
		       le_u16(info + l->text_len), text)) {
		return -EBADMSG;
	}
	text_clean(text, true);
	return 0;
}

static int ring_each(struct ring *g, uint64_t from,
		     void (*each)(const struct printk_record *record, void *user), void *user,
		     struct printk_result *ret)
{
	static char text[PRINTK_TEXT_MAX];
	bool first = true;

	for (uint64_t id = g->tail;; id = (id + 1) & ID_MASK) {
		struct printk_record record;
		int r = read_record(g, id, &record, text);

		if (r == 0) {
			if (first && record.sequence > from && from > 0) {
				ret->lost = record.sequence - from;
			}
			first = false;
			if (record.sequence >= from) {
				each(&record, user);
				ret->next = MAX(ret->next, record.sequence + 1);
			}
		} else if (r == -EBADMSG) {
			ret->damaged++;
		}
		if (id == g->head || ret->damaged > DAMAGED_MAX) {
			return 0;
		}
	}
}

/* ---- before 5.10 ---- */

static int old_each(const struct vmcoreinfo *v, const struct printk_memory *m, uint64_t from,
		    void (*each)(const struct printk_record *record, void *user), void *user,
		    struct printk_result *ret)
{
	static char text[PRINTK_TEXT_MAX];
	uint64_t buffer_at, len_at, first_at, next_at, head, time_at, len_of, text_len_of, buffer,
		sequence = 0;
	uint32_t size, at, end;

	if (!vmcoreinfo_value(v, "SYMBOL", "log_buf", &buffer_at) ||
	    !vmcoreinfo_value(v, "SYMBOL", "log_buf_len", &len_at) ||
	    !vmcoreinfo_value(v, "SYMBOL", "log_first_idx", &first_at) ||
	    !vmcoreinfo_value(v, "SYMBOL", "log_next_idx", &next_at) ||
	    !vmcoreinfo_value(v, "SIZE", "printk_log", &head) ||
	    !vmcoreinfo_value(v, "OFFSET", "printk_log.ts_nsec", &time_at) ||
	    !vmcoreinfo_value(v, "OFFSET", "printk_log.len", &len_of) ||
	    !vmcoreinfo_value(v, "OFFSET", "printk_log.text_len", &text_len_of)) {
		return -ENOENT;
	}
	if (head > 64 || time_at + 8 > head || len_of + 2 > head || text_len_of + 6 > head) {
		return -ENOENT;
	}
	if (read_u64(m, buffer_at, &buffer) < 0 || read_u32(m, len_at, &size) < 0 ||
	    read_u32(m, first_at, &at) < 0 || read_u32(m, next_at, &end) < 0) {
		return -EFAULT;
	}
	for (uint64_t walked = 0; at != end && walked <= size;) {
		uint8_t bytes[64];
		struct printk_record record;
		size_t len, text_len;

		if (at > size || head > size - at ||
		    m->read(m->user, buffer + at, bytes, (size_t)head) < 0) {
			ret->damaged++;
			return 0;
		}
		len = le_u16(bytes + len_of);
		if (len == 0) { /* the rest of the buffer is not used */
			walked += size - at;
			at = 0;
			if (walked == 0) {
				break;
			}
			continue;
		}
		text_len = MIN((size_t)le_u16(bytes + text_len_of), (size_t)PRINTK_TEXT_MAX - 1);
		if (len < head || len > size - at || text_len > len - head ||
		    m->read(m->user, buffer + at + head, text, text_len) < 0) {
			ret->damaged++;
			return 0;
		}
		text[text_len] = '\0';
		text_clean(text, true);
		record = (struct printk_record){
			.sequence = sequence++,
			.time_ns = le_u64(bytes + time_at),
			/* text_len, dict_len, then facility, flags:5 and level:3 */
			.facility = bytes[text_len_of + 4],
			.level = bytes[text_len_of + 5] >> 5,
			.text = text,
		};
		if (record.sequence >= from) {
			each(&record, user);
		}
		at += (uint32_t)len;
		walked += len;
	}
	ret->next = sequence;
	return 0;
}

int printk_each(const struct vmcoreinfo *v, const struct printk_memory *memory, uint64_t from,
		void (*each)(const struct printk_record *record, void *user), void *user,
		struct printk_result *ret)
{
	struct layout layout;
	struct ring ring = { .memory = memory, .layout = &layout };
	uint64_t pointer, address;
	int r;

	*ret = (struct printk_result){ .next = from };
	if (!vmcoreinfo_value(v, "SYMBOL", "prb", &pointer)) {
		return old_each(v, memory, from, each, user, ret);
	}
	if (!get_layout(v, &layout)) {
		return -ENOENT;
	}
	if (read_u64(memory, pointer, &address) < 0) {
		return -EFAULT;
	}
	r = open_ring(&ring, address);
	return r < 0 ? r : ring_each(&ring, from, each, user, ret);
}
