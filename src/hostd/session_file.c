/* SPDX-License-Identifier: Apache-2.0 */
/* What a session on this host is to be, in a file. */
#include "session_file.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "dir_each.h"
#include "file.h"
#include "parse.h"

#define SESSION_FILE_MAX (256 * 1024)

char *session_path(const struct hostd *h, const char *session, const char *file)
{
	return strf("%s/run/dvm/%s/%s", h->state, session, file);
}

int session_load(const struct hostd *h, const char *session, json_t **ret, struct fault *fault)
{
	_cleanup_free_ char *path = session_path(h, session, "session.json");
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	r = path ? file_read(path, SESSION_FILE_MAX, &text, &len) : -ENOMEM;
	if (r == -ENOENT) {
		return fault_set(fault, FAULT_NOT_FOUND, "The session has no debug VM here");
	}
	if (r == 0) {
		*ret = json_loadb(text, len, 0, NULL);
		r = *ret ? 0 : -EBADMSG;
	}
	return r < 0 ? fault_set(fault, FAULT_INTERNAL, "The session's state could not be read")
		     : 0;
}

int session_save(const struct hostd *h, const char *session, const json_t *state,
		 struct fault *fault)
{
	_cleanup_free_ char *folder = session_path(h, session, "");
	_cleanup_free_ char *path = session_path(h, session, "session.json");
	_cleanup_free_ char *text = json_dumps(state, JSON_COMPACT);
	int r = -ENOMEM;

	if (folder && path && text) {
		r = dir_make(folder, 0700);
	}
	if (r == 0) {
		r = file_write_atomic(path, text, strlen(text), 0600);
	}
	if (r == -ENOSPC || r == -EDQUOT) {
		return fault_set(fault, FAULT_DISK_FULL, "The host's disk is full");
	}
	return r < 0 ? fault_set(fault, FAULT_INTERNAL, "The session's state could not be written")
		     : 0;
}

int session_each(const struct hostd *h, int (*fn)(const char *session, void *user), void *user)
{
	_cleanup_free_ char *path = strf("%s/run/dvm", h->state);

	return path ? dir_each(path, session_id_valid, fn, user) : -ENOMEM;
}

const char *session_string(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static size_t entry_index(const json_t *list, const char *vm)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		const char *value = json_string_value(json_object_get(entry, "vm"));

		if (value && strcmp(value, vm) == 0) {
			break;
		}
	}
	return i;
}

json_t *session_entry(const json_t *state, const char *list, const char *vm)
{
	json_t *entries = json_object_get(state, list);

	return json_array_get(entries, entry_index(entries, vm));
}

void session_entry_remove(json_t *state, const char *list, const char *vm)
{
	json_t *entries = json_object_get(state, list);

	json_array_remove(entries, entry_index(entries, vm));
}
