/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the init: to the console and to the kernel's log, never lost silently. */
#pragma once

/* Opens /dev/kmsg and /dev/console as far as they exist; may be called again after /dev appears. */
void say_open(void);

/* One line, prefixed "dvm-init: ", to the console and the kernel log. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
