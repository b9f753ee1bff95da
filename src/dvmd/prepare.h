/* SPDX-License-Identifier: Apache-2.0 */
/* Memory images for the D-VMs that are likely to be asked for. */
#pragma once

#include "dvmd.h"

struct session_row;

/* The hypervisor is there: those for D-VMs of the default image. */
void prepare_default(struct dvmd *d);
/* D-VMs of the default image are to wait, as the configuration says. */
void prepare_pool(struct dvmd *d);
/* The session got ready: one for those like its own, a while later. */
void prepare_like(struct dvmd *d, const struct session_row *row);
