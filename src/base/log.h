/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging to stderr, one line a record: "<PRIO>program: text" under a supervisor that asks for it,
 * "program: text" on a terminal. Only programs' top layers log above debug.
 */
#pragma once

#include "macro.h"

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `program` is kept by reference. DVM_LOG=debug|info|warn|err sets the level (default info). */
void log_open(const char *program);
void log_set_level(enum log_level level);
void log_write(enum log_level level, const char *fmt, ...) _printf_(2, 3);

#define log_err(...) log_write(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
