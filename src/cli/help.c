/* SPDX-License-Identifier: Apache-2.0 */
/* Texts made from the table of commands. */
#include "help.h"

#include <string.h>

#define WRAP 88

static const struct option_def help_option = { "help", 'h', NULL, "show this" };

/* Prints `text` wrapped at WRAP columns, each line after the first behind `indent` blanks; "\n\n"
 * is a paragraph. */
static void wrap(FILE *f, const char *text, size_t indent, size_t column)
{
	while (*text) {
		size_t len = strcspn(text, " \n");

		if (column > indent && column + 1 + len > WRAP) {
			fprintf(f, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', f);
			column++;
		}
		fwrite(text, 1, len, f);
		column += len;
		text += len;
		if (text[0] == '\n' && text[1] == '\n') {
			fprintf(f, "\n\n%*s", (int)indent, "");
			column = indent;
		}
		text += strspn(text, " \n");
	}
	fputc('\n', f);
}

static void print_option(FILE *f, const struct option_def *o)
{
	int n = o->letter ? fprintf(f, "  -%c, --%s", o->letter, o->name)
			  : fprintf(f, "      --%s", o->name);

	if (o->value) {
		n += fprintf(f, " %s", o->value);
	}
	if (n > 24) {
		fprintf(f, "\n");
		n = 0;
	}
	fprintf(f, "%*s", 26 - n, "");
	wrap(f, o->help, 26, 26);
}

void help_command(FILE *f, const struct command *c)
{
	fprintf(f, "usage: dvm %s%s%s%s\n\n", c->name, c->options->name ? " [OPTION...]" : "",
		c->words[0] ? " " : "", c->words);
	wrap(f, c->summary, 0, 0);
	if (c->text) {
		fputc('\n', f);
		wrap(f, c->text, 0, 0);
	}
	fprintf(f, "\noptions:\n");
	for (const struct option_def *o = c->options; o->name; o++) {
		print_option(f, o);
	}
	print_option(f, &help_option);
}

void help_overview(FILE *f)
{
	fprintf(f, "usage: dvm COMMAND [OPTION...] [WORD...]\n\n"
		   "Debug a cloud VM from outside, through a second, small VM beside it.\n");
	for (const struct command_group *g = command_groups; g->title; g++) {
		fprintf(f, "\n%s\n", g->title);
		for (const struct command *const *c = g->commands; *c; c++) {
			fprintf(f, "  %-18s  %s\n", (*c)->name, (*c)->summary);
		}
	}
	fprintf(f, "\ndvm COMMAND --help says more. A first session: dvm debug VM\n");
}

void help_group(FILE *f, const char *word)
{
	size_t len = strlen(word);

	for (const struct command_group *g = command_groups; g->title; g++) {
		for (const struct command *const *c = g->commands; *c; c++) {
			if (strncmp((*c)->name, word, len) == 0 && (*c)->name[len] == ' ') {
				fprintf(f, "  dvm %-18s  %s\n", (*c)->name, (*c)->summary);
			}
		}
	}
}

/* Text for troff: nothing in it is a request or an escape. */
static void man_text(FILE *f, const char *s)
{
	bool line_start = true;

	for (; *s; s++) {
		if (line_start && (*s == '.' || *s == '\'')) {
			fputs("\\&", f);
		}
		line_start = *s == '\n';
		if (*s == '\\') {
			fputs("\\e", f);
		} else if (*s == '-') {
			fputs("\\-", f);
		} else if (s[0] == '\n' && s[1] == '\n') {
			fputs("\n.PP\n", f);
			s++;
			line_start = true;
		} else {
			fputc(*s, f);
		}
	}
}

static void man_option(FILE *f, const struct option_def *o)
{
	fputs(".TP\n", f);
	if (o->letter) {
		fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
	}
	fputs("\\fB\\-\\-", f);
	man_text(f, o->name);
	fputs("\\fR", f);
	if (o->value) {
		fprintf(f, " \\fI%s\\fR", o->value);
	}
	fputc('\n', f);
	man_text(f, o->help);
	fputc('\n', f);
}

static void man_command(FILE *f, const struct command *c)
{
	fputs(".SS \"dvm ", f);
	man_text(f, c->name);
	if (c->words[0]) {
		fputc(' ', f);
		man_text(f, c->words);
	}
	fputs("\"\n", f);
	man_text(f, c->summary);
	fputs(".\n", f);
	if (c->text) {
		fputs(".PP\n", f);
		man_text(f, c->text);
		fputc('\n', f);
	}
	for (const struct option_def *o = c->options; o->name; o++) {
		man_option(f, o);
	}
}

static const char man_head[] = ".TH DVM 1 \"\" \"dvm " DVM_VERSION "\" \"User Commands\"\n"
			       ".SH NAME\n"
			       "dvm \\- debug a cloud VM from outside, through a second, small VM\n"
			       ".SH SYNOPSIS\n"
			       ".B dvm\n"
			       ".I COMMAND\n"
			       "[\\fIOPTION\\fR...] [\\fIWORD\\fR...]\n"
			       ".SH DESCRIPTION\n"
			       "A VM that hangs, does not boot or is under development (the "
			       "target) is debugged through a D\\-VM: a small,\n"
			       "throw\\-away VM that the hypervisor attaches to it. The target is "
			       "not prepared, rebooted or changed by that.\n"
			       ".PP\n"
			       ".B dvm debug\n"
			       "starts a session, and\n"
			       ".B dvm ssh\n"
			       "logs in to its D\\-VM, where\n"
			       ".B target\n"
			       "shows and does what the session has a right to.\n"
			       ".PP\n"
			       "Every command takes\n"
			       ".BR \\-\\-help .\n"
			       ".SH COMMANDS\n";

static const char man_tail[] =
	".SH ENVIRONMENT\n"
	".TP\n.B DVM_URL\nWhere dvm is: https://\\fIHOST\\fR:\\fIPORT\\fR. Without it,\n.I "
	"~/.config/dvm/config\nis read.\n"
	".TP\n.B DVM_TOKEN\nWho you are.\n"
	".TP\n.B DVM_PIN\nThe server's public key, as \\fBsha256//\\fIBASE64\\fR; then no "
	"authority is asked.\n"
	".TP\n.B DVM_CACERT\nFile with the authorities' certificates to trust.\n"
	".TP\n.B DVM_STATE\nThe state folder of\n.BR \"dvm up\" ,\n.B \"dvm down\"\nand\n.BR \"dvm "
	"image build\" .\n"
	".TP\n.B DVM_LIBEXEC\nFolder with dvm's other programs.\n"
	".TP\n.B DVM_GDB\nThe command that\n.B \"dvm gdb\"\nstarts.\n"
	".TP\n.B DVM_VIEWER\nThe command that\n.B \"dvm vnc\"\nstarts.\n"
	".TP\n.B NO_COLOR\nNo colours.\n"
	".SH FILES\n"
	".TP\n.I ~/.config/dvm/config\n"
	"A section\n.B [dvm]\nwith\n.BR url ,\n.BR token ,\n.B pin\nand\n.BR cacert ;\nonly you "
	"may be able to read it.\n"
	".TP\n.I ~/.config/dvm/id_ed25519\nThe SSH key that dvm made where you had none.\n"
	".SH EXIT STATUS\n"
	"0: done. 2: the request was wrong. 3: not allowed. 4: no such thing. 5: the state of "
	"things forbids it.\n"
	"6: try again later. 7: dvm or what it stands on failed.\n"
	".B dvm ssh\nexits with the status of ssh.\n"
	".PP\n"
	"What went wrong, and what to do next, is said on standard error. With\n"
	".B \\-\\-json\nit is on standard output too, as the problem object of the API: "
	".BR code ,\n.BR detail ,\n.BR hint ,\n.B title\nand\n.BR status .\n"
	".SH SEE ALSO\n"
	".BR dvmd (8),\n.BR dvm\\-gate (8),\n.BR dvm\\-hostd (8),\n.BR dvm\\-relay (8),\n.BR ssh "
	"(1)\n";

void help_man(FILE *f)
{
	fputs(man_head, f);
	for (const struct command_group *g = command_groups; g->title; g++) {
		for (const struct command *const *c = g->commands; *c; c++) {
			man_command(f, *c);
		}
	}
	fputs(man_tail, f);
}
