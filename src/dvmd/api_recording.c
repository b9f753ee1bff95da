/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /v1/sessions/{session}/recordings and /v1/vms/{vm}/recordings
 *
 * A recording is streamed as it is pulled: one piece of it is asked of dvm-hostd at a time, the
 * next when that one was taken. What is sent is what the recording held when it was asked for,
 * however much is added meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "api_handlers.h"
#include "cleanup.h"
#include "http_range.h"
#include "parse.h"
#include "session_ops.h"

#define PIECE_BYTES (128 * 1024)
#define ASCIICAST_TYPE "application/x-asciicast"

struct recording {
	struct dvmd *d;
	struct principal who;
	struct http_request *request; /* NULL: its client is gone */
	bool of_vm;
	char owner[API_REF_MAX + 1], name[NAME_MAX_LEN]; /* of the path */
	uint64_t at, end;				 /* what is to be read of it */
	uint8_t *piece;
	size_t piece_len, piece_at;
	bool reading, failed;
};

static struct recordings_of owner_of(bool of_vm, const char *owner)
{
	return of_vm ? (struct recordings_of){ .vm = owner }
		     : (struct recordings_of){ .session = owner };
}

void api_recording_list(struct api_call *c)
{
	struct recordings_of of = { .session = c->params[0] };

	recording_list(c->d, &c->who, &of, api_on_ok, c);
}

void api_vm_recording_list(struct api_call *c)
{
	struct recordings_of of = { .vm = c->params[0] };

	recording_list(c->d, &c->who, &of, api_on_ok, c);
}

static void recording_unref(struct recording *rec)
{
	if (!rec->request && !rec->reading) {
		free(rec->piece);
		free(rec);
	}
}

static int take_piece(struct recording *rec, const json_t *result)
{
	const json_t *data = json_object_get(result, "data");
	uint8_t *piece;
	size_t len;

	if (!json_is_string(data) ||
	    base64_decode(json_string_value(data), json_string_length(data), &piece, &len) < 0) {
		return -EPROTO;
	}
	if (len == 0 || len > rec->end - rec->at) {
		free(piece);
		return -EPROTO;
	}
	free(rec->piece);
	rec->piece = piece;
	rec->piece_len = len;
	rec->piece_at = 0;
	rec->at += len;
	return 0;
}

static void on_piece(const json_t *result, const struct fault *fault, void *user)
{
	struct recording *rec = user;

	rec->reading = false;
	rec->failed = fault || take_piece(rec, result) < 0;
	if (rec->request) {
		http_request_wake(rec->request);
	}
	recording_unref(rec);
}

static ssize_t on_pull(void *p, size_t max, void *user)
{
	struct recording *rec = user;
	size_t n = MIN(max, rec->piece_len - rec->piece_at);

	if (n > 0) {
		memcpy(p, rec->piece + rec->piece_at, n);
		rec->piece_at += n;
		return (ssize_t)n;
	}
	if (rec->failed) {
		return -EIO;
	}
	if (rec->at == rec->end) {
		return -ENODATA;
	}
	if (!rec->reading) {
		struct recordings_of of = owner_of(rec->of_vm, rec->owner);

		rec->reading = true;
		recording_read(rec->d, &rec->who, &of, rec->name, rec->at,
			       MIN((uint64_t)PIECE_BYTES, rec->end - rec->at), on_piece, rec);
	}
	return 0;
}

static void on_closed(void *user)
{
	struct recording *rec = user;

	rec->request = NULL;
	recording_unref(rec);
}

static void send_recording(struct api_call *c, bool of_vm, uint64_t size)
{
	static const struct http_stream_ops ops = { .pull = on_pull, .closed = on_closed };
	const char *range = http_request_header(c->request, "Range");
	struct recording *rec;
	struct fault fault;
	uint64_t first = 0, end = size;
	char field[80];
	int r = http_range_parse(range, size, &first, &end);

	if (r == -ERANGE) {
		snprintf(field, sizeof(field), "bytes */%" PRIu64, size);
		http_request_add_header(c->request, "Content-Range", field);
		fault_set(&fault, FAULT_BAD_VALUE, "The recording has no such range");
		fault_hint(&fault, "It is %" PRIu64 " bytes long now.", size);
		api_fault_status(c, &fault, 416);
		return;
	}
	rec = calloc(1, sizeof(*rec));
	if (!rec) {
		api_no_memory(&fault);
		api_fault(c, &fault);
		return;
	}
	rec->d = c->d;
	rec->who = c->who;
	rec->request = c->request;
	rec->of_vm = of_vm;
	snprintf(rec->owner, sizeof(rec->owner), "%s", c->params[0]);
	snprintf(rec->name, sizeof(rec->name), "%s", c->params[1]);
	rec->at = first;
	rec->end = end;
	http_request_add_header(c->request, "Accept-Ranges", "bytes");
	if (r == 1) {
		snprintf(field, sizeof(field), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
			 end - 1, size);
		http_request_add_header(c->request, "Content-Range", field);
	}
	api_stream(c, r == 1 ? 206 : 200, ASCIICAST_TYPE, end - first, &ops, rec);
}

static void answer(struct api_call *c, bool of_vm, const json_t *result, const struct fault *fault)
{
	struct fault missing;
	json_t *item;
	size_t i;

	if (fault) {
		api_fault(c, fault);
		return;
	}
	json_array_foreach(json_object_get(result, "items"), i, item)
	{
		const char *name = json_string_value(json_object_get(item, "name"));
		json_int_t size = json_integer_value(json_object_get(item, "size_bytes"));

		if (name && strcmp(name, c->params[1]) == 0 && size >= 0) {
			send_recording(c, of_vm, (uint64_t)size);
			return;
		}
	}
	fault_set(&missing, FAULT_NOT_FOUND, "There is no such recording");
	api_fault(c, &missing);
}

static void on_list(const json_t *result, const struct fault *fault, void *user)
{
	answer(user, false, result, fault);
}

static void on_vm_list(const json_t *result, const struct fault *fault, void *user)
{
	answer(user, true, result, fault);
}

void api_recording_get(struct api_call *c)
{
	struct recordings_of of = { .session = c->params[0] };

	recording_list(c->d, &c->who, &of, on_list, c);
}

void api_vm_recording_get(struct api_call *c)
{
	struct recordings_of of = { .vm = c->params[0] };

	recording_list(c->d, &c->who, &of, on_vm_list, c);
}
