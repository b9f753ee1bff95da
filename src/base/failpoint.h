/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named places where a test makes a program fail, stall or die:
 *   DVM_FAILPOINT="store.commit=error:ENOSPC;engine.before.provision=kill;relay.start=sleep:500"
 * Modes: error[:ERRNO name] (default EIO), kill (SIGKILL to itself), sleep:MS; prefix once- for the
 * first pass only. The program aborts at a mode that is none of these. Also re-read from the file
 * named by DVM_FAILPOINT_FILE (if set) at each pass, so a test can arm it in a running program;
 * newlines separate entries there as well. A once- entry of the file removes the file when it
 * fires, so that it fires once among all programs that share it. Costs one branch when neither is
 * set.
 */
#pragma once

#include "macro.h"

/* 0, or -errno that the test asked for. */
int failpoint(const char *name);
