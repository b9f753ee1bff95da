/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's screen and keyboard. See screen_ops.h. */
#include "screen_ops.h"

#include <errno.h>
#include <string.h>

#include "access.h"
#include "buf.h"
#include "events.h"
#include "host_link.h"
#include "keys.h"
#include "later.h"
#include "log.h"
#include "parse.h"
#include "png.h"

#define SHOT_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define SHOT_TIMEOUT (20 * USEC_PER_SEC)
#define KEYS_TIMEOUT (60 * USEC_PER_SEC)
/* Long enough to be a chord for any guest; text is typed faster. */
#define CHORD_HOLD_MS 100
#define TEXT_HOLD_MS 20

/* What is done to a VM's screen or keyboard, and refused, is on record; what is typed is not: it
 * may be a password. */
static void record(struct dvmd *d, const struct principal *p, const struct vm_row *vm,
		   const char *action, const char *detail, enum fault_code outcome)
{
	struct fault fault = { 0 };

	if (audit_add(d->events, p, vm->project, p->session[0] ? p->session : NULL, action, vm->id,
		      detail, outcome, &fault) < 0) {
		log_warn("%s of %s is not in the audit: %s", action, vm->id, fault.message);
	}
}

/* --- screenshots
 * ------------------------------------------------------------------------------- */

struct shot {
	struct dvmd *d;
	struct principal who;
	struct vm_row vm;
	char id[ID_MAX]; /* at the host, of one that comes in parts */
	uint64_t size;
	struct buf bytes;
	screen_reply_fn fn;
	void *user;
};

static void shot_free(struct shot *s)
{
	s->d->n_screenshots--;
	buf_fini(&s->bytes);
	free(s);
}

static void shot_fail(struct shot *s, const struct fault *fault)
{
	record(s->d, &s->who, &s->vm, "vm.screenshot", NULL, fault->code);
	s->fn(NULL, 0, fault, s->user);
	shot_free(s);
}

static void shot_done(struct shot *s)
{
	_cleanup_(buf_fini) struct buf clean;
	struct png_size size;
	struct fault fault;
	uint8_t *png;
	size_t len;
	int r;

	buf_init(&clean, buf_len(&s->bytes));
	r = png_clean(buf_data(&s->bytes), buf_len(&s->bytes), &clean, &size);
	if (r == -EBADMSG) {
		fault_set(&fault, FAULT_DISPLAY_UNSUPPORTED, "The picture of the screen is no PNG");
		fault_hint(&fault, "Look at the screen with `dvm vnc`.");
		shot_fail(s, &fault);
		return;
	}
	if (r < 0) {
		fault_set(&fault, FAULT_INTERNAL, "Out of memory");
		shot_fail(s, &fault);
		return;
	}
	png = buf_take(&clean, &len);
	record(s->d, &s->who, &s->vm, "vm.screenshot", NULL, FAULT_NONE);
	s->fn(png, len, NULL, s->user);
	shot_free(s);
}

static int shot_take(struct shot *s, const json_t *result)
{
	const json_t *data = json_object_get(result, "data");
	uint8_t *part;
	size_t len;
	int r;

	if (!json_is_string(data) ||
	    base64_decode(json_string_value(data), json_string_length(data), &part, &len) < 0) {
		return -EPROTO;
	}
	r = len > 0 && len <= s->size - buf_len(&s->bytes) ? buf_append(&s->bytes, part, len)
							   : -EPROTO;
	free(part);
	return r;
}

static void on_part(const json_t *result, const struct fault *refused, void *user)
{
	struct shot *s = user;
	bool eof = json_is_true(json_object_get(result, "eof"));
	struct fault fault;

	if (refused) {
		shot_fail(s, refused);
		return;
	}
	if (shot_take(s, result) < 0 || eof != (buf_len(&s->bytes) == s->size)) {
		fault_set(&fault, FAULT_PROTOCOL, "The host's answer is not understood");
		shot_fail(s, &fault);
		return;
	}
	if (eof) {
		shot_done(s);
		return;
	}
	host_link_call(
		s->d->host, "screenshot.read",
		json_pack("{s:s,s:I}", "shot", s->id, "offset", (json_int_t)buf_len(&s->bytes)),
		SHOT_TIMEOUT, on_part, s);
}

static void on_shot(const json_t *result, const struct fault *refused, void *user)
{
	const char *id = json_string_value(json_object_get(result, "shot"));
	json_int_t size = json_integer_value(json_object_get(result, "size_bytes"));
	struct shot *s = user;
	struct fault fault;

	if (!refused &&
	    (!id || strlen(id) >= sizeof(s->id) || size <= 0 || (uint64_t)size > SHOT_BYTES_MAX)) {
		fault_set(&fault, FAULT_PROTOCOL, "The host's answer is not understood");
		refused = &fault;
	}
	if (!refused) {
		strcpy(s->id, id);
		s->size = (uint64_t)size;
	}
	on_part(result, refused, s);
}

/* What is refused at once is told later, as everything. */
struct refusal {
	screen_reply_fn fn;
	void *user;
};

static void on_refusal(const json_t *result, const struct fault *fault, void *user)
{
	struct refusal *r = user;

	r->fn(NULL, 0, fault, r->user);
	free(r);
}

static void refuse(struct dvmd *d, const struct fault *fault, screen_reply_fn fn, void *user)
{
	struct refusal *r = malloc(sizeof(*r));

	if (!r) {
		fn(NULL, 0, fault, user);
		return;
	}
	*r = (struct refusal){ .fn = fn, .user = user };
	later_fault(d->event, fault, on_refusal, r);
}

void vm_screenshot(struct dvmd *d, const struct principal *p, const char *ref, screen_reply_fn fn,
		   void *user)
{
	struct fault fault;
	struct vm_row vm;
	struct shot *s = NULL;
	int r = access_vm(d, p, ref, RIGHT_VIEW, "vm.screenshot", &vm, &fault);

	if (r == 0 && d->n_screenshots >= SCREENSHOTS_MAX) {
		r = fault_set(&fault, FAULT_QUOTA, "Too many pictures are being taken");
		fault_hint(&fault, "Try again in a moment.");
	}
	if (r == 0) {
		s = calloc(1, sizeof(*s));
		r = s ? 0 : fault_set(&fault, FAULT_INTERNAL, "Out of memory");
	}
	if (r < 0) {
		refuse(d, &fault, fn, user);
		return;
	}
	d->n_screenshots++;
	s->d = d;
	s->who = *p;
	s->vm = vm;
	s->fn = fn;
	s->user = user;
	buf_init(&s->bytes, SHOT_BYTES_MAX);
	host_link_call(d->host, "domain.screenshot", json_pack("{s:s}", "domain", vm.domain),
		       SHOT_TIMEOUT, on_shot, s);
}

/* --- keys
 * -------------------------------------------------------------------------------------- */

struct typing {
	struct dvmd *d;
	struct principal who;
	struct vm_row vm;
	size_t n_chords;
	char detail[160];
	ops_reply_fn fn;
	void *user;
};

static void on_typed(const json_t *result, const struct fault *fault, void *user)
{
	struct typing *t = user;

	record(t->d, &t->who, &t->vm, "vm.keys", t->detail, fault ? fault->code : FAULT_NONE);
	if (fault) {
		t->fn(NULL, fault, t->user);
	} else {
		now_result(
			json_pack("{s:s,s:I}", "vm", t->vm.id, "chords", (json_int_t)t->n_chords),
			t->fn, t->user);
	}
	free(t);
}

static json_t *chord_json(const struct chord *chord)
{
	json_t *codes = json_array();

	for (size_t i = 0; i < chord->n; i++) {
		json_array_append_new(codes, json_integer((json_int_t)chord->codes[i]));
	}
	return codes;
}

static int chords_of_names(const struct field_list *names, json_t *chords, char *detail,
			   size_t detail_size, struct fault *fault)
{
	size_t at = 0;

	for (size_t i = 0; i < names->n; i++) {
		struct chord chord;

		if (chord_parse(names->items[i], &chord) < 0) {
			fault_set(fault, FAULT_BAD_VALUE, "keys: \"%.64s\" is no chord of keys",
				  names->items[i]);
			fault_hint(fault, "Such as ctrl-alt-del, alt-sysrq-b, enter, f10.");
			return -EREMOTEIO;
		}
		json_array_append_new(chords, chord_json(&chord));
		if (at < detail_size) {
			at += (size_t)snprintf(detail + at, detail_size - at, "%s%s",
					       i > 0 ? " " : "", names->items[i]);
		}
	}
	return 0;
}

static int chords_of_text(const char *text, json_t *chords, char *detail, size_t detail_size,
			  struct fault *fault)
{
	size_t len = strlen(text);

	if (len > KEYS_TEXT_MAX) {
		return fault_set(fault, FAULT_BAD_VALUE, "text: at most %d characters",
				 KEYS_TEXT_MAX);
	}
	for (size_t i = 0; i < len; i++) {
		struct chord chord;

		if (chord_of_char(text[i], &chord) < 0) {
			fault_set(fault, FAULT_BAD_VALUE,
				  "text: it has characters that are not "
				  "on a US keyboard");
			fault_hint(fault, "Send plain ASCII; the guest's own layout makes of the "
					  "keys what it likes.");
			return -EREMOTEIO;
		}
		json_array_append_new(chords, chord_json(&chord));
	}
	snprintf(detail, detail_size, "a text of %zu characters", len);
	return 0;
}

void vm_keys(struct dvmd *d, const struct principal *p, const char *ref,
	     const struct field_list *names, const char *text, ops_reply_fn fn, void *user)
{
	_cleanup_(json_decrefp) json_t *chords = json_array();
	struct typing *t = calloc(1, sizeof(*t));
	struct fault fault;
	int r;

	if (!t || !chords) {
		r = fault_set(&fault, FAULT_INTERNAL, "Out of memory");
	} else {
		r = access_vm(d, p, ref, RIGHT_TYPE, "vm.keys", &t->vm, &fault);
	}
	if (r == 0 && (names->n > 0) == (text != NULL)) {
		r = fault_set(&fault, FAULT_BAD_VALUE, "One of keys and text is needed");
	}
	if (r == 0) {
		r = text ? chords_of_text(text, chords, t->detail, sizeof(t->detail), &fault)
			 : chords_of_names(names, chords, t->detail, sizeof(t->detail), &fault);
	}
	if (r < 0) {
		free(t);
		later_fault(d->event, &fault, fn, user);
		return;
	}
	t->d = d;
	t->who = *p;
	t->n_chords = json_array_size(chords);
	t->fn = fn;
	t->user = user;
	host_link_call(d->host, "domain.keys",
		       json_pack("{s:s,s:O,s:i}", "domain", t->vm.domain, "chords", chords,
				 "hold_ms", text ? TEXT_HOLD_MS : CHORD_HOLD_MS),
		       KEYS_TIMEOUT, on_typed, t);
}
