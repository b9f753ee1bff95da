/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dvm-init: process 1 of the D-VM.
 *
 * It lives in the initramfs, loads the few modules that the root needs, builds the root from the
 * image's layers, moves into it and keeps the agent running. It is static and never execs a second
 * stage: the time from the kernel's hand-over to the agent's first instruction is what a user waits
 * for.
 *
 * When the root cannot be built, the reason is printed on the console and in the kernel log, and
 * the D-VM powers off: the host's side sees the domain end and finds the text in the console's
 * recording.
 */
#include "layers.h"
#include "modules.h"
#include "pci.h"
#include "say.h"
#include "supervise.h"

#include <fcntl.h>
#include <linux/reboot.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROOT_WAIT_MS 10000
#define LATER_AFTER_MS 6000
#define MODULES_ROOT "/modules.root" /* what the root needs */
#define AGENT_PATH "/usr/lib/dvm/agent"

struct mount_point {
	const char *what, *where, *type, *options;
	unsigned long flags;
};

static const struct mount_point early_mounts[] = {
	{ "devtmpfs", "/dev", "devtmpfs", "mode=0755", MS_NOSUID },
	{ "proc", "/proc", "proc", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV },
	{ "sysfs", "/sys", "sysfs", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV },
};

static const struct mount_point late_mounts[] = {
	{ "devpts", "/dev/pts", "devpts", "mode=0620,gid=5,ptmxmode=0666", MS_NOSUID | MS_NOEXEC },
	{ "tmpfs", "/dev/shm", "tmpfs", "mode=1777,size=25%", MS_NOSUID | MS_NODEV },
	{ "tmpfs", "/run", "tmpfs", "mode=0755,size=10%", MS_NOSUID | MS_NODEV },
	{ "tmpfs", "/tmp", "tmpfs", "mode=1777,size=40%", MS_NOSUID | MS_NODEV },
};

static void mount_all(const struct mount_point *points, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct mount_point *p = &points[i];

		mkdir(p->where, 0755);
		if (mount(p->what, p->where, p->type, p->flags, p->options) < 0) {
			say("mount %s: %m, ignoring", p->where);
		}
	}
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
		say("loopback: %m, ignoring");
	}
	if (fd >= 0) {
		close(fd);
	}
}

static void end_machine(int command)
{
	sync();
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, command, NULL);
	say("reboot: %m");
	for (;;) {
		poll(NULL, 0, -1);
	}
}

static void standard_fds(void)
{
	int fd;

	/* the kernel gave us its console as 0-2; the agent gets null for input */
	close(0);
	fd = open("/dev/null", O_RDWR);
	if (fd > 0) {
		dup2(fd, 0);
		close(fd);
	}
}

/* Whether the kernel's random pool was filled by the processor or the boot loader: else the virtio
 * source is urgent. */
static bool random_is_ready(void)
{
	char byte;

	return getrandom(&byte, 1, GRND_NONBLOCK) == 1;
}

/* The kernel's command line has `norandmaps`: an emulator that finds a library's code at the same
 * address in the next process need not translate it again. Once the user is in, addresses are
 * random as ever. */
static void randomize_addresses(void)
{
	int fd = open("/proc/sys/kernel/randomize_va_space", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "2", 1) != 1) {
		say("addresses stay as they are: %m, ignoring");
	}
	if (fd >= 0) {
		close(fd);
	}
}

/* What nobody waits for, in a child, once the first login is likely over. */
static void later(void)
{
	char *const modprobe[] = { (char *)"/sbin/modprobe", (char *)"-abq", (char *)"virtio_rng",
				   NULL };

	if (fork() == 0) {
		poll(NULL, 0, LATER_AFTER_MS);
		randomize_addresses();
		pci_probe_rest();
		execv(modprobe[0], modprobe);
		_exit(1);
	}
}

int main(void)
{
	char *const agent_argv[] = { (char *)AGENT_PATH, NULL };
	int r;

	if (getpid() != 1) {
		static const char text[] = "dvm-init: only for process 1 of a debug VM\n";

		return write(2, text, sizeof(text) - 1) > 0 ? 1 : 2;
	}
	umask(022);
	mount_all(early_mounts, sizeof(early_mounts) / sizeof(early_mounts[0]));
	say_open();
	say("started");
	pci_hold();
	r = modules_load_list(MODULES_ROOT);
	if (r < 0) {
		say("%s: %s", MODULES_ROOT, strerror(-r));
	}
	pci_probe_needed(!random_is_ready());
	if (layers_mount(ROOT_WAIT_MS) < 0 || layers_switch_root() < 0) {
		say("this debug VM cannot start; powering off");
		end_machine(LINUX_REBOOT_CMD_POWER_OFF);
	}
	mount_all(late_mounts, sizeof(late_mounts) / sizeof(late_mounts[0]));
	mkdir("/run/dvm", 0755);
	mkdir("/run/lock", 01777);
	if (sethostname("dvm", 3) < 0) {
		say("host name: %m, ignoring");
	}
	/* ctrl-alt-del becomes a SIGINT to us */
	reboot(RB_DISABLE_CAD);
	loopback_up();
	standard_fds();
	say("starting the agent");
	later();
	r = supervise_agent(agent_argv);
	say(r == (int)LINUX_REBOOT_CMD_RESTART ? "rebooting" : "powering off");
	end_machine(r);
	return 0;
}
