/* SPDX-License-Identifier: Apache-2.0 */
/* dvm record: recordings of a session's consoles, and of a VM's own. */
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "cast.h"
#include "cleanup.h"
#include "commands.h"
#include "file.h"
#include "parse.h"
#include "session.h"
#include "view.h"

static const struct view_column columns[] = {
	{ "NAME", "name" },
	{ "SIZE", "size_bytes", view_size },
	{ "FORMAT", "format" },
	VIEW_END,
};

static const struct view_column vm_columns[] = {
	{ "NAME", "name" },
	{ "BEGUN", "begun", view_time },
	{ "SIZE", "size_bytes", view_size },
	{ "FORMAT", "format" },
	VIEW_END,
};

/* What is recorded for a session or for a VM: ids of sessions are s-…, everything else is a VM. */
struct source {
	const char *kind;
	char *id, *path; /* of its recordings */
};

static void source_fini(struct source *s)
{
	free(s->id);
	free(s->path);
}

static bool is_of_vm(const struct source *s)
{
	return strcmp(s->kind, "VM") == 0;
}

static int source_of(const char *word, struct source *ret)
{
	struct fault no_session;

	if (session_id(word, &ret->id, &no_session) == 0) {
		ret->kind = "session";
		ret->path = rest_path("/v1/sessions/%s/recordings", ret->id);
	} else {
		ret->kind = "VM";
		ret->id = strdup(word);
		ret->path = rest_path("/v1/vms/%s/recordings", word);
	}
	return ret->id && ret->path ? 0 : -ENOMEM;
}

static int run_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(source_fini) struct source source = { 0 };
	_cleanup_(json_decrefp) json_t *items = NULL;
	int r;

	r = source_of(args_word(args, 0), &source);
	if (r == 0) {
		r = cli_items(cli, source.path, &items, fault);
	}
	return r < 0 ? r : view_items(cli, args, items, is_of_vm(&source) ? vm_columns : columns);
}

const struct command cmd_record_list = {
	.name = "record list",
	.words = "SESSION|VM",
	.summary = "list the recordings of a session, or of a VM's console",
	.text = "A session has one of each target's console, from its start to its end. The "
		"console of "
		"a VM is recorded from its adoption on, in a row of recordings, the oldest of "
		"which "
		"goes when they are too many. A VM whose name begins with s- goes by its id.",
	.options = options_json,
	.run = run_list,
};

/* Path of the recording `name` (NULL: the only one). */
static int find(struct cli *cli, const char *word, const char *name, char **ret_path,
		struct fault *fault)
{
	_cleanup_(source_fini) struct source source = { 0 };
	_cleanup_(json_decrefp) json_t *items = NULL;
	int r;

	r = source_of(word, &source);
	if (r == 0) {
		r = cli_items(cli, source.path, &items, fault);
	}
	if (r < 0) {
		return r;
	}
	if (!name && json_array_size(items) == 0) {
		return fault_set(fault, FAULT_NOT_FOUND, "%s %s has no recording", source.kind,
				 source.id);
	}
	if (!name && json_array_size(items) > 1) {
		fault_set(fault, FAULT_BAD_VALUE, "%s %s has several recordings", source.kind,
			  source.id);
		fault_hint(fault, "name one; dvm record list %s shows them", source.id);
		return -EREMOTEIO;
	}
	if (!name) {
		name = json_text(json_array_get(items, 0), "name");
	}
	*ret_path =
		is_of_vm(&source)
			? rest_path("/v1/vms/%s/recordings/%s", source.id, name ? name : "")
			: rest_path("/v1/sessions/%s/recordings/%s", source.id, name ? name : "");
	return *ret_path ? 0 : -ENOMEM;
}

static int run_get(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *output = args_value(args, "output");
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct rest *rest;
	int r;

	r = cli_rest(cli, &rest, fault);
	if (r == 0) {
		r = find(cli, args_word(args, 0), args_word(args, 1), &path, fault);
	}
	if (r < 0) {
		return r;
	}
	if (!output || strcmp(output, "-") == 0) {
		return rest_download(rest, path, STDOUT_FILENO, fault);
	}
	fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "cannot write %s: %s", output,
				 strerror(errno));
	}
	return rest_download(rest, path, fd, fault);
}

static const struct option_def get_options[] = {
	{ "output", 'o', "FILE", "where to write it (default: stdout)" },
	OPTION_END,
};

const struct command cmd_record_get = {
	.name = "record get",
	.words = "SESSION|VM [NAME]",
	.summary = "download a recording, in asciicast v2",
	.options = get_options,
	.run = run_get,
};

static void sleep_usec(usec_t usec)
{
	struct timespec t = { .tv_sec = (time_t)(usec / USEC_PER_SEC),
			      .tv_nsec = (long)(usec % USEC_PER_SEC) * 1000 };

	nanosleep(&t, NULL);
}

static int play(FILE *f, double speed, usec_t idle_max, struct fault *fault)
{
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	unsigned columns_, rows;
	usec_t last = 0;
	ssize_t len;

	len = getline(&line, &cap, f);
	if (len < 0 || cast_header(line, (size_t)len, &columns_, &rows) < 0) {
		return fault_set(fault, FAULT_PROTOCOL, "the recording is not asciicast v2");
	}
	while ((len = getline(&line, &cap, f)) >= 0) {
		struct cast_event e;

		/* The last line may be half written while the session still runs. */
		if (cast_event(line, (size_t)len, &e) < 0) {
			break;
		}
		if (speed > 0 && e.at > last) {
			sleep_usec(MIN((usec_t)((double)(e.at - last) / speed), idle_max));
		}
		last = MAX(last, e.at);
		if (e.type == 'o') {
			fwrite(e.text, 1, e.text_len, stdout);
			fflush(stdout);
		}
		cast_event_fini(&e);
	}
	return 0;
}

static int run_play(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *speed_text = args_value(args, "speed"), *idle_text = args_value(args, "idle");
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *f = NULL;
	struct rest *rest;
	usec_t idle_max = 2 * USEC_PER_SEC;
	double speed = 1;
	char *end;
	int r;

	if (speed_text) {
		speed = strtod(speed_text, &end);
		if (*end || end == speed_text || !(speed >= 0)) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "--speed \"%.40s\" is not a number", speed_text);
		}
	}
	if (idle_text && parse_duration(idle_text, &idle_max) < 0) {
		return fault_set(fault, FAULT_BAD_VALUE,
				 "--idle \"%.40s\" is not a time such as 500ms or 2", idle_text);
	}
	r = cli_rest(cli, &rest, fault);
	if (r == 0) {
		r = find(cli, args_word(args, 0), args_word(args, 1), &path, fault);
	}
	if (r < 0) {
		return r;
	}
	f = tmpfile();
	if (!f) {
		return fault_set(fault, FAULT_DISK_FULL, "cannot make a temporary file: %s",
				 strerror(errno));
	}
	r = rest_download(rest, path, fileno(f), fault);
	if (r < 0) {
		return r;
	}
	rewind(f);
	return play(f, speed, idle_max, fault);
}

static const struct option_def play_options[] = {
	{ "speed", 's', "FACTOR", "2 plays twice as fast, 0 as fast as it can (default: 1)" },
	{ "idle", 'i', "TIME", "shorten pauses to this (default: 2 seconds)" },
	OPTION_END,
};

const struct command cmd_record_play = {
	.name = "record play",
	.words = "SESSION|VM [NAME]",
	.summary = "play a recording on this terminal",
	.options = play_options,
	.run = run_play,
};
