/* SPDX-License-Identifier: Apache-2.0 */
/* Which PCI devices get their driver at once, and which later. */
#pragma once

#include <stdbool.h>

/* From now on no PCI device is given to a driver by itself. */
void pci_hold(void);
/* Gives the disks and serial ports to their drivers, the entropy source too if `with_rng`, and ends
 * the hold for devices that are plugged in from now on. */
void pci_probe_needed(bool with_rng);
/* Gives all others to their drivers. */
void pci_probe_rest(void);
