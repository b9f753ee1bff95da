/* SPDX-License-Identifier: Apache-2.0 */
/* dvm-door: the way in with nothing but OpenSSH. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "door.h"
#include "log.h"

static const char usage[] =
	"Usage: dvm-door listen --state DIR --account NAME --dvm FILE --url URL\n"
	"\n"
	"Users of dvm log in with plain ssh. Takes connections on the socket that is handed over\n"
	"(LISTEN_FDS) and starts an sshd of OpenSSH's for each. Stays in the foreground.\n"
	"\n"
	"  --state DIR       state folder\n"
	"  --account NAME    the account that users log in to\n"
	"  --dvm FILE        the program dvm\n"
	"  --url URL         the gate's\n"
	"  --help, --version\n"
	"\n"
	"dvm-door keys and dvm-door serve are started by sshd.\n";

static int bad_usage(void)
{
	fputs(usage, stderr);
	return 2;
}

static int run_listen(int argc, char **argv)
{
	static const struct option options[] = {
		{ "state", required_argument, NULL, 's' },
		{ "account", required_argument, NULL, 'a' },
		{ "dvm", required_argument, NULL, 'd' },
		{ "url", required_argument, NULL, 'u' },
		{ 0 },
	};
	const char *state = NULL, *account = NULL, *dvm = NULL, *url = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			state = optarg;
			break;
		case 'a':
			account = optarg;
			break;
		case 'd':
			dvm = optarg;
			break;
		case 'u':
			url = optarg;
			break;
		default:
			return bad_usage();
		}
	}
	if (!state || !account || !dvm || !url || optind != argc) {
		return bad_usage();
	}
	return door_listen(state, account, dvm, url);
}

static struct door_place place_of(char **argv)
{
	return (struct door_place){
		.socket = argv[2], .dvm = argv[3], .url = argv[4], .pin = argv[5]
	};
}

int main(int argc, char **argv)
{
	struct door_place place;

	log_open("dvm-door");
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("dvm-door " DVM_VERSION);
		return EXIT_SUCCESS;
	}
	if (argc >= 2 && strcmp(argv[1], "listen") == 0) {
		return run_listen(argc - 1, argv + 1);
	}
	if (argc == 8 && strcmp(argv[1], "keys") == 0) {
		place = place_of(argv);
		return door_keys(&place, argv[6], argv[7]);
	}
	if (argc == 7 && strcmp(argv[1], "serve") == 0) {
		place = place_of(argv);
		return door_serve(&place, argv[6]);
	}
	return bad_usage();
}
