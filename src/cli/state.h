/* SPDX-License-Identifier: Apache-2.0 */
/* The state folder, and where dvm's other programs are. */
#pragma once

#include "fault.h"

/* `option` (--state; may be NULL), else DVM_STATE, else /var/lib/dvm for root, else
 * $XDG_STATE_HOME/dvm or
 * ~/.local/state/dvm. Absolute; not made here. */
int state_dir(const char *option, char **ret, struct fault *fault) _must_check_;

/* program_find(), with a fault that says what to do. */
int state_program(const char *name, char **ret, struct fault *fault) _must_check_;
