/* SPDX-License-Identifier: Apache-2.0 */
/*
 * D-VMs that a session did not start but got: libvirt cannot rename a running domain, so they keep
 * the name that they were started with, and the metadata says whose they are. This remembers what
 * it says.
 */
#pragma once

#include <stdbool.h>

#include "hypervisor.h"

#define ADOPTED_MAX 4096

struct adopted;
/* May be used by any number of threads at once. */
int adopted_new(struct adopted **ret) _must_check_;
struct adopted *adopted_free(struct adopted *a);

/* -ENOMEM, -ENOSPC. */
int adopted_put(struct adopted *a, const char *session, const char *uuid) _must_check_;
/* Fine when there is none. */
void adopted_remove(struct adopted *a, const char *session);
void adopted_clear(struct adopted *a);
/* False, and nothing written, when the session has none. */
bool adopted_uuid(struct adopted *a, const char *session, char ret_uuid[DOMAIN_UUID_LEN + 1]);
bool adopted_session(struct adopted *a, const char *uuid, char ret_session[DVM_SESSION_MAX + 1]);
