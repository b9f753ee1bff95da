/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that libvirt's QEMU driver saves a domain to and restores it from, version 2 (libvirt's
 * src/qemu/qemu_saveimage.h; numbers in the host's byte order):
 *
 *	char magic[16]		"LibvirtQemudSave"; "LibvirtQemudPart" while it is being written
 *	u32 version		2
 *	u32 data_len		of what follows the header
 *	u32 was_running		to be resumed when it is restored
 *	u32 compressed		how the state is
 *	u32 cookie_offset	in the data; 0: none
 *	u32 unused[14]
 *	data			domain XML, NUL; the cookie, NUL; room for a longer XML
 *	state			the emulator's, to the end of the file
 */
#pragma once

#include "macro.h"

/* Makes the file at `path` one that restores, running, as the domain of that XML. -EBADMSG when it
 * is not a whole one of libvirt's, -EMSGSIZE when the XML is longer than the room for it, else of
 * open(2) and write(2). */
int save_image_set_domain(const char *path, const char *xml) _must_check_;
