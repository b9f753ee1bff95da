/* SPDX-License-Identifier: Apache-2.0 */
/* Children's signals in a loop. */
#include "parent.h"

#include <signal.h>
#include <sys/prctl.h>

#include "macro.h"

int parent_loop_new(sd_event_signal_handler_t on_child, sd_event_signal_handler_t on_end,
		    void *user, sd_event **ret)
{
	const struct {
		int number;
		sd_event_signal_handler_t handler;
	} signals[] = { { SIGCHLD, on_child }, { SIGTERM, on_end }, { SIGINT, on_end } };
	sigset_t blocked;
	int r;

	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaddset(&blocked, signals[i].number);
	}
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	r = sd_event_new(ret);
	for (size_t i = 0; i < ARRAY_SIZE(signals) && r >= 0; i++) {
		r = sd_event_add_signal(*ret, NULL, signals[i].number, signals[i].handler, user);
	}
	return r < 0 ? r : 0;
}
