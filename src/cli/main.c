/* SPDX-License-Identifier: Apache-2.0 */
/* dvm: the user's command line. */
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "command.h"
#include "help.h"
#include "log.h"

int main(int argc, char **argv)
{
	const struct command *c;
	struct fault fault = { 0 };
	struct cli cli;
	int used = 0, status;

	setlocale(LC_CTYPE, "");
	log_open("dvm");
	/* A reader that went away is an error of write(), not our death: `dvm console | head`. */
	signal(SIGPIPE, SIG_IGN);
	/* Of several users' logins, none may look into another's: they hold tokens. */
	if (getenv("DVM_DOOR")) {
		prctl(PR_SET_DUMPABLE, 0);
	}

	if (argc < 2) {
		help_overview(stderr);
		return fault_code_exit_status(FAULT_BAD_REQUEST);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help_overview(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		argv[1] = "version";
	}
	cli_init(&cli);
	c = command_find(argc - 1, argv + 1, &used);
	if (c) {
		status = command_main(&cli, c, argc - 1 - used, argv + 1 + used);
	} else if (command_is_group(argv[1]) && (argc == 2 || argv[2][0] == '-')) {
		help_group(argc == 2 ? stderr : stdout, argv[1]);
		status = argc == 2 ? fault_code_exit_status(FAULT_BAD_REQUEST) : 0;
	} else {
		fault_set(&fault, FAULT_BAD_REQUEST, "there is no command \"%.60s%s%.60s\"",
			  argv[1], argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
		fault_hint(&fault,
			   command_is_group(argv[1]) ? "dvm help %.60s lists its commands"
						     : "dvm --help lists them",
			   argv[1]);
		status = cli_print_fault(&fault);
	}
	cli_fini(&cli);
	return status;
}
