/* SPDX-License-Identifier: Apache-2.0 */
/* Framing and messages of interfaces/PROTOCOL.host §1. */
#include "rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

#define RPC_HEADER_BYTES 4
#define RPC_BODY_MIN 2

void rpc_message_fini(struct rpc_message *m)
{
	json_decref(m->body);
	m->body = NULL;
}

/* Text that may be cut; what is no string reads as "". */
static void copy_text(char *out, size_t size, const json_t *text)
{
	const char *s = json_string_value(text);

	out[0] = '\0';
	if (s) {
		strncat(out, s, size - 1);
	}
}

static int decode_fault(const json_t *fault, struct fault *ret)
{
	const char *code = json_string_value(json_object_get(fault, "code"));

	if (!code) {
		return -EPROTO;
	}
	*ret = (struct fault){ .code = fault_code_parse(code) };
	copy_text(ret->message, sizeof(ret->message), json_object_get(fault, "message"));
	copy_text(ret->hint, sizeof(ret->hint), json_object_get(fault, "hint"));
	return 0;
}

static int decode_method(const json_t *method, char *ret, size_t size)
{
	const char *s = json_string_value(method);

	if (!s || !*s || strlen(s) >= size) {
		return -EPROTO;
	}
	strcpy(ret, s);
	return 0;
}

static int decode_id(const json_t *id, uint64_t *ret)
{
	if (!json_is_integer(id) || json_integer_value(id) < 1) {
		return -EPROTO;
	}
	*ret = (uint64_t)json_integer_value(id);
	return 0;
}

/* An object; an absent one reads as {}. */
static int decode_body(json_t *body, json_t **ret)
{
	if (!body) {
		*ret = json_object();
		return *ret ? 0 : -ENOMEM;
	}
	if (!json_is_object(body)) {
		return -EPROTO;
	}
	*ret = json_incref(body);
	return 0;
}

static int decode_message(const json_t *root, struct rpc_message *m)
{
	json_t *id = json_object_get(root, "id"), *method = json_object_get(root, "method");
	json_t *result = json_object_get(root, "result"), *fault = json_object_get(root, "fault");
	int r;

	if (!!method + !!result + !!fault != 1 || (!id && !method)) {
		return -EPROTO;
	}
	if (id) {
		r = decode_id(id, &m->id);
		if (r < 0) {
			return r;
		}
	}
	if (fault) {
		m->kind = RPC_FAULT;
		return decode_fault(fault, &m->fault);
	}
	if (result) {
		m->kind = RPC_RESULT;
		return decode_body(result, &m->body);
	}
	m->kind = id ? RPC_CALL : RPC_NOTICE;
	r = decode_method(method, m->method, sizeof(m->method));
	if (r < 0) {
		return r;
	}
	return decode_body(json_object_get(root, "params"), &m->body);
}

int rpc_decode(const uint8_t *p, size_t len, struct rpc_message *ret, size_t *ret_used)
{
	json_auto_t *root = NULL;
	struct rpc_message message = { 0 };
	json_error_t error;
	size_t body;
	int r;

	if (len < RPC_HEADER_BYTES) {
		return 0;
	}
	body = get_u32(p);
	if (body < RPC_BODY_MIN || body > RPC_BODY_MAX) {
		return -EPROTO;
	}
	if (len - RPC_HEADER_BYTES < body) {
		return 0;
	}
	root = json_loadb((const char *)p + RPC_HEADER_BYTES, body, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EPROTO;
	}
	if (!json_is_object(root)) {
		return -EPROTO;
	}
	r = decode_message(root, &message);
	if (r < 0) {
		rpc_message_fini(&message);
		return r;
	}
	*ret = message;
	*ret_used = RPC_HEADER_BYTES + body;
	return 1;
}

static json_t *message_to_json(const struct rpc_message *m)
{
	json_auto_t *empty = m->body ? NULL : json_object();
	json_t *body = m->body ? m->body : empty;
	json_int_t id = (json_int_t)m->id;

	/* "O" takes a reference of its own, and fails on NULL. */
	switch (m->kind) {
	case RPC_CALL:
		return json_pack("{s:I, s:s, s:O}", "id", id, "method", m->method, "params", body);
	case RPC_NOTICE:
		return json_pack("{s:s, s:O}", "method", m->method, "params", body);
	case RPC_RESULT:
		return json_pack("{s:I, s:O}", "id", id, "result", body);
	case RPC_FAULT:
		return json_pack("{s:I, s:{s:s, s:s, s:s}}", "id", id, "fault", "code",
				 fault_code_name(m->fault.code), "message", m->fault.message,
				 "hint", m->fault.hint);
	}
	return NULL;
}

int rpc_encode(struct buf *out, const struct rpc_message *m)
{
	json_auto_t *root = message_to_json(m);
	size_t len, written;
	uint8_t *p;
	int r;

	if (!root) {
		return -ENOMEM;
	}
	len = json_dumpb(root, NULL, 0, JSON_COMPACT);
	if (len == 0) {
		return -ENOMEM;
	}
	if (len > RPC_BODY_MAX) {
		return -EMSGSIZE;
	}
	r = buf_reserve(out, RPC_HEADER_BYTES + len, &p);
	if (r < 0) {
		return r;
	}
	put_u32(p, (uint32_t)len);
	written = json_dumpb(root, (char *)p + RPC_HEADER_BYTES, len, JSON_COMPACT);
	if (written != len) {
		return -ENOMEM;
	}
	buf_commit(out, RPC_HEADER_BYTES + len);
	return 0;
}
