/* SPDX-License-Identifier: Apache-2.0 */
/* Texts made from the table of commands: help, man page, completion. */
#pragma once

#include <stdio.h>

#include "command.h"

void help_overview(FILE *f);
void help_command(FILE *f, const struct command *c);
/* The commands whose names begin with `word`. */
void help_group(FILE *f, const char *word);
/* dvm.1, in man(7) macros. */
void help_man(FILE *f);
