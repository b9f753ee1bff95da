/* SPDX-License-Identifier: Apache-2.0 */
/* The remote framebuffer protocol as a filter. See rfb.h. */
#include "rfb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

#define VERSION_LEN 12
#define SECURITY_NONE 1
#define SERVER_INIT_LEN 24 /* with the name's length, without the name */
/* A display's name longer than this is a mistake. */
#define DISPLAY_NAME_MAX 4096

/* From the viewer, RFC 6143 §7.5. */
enum viewer_message {
	SET_PIXEL_FORMAT = 0,
	SET_ENCODINGS = 2,
	UPDATE_REQUEST = 3,
	KEY_EVENT = 4,
	POINTER_EVENT = 5,
	CUT_TEXT = 6,
	QEMU_MESSAGE = 255,
};

/* The community's rfbproto, "QEMU Client Message". */
enum qemu_message { QEMU_KEY_EVENT = 0, QEMU_AUDIO = 1 };
enum qemu_audio { AUDIO_ENABLE = 0, AUDIO_DISABLE = 1, AUDIO_SET_FORMAT = 2 };

enum viewer_state {
	VIEWER_VERSION,
	VIEWER_SECURITY, /* its choice; 3.3 makes none */
	VIEWER_INIT,
	VIEWER_WAITS, /* for the display's ServerInit: what it says meanwhile is its mistake */
	VIEWER_SPEAKS,
	VIEWER_TEXT, /* within a ClientCutText */
};

enum display_state {
	DISPLAY_VERSION,
	DISPLAY_SECURITY_COUNT,
	DISPLAY_SECURITY,
	DISPLAY_RESULT,
	DISPLAY_INIT,
	DISPLAY_NAME,
	DISPLAY_SPEAKS,
};

struct rfb {
	bool view_only;
	char name[RFB_NAME_MAX + 1];

	enum viewer_state viewer;
	uint8_t minor; /* of the version that the viewer speaks: 3, 7, 8 */
	uint8_t held[RFB_HELD_MAX];
	size_t n_held;
	uint32_t text_left;

	enum display_state display;
	uint8_t answer[SERVER_INIT_LEN];
	size_t n_answer;
	uint32_t n_types; /* security types still to come */
	bool none_offered;
	uint32_t name_left;
};

/* Encodings and pseudo-encodings that pass. */
static const struct {
	int32_t first, last;
} encodings[] = {
	{ 0, 2 },	/* Raw, CopyRect, RRE */
	{ 4, 8 },	/* CoRRE, Hextile, Zlib, Tight, ZlibHex */
	{ 16, 17 },	/* ZRLE, ZYWRLE */
	{ -32, -23 },	/* quality of JPEG */
	{ -224, -223 }, /* LastRect, DesktopSize */
	{ -239, -239 }, /* Cursor */
	{ -256, -247 }, /* degree of compression */
	{ -261, -257 }, /* QEMU: pointer motion, extended keys, audio, Tight PNG, LEDs */
	{ -314, -314 }, /* Cursor with alpha */
	{ 0x574d5664, 0x574d5664 }, /* VMware's cursor, as QEMU knows it */
	{ 0x574d5669, 0x574d5669 }, /* WMVi: pixel format of the display */
};

static bool encoding_passes(int32_t encoding)
{
	for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
		if (encoding >= encodings[i].first && encoding <= encodings[i].last) {
			return true;
		}
	}
	return false;
}

int rfb_new(const char *name, bool view_only, struct rfb **ret)
{
	struct rfb *f = calloc(1, sizeof(*f));

	if (!f) {
		return -ENOMEM;
	}
	strncpy(f->name, name, RFB_NAME_MAX);
	f->view_only = view_only;
	*ret = f;
	return 0;
}

struct rfb *rfb_free(struct rfb *f)
{
	free(f);
	return NULL;
}

int rfb_start(struct rfb *f, struct buf *to_viewer)
{
	return buf_append(to_viewer, "RFB 003.008\n", VERSION_LEN);
}

/* "RFB 003.00N\n"; 0 when it is no version 3. */
static uint8_t version_minor(const uint8_t *p)
{
	unsigned minor = 0;

	if (memcmp(p, "RFB 003.", 8) != 0 || p[11] != '\n') {
		return 0;
	}
	for (size_t i = 8; i < 11; i++) {
		if (p[i] < '0' || p[i] > '9') {
			return 0;
		}
		minor = minor * 10 + (p[i] - '0');
	}
	/* What lies between is to be taken for 3.3 (§7.1.1); what lies above was not offered. */
	return minor == 7 || minor == 8 ? (uint8_t)minor : minor < 7 && minor >= 3 ? 3 : 0;
}

/* --- what the viewer gets
 * ---------------------------------------------------------------------- */

/* Its ServerInit, when both sides are through. */
static int viewer_init(struct rfb *f, struct buf *to_viewer)
{
	uint32_t len = (uint32_t)strlen(f->name);
	int r;

	if (f->viewer != VIEWER_WAITS || f->display != DISPLAY_SPEAKS) {
		return 0;
	}
	f->viewer = VIEWER_SPEAKS;
	put_u32(f->answer + SERVER_INIT_LEN - 4, len);
	r = buf_append(to_viewer, f->answer, SERVER_INIT_LEN);
	return r < 0 ? r : buf_append(to_viewer, f->name, len);
}

/* --- from the viewer
 * --------------------------------------------------------------------------- */

static int viewer_version(struct rfb *f, struct buf *to_viewer)
{
	static const uint8_t decided[] = { 0, 0, 0, SECURITY_NONE };
	static const uint8_t offered[] = { 1, SECURITY_NONE };

	f->minor = version_minor(f->held);
	if (f->minor == 0) {
		return -EPROTO;
	}
	if (f->minor == 3) {
		f->viewer = VIEWER_INIT;
		return buf_append(to_viewer, decided, sizeof(decided));
	}
	f->viewer = VIEWER_SECURITY;
	return buf_append(to_viewer, offered, sizeof(offered));
}

static int viewer_security(struct rfb *f, struct buf *to_viewer)
{
	static const uint8_t ok[4] = { 0 };

	if (f->held[0] != SECURITY_NONE) {
		return -EPROTO;
	}
	f->viewer = VIEWER_INIT;
	return f->minor == 8 ? buf_append(to_viewer, ok, sizeof(ok)) : 0;
}

/* How long the message is that begins with what is held; 0: more is needed to tell. -EPROTO for one
 * that is not let through. */
static int message_len(const struct rfb *f, size_t *ret)
{
	const uint8_t *p = f->held;
	size_t n = f->n_held;

	*ret = 0;
	if (n == 0) {
		return 0;
	}
	switch (p[0]) {
	case SET_PIXEL_FORMAT:
		*ret = 20;
		return 0;
	case SET_ENCODINGS:
		if (n >= 4) {
			if (get_u16(p + 2) > RFB_ENCODINGS_MAX) {
				return -EPROTO;
			}
			*ret = 4 + 4 * (size_t)get_u16(p + 2);
		}
		return 0;
	case UPDATE_REQUEST:
		*ret = 10;
		return 0;
	case KEY_EVENT:
		*ret = 8;
		return 0;
	case POINTER_EVENT:
		*ret = 6;
		return 0;
	case CUT_TEXT:
		*ret = 8; /* and the text, which passes as it comes */
		return 0;
	case QEMU_MESSAGE:
		if (n < 2) {
			return 0;
		}
		if (p[1] == QEMU_KEY_EVENT) {
			*ret = 12;
			return 0;
		}
		if (p[1] != QEMU_AUDIO) {
			return -EPROTO;
		}
		if (n < 4) {
			return 0;
		}
		if (get_u16(p + 2) > AUDIO_SET_FORMAT) {
			return -EPROTO;
		}
		*ret = get_u16(p + 2) == AUDIO_SET_FORMAT ? 10 : 4;
		return 0;
	default:
		return -EPROTO;
	}
}

static int pass_encodings(struct rfb *f, struct buf *to_display)
{
	size_t n = 0, given = get_u16(f->held + 2);

	for (size_t i = 0; i < given; i++) {
		const uint8_t *p = f->held + 4 + 4 * i;

		if (encoding_passes((int32_t)get_u32(p))) {
			memmove(f->held + 4 + 4 * n, p, 4);
			n++;
		}
	}
	f->held[2] = (uint8_t)(n >> 8);
	f->held[3] = (uint8_t)n;
	return buf_append(to_display, f->held, 4 + 4 * n);
}

/* Bits, depth, and what a display would stumble over. */
static bool pixel_format_valid(const uint8_t *p)
{
	uint8_t bits = p[4];

	return bits == 8 || bits == 16 || bits == 32;
}

/* A whole message is held. */
static int viewer_message(struct rfb *f, size_t len, struct buf *to_display)
{
	bool input = f->held[0] == KEY_EVENT || f->held[0] == POINTER_EVENT ||
		     f->held[0] == CUT_TEXT ||
		     (f->held[0] == QEMU_MESSAGE && f->held[1] == QEMU_KEY_EVENT);

	if (f->held[0] == SET_ENCODINGS) {
		return pass_encodings(f, to_display);
	}
	if (f->held[0] == SET_PIXEL_FORMAT && !pixel_format_valid(f->held)) {
		return -EPROTO;
	}
	if (f->held[0] == CUT_TEXT) {
		f->text_left = get_u32(f->held + 4);
		if (f->text_left > RFB_CUT_TEXT_MAX) {
			return -EPROTO;
		}
		if (f->text_left > 0) {
			f->viewer = VIEWER_TEXT;
		}
	}
	return input && f->view_only ? 0 : buf_append(to_display, f->held, len);
}

/* How many bytes the present step needs; 0: it cannot be told yet, take one more. */
static int viewer_need(const struct rfb *f, size_t *ret)
{
	switch (f->viewer) {
	case VIEWER_VERSION:
		*ret = VERSION_LEN;
		return 0;
	case VIEWER_SECURITY:
	case VIEWER_INIT:
		*ret = 1;
		return 0;
	case VIEWER_SPEAKS:
		return message_len(f, ret);
	case VIEWER_WAITS:
	case VIEWER_TEXT:
		break;
	}
	return -EPROTO;
}

static int viewer_step(struct rfb *f, size_t len, struct buf *to_display, struct buf *to_viewer)
{
	switch (f->viewer) {
	case VIEWER_VERSION:
		return viewer_version(f, to_viewer);
	case VIEWER_SECURITY:
		return viewer_security(f, to_viewer);
	case VIEWER_INIT:
		/* Whether it wants to share is not its choice. */
		f->viewer = VIEWER_WAITS;
		return viewer_init(f, to_viewer);
	case VIEWER_SPEAKS:
		return viewer_message(f, len, to_display);
	case VIEWER_WAITS:
	case VIEWER_TEXT:
		break;
	}
	return -EPROTO;
}

/* Takes what the present step still needs; does the step when it has all. */
static int viewer_take(struct rfb *f, const uint8_t *p, size_t len, size_t *ret_taken,
		       struct buf *to_display, struct buf *to_viewer)
{
	size_t need = 0, n;
	int r = viewer_need(f, &need);

	if (r < 0) {
		return r;
	}
	n = MIN(len, need == 0 ? 1 : need - f->n_held);
	memcpy(f->held + f->n_held, p, n);
	f->n_held += n;
	*ret_taken = n;
	r = viewer_need(f, &need); /* now it may be known */
	if (r < 0 || f->n_held != need) {
		return r;
	}
	f->n_held = 0;
	return viewer_step(f, need, to_display, to_viewer);
}

static int viewer_text(struct rfb *f, const uint8_t *p, size_t len, size_t *ret_taken,
		       struct buf *to_display)
{
	size_t n = MIN(len, (size_t)f->text_left);

	f->text_left -= (uint32_t)n;
	if (f->text_left == 0) {
		f->viewer = VIEWER_SPEAKS;
	}
	*ret_taken = n;
	return f->view_only ? 0 : buf_append(to_display, p, n);
}

int rfb_from_viewer(struct rfb *f, const void *bytes, size_t len, struct buf *to_display,
		    struct buf *to_viewer)
{
	const uint8_t *p = bytes;

	while (len > 0) {
		size_t n = 0;
		int r = f->viewer == VIEWER_TEXT
				? viewer_text(f, p, len, &n, to_display)
				: viewer_take(f, p, len, &n, to_display, to_viewer);

		if (r < 0) {
			return r;
		}
		p += n;
		len -= n;
	}
	return 0;
}

/* --- from the display
 * -------------------------------------------------------------------------- */

static size_t display_need(const struct rfb *f)
{
	static const size_t need[] = {
		[DISPLAY_VERSION] = VERSION_LEN,  [DISPLAY_SECURITY_COUNT] = 1,
		[DISPLAY_SECURITY] = 1,		  [DISPLAY_RESULT] = 4,
		[DISPLAY_INIT] = SERVER_INIT_LEN,
	};

	return need[f->display];
}

static int display_step(struct rfb *f, struct buf *to_display)
{
	static const uint8_t choice[] = { SECURITY_NONE }, shared[] = { 1 };

	switch (f->display) {
	case DISPLAY_VERSION:
		if (version_minor(f->answer) != 8) {
			return -EPROTO;
		}
		f->display = DISPLAY_SECURITY_COUNT;
		return buf_append(to_display, f->answer, VERSION_LEN);
	case DISPLAY_SECURITY_COUNT:
		f->n_types = f->answer[0];
		f->display = DISPLAY_SECURITY;
		return f->n_types > 0 ? 0 : -EPROTO; /* it refuses us; why is not for the viewer */
	case DISPLAY_SECURITY:
		f->none_offered |= f->answer[0] == SECURITY_NONE;
		if (--f->n_types > 0) {
			return 0;
		}
		if (!f->none_offered) {
			return -EPROTO;
		}
		f->display = DISPLAY_RESULT;
		return buf_append(to_display, choice, sizeof(choice));
	case DISPLAY_RESULT:
		if (get_u32(f->answer) != 0) {
			return -EPROTO;
		}
		f->display = DISPLAY_INIT;
		return buf_append(to_display, shared, sizeof(shared));
	case DISPLAY_INIT:
		f->name_left = get_u32(f->answer + SERVER_INIT_LEN - 4);
		if (f->name_left > DISPLAY_NAME_MAX) {
			return -EPROTO;
		}
		f->display = f->name_left > 0 ? DISPLAY_NAME : DISPLAY_SPEAKS;
		return 0;
	case DISPLAY_NAME:
	case DISPLAY_SPEAKS:
		break;
	}
	return -EPROTO;
}

/* The part of [p, p+len) that belongs to the handshake. -EPROTO. */
static ssize_t display_handshake(struct rfb *f, const uint8_t *p, size_t len,
				 struct buf *to_display)
{
	size_t n;
	int r;

	if (f->display == DISPLAY_NAME) {
		n = MIN(len, (size_t)f->name_left);
		f->name_left -= (uint32_t)n;
		if (f->name_left == 0) {
			f->display = DISPLAY_SPEAKS;
		}
		return (ssize_t)n;
	}
	n = MIN(len, display_need(f) - f->n_answer);
	memcpy(f->answer + f->n_answer, p, n);
	f->n_answer += n;
	if (f->n_answer == display_need(f)) {
		f->n_answer = 0;
		r = display_step(f, to_display);
		if (r < 0) {
			return r;
		}
	}
	return (ssize_t)n;
}

int rfb_from_display(struct rfb *f, const void *bytes, size_t len, struct buf *to_display,
		     struct buf *to_viewer)
{
	const uint8_t *p = bytes;
	int r;

	while (len > 0 && f->display != DISPLAY_SPEAKS) {
		ssize_t n = display_handshake(f, p, len, to_display);

		if (n < 0) {
			return (int)n;
		}
		p += n;
		len -= (size_t)n;
	}
	r = viewer_init(f, to_viewer);
	if (r < 0 || len == 0) {
		return r;
	}
	/* It has nothing to say before somebody asks, and we ask nothing before the viewer may. */
	return f->viewer >= VIEWER_SPEAKS ? buf_append(to_viewer, p, len) : -EPROTO;
}
