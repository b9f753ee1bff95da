/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel's log out of a guest's memory, the new ring and the old buffer: reading it ends, and
 * what comes is printable. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "printk.h"

#define BASE 0xffffffff80000000u

static const char ring[] =
	"OSRELEASE=6\nSYMBOL(prb)=ffffffff80000000\nOFFSET(printk_ringbuffer.desc_ring)=0\n"
	"OFFSET(printk_ringbuffer.text_data_ring)=40\nOFFSET(prb_desc_ring.count_bits)=0\n"
	"OFFSET(prb_desc_ring.descs)=8\nOFFSET(prb_desc_ring.infos)=16\n"
	"OFFSET(prb_desc_ring.head_id)=24\nOFFSET(prb_desc_ring.tail_id)=32\n"
	"SIZE(prb_desc)=24\nOFFSET(prb_desc.state_var)=0\nOFFSET(prb_desc.text_blk_lpos)=8\n"
	"OFFSET(prb_data_blk_lpos.begin)=0\nOFFSET(prb_data_blk_lpos.next)=8\n"
	"SIZE(printk_info)=24\nOFFSET(printk_info.seq)=0\nOFFSET(printk_info.ts_nsec)=8\n"
	"OFFSET(printk_info.text_len)=16\nOFFSET(printk_info.caller_id)=20\n"
	"OFFSET(prb_data_ring.size_bits)=0\nOFFSET(prb_data_ring.data)=8\n";
static const char old[] =
	"OSRELEASE=5\nSYMBOL(log_buf)=ffffffff80000000\nSYMBOL(log_buf_len)=ffffffff80000008\n"
	"SYMBOL(log_first_idx)=ffffffff8000000c\nSYMBOL(log_next_idx)=ffffffff80000010\n"
	"SIZE(printk_log)=16\nOFFSET(printk_log.ts_nsec)=0\nOFFSET(printk_log.len)=8\n"
	"OFFSET(printk_log.text_len)=10\n";

struct guest {
	const uint8_t *data;
	size_t size;
};

/* Addresses of 16 bits, so that what the input says is often within it. */
static int read_guest(void *user, uint64_t address, void *p, size_t len)
{
	const struct guest *g = user;
	uint64_t at = (address - BASE) & 0xffff;

	if (at > g->size || len > g->size - at) {
		return -EFAULT;
	}
	memcpy(p, g->data + at, len);
	return 0;
}

static void each(const struct printk_record *record, void *user)
{
	must(record->level < 8);
	must(strlen(record->text) < PRINTK_TEXT_MAX);
	must(!strpbrk(record->text, "\x1b\r\x7f"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest guest = { data, size };
	const struct printk_memory memory = { read_guest, &guest };
	struct printk_result result;
	struct vmcoreinfo v;

	for (int i = 0; i < 2; i++) {
		const char *text = i ? old : ring;

		must(vmcoreinfo_init(&v, text, strlen(text)) == 0);
		if (printk_each(&v, &memory, 0, each, NULL, &result) == 0) {
			must(result.damaged <= 65537);
		}
		vmcoreinfo_fini(&v);
	}
	return 0;
}
