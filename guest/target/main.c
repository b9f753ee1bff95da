/* SPDX-License-Identifier: Apache-2.0 */
/* target: what the user of a D-VM does with the VM he debugs. Finds the command in the table and
 * runs it. */
#include "target.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int complain(const struct fault *f)
{
	fprintf(stderr, "target: %s\n", f->message);
	if (f->hint[0]) {
		fprintf(stderr, "  %s\n", f->hint);
	}
	return fault_code_exit_status(f->code);
}

int usage(const struct command *c)
{
	fprintf(stderr, "usage: target %s [-t NAME] [--json]%s%s\n", c->words,
		c->arguments[0] ? " " : "", c->arguments);
	return 2;
}

/* How many of the words at `argv` name the command; 0: it is another one. */
static int command_match(const struct command *c, int argc, char **argv)
{
	const char *words = c->words;
	int n = 0;

	while (*words) {
		size_t len = strcspn(words, " ");

		if (n == argc || strlen(argv[n]) != len || strncmp(argv[n], words, len) != 0) {
			return 0;
		}
		words += len + (words[len] == ' ');
		n++;
	}
	return n;
}

/* Takes the options that every command knows out of argv; returns the new argc, -1 on a wrong use.
 */
static int take_common_options(int argc, char **argv, struct invocation *in)
{
	int kept = 0;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "-t") == 0 || strcmp(argv[i], "--target") == 0) {
			if (++i == argc) {
				fprintf(stderr, "target: -t needs the name of a target (see "
						"`target info`)\n");
				return -1;
			}
			in->name = argv[i];
		} else if (strcmp(argv[i], "--core") == 0) {
			if (++i == argc) {
				fprintf(stderr, "target: --core needs a file\n");
				return -1;
			}
			in->core = argv[i];
		} else if (strcmp(argv[i], "--json") == 0) {
			in->json = true;
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			in->help = true;
		} else {
			argv[kept++] = argv[i];
		}
	}
	return kept;
}

int main(int argc, char **argv)
{
	struct invocation in = { 0 };

	signal(SIGPIPE, SIG_IGN);
	argc = take_common_options(argc - 1, argv + 1, &in);
	argv++;
	if (argc < 0) {
		return 2;
	}
	for (size_t i = 0; argc > 0 && i < n_commands; i++) {
		int n = command_match(&commands[i], argc, argv);

		if (n == 0) {
			continue;
		}
		in.argc = argc - n;
		in.argv = argv + n;
		if (in.help) {
			usage(&commands[i]);
			return 0;
		}
		if (in.argc > commands[i].argc_max) {
			return usage(&commands[i]);
		}
		return commands[i].run(&commands[i], &in);
	}
	in.argc = argc;
	in.argv = argv;
	if (argc == 0) {
		return cmd_help(&commands[0], &in);
	}
	fprintf(stderr, "target: there is no command `%s%s%s`\n  `target help` lists all.\n",
		argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
	return 2;
}
