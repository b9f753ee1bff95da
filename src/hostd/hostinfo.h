/* SPDX-License-Identifier: Apache-2.0 */
/* What the host has to give. */
#pragma once

#include "macro.h"

/* Memory that can be used without swapping (MemAvailable of proc(5)), and all of it. */
int host_memory(uint64_t *ret_free_mib, uint64_t *ret_total_mib);
