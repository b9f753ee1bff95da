/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the host's end of a running domain's console, whatever is behind it. */
#pragma once

#include "domain_xml.h"

/* `run` is not set; free with console_fini(). FAULT_CONSOLE_UNSUPPORTED, FAULT_VM_NOT_RUNNING,
 * FAULT_HYPERVISOR_FAILED. May wait a few seconds for a connection. */
int console_place_open(const struct console_place *place, struct console *ret, struct fault *fault);
