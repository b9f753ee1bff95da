/* SPDX-License-Identifier: Apache-2.0 */
/*
 * display.open, domain.screenshot, screenshot.read, domain.keys: a VM's screen and keyboard.
 *
 * A picture need not fit into one answer: what does not is kept for the parts that follow
 * (shots.h).
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "methods.h"
#include "once.h"
#include "parse.h"
#include "shots.h"

#define PART_BYTES ((size_t)512 * 1024) /* base64 of it fits into an RPC frame */
#define CHORDS_MAX 256
#define KEY_CODE_MAX 255
#define HOLD_MS_MAX 500
#define KEYS_MS_MAX 30000
#define BETWEEN_CHORDS_MS 5

/* --- display.open
 * ------------------------------------------------------------------------------ */

static int display_open(struct op *op)
{
	const char *domain = op_string(op, "domain", domain_ref_valid);

	if (!domain) {
		return -EREMOTEIO;
	}
	return op->hostd->hv->ops->display_open(op->hostd->hv, domain, &op->fd, &op->fault);
}

/* One after the other, for each VM: one that hangs must not take the workers from all others. */
static const struct op_method display_open_method = {
	.name = "display open", .key = "domain", .kind = "screen", .run = display_open
};

void display_open_start(struct hostd *h, const char *domain, struct rpc_request *request)
{
	op_start(h, &display_open_method, json_pack("{ss}", "domain", domain), request);
}

/* --- screenshots
 * ------------------------------------------------------------------------------- */

/* One that nobody comes for goes by itself. */
static void on_shot_old(void *user)
{
	shots_sweep(user);
}

static int screenshot(struct op *op)
{
	const char *domain = op_string(op, "domain", domain_ref_valid);
	_cleanup_free_ char *id = random_id("p", 12), *data = NULL;
	uint8_t *bytes;
	size_t len;
	int r;

	if (!domain) {
		return -EREMOTEIO;
	}
	r = op->hostd->hv->ops->screenshot(op->hostd->hv, domain, &bytes, &len, &op->fault);
	if (r < 0) {
		return r;
	}
	data = base64_encode(bytes, MIN(len, PART_BYTES));
	if (!id || !data) {
		free(bytes);
		return op_no_memory(op);
	}
	if (len > PART_BYTES) {
		shots_keep_take(op->hostd->shots, id, bytes, len);
	} else {
		free(bytes);
	}
	op->result = json_pack("{sssIsssb}", "shot", id, "size_bytes", (json_int_t)len, "data",
			       data, "eof", len <= PART_BYTES);
	return op->result ? 0 : op_no_memory(op);
}

static void screenshot_finish(struct op *op)
{
	if (op->status < 0 || json_is_true(json_object_get(op->result, "eof"))) {
		return;
	}
	if (once_later(op->hostd->event, SHOT_TTL, on_shot_old, NULL, op->hostd->shots) < 0) {
		log_debug("no memory for a timer: the next picture sweeps");
	}
}

static bool shot_id_valid(const char *s)
{
	return name_valid(s) && strlen(s) <= SHOT_ID_MAX;
}

static int screenshot_read(struct op *op)
{
	const char *id = op_string(op, "shot", shot_id_valid);
	_cleanup_free_ char *data = NULL;
	uint64_t offset;
	bool eof;

	if (!id || op_number(op, "offset", 0, SCREENSHOT_BYTES_MAX, &offset) < 0) {
		return -EREMOTEIO;
	}
	data = shots_read(op->hostd->shots, id, offset, PART_BYTES, &eof);
	if (!data) {
		return fault_set(&op->fault, FAULT_NOT_FOUND, "There is no such picture any more");
	}
	op->result = json_pack("{sssb}", "data", data, "eof", eof);
	return op->result ? 0 : op_no_memory(op);
}

/* --- keys
 * -------------------------------------------------------------------------------------- */

static int chord_read(const json_t *json, unsigned codes[CHORD_KEYS_MAX], size_t *ret_n)
{
	const json_t *item;
	size_t i;

	if (json_array_size(json) < 1 || json_array_size(json) > CHORD_KEYS_MAX) {
		return -EINVAL;
	}
	json_array_foreach(json, i, item)
	{
		json_int_t code = json_integer_value(item);

		if (!json_is_integer(item) || code < 1 || code > KEY_CODE_MAX) {
			return -EINVAL;
		}
		codes[i] = (unsigned)code;
	}
	*ret_n = json_array_size(json);
	return 0;
}

static int keys(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *domain = op_string(op, "domain", domain_ref_valid);
	const json_t *chords = json_object_get(op->params, "chords"), *chord;
	unsigned codes[CHORD_KEYS_MAX];
	uint64_t hold_ms;
	size_t i, n;
	int r = 0;

	if (!domain || op_number(op, "hold_ms", 1, HOLD_MS_MAX, &hold_ms) < 0) {
		return -EREMOTEIO;
	}
	if (!json_is_array(chords) || json_array_size(chords) > CHORDS_MAX ||
	    json_array_size(chords) * (hold_ms + BETWEEN_CHORDS_MS) > KEYS_MS_MAX) {
		return fault_set(&op->fault, FAULT_BAD_VALUE, "Too many keys at once");
	}
	/* All of them are looked at before the first is pressed. */
	json_array_foreach(chords, i, chord)
	{
		if (chord_read(chord, codes, &n) < 0) {
			return fault_set(&op->fault, FAULT_BAD_VALUE, "\"chords\" is malformed");
		}
	}
	json_array_foreach(chords, i, chord)
	{
		if (r < 0 || chord_read(chord, codes, &n) < 0) {
			break;
		}
		r = h->hv->ops->keys_press(h->hv, domain, codes, n, (unsigned)hold_ms, &op->fault);
		/* The emulator holds them without us; what is pressed meanwhile it would have to
		 * keep, and it does not keep much. */
		usleep((useconds_t)(hold_ms + BETWEEN_CHORDS_MS) * 1000);
	}
	return r;
}

const struct op_method display_methods[] = {
	{ .name = "domain.screenshot",
	  .key = "domain",
	  .kind = "screen",
	  .run = screenshot,
	  .finish = screenshot_finish },
	{ .name = "screenshot.read", .run = screenshot_read },
	{ .name = "domain.keys", .key = "domain", .run = keys },
	{ .name = NULL },
};
