/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of the doctor, each in one of its files. */
#pragma once

#include "doctor.h"

/* Hands a finding over; `more` may be NULL. */
void doctor_found(struct doctor *d, enum finding_severity severity, const char *kind,
		  const char *more, const char *format, ...) _printf_(5, 6);

/* doctor_tasks.c */
void doctor_check_locks(struct doctor *d);
void doctor_check_blocked(struct doctor *d);
void doctor_check_prompts(struct doctor *d);
/* doctor_resources.c */
void doctor_check_memory(struct doctor *d);
void doctor_check_file_systems(struct doctor *d);
void doctor_check_disks(struct doctor *d);
