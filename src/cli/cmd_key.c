/* SPDX-License-Identifier: Apache-2.0 */
/* dvm key: the SSH keys on record, for the SSH door and for D-VMs. */
#include <fcntl.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "commands.h"
#include "parse.h"
#include "ssh_key.h"
#include "view.h"

static const struct view_column columns[] = {
	{ "ID", "id" },
	{ "USER", "user" },
	{ "TYPE", "type" },
	{ "FINGERPRINT", "fingerprint" },
	{ "COMMENT", "comment" },
	{ "RIGHTS", "rights", view_names },
	{ "ADDED", "created", view_time },
	{ "USED", "last_used", view_time },
	VIEW_END,
};

static int run_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	return view_listing(cli, args, cli_list, "/v1/keys", columns, fault);
}

const struct command cmd_key_list = {
	.name = "key list",
	.words = "",
	.summary = "list your SSH keys; an administrator sees all",
	.options = options_json,
	.run = run_list,
};

/* The first line of a file, or of stdin for "-". */
static int read_line(const char *file, char **ret, struct fault *fault)
{
	_cleanup_close_ int opened = -1;
	_cleanup_(buf_fini) struct buf text;
	ssize_t n = 1;
	int fd = STDIN_FILENO;

	buf_init(&text, SSH_KEY_MAX);
	if (strcmp(file, "-") != 0) {
		fd = opened = open(file, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			return fault_set(fault, FAULT_BAD_VALUE, "cannot read %s: %s", file,
					 strerror(errno));
		}
	}
	while (n > 0 && buf_room(&text) > 0) {
		n = buf_read_fd(&text, fd, buf_room(&text));
	}
	if (n < 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "cannot read %s: %s", file,
				 strerror((int)-n));
	}
	*ret = strndup(buf_len(&text) ? (const char *)buf_data(&text) : "", buf_len(&text));
	if (!*ret) {
		return -ENOMEM;
	}
	(*ret)[strcspn(*ret, "\r\n")] = '\0';
	return 0;
}

/* `list` ("A,B") as an array under "rights". */
static int put_rights(json_t *body, const char *list)
{
	json_t *rights = json_array();

	for (const char *p = list; *p;) {
		size_t len = strcspn(p, ",");

		if (len > 0 && json_array_append_new(rights, json_stringn(p, len)) < 0) {
			json_decref(rights);
			return -EINVAL;
		}
		p += len + (p[len] == ',');
	}
	return json_object_set_new(body, "rights", rights) < 0 ? -ENOMEM : 0;
}

static int run_add(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *key = NULL;
	_cleanup_free_ char *line = NULL;
	json_t *body;
	int r = read_line(args_word(args, 0), &line, fault);

	if (r < 0) {
		return r;
	}
	if (strstr(line, "PRIVATE KEY")) {
		fault_set(fault, FAULT_BAD_VALUE, "%s is a private key", args_word(args, 0));
		fault_hint(fault, "name the public half, FILE.pub; the private one stays with you");
		return -EREMOTEIO;
	}
	body = json_pack("{s:s, s:s*}", "key", line, "user", args_value(args, "user"));
	if (!body) {
		return fault_set(fault, FAULT_BAD_VALUE, "keys and names must be UTF-8");
	}
	if (args_value(args, "rights")) {
		r = put_rights(body, args_value(args, "rights"));
		if (r < 0) {
			json_decref(body);
			return r == -EINVAL
				       ? fault_set(fault, FAULT_BAD_VALUE, "names must be UTF-8")
				       : r;
		}
	}
	r = cli_call(cli, "POST", "/v1/keys", body, &key, fault);
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		return cli_print_json(key);
	}
	printf("%s %s of %s\n", json_text(key, "id"), json_text(key, "fingerprint"),
	       json_text(key, "user"));
	return 0;
}

static const struct option_def add_options[] = {
	{ "user", 'u', "USER", "for somebody else (administrators)" },
	{ "rights", 'r', "A,B",
	  "only these of the user's rights through the SSH door (default: all of your token's)" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_key_add = {
	.name = "key add",
	.words = "FILE|-",
	.summary = "put an SSH public key on record",
	.text = "With the private half one logs in through the SSH door, where dvm up runs one, "
		"and to "
		"the D-VMs of the "
		"sessions that are started from then on. ed25519, ecdsa, RSA of 2048 bits or more, "
		"and "
		"security keys. A key "
		"belongs to one user.",
	.options = add_options,
	.run = run_add,
};

static int run_remove(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/keys/%s", args_word(args, 0));

	return cli_call(cli, "DELETE", path, NULL, NULL, fault);
}

const struct command cmd_key_remove = {
	.name = "key remove",
	.words = "KEY-ID",
	.summary = "remove an SSH key; its logins through the SSH door end",
	.options = options_none,
	.run = run_remove,
};
