/* SPDX-License-Identifier: Apache-2.0 */
/* What all commands share: configuration, the connection to the API, and how things are printed. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "config.h"
#include "fault.h"
#include "rest.h"

struct cli {
	struct config config;
	bool config_loaded;
	struct rest *rest; /* made at first use */
	bool tty;	   /* stdout is a terminal */
	bool color;
};

void cli_init(struct cli *cli);
void cli_fini(struct cli *cli);
/* The connection to the API; a fault says how to configure it. */
int cli_rest(struct cli *cli, struct rest **ret, struct fault *fault) _must_check_;
int cli_config(struct cli *cli, const struct config **ret, struct fault *fault) _must_check_;

/* rest_call() on cli_rest(). `body` is taken. */
int cli_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **ret,
	     struct fault *fault) _must_check_;

/* All items of a list, page by page: `path` may have a query. At most CLI_ITEMS_MAX. */
#define CLI_ITEMS_MAX 20000
int cli_list(struct cli *cli, const char *path, json_t **ret_items,
	     struct fault *fault) _must_check_;

/* The items of a list that comes in one piece. */
int cli_items(struct cli *cli, const char *path, json_t **ret_items,
	      struct fault *fault) _must_check_;

/* Indented JSON and a newline on stdout. */
int cli_print_json(const json_t *j) _must_check_;
/* "dvm: message" and "hint: …" on stderr; returns the exit status. */
int cli_print_fault(const struct fault *fault);
/* The same, and on stdout the problem object of the API: for a command that was asked for JSON. */
int cli_print_problem(const struct fault *fault);
/* A step of long work, on stderr: time since `start`, text. */
void cli_print_step(const struct cli *cli, usec_t elapsed, const char *text);
