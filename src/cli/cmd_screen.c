/* SPDX-License-Identifier: Apache-2.0 */
/* dvm screenshot, dvm keys: a VM's screen and keyboard without a viewer. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "commands.h"
#include "file.h"
#include "png.h"
#include "ticket.h"
#include "view.h"

#define SHOT_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define TEXT_PART_MAX 256 /* what the API takes at once */
#define CHORDS_MAX 16

/* --- dvm screenshot
 * ---------------------------------------------------------------------------- */

/* All of it before a file is touched, so that a failure leaves none behind. */
static int download(struct cli *cli, const char *path, struct buf *ret, struct fault *fault)
{
	_cleanup_close_ int fd = memfd_create("screenshot", MFD_CLOEXEC);
	struct rest *rest;
	ssize_t n;
	int r = fd < 0 ? -errno : cli_rest(cli, &rest, fault);

	if (r == 0) {
		r = rest_download(rest, path, fd, fault);
	}
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0) {
		r = -errno;
	}
	while (r == 0 && (n = buf_read_fd(ret, fd, MIN(buf_room(ret), (size_t)65536))) != 0) {
		r = n < 0 ? (int)n : 0;
	}
	return r;
}

static int write_to(const char *file, struct buf *png, struct fault *fault)
{
	_cleanup_close_ int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int r = fd < 0 ? -errno : write_out(fd, buf_data(png), buf_len(png));

	return r < 0 ? fault_set(fault, FAULT_BAD_VALUE, "cannot write %s: %s", file, strerror(-r))
		     : 0;
}

static int run_screenshot(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *vm = args_word(args, 0), *file = args_word(args, 1);
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/screenshot", vm);
	_cleanup_(buf_fini) struct buf bytes, png;
	bool as_json = args_has(args, "json");
	struct png_size size;
	int r;

	buf_init(&bytes, SHOT_BYTES_MAX);
	buf_init(&png, SHOT_BYTES_MAX);
	if (file && strcmp(file, "-") == 0) {
		file = NULL;
	}
	if (!file && (as_json || cli->tty)) {
		fault_set(fault, FAULT_BAD_REQUEST, "a picture is not for a terminal");
		fault_hint(fault, "dvm screenshot %s FILE.png", vm);
		return -EREMOTEIO;
	}
	r = download(cli, path, &bytes, fault);
	if (r < 0) {
		return r;
	}
	if (png_clean(buf_data(&bytes), buf_len(&bytes), &png, &size) < 0) {
		return fault_set(fault, FAULT_PROTOCOL, "the server's answer is not a PNG");
	}
	if (!file) {
		return write_out(STDOUT_FILENO, buf_data(&png), buf_len(&png));
	}
	r = write_to(file, &png, fault);
	if (r < 0) {
		return r;
	}
	if (as_json) {
		_cleanup_(json_decrefp) json_t *out =
			json_pack("{s:s, s:s, s:i, s:i, s:I}", "vm", vm, "file", file, "width",
				  (int)size.width, "height", (int)size.height, "size_bytes",
				  (json_int_t)buf_len(&png));

		return out ? cli_print_json(out) : -ENOMEM;
	}
	printf("%s: %u x %u\n", file, size.width, size.height);
	return 0;
}

static const struct option_def screenshot_options[] = { OPTION_JSON, OPTION_END };

const struct command cmd_screenshot = {
	.name = "screenshot",
	.words = "VM [FILE]",
	.summary = "a VM's screen as a PNG",
	.text = "Without FILE, or with -, it goes to stdout.",
	.options = screenshot_options,
	.run = run_screenshot,
};

/* --- dvm keys
 * ---------------------------------------------------------------------------------- */

static int send_text(struct cli *cli, const char *path, const char *text, json_int_t *total,
		     json_t **ret, struct fault *fault)
{
	size_t len = strlen(text);

	for (size_t at = 0; at < len; at += TEXT_PART_MAX) {
		size_t n = MIN(len - at, (size_t)TEXT_PART_MAX);
		json_t *body = json_pack("{s:s%}", "text", text + at, n);
		int r;

		if (!body) {
			return fault_set(fault, FAULT_BAD_VALUE, "the text is not plain ASCII");
		}
		json_decref(*ret);
		*ret = NULL;
		r = cli_call(cli, "POST", path, body, ret, fault);
		if (r < 0) {
			return r;
		}
		*total += json_integer_value(json_object_get(*ret, "chords"));
	}
	return 0;
}

static int send_chords(struct cli *cli, const char *path, const struct args *args,
		       json_int_t *total, json_t **ret, struct fault *fault)
{
	json_t *keys = json_array();

	for (size_t i = 1; i < args->n_words; i++) {
		json_array_append_new(keys, json_string(args->words[i]));
	}
	if (json_array_size(keys) != args->n_words - 1) {
		json_decref(keys);
		return fault_set(fault, FAULT_BAD_VALUE, "names of keys are plain ASCII");
	}
	*total = (json_int_t)json_array_size(keys);
	return cli_call(cli, "POST", path, json_pack("{s:o}", "keys", keys), ret, fault);
}

static int run_keys(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *vm = args_word(args, 0), *text = args_value(args, "text");
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/keys", vm);
	_cleanup_(json_decrefp) json_t *done = NULL;
	json_int_t total = 0;
	int r;

	if ((args->n_words > 1) == (text && *text)) {
		fault_set(fault, FAULT_BAD_REQUEST, "either chords of keys, or --text");
		fault_hint(fault, "dvm keys %s ctrl-alt-del", vm);
		return -EREMOTEIO;
	}
	if (args->n_words - 1 > CHORDS_MAX) {
		return fault_set(fault, FAULT_BAD_VALUE, "at most %d chords at once", CHORDS_MAX);
	}
	r = text ? send_text(cli, path, text, &total, &done, fault)
		 : send_chords(cli, path, args, &total, &done, fault);
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		json_object_set_new(done, "chords", json_integer(total));
		return cli_print_json(done);
	}
	return 0;
}

static const struct option_def keys_options[] = {
	{ "text", 't', "TEXT", "type this instead, as on a US keyboard" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_keys = {
	.name = "keys",
	.words = "VM [CHORD...]",
	.summary = "press keys of a VM, as if at its keyboard",
	.text = "A chord is one or more keys with - between them: ctrl-alt-del, alt-sysrq-b, "
		"ctrl-alt-f2, enter. Names are those of Linux' key table without KEY_, or short "
		"ones: "
		"ctrl, alt, shift, meta, altgr, del, ins, esc, pgup, pgdn, print. The keys of a "
		"chord "
		"are pressed together, chords one after the other.",
	.options = keys_options,
	.run = run_keys,
};
