/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of dvmd at its door.sock. */
#include "call.h"

#include <errno.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "rpc_peer.h"
#include "unix.h"

int door_call(int fd, const char *method, json_t *params, json_t **ret, struct fault *fault)
{
	return rpc_call_sync(fd, method, params, NULL, 0, DOOR_CALL_TIMEOUT, ret, fault);
}

static int say_hello(int fd, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *answer = NULL;

	return door_call(fd, "hello", json_pack("{s:i, s:s}", "protocol", 1, "program", "dvm-door"),
			 &answer, fault);
}

int door_connect(const char *path, usec_t patience, int *ret_fd, struct fault *fault)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000000L };
	usec_t end = clock_monotonic() + patience;

	for (;;) {
		_cleanup_close_ int fd = -1;
		int r = unix_connect(path, &fd);

		if (r == 0) {
			r = say_hello(fd, fault);
		} else {
			fault_set(fault, FAULT_HOST_AWAY, "dvm does not answer");
		}
		if (r == 0) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
		if (clock_monotonic() >= end) {
			return -EREMOTEIO;
		}
		nanosleep(&pause, NULL);
	}
}
