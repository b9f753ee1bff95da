/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VM's console said since a time. See past.h.
 *
 * Theory of operation: the list of recordings says of the newest how long it is and at which byte
 * of the stream that is; so what is read up to there and the stream from there on are together all
 * that was said, once, whatever is added meanwhile. One that goes while we read had its turn to go:
 * it is passed over, and said.
 */
#include "past.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cast.h"
#include "cleanup.h"
#include "clock.h"
#include "parse.h"
#include "rest.h"
#include "tunnel.h"
#include "view.h"

int past_time_parse(const char *s, usec_t *ret)
{
	usec_t ago, now = clock_realtime();

	if (parse_duration(s, &ago) == 0) {
		*ret = now > ago ? now - ago : 0;
		return 0;
	}
	return view_parse_time(s, ret);
}

/* When the recording begins. */
static int header_time(const char *line, size_t len, usec_t *ret)
{
	json_t *j = json_loadb(line, len, 0, NULL);
	json_t *at = json_object_get(j, "timestamp");
	bool valid = json_is_integer(at) && json_integer_value(at) >= 0 &&
		     json_integer_value(at) < INT32_MAX * (json_int_t)64;

	if (valid) {
		*ret = (usec_t)json_integer_value(at) * USEC_PER_SEC;
	}
	json_decref(j);
	return valid ? 0 : -EPROTO;
}

static int tell_event(const struct cast_event *e, usec_t at, const struct past_ops *ops, void *user)
{
	if (e->type == 'o') {
		return ops->said((const uint8_t *)e->text, e->text_len, at, user);
	}
	/* That it goes on in the next is no news to who reads on. */
	if (e->type == 'm' && !strstr(e->text, "in the next recording")) {
		ops->note(e->text, user);
	}
	return 0;
}

static int tell_file(FILE *f, usec_t since, const struct past_ops *ops, void *user)
{
	_cleanup_free_ char *line = NULL;
	unsigned columns, rows;
	size_t cap = 0;
	usec_t begun;
	ssize_t len;
	int r;

	len = getline(&line, &cap, f);
	if (len < 0 || cast_header(line, (size_t)len, &columns, &rows) < 0 ||
	    header_time(line, (size_t)len, &begun) < 0) {
		return -EPROTO;
	}
	while ((len = getline(&line, &cap, f)) >= 0) {
		struct cast_event e;

		if (cast_event(line, (size_t)len, &e) < 0) {
			return -EPROTO;
		}
		r = begun + e.at >= since ? tell_event(&e, begun + e.at, ops, user) : 0;
		cast_event_fini(&e);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int tell_one(struct rest *rest, const char *vm, const json_t *item, usec_t since,
		    const struct past_ops *ops, void *user, struct fault *fault)
{
	const char *name = json_text(item, "name");
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/recordings/%s", vm, name ? name : "");
	_cleanup_fclose_ FILE *f = tmpfile();
	off_t size = (off_t)json_integer_value(json_object_get(item, "size_bytes"));
	int r;

	if (!f) {
		return fault_set(fault, FAULT_DISK_FULL, "cannot make a temporary file: %s",
				 strerror(errno));
	}
	r = path ? rest_download(rest, path, fileno(f), fault) : -ENOMEM;
	if (r == -EREMOTEIO && fault->code == FAULT_NOT_FOUND) {
		ops->note("what was recorded here has just been removed", user);
		return 0;
	}
	if (r < 0) {
		return r;
	}
	/* What was added since the list was made comes with the stream. */
	if (lseek(fileno(f), 0, SEEK_END) > size && ftruncate(fileno(f), size) < 0) {
		return -errno;
	}
	rewind(f);
	r = tell_file(f, since, ops, user);
	if (r == -EPROTO) {
		ops->note("a recording is damaged here", user);
		r = 0;
	}
	return r;
}

int past_tell(struct cli *cli, const char *vm, usec_t since, const struct past_ops *ops, void *user,
	      uint64_t *ret_from, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/recordings", vm);
	_cleanup_(json_decrefp) json_t *items = NULL;
	const json_t *offset;
	struct rest *rest;
	size_t first = 0, n;
	int r;

	r = path ? cli_rest(cli, &rest, fault) : -ENOMEM;
	if (r == 0) {
		r = cli_items(cli, path, &items, fault);
	}
	if (r < 0) {
		return r;
	}
	n = json_array_size(items);
	for (size_t i = 0; i < n; i++) {
		usec_t begun;
		const char *text = json_text(json_array_get(items, i), "begun");

		if (text && view_parse_time(text, &begun) == 0 && begun <= since) {
			first = i;
		}
	}
	for (size_t i = first; i < n && r == 0; i++) {
		r = tell_one(rest, vm, json_array_get(items, i), since, ops, user, fault);
	}
	offset = n > 0 ? json_object_get(json_array_get(items, n - 1), "offset") : NULL;
	*ret_from =
		json_is_integer(offset) ? (uint64_t)json_integer_value(offset) : TUNNEL_FROM_LIVE;
	return r;
}
