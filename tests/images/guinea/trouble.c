// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel module of the guinea target: makes the kernel fail in the ways that `what` names:
 * deadlock (two threads, two mutexes), rwsem (one sleeps with it, one waits), loop (a CPU for ever,
 * interrupts off).
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>

static char *what = "";
module_param(what, charp, 0);

static DEFINE_MUTEX(trouble_first);
static DEFINE_MUTEX(trouble_second);
static DECLARE_RWSEM(trouble_rwsem);

static int one(void *unused)
{
	mutex_lock(&trouble_first);
	msleep(100);
	mutex_lock(&trouble_second);
	return 0;
}

static int two(void *unused)
{
	mutex_lock(&trouble_second);
	msleep(100);
	mutex_lock(&trouble_first);
	return 0;
}

static int holder(void *unused)
{
	down_write(&trouble_rwsem);
	ssleep(100000);
	return 0;
}

static int reader(void *unused)
{
	msleep(100);
	down_read(&trouble_rwsem);
	return 0;
}

static int loop(void *unused)
{
	/* the others' timers may be this CPU's */
	ssleep(1);
	local_irq_disable();
	for (;;) {
		cpu_relax();
	}
	return 0;
}

static int __init trouble_init(void)
{
	if (strstr(what, "deadlock")) {
		kthread_run(one, NULL, "trouble-one");
		kthread_run(two, NULL, "trouble-two");
	}
	if (strstr(what, "rwsem")) {
		kthread_run(holder, NULL, "trouble-holder");
		kthread_run(reader, NULL, "trouble-reader");
	}
	if (strstr(what, "loop")) {
		struct task_struct *task = kthread_create(loop, NULL, "trouble-loop");

		if (!IS_ERR(task)) {
			kthread_bind(task, 1);
			wake_up_process(task);
		}
	}
	return 0;
}

static void __exit trouble_exit(void)
{
}

module_init(trouble_init);
module_exit(trouble_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("a kernel that fails, for dvm's tests");
