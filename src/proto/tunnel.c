/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of interfaces/PROTOCOL.tunnel, to bytes and back. */
#include "tunnel.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

/* What every HELLO frame begins with: type, flags, channel, length (28), magic. */
static const uint8_t hello_start[] = {
	TUNNEL_HELLO, 0, 0, 0, 0, 0, 0, 28, 'D', 'V', 'M', 'T', 'U', 'N', '\r', '\n',
};

/* PROTOCOL.tunnel §3: read, write, both, both and take. */
static bool mode_can_be_asked(uint8_t mode)
{
	return mode == TUNNEL_MODE_READ || mode == TUNNEL_MODE_WRITE ||
	       mode == (TUNNEL_MODE_READ | TUNNEL_MODE_WRITE) ||
	       mode == (TUNNEL_MODE_READ | TUNNEL_MODE_WRITE | TUNNEL_MODE_TAKE);
}

static bool mode_can_be_granted(uint8_t mode)
{
	return mode <= (TUNNEL_MODE_READ | TUNNEL_MODE_WRITE | TUNNEL_MODE_TAKE);
}

static bool is_of(const char *s, size_t len, const char *allowed)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\0' || !strchr(allowed, s[i])) {
			return false;
		}
	}
	return true;
}

static bool service_valid(const char *s, size_t len)
{
	return len <= TUNNEL_SERVICE_MAX &&
	       is_of(s, len, "abcdefghijklmnopqrstuvwxyz0123456789._/-");
}

static bool reason_valid(const char *s, size_t len)
{
	return len < sizeof(((struct tunnel_frame *)0)->reason) &&
	       is_of(s, len, "abcdefghijklmnopqrstuvwxyz0123456789-");
}

/* Channel 0 is the connection itself. */
static bool is_for_connection(unsigned type)
{
	return type == TUNNEL_HELLO || type == TUNNEL_PING || type == TUNNEL_PONG;
}

static bool hello_valid(const struct tunnel_frame *f)
{
	return f->hello.version == TUNNEL_VERSION &&
	       (f->hello.role == TUNNEL_DIALER || f->hello.role == TUNNEL_LISTENER);
}

static int decode_hello(const uint8_t *p, size_t len, struct tunnel_frame *f)
{
	if (len != 28 || memcmp(p, hello_start + TUNNEL_HEADER_BYTES, 8) != 0) {
		return -EPROTO;
	}
	f->hello.version = get_u16(p + 8);
	f->hello.role = get_u16(p + 10);
	f->hello.nonce = get_u64(p + 12);
	f->hello.echo = get_u64(p + 20);
	return hello_valid(f) ? 0 : -EPROTO;
}

static int decode_open(const uint8_t *p, size_t len, struct tunnel_frame *f)
{
	if (len < 18 || len != 18u + p[17] || !mode_can_be_asked(p[16]) ||
	    !service_valid((const char *)p + 18, p[17])) {
		return -EPROTO;
	}
	f->open.from = get_u64(p);
	f->open.limit = get_u64(p + 8);
	f->open.mode = p[16];
	memcpy(f->open.service, p + 18, p[17]);
	f->open.service[p[17]] = '\0';
	return 0;
}

static int decode_opened(const uint8_t *p, size_t len, struct tunnel_frame *f)
{
	if (len != 17 || !mode_can_be_granted(p[16])) {
		return -EPROTO;
	}
	f->opened.start = get_u64(p);
	f->opened.limit = get_u64(p + 8);
	f->opened.mode = p[16];
	return 0;
}

static int decode_reason(const uint8_t *p, size_t len, struct tunnel_frame *f)
{
	if (len < 1 || len != 1u + p[0] || !reason_valid((const char *)p + 1, p[0])) {
		return -EPROTO;
	}
	memcpy(f->reason, p + 1, p[0]);
	f->reason[p[0]] = '\0';
	return 0;
}

static int decode_data(const uint8_t *p, size_t len, struct tunnel_frame *f)
{
	if (len < 9) {
		return -EPROTO;
	}
	f->data.offset = get_u64(p);
	f->data.bytes = p + 8;
	f->data.len = len - 8;
	return 0;
}

static int decode_screen(const uint8_t *p, size_t len, struct tunnel_frame *f)
{
	if (len < 2 || p[0] > 1) {
		return -EPROTO;
	}
	f->screen.last = p[0];
	f->screen.bytes = p + 1;
	f->screen.len = len - 1;
	return 0;
}

static int decode_gap(const uint8_t *p, size_t len, struct tunnel_frame *f)
{
	if (len != 16) {
		return -EPROTO;
	}
	f->gap.offset = get_u64(p);
	f->gap.length = get_u64(p + 8);
	return 0;
}

static int decode_value(const uint8_t *p, size_t len, struct tunnel_frame *f)
{
	if (len != 8) {
		return -EPROTO;
	}
	f->value = get_u64(p);
	return 0;
}

static int decode_ctl(const uint8_t *p, size_t len, struct tunnel_frame *f)
{
	if (len < 1) {
		return -EPROTO;
	}
	f->ctl = (struct tunnel_ctl){ .op = p[0] };
	switch (p[0]) {
	case TUNNEL_CTL_BREAK:
	case TUNNEL_CTL_TAKE:
		return len == 1 ? 0 : -EPROTO;
	case TUNNEL_CTL_WINSIZE:
		if (len != 5) {
			return -EPROTO;
		}
		f->ctl.rows = get_u16(p + 1);
		f->ctl.columns = get_u16(p + 3);
		return 0;
	case TUNNEL_CTL_WRITER:
	case TUNNEL_CTL_SOURCE:
	case TUNNEL_CTL_BROKE:
		if (len != 2 || p[1] > 1) {
			return -EPROTO;
		}
		f->ctl.on = p[1];
		return 0;
	case TUNNEL_CTL_INPUT:
		if (len != 17) {
			return -EPROTO;
		}
		f->ctl.id = get_u64(p + 1);
		f->ctl.at = get_u64(p + 9);
		return 0;
	case TUNNEL_CTL_PACE:
		if (len != 5) {
			return -EPROTO;
		}
		f->ctl.rate = get_u32(p + 1);
		return 0;
	default:
		return 0;
	}
}

typedef int (*decode_fn)(const uint8_t *p, size_t len, struct tunnel_frame *f);

static const decode_fn decoders[] = {
	[TUNNEL_HELLO] = decode_hello,	 [TUNNEL_OPEN] = decode_open,
	[TUNNEL_OPENED] = decode_opened, [TUNNEL_REFUSED] = decode_reason,
	[TUNNEL_DATA] = decode_data,	 [TUNNEL_GAP] = decode_gap,
	[TUNNEL_CREDIT] = decode_value,	 [TUNNEL_EOF] = decode_value,
	[TUNNEL_CLOSE] = decode_reason,	 [TUNNEL_CTL] = decode_ctl,
	[TUNNEL_PING] = decode_value,	 [TUNNEL_PONG] = decode_value,
	[TUNNEL_SCREEN] = decode_screen,
};
static_assert(ARRAY_SIZE(decoders) == _TUNNEL_TYPE_MAX, "each type has its decoder");

int tunnel_decode(const uint8_t *p, size_t len, struct tunnel_frame *ret_frame, size_t *ret_used)
{
	struct tunnel_frame frame;
	size_t payload;
	int r;

	if (len > 0 && (p[0] == 0 || p[0] >= _TUNNEL_TYPE_MAX)) {
		return -EPROTO;
	}
	if (len < TUNNEL_HEADER_BYTES) {
		return 0;
	}
	frame.type = p[0];
	frame.channel = get_u16(p + 2);
	payload = get_u32(p + 4);
	if (p[1] != 0 || payload > TUNNEL_PAYLOAD_MAX ||
	    is_for_connection(frame.type) != (frame.channel == 0)) {
		return -EPROTO;
	}
	if (len - TUNNEL_HEADER_BYTES < payload) {
		return 0;
	}
	r = decoders[frame.type](p + TUNNEL_HEADER_BYTES, payload, &frame);
	if (r < 0) {
		return r;
	}
	*ret_frame = frame;
	*ret_used = TUNNEL_HEADER_BYTES + payload;
	return 1;
}

static bool ctl_valid(const struct tunnel_ctl *ctl)
{
	return ctl->op >= TUNNEL_CTL_BREAK && ctl->op < _TUNNEL_CTL_MAX;
}

static ssize_t ctl_size(const struct tunnel_ctl *ctl)
{
	switch (ctl->op) {
	case TUNNEL_CTL_WINSIZE:
	case TUNNEL_CTL_PACE:
		return 5;
	case TUNNEL_CTL_WRITER:
	case TUNNEL_CTL_SOURCE:
	case TUNNEL_CTL_BROKE:
		return 2;
	case TUNNEL_CTL_INPUT:
		return 17;
	default:
		return 1;
	}
}

/* Bytes of the payload, or -EINVAL for a frame that no decoder would take. */
static ssize_t payload_size(const struct tunnel_frame *f)
{
	if ((unsigned)f->type >= _TUNNEL_TYPE_MAX ||
	    is_for_connection(f->type) != (f->channel == 0)) {
		return -EINVAL;
	}
	switch (f->type) {
	case TUNNEL_HELLO:
		return hello_valid(f) ? 28 : -EINVAL;
	case TUNNEL_OPEN: {
		size_t n = strnlen(f->open.service, sizeof(f->open.service));

		if (!mode_can_be_asked(f->open.mode) || !service_valid(f->open.service, n)) {
			return -EINVAL;
		}
		return (ssize_t)(18 + n);
	}
	case TUNNEL_OPENED:
		return mode_can_be_granted(f->opened.mode) ? 17 : -EINVAL;
	case TUNNEL_REFUSED:
	case TUNNEL_CLOSE: {
		size_t n = strnlen(f->reason, sizeof(f->reason));

		return reason_valid(f->reason, n) ? (ssize_t)(1 + n) : -EINVAL;
	}
	case TUNNEL_DATA:
		if (f->data.len < 1 || f->data.len > TUNNEL_DATA_MAX) {
			return -EINVAL;
		}
		return (ssize_t)(8 + f->data.len);
	case TUNNEL_SCREEN:
		if (f->screen.len < 1 || f->screen.len > TUNNEL_PAYLOAD_MAX - 1) {
			return -EINVAL;
		}
		return (ssize_t)(1 + f->screen.len);
	case TUNNEL_GAP:
		return 16;
	case TUNNEL_CREDIT:
	case TUNNEL_EOF:
	case TUNNEL_PING:
	case TUNNEL_PONG:
		return 8;
	case TUNNEL_CTL:
		return ctl_valid(&f->ctl) ? ctl_size(&f->ctl) : -EINVAL;
	default:
		return -EINVAL;
	}
}

static void put_text(uint8_t *p, const char *text)
{
	size_t n = strlen(text);

	*p = (uint8_t)n;
	memcpy(p + 1, text, n);
}

static void put_ctl(uint8_t *p, const struct tunnel_ctl *ctl)
{
	*p++ = ctl->op;
	switch (ctl->op) {
	case TUNNEL_CTL_WINSIZE:
		put_u16(put_u16(p, ctl->rows), ctl->columns);
		break;
	case TUNNEL_CTL_WRITER:
	case TUNNEL_CTL_SOURCE:
	case TUNNEL_CTL_BROKE:
		*p = ctl->on;
		break;
	case TUNNEL_CTL_INPUT:
		put_u64(put_u64(p, ctl->id), ctl->at);
		break;
	case TUNNEL_CTL_PACE:
		put_u32(p, ctl->rate);
		break;
	default:
		break;
	}
}

static void put_payload(uint8_t *p, const struct tunnel_frame *f)
{
	switch (f->type) {
	case TUNNEL_HELLO:
		memcpy(p, hello_start + TUNNEL_HEADER_BYTES, 8);
		p = put_u16(put_u16(p + 8, f->hello.version), f->hello.role);
		put_u64(put_u64(p, f->hello.nonce), f->hello.echo);
		break;
	case TUNNEL_OPEN:
		p = put_u64(put_u64(p, f->open.from), f->open.limit);
		*p = f->open.mode;
		put_text(p + 1, f->open.service);
		break;
	case TUNNEL_OPENED:
		p = put_u64(put_u64(p, f->opened.start), f->opened.limit);
		*p = f->opened.mode;
		break;
	case TUNNEL_REFUSED:
	case TUNNEL_CLOSE:
		put_text(p, f->reason);
		break;
	case TUNNEL_DATA:
		memcpy(put_u64(p, f->data.offset), f->data.bytes, f->data.len);
		break;
	case TUNNEL_SCREEN:
		*p = f->screen.last;
		memcpy(p + 1, f->screen.bytes, f->screen.len);
		break;
	case TUNNEL_GAP:
		put_u64(put_u64(p, f->gap.offset), f->gap.length);
		break;
	case TUNNEL_CTL:
		put_ctl(p, &f->ctl);
		break;
	default:
		put_u64(p, f->value);
		break;
	}
}

void tunnel_data_head(uint8_t head[TUNNEL_DATA_HEAD_BYTES], uint16_t channel, uint64_t offset,
		      size_t len)
{
	head[0] = TUNNEL_DATA;
	head[1] = 0;
	put_u64(put_u32(put_u16(head + 2, channel), (uint32_t)(len + 8)), offset);
}

int tunnel_encode(struct buf *out, const struct tunnel_frame *frame)
{
	ssize_t payload = payload_size(frame);
	uint8_t *p;
	int r;

	if (payload < 0) {
		return (int)payload;
	}
	r = buf_reserve(out, TUNNEL_HEADER_BYTES + (size_t)payload, &p);
	if (r < 0) {
		return r;
	}
	p[0] = (uint8_t)frame->type;
	p[1] = 0;
	put_u32(put_u16(p + 2, frame->channel), (uint32_t)payload);
	put_payload(p + TUNNEL_HEADER_BYTES, frame);
	buf_commit(out, TUNNEL_HEADER_BYTES + (size_t)payload);
	return 0;
}

size_t tunnel_frame_size(const uint8_t header[TUNNEL_HEADER_BYTES])
{
	return TUNNEL_HEADER_BYTES + (size_t)get_u32(header + 4);
}

size_t tunnel_skip_to_hello(const uint8_t *p, size_t len)
{
	size_t at = 0;

	while (at < len) {
		const uint8_t *first = memchr(p + at, hello_start[0], len - at);

		if (!first) {
			return len;
		}
		at = (size_t)(first - p);
		if (memcmp(first, hello_start, MIN(sizeof(hello_start), len - at)) == 0) {
			return at;
		}
		at++;
	}
	return len;
}
