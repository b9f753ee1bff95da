/* SPDX-License-Identifier: Apache-2.0 */
/* What may be asked for through the SSH door. */
#include "command.h"

#include <errno.h>
#include <string.h>

#define OPTIONS_MAX 4

struct option {
	const char *name; /* "--read-only"; its first letter is its short form */
	bool value;
};

static const struct verb {
	const char *name;
	const char *first[2]; /* the words of dvm's own command */
	const char *always;   /* an option that is always given, or NULL */
	size_t words_min, words_max;
	bool terminal;
	struct option options[OPTIONS_MAX + 1];
} verbs[] = {
	[DOOR_LIST] = { .name = "list", .terminal = true },
	[DOOR_CONSOLE] = { .name = "console",
			   .first = { "console" },
			   .words_min = 1,
			   .words_max = 1,
			   .terminal = true,
			   .options = { { "--read-only" },
					{ "--take" },
					{ "--live" },
					{ "--from", true } } },
	[DOOR_DEBUG] = { .name = "debug",
			 .first = { "debug" },
			 .always = "--no-key",
			 .words_min = 1,
			 .words_max = 8,
			 .options = { { "--stack", true },
				      { "--attach", true },
				      { "--lease", true } } },
	[DOOR_END] = { .name = "end",
		       .first = { "session", "end" },
		       .words_min = 1,
		       .words_max = 1 },
	[DOOR_POWER] = { .name = "power",
			 .first = { "power" },
			 .words_min = 2,
			 .words_max = 2,
			 .options = { { "--wait" } } },
	[DOOR_PROXY] = { .name = "proxy", .first = { "proxy" }, .words_min = 1, .words_max = 1 },
	[DOOR_KNOWN_HOSTS] = { .name = "known-hosts",
			       .first = { "known-hosts" },
			       .words_min = 1,
			       .words_max = 1 },
	[DOOR_HELP] = { .name = "help" },
};
static_assert(ARRAY_SIZE(verbs) == _DOOR_VERB_MAX, "a line for each verb");

const char door_help[] =
	"What can be asked for here:\n"
	"\n"
	"  ssh GATE                                  your VMs and sessions\n"
	"  ssh -t GATE console VM                    a VM's console; ~. at the start of a line "
	"leaves\n"
	"      --read-only, --take, --live, --from OFFSET\n"
	"  ssh GATE debug VM...                      start a session: a debug VM beside the broken "
	"one\n"
	"      --stack A,B  --attach A,B  --lease TIME\n"
	"  ssh GATE end SESSION                      end it\n"
	"  ssh GATE power VERB VM                    on off shutdown reboot reset pause resume "
	"nmi\n"
	"      --wait\n"
	"  ssh GATE proxy SESSION                    the way to its sshd, for ProxyCommand\n"
	"  ssh GATE known-hosts SESSION              its host key, for KnownHostsCommand\n"
	"\n"
	"GATE stands for how you came here: user, host, and -p PORT if you named one. At ~. ssh "
	"itself\n"
	"is left; ~~. leaves the console only.\n"
	"\n"
	"In ~/.ssh/config, so that ssh, scp and -L work with SESSION.dvm:\n"
	"\n"
	"  Host *.dvm\n"
	"      User root\n"
	"      ProxyCommand ssh GATE proxy %h\n"
	"      KnownHostsCommand /usr/bin/ssh GATE known-hosts %H\n"
	"      UserKnownHostsFile /dev/null\n"
	"      HostKeyAlgorithms ssh-ed25519\n"
	"      StrictHostKeyChecking yes\n";

static int refuse(struct fault *fault, const char *fmt, const char *what)
{
	fault_set(fault, FAULT_BAD_REQUEST, fmt, what);
	fault_hint(fault, "`help` says what can be asked for here.");
	return -EREMOTEIO;
}

/* Cuts `text` into words in place. */
static int split(char *text, char *words[DOOR_WORDS_MAX], size_t *ret_n, struct fault *fault)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@+,=-";
	char *p = text + strspn(text, " ");
	size_t n = 0;

	while (*p) {
		size_t len = strspn(p, letters);

		if (p[len] != '\0' && p[len] != ' ') {
			return refuse(fault, "a command here has %s",
				      "letters, digits and ._:/@+,=- only");
		}
		if (len > DOOR_WORD_MAX) {
			return refuse(fault, "%s", "a word is too long");
		}
		if (n == DOOR_WORDS_MAX) {
			return refuse(fault, "%s", "the command has too many words");
		}
		words[n++] = p;
		p += len;
		if (*p) {
			*p++ = '\0';
			p += strspn(p, " ");
		}
	}
	*ret_n = n;
	return 0;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i].name, name) == 0) {
			return &verbs[i];
		}
	}
	return NULL;
}

/* By "--name", "--name=…" or its letter. */
static const struct option *find_option(const struct verb *v, const char *word,
					const char **ret_value)
{
	size_t len = strcspn(word, "=");

	for (const struct option *o = v->options; o->name; o++) {
		bool is_long = strlen(o->name) == len && memcmp(o->name, word, len) == 0;
		bool is_short = word[1] == o->name[2] && word[2] == '\0';

		if (is_long || is_short) {
			*ret_value = word[len] ? word + len + 1 : NULL;
			return o;
		}
	}
	return NULL;
}

static void push(struct door_command *c, const char *word)
{
	assert(c->argc + 1 < ARRAY_SIZE(c->argv));
	c->argv[c->argc++] = word;
}

static int take_option(struct door_command *c, const struct verb *v, char **words, size_t n,
		       size_t *io_at, struct fault *fault)
{
	const char *value = NULL;
	const struct option *o = find_option(v, words[*io_at], &value);

	if (!o) {
		return refuse(fault, "there is no option %s here", words[*io_at]);
	}
	if (!o->value && value) {
		return refuse(fault, "%s takes no value", o->name);
	}
	push(c, o->name);
	if (!o->value) {
		return 0;
	}
	if (!value && *io_at + 1 < n) {
		value = words[++*io_at];
	}
	if (!value || !value[0] || value[0] == '-') {
		return refuse(fault, "%s needs a value", o->name);
	}
	push(c, value);
	return 0;
}

static int take_words(struct door_command *c, const struct verb *v, char **words, size_t n,
		      struct fault *fault)
{
	size_t plain = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		if (words[i][0] == '-') {
			r = take_option(c, v, words, n, &i, fault);
			if (r < 0) {
				return r;
			}
		} else {
			push(c, words[i]);
			plain++;
		}
	}
	return plain >= v->words_min && plain <= v->words_max
		       ? 0
		       : refuse(fault, "%s is used in another way", v->name);
}

int door_command_parse(const char *line, struct door_command *ret, struct fault *fault)
{
	char *words[DOOR_WORDS_MAX];
	const struct verb *v = &verbs[DOOR_LIST];
	size_t n = 0;
	int r;

	*ret = (struct door_command){ 0 };
	if (line) {
		size_t len = strnlen(line, DOOR_LINE_MAX + 1);

		if (len > DOOR_LINE_MAX) {
			return refuse(fault, "%s", "the command is too long");
		}
		memcpy(ret->text, line, len);
	}
	r = split(ret->text, words, &n, fault);
	if (r < 0) {
		return r;
	}
	if (n > 0) {
		v = find_verb(words[0]);
		if (!v) {
			return refuse(fault, "there is no command %s here", words[0]);
		}
	}
	ret->verb = (enum door_verb)(v - verbs);
	ret->terminal = v->terminal;
	for (size_t i = 0; i < ARRAY_SIZE(v->first) && v->first[i]; i++) {
		push(ret, v->first[i]);
	}
	if (v->always) {
		push(ret, v->always);
	}
	return take_words(ret, v, words + 1, n > 0 ? n - 1 : 0, fault);
}
