/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbdkit's plugin that shows a target's live memory as a disk (PROTOCOL.memory).
 *
 * nbdkit is started by dvm-hostd with all that it needs open. Before the first client it goes
 * behind the walls of a relay (sandbox.h): whatever a hostile D-VM makes of nbdkit's parser of NBD
 * finds no file, no network and no right there.
 */
/* nbdkit  #syscalls: poll accept4 recvfrom recvmsg sendto sendmsg read write shutdown setsockopt */
/* nbdkit  #syscalls: getsockopt getsockname getpeername clone clone3 set_robust_list rseq pipe2 */
/* nbdkit  #syscalls: clock_gettime fcntl dup close gettid sched_yield rt_sigprocmask prctl */
/* nbdkit  #syscalls: sched_getaffinity gettimeofday lseek fstat newfstatat getuid ioctl */
/* libc's malloc and sd-event look for files, and do without  #syscalls: openat */
/* nbdkit  #syscalls: set_tid_address nanosleep clock_nanosleep ppoll getpid */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "control.h"
#include "log.h"
#include "parse.h"
#include "sandbox.h"
#include "server.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define FILES_MAX 64
#define NICE 10
/* A D-VM's emulator that connects while the VM is being looked at waits. */
#define SHAPE_PATIENCE (10 * USEC_PER_SEC)

static struct server server;
static struct {
	int control_fd, pid_fd;
	uint32_t uid;
} options = { .control_fd = -1, .pid_fd = -1 };

static int plugin_config(const char *key, const char *value)
{
	uint32_t number = 0;
	bool is_name = strcmp(key, "name") == 0;

	if (is_name ? !name_valid(value) : parse_u32(value, &number) < 0 || number > INT32_MAX) {
		nbdkit_error("%s: not a valid value", key);
		return -1;
	}
	if (is_name) {
		server.name = strdup(value);
	} else if (strcmp(key, "control") == 0) {
		options.control_fd = (int)number;
	} else if (strcmp(key, "pid-file") == 0) {
		options.pid_fd = (int)number;
	} else if (strcmp(key, "run-as") == 0) {
		options.uid = number;
	} else {
		nbdkit_error("there is no parameter %s", key);
		return -1;
	}
	return 0;
}

static int plugin_config_complete(void)
{
	if (!server.name || options.control_fd < 0 || options.pid_fd < 0 ||
	    (geteuid() == 0 && options.uid == 0)) {
		nbdkit_error("name, control, pid-file and, as root, run-as are needed");
		return -1;
	}
	return 0;
}

/* As a relay does: another server of this name must not live. */
static int pid_file_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(options.control_fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETLK, &lock) < 0 ||
	    ftruncate(fd, 0) < 0) {
		return -errno;
	}
	return pwrite(fd, text, (size_t)n, 0) == n ? 0 : -EIO;
}

static int lock_in(void)
{
	const struct sandbox_options walls = {
		.uid = options.uid,
		.gid = options.uid,
		.files_max = FILES_MAX,
		.file_bytes_max = RLIM_INFINITY, /* of what it logs; it can open nothing */
	};
	unsigned missing;
	int r;

	json_object_seed(0); /* jansson takes it from a file, else with its first object */
	r = sandbox_enter(&walls, &missing);
	if (r >= 0 && missing) {
		log_warn("this kernel does not give all walls; going on behind the others");
	}
	return r;
}

/* nbdkit's own way to end waits for its clients, which may not want to. There is nothing to lose.
 */
static void end(void)
{
	_exit(0);
}

static int plugin_after_fork(void)
{
	uid_t uid = getuid();
	int r;

	log_open("dvm-memory");
	(void)setsid(); /* what ends dvm-hostd's session is not for us */
	/* Where there are more to run than processors, the target goes first. */
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	r = pid_file_lock(options.pid_fd);
	if (r == 0) {
		r = server_init(&server);
	}
	if (r == 0) {
		r = lock_in();
	}
	if (r >= 0) {
		r = control_start_take(&server, options.control_fd, uid, end, &server.control);
	}
	if (r < 0) {
		nbdkit_error("cannot begin: %s", strerror(-r));
		return -1;
	}
	return 0;
}

static void *plugin_open(int readonly)
{
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t plugin_get_size(void *handle)
{
	uint64_t size;

	if (server_size(&server, SHAPE_PATIENCE, &size) < 0) {
		nbdkit_error("there is no memory yet");
		return -1;
	}
	return (int64_t)size;
}

static int plugin_can_multi_conn(void *handle)
{
	return 1;
}

static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
			     uint32_t *maximum)
{
	*minimum = 1;
	*preferred = CORE_PAGE;
	*maximum = 32 << 20;
	return 0;
}

static int plugin_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	if (server_read(&server, buf, count, offset) < 0) {
		nbdkit_set_error(EIO);
		return -1;
	}
	return 0;
}

static struct nbdkit_plugin plugin = {
	.name = "dvm-memory",
	.version = "1",
	.config = plugin_config,
	.config_complete = plugin_config_complete,
	.after_fork = plugin_after_fork,
	.open = plugin_open,
	.get_size = plugin_get_size,
	.can_multi_conn = plugin_can_multi_conn,
	.block_size = plugin_block_size,
	.pread = plugin_pread,
	.errno_is_preserved = 1,
};

/* The macro's function has no prototype, and must be seen. */
extern __attribute__((visibility("default"))) struct nbdkit_plugin *plugin_init(void);

NBDKIT_REGISTER_PLUGIN(plugin)
