/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The remote framebuffer protocol (RFC 6143, and QEMU's extensions to it) between a viewer and the
 * display of a VM, as a filter: what a viewer may say is read message by message, and nothing else
 * gets to the display.
 *
 * Theory of operation: the handshake is held with each side on its own: towards the viewer we are a
 * server (3.3, 3.7 or 3.8, security None: who may come here was decided before), towards the
 * display a client (3.8, None, always shared). When both have been through, the viewer gets the
 * display's ServerInit with the name replaced, for it holds that of a domain and of a hypervisor.
 * From then on
 *
 * - the display's bytes pass as they are;
 * - the viewer's messages are read: SetPixelFormat, SetEncodings, FramebufferUpdateRequest,
 *   KeyEvent, PointerEvent, ClientCutText, and QEMU's extended key event and audio; any other ends
 *   the connection. Where it may only watch, keys, pointer and text are left out;
 * - of SetEncodings only those pass that make the display send nothing but pictures, pointer shapes
 *   and sound: none that leads to messages we do not know (continuous updates, fences, extended
 *   clipboard), that lets a viewer switch the VM off (xvp) or change the size of its screen
 *   (ExtendedDesktopSize), or that tells the desktop's name anew.
 *
 * Sans-I/O: bytes in, bytes into two queues out. What is held back of an unfinished message is at
 * most RFB_HELD_MAX bytes.
 */
#pragma once

#include <stdbool.h>

#include "buf.h"

#define RFB_NAME_MAX 96
#define RFB_ENCODINGS_MAX 256
#define RFB_CUT_TEXT_MAX (256 * 1024)
#define RFB_HELD_MAX (4 + 4 * RFB_ENCODINGS_MAX)
/* Room that a queue needs for `len` bytes put in: those, what was held, and our own part of a
 * handshake. */
#define RFB_OUT_ROOM(len) ((len) + RFB_HELD_MAX + 256)

struct rfb;

/* `name`: what the viewer is told as the desktop's, cut at RFB_NAME_MAX bytes. */
int rfb_new(const char *name, bool view_only, struct rfb **ret) _must_check_;
struct rfb *rfb_free(struct rfb *f);

/*
 * Both say something first: a server its version. Call once at the start. The queues must have
 * RFB_OUT_ROOM of what is put in. -EPROTO: that side broke the protocol, or says what is not
 * allowed; -ENOMEM, -ENOBUFS. After an error nothing more may be put in.
 */
int rfb_start(struct rfb *f, struct buf *to_viewer) _must_check_;
int rfb_from_viewer(struct rfb *f, const void *p, size_t len, struct buf *to_display,
		    struct buf *to_viewer) _must_check_;
int rfb_from_display(struct rfb *f, const void *p, size_t len, struct buf *to_display,
		     struct buf *to_viewer) _must_check_;
