/* SPDX-License-Identifier: Apache-2.0 */
/* dvm record: recordings of a session's consoles. */
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

static int recordings(struct cli *cli, const char *word, char **ret_session, json_t **ret_items,
		      struct fault *fault)
{
	_cleanup_free_ char *path = NULL;
	int r;

	r = session_id(word, ret_session, fault);
	if (r < 0) {
		return r;
	}
	path = rest_path("/v1/sessions/%s/recordings", *ret_session);
	return cli_items(cli, path, ret_items, fault);
}

static int run_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *session = NULL;
	_cleanup_(json_decrefp) json_t *items = NULL;
	int r;

	r = recordings(cli, args_word(args, 0), &session, &items, fault);
	if (r < 0) {
		return r;
	}
	return view_items(cli, args, items, columns);
}

const struct command cmd_record_list = {
	.name = "record list",
	.words = "SESSION",
	.summary = "list a session's recordings",
	.options = options_json,
	.run = run_list,
};

/* Path of the recording `name` (NULL: the only one). */
static int find(struct cli *cli, const char *word, const char *name, char **ret_path,
		struct fault *fault)
{
	_cleanup_free_ char *session = NULL;
	_cleanup_(json_decrefp) json_t *items = NULL;
	int r;

	r = recordings(cli, word, &session, &items, fault);
	if (r < 0) {
		return r;
	}
	if (!name && json_array_size(items) == 0) {
		return fault_set(fault, FAULT_NOT_FOUND, "session %s has no recording", session);
	}
	if (!name && json_array_size(items) > 1) {
		fault_set(fault, FAULT_BAD_VALUE, "session %s has several recordings", session);
		fault_hint(fault, "name one; dvm record list %s shows them", session);
		return -EREMOTEIO;
	}
	if (!name) {
		name = json_text(json_array_get(items, 0), "name");
	}
	*ret_path = rest_path("/v1/sessions/%s/recordings/%s", session, name ? name : "");
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
	.words = "SESSION [NAME]",
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
	.words = "SESSION [NAME]",
	.summary = "play a recording on this terminal",
	.options = play_options,
	.run = run_play,
};
