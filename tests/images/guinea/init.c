/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process 1 of the guinea target: a guest whose memory is looked into while it says of itself what
 * must be found there.
 *
 * Makes tasks of several kinds, mounts and sockets, prints "=== FILE" and the file's text for all
 * that the test compares, then "=== END", and then serves one command a line:
 * - trouble WHAT: loads the module of the same name with what=WHAT
 * - fill: fills a tmpfs
 * - crash: panics
 * each answered by "guinea: done".
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static void module(const char *path, const char *arguments)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, arguments, 0) < 0) {
		printf("%s: %s\n", path, strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
	}
}

static void modules(void)
{
	char line[256];
	FILE *list = fopen("/modules.list", "re");

	while (list && fgets(line, sizeof(line), list)) {
		line[strcspn(line, "\n")] = '\0';
		module(line, "");
	}
	if (list) {
		fclose(list);
	}
}

static void cat(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[4096], last = '\n';
	ssize_t n;

	printf("=== %s\n", path);
	while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0) {
		fwrite(text, 1, (size_t)n, stdout);
		last = text[n - 1];
	}
	if (last != '\n') {
		putchar('\n');
	}
	if (fd >= 0) {
		close(fd);
	}
}

/* Every 400th line: all of them take longer to say than the rest of the test. */
static void some_of(const char *path)
{
	char line[512];
	FILE *f = fopen(path, "re");

	printf("=== %s\n", path);
	for (int i = 0; f && fgets(line, sizeof(line), f); i++) {
		if (i % 400 == 0) {
			fputs(line, stdout);
		}
	}
	if (f) {
		fclose(f);
	}
}

static void *wait_for_ever(void *unused)
{
	for (;;) {
		pause();
	}
	return unused;
}

static void sleeper(void)
{
	wait_for_ever(NULL);
}

static void reader(void)
{
	int ends[2];
	char c;

	if (pipe(ends) == 0 && read(ends[0], &c, 1) == 1) {
		_exit(0);
	}
}

static void threads(void)
{
	pthread_t t;

	pthread_create(&t, NULL, wait_for_ever, NULL);
	pthread_create(&t, NULL, wait_for_ever, NULL);
	wait_for_ever(NULL);
}

static void network(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(8080) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(9090) };
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/tmp/socket" };
	int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(s, (void *)&a, sizeof(a));
	listen(s, 5);
	connect(c, (void *)&a, sizeof(a));
	accept(s, NULL, NULL);
	a.sin_port = htons(5353);
	bind(socket(AF_INET, SOCK_DGRAM, 0), (void *)&a, sizeof(a));
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(s, (void *)&un, sizeof(un));
	listen(s, 3);
	s = socket(AF_INET6, SOCK_STREAM, 0);
	bind(s, (void *)&a6, sizeof(a6));
	listen(s, 5);
	wait_for_ever(NULL);
}

/* Blocked as long as its child lives. */
static void blocked(void)
{
	if (vfork() == 0) {
		prctl(PR_SET_NAME, "vfork-child");
		wait_for_ever(NULL);
	}
}

static void memory(void)
{
	volatile char *p = malloc(20 << 20);

	for (size_t i = 0; i < 20 << 20; i += 4096) {
		p[i] = 1;
	}
	wait_for_ever(NULL);
}

static void zombie(void)
{
}

static void start(const char *name, void (*run)(void))
{
	fflush(stdout);
	if (fork() == 0) {
		prctl(PR_SET_NAME, name);
		run();
		_exit(0);
	}
}

static void set_up(void)
{
	struct ifreq r = { .ifr_name = "lo" };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/tmp", 0755);
	mkdir("/with blank", 0755);
	mkdir("/disk", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount("tmpfs", "/tmp", "tmpfs", 0, "size=4M");
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("tmpfs", "/with blank", "tmpfs", MS_RDONLY | MS_NOSUID, NULL);
	modules();
	mount("/dev/vda", "/disk", "ext4", MS_RDONLY, NULL);
	r.ifr_flags = IFF_UP;
	ioctl(s, SIOCSIFFLAGS, &r);
	close(s);
	sethostname("guinea", 6);
	start("sleeper", sleeper);
	start("reader", reader);
	start("threads", threads);
	start("network", network);
	start("blocked", blocked);
	start("memory", memory);
	start("zombie", zombie);
	sleep(1);
}

static void tell_files(const char *pid)
{
	char path[64], link[300], target[300];
	struct dirent *e;
	DIR *dir;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	printf("=== %s\n", path);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		snprintf(link, sizeof(link), "/proc/%.20s/fd/%.20s", pid, e->d_name);
		n = readlink(link, target, sizeof(target) - 1);
		if (n > 0) {
			printf("%s %.*s\n", e->d_name, (int)n, target);
		}
	}
	if (dir) {
		closedir(dir);
	}
}

static void tell(void)
{
	static const char *const files[] = { "/proc/version",  "/proc/modules",	  "/proc/mounts",
					     "/proc/meminfo",  "/proc/net/tcp",	  "/proc/net/udp",
					     "/proc/slabinfo", "/proc/interrupts" };
	static const char *const parts[] = { "stat", "wchan", "stack" };
	struct dirent *e;
	char path[64];
	DIR *dir;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		cat(files[i]);
	}
	some_of("/proc/kallsyms");
	dir = opendir("/proc");
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9') {
			continue;
		}
		for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
			snprintf(path, sizeof(path), "/proc/%.20s/%s", e->d_name, parts[i]);
			cat(path);
		}
		snprintf(path, sizeof(path), "/proc/%.20s/exe", e->d_name);
		if (access(path, R_OK) == 0) {
			snprintf(path, sizeof(path), "/proc/%.20s/maps", e->d_name);
			cat(path);
			tell_files(e->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	cat("/proc/uptime");
	printf("=== END\n");
}

static void fill(void)
{
	static char block[65536];
	int fd = open("/tmp/full", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	while (fd >= 0 && write(fd, block, sizeof(block)) > 0) {
	}
	if (fd >= 0) {
		close(fd);
	}
}

static void crash(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "c", 1) != 1) {
		printf("no crash: %s\n", strerror(errno));
	}
}

int main(void)
{
	char line[256], arguments[128];

	setvbuf(stdout, NULL, _IOFBF, 65536);
	set_up();
	tell();
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (strncmp(line, "trouble ", 8) == 0) {
			snprintf(arguments, sizeof(arguments), "what=%.100s", line + 8);
			module("/modules/trouble.ko", arguments);
			sleep(1);
		} else if (strcmp(line, "fill") == 0) {
			fill();
		} else if (strcmp(line, "crash") == 0) {
			crash();
		}
		printf("guinea: done\n");
		fflush(stdout);
	}
	for (;;) {
		pause();
	}
}
