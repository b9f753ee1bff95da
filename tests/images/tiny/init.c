/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process 1 of the tiny target: a guest for tests that boots in seconds and does on its serial
 * console what it is told.
 *
 * Prints "tiny: start", and then serves one command a line, each answered by its output and a
 * prompt "tiny> ":
 * - echo TEXT: TEXT
 * - cat FILE: its first 4096 bytes; below /disk is the data disk, mounted for as long as it takes
 * - write FILE TEXT: puts TEXT into FILE
 * - lines N: "line 1" … "line N"
 * - ticker MS: "tick K" every MS milliseconds until a key is pressed
 * - sum N: "sum: go", then N bytes of any value are read, not echoed: "sum: N CRC-32"; where none
 *   comes for 20 s, of those that came
 * - stty rows R cols C, stty size: as stty(1)
 * - answer TTY: each line that comes on that port is answered there, "heard LINE", up to the line
 * "bye"
 * - print N: "page 1" … "page N" on the parallel port, byte by byte as a printer's driver does
 * - remember N WORD: N pages of memory that begin with "WORD I", each said with where it is: "page
 * I at ADDRESS", then "remembered"; they stay
 * - work MS: counts for so many milliseconds of its time: "worked N", then "done working"
 * - uptime
 * - symbol NAME: where the kernel has it, as in /proc/kallsyms
 * - reboot, poweroff, crash (panics), hang (answers no more)
 * SysRq is open to the serial line.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static void load_modules(void)
{
	char line[256];
	FILE *list = fopen("/modules.list", "r");

	while (list && fgets(line, sizeof(line), list)) {
		int fd;

		line[strcspn(line, "\n")] = '\0';
		fd = open(line, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			syscall(SYS_finit_module, fd, "", 0);
			close(fd);
		}
	}
	if (list) {
		fclose(list);
	}
}

/* The data disk is mounted only while it is used: pulling the plug at the prompt leaves it clean.
 */
static bool disk_mount(const char *path, unsigned long flags)
{
	if (strncmp(path, "/disk/", 6) != 0) {
		return true;
	}
	mkdir("/disk", 0755);
	if (mount("/dev/vda", "/disk", "ext4", flags, NULL) < 0) {
		printf("/disk: %s\n", strerror(errno));
		return false;
	}
	return true;
}

static void disk_umount(const char *path)
{
	if (strncmp(path, "/disk/", 6) == 0 && umount("/disk") < 0) {
		printf("/disk: %s\n", strerror(errno));
	}
}

static void cat(const char *path)
{
	char text[4096];
	ssize_t n;
	int fd;

	if (!disk_mount(path, MS_RDONLY)) {
		return;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (n < 0) {
		printf("%s: %s\n", path, strerror(errno));
	} else {
		fwrite(text, 1, n, stdout);
		if (n == 0 || text[n - 1] != '\n') {
			printf("\n");
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	disk_umount(path);
}

static void symbol(const char *name)
{
	FILE *symbols = fopen("/proc/kallsyms", "r");
	char line[512], found[256];
	unsigned long long address;

	while (symbols && fgets(line, sizeof(line), symbols)) {
		if (sscanf(line, "%llx %*c %255s", &address, found) == 2 &&
		    strcmp(found, name) == 0) {
			printf("%llx\n", address);
		}
	}
	if (symbols) {
		fclose(symbols);
	}
}

static void write_file(char *path)
{
	char *text = strchr(path, ' ');
	FILE *file;

	text = text ? (*text = '\0', text + 1) : path + strlen(path);
	if (!disk_mount(path, 0)) {
		return;
	}
	file = fopen(path, "w");
	if (!file || fprintf(file, "%s\n", text) < 0) {
		printf("%s: %s\n", path, strerror(errno));
	}
	if (file) {
		fclose(file);
	}
	disk_umount(path);
}

static void ticker(int ms)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };

	for (unsigned k = 1; poll(&in, 1, ms > 0 ? ms : 100) == 0; k++) {
		printf("tick %u\n", k);
	}
}

static uint32_t crc32_add(uint32_t crc, const uint8_t *p, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++) {
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
		}
	}
	return ~crc;
}

static void sum(size_t want)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	struct termios saved, raw;
	size_t have = 0;
	uint32_t crc = 0;

	if (tcgetattr(0, &saved) < 0) {
		printf("sum: %s\n", strerror(errno));
		return;
	}
	raw = saved;
	cfmakeraw(&raw);
	tcsetattr(0, TCSADRAIN, &raw);
	printf("sum: go\r\n");
	fflush(stdout);
	while (have < want && poll(&in, 1, 20000) == 1) {
		uint8_t bytes[4096];
		ssize_t n =
			read(0, bytes, want - have < sizeof(bytes) ? want - have : sizeof(bytes));

		if (n <= 0) {
			break;
		}
		crc = crc32_add(crc, bytes, (size_t)n);
		have += (size_t)n;
	}
	tcsetattr(0, TCSADRAIN, &saved);
	printf("sum: %zu %08x\n", have, crc);
}

static void stty(const char *words)
{
	struct winsize size = { 0 };
	unsigned rows, columns;

	if (sscanf(words, "rows %u cols %u", &rows, &columns) == 2) {
		size.ws_row = (unsigned short)rows;
		size.ws_col = (unsigned short)columns;
		ioctl(0, TIOCSWINSZ, &size);
	} else {
		ioctl(0, TIOCGWINSZ, &size);
		printf("%u %u\n", size.ws_row, size.ws_col);
	}
}

static void answer(const char *path)
{
	FILE *in = fopen(path, "r"), *out = fopen(path, "w");
	struct termios raw;
	char line[1024] = "";

	if (!in || !out || tcgetattr(fileno(in), &raw) < 0) {
		printf("%s: %s\n", path, strerror(errno));
	} else {
		cfmakeraw(&raw);
		tcsetattr(fileno(in), TCSADRAIN, &raw);
		printf("answering\n");
		while (strcmp(line, "bye") != 0 && fgets(line, sizeof(line), in)) {
			line[strcspn(line, "\r\n")] = '\0';
			fprintf(out, "heard %s\n", line);
			fflush(out);
		}
		printf("answered\n");
	}
	if (in) {
		fclose(in);
	}
	if (out) {
		fclose(out);
	}
}

/* The port's registers as a PC has had them from the first on: data, status, control. The printer
 * is selected and not reset; it takes a byte with each strobe. */
static void print_byte(unsigned char c)
{
	enum { DATA = 0x378, CONTROL = 0x37a, STROBE = 1, INIT = 4, SELECT = 8 };

	outb(c, DATA);
	outb(SELECT | INIT | STROBE, CONTROL);
	outb(SELECT | INIT, CONTROL);
}

static void print(long pages)
{
	if (ioperm(0x378, 3, 1) < 0) {
		printf("print: %s\n", strerror(errno));
		return;
	}
	for (long i = 1; i <= pages; i++) {
		char text[32];

		snprintf(text, sizeof(text), "page %ld\n", i);
		for (const char *p = text; *p; p++) {
			print_byte((unsigned char)*p);
		}
	}
	printf("printed\n");
}

/* Where a page is in the machine: /proc/self/pagemap, a number for each page. */
static unsigned long physical(const void *page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (pread(fd, &entry, sizeof(entry), (uintptr_t)page / 4096 * 8) != sizeof(entry)) {
			entry = 0;
		}
		close(fd);
	}
	return (entry & ((1ull << 55) - 1)) * 4096;
}

static void remember(char *words)
{
	long n = strtol(words, &words, 10);
	char *pages = mmap(NULL, n * 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);

	if (pages == MAP_FAILED) {
		printf("remember: %s\n", strerror(errno));
		return;
	}
	for (long i = 0; i < n; i++) {
		snprintf(pages + i * 4096, 4096, "%s %ld", words + strspn(words, " "), i);
		printf("page %ld at %lx\n", i, physical(pages + i * 4096));
	}
	printf("remembered\n");
}

static void work(long ms)
{
	struct timespec begin, now;
	volatile unsigned long steps = 0;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		for (int i = 0; i < 10000; i++) {
			steps++;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < ms);
	printf("worked %lu\ndone working\n", steps);
}

static void end(int command)
{
	printf("tiny: bye\n");
	fflush(stdout);
	tcdrain(1);
	sync();
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, command, NULL);
}

static void serve(char *line)
{
	char *rest;

	line += strspn(line, " ");
	rest = strchr(line, ' ');
	rest = rest ? (*rest = '\0', rest + 1) : line + strlen(line);
	if (strcmp(line, "lines") == 0) {
		for (long i = 1, n = atol(rest); i <= n; i++) {
			printf("line %ld\n", i);
		}
	} else if (strcmp(line, "ticker") == 0) {
		ticker(atoi(rest));
	} else if (strcmp(line, "sum") == 0) {
		sum((size_t)atol(rest));
	} else if (strcmp(line, "answer") == 0) {
		answer(rest);
	} else if (strcmp(line, "print") == 0) {
		print(atol(rest));
	} else if (strcmp(line, "stty") == 0) {
		stty(rest);
	} else if (strcmp(line, "echo") == 0) {
		printf("%s\n", rest);
	} else if (strcmp(line, "cat") == 0) {
		cat(rest);
	} else if (strcmp(line, "write") == 0) {
		write_file(rest);
	} else if (strcmp(line, "remember") == 0) {
		remember(rest);
	} else if (strcmp(line, "symbol") == 0) {
		symbol(rest);
	} else if (strcmp(line, "work") == 0) {
		work(atol(rest));
	} else if (strcmp(line, "uptime") == 0) {
		cat("/proc/uptime");
	} else if (strcmp(line, "reboot") == 0) {
		end(LINUX_REBOOT_CMD_RESTART);
	} else if (strcmp(line, "poweroff") == 0) {
		end(LINUX_REBOOT_CMD_POWER_OFF);
	} else if (strcmp(line, "crash") == 0) {
		_exit(1);
	} else if (strcmp(line, "hang") == 0) {
		for (;;) {
			poll(NULL, 0, -1);
		}
	} else if (line[0]) {
		printf("%s: no such command\n", line);
	}
}

int main(void)
{
	char line[1024];

	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	load_modules();
	write_file(strcpy(line, "/proc/sys/kernel/sysrq 1"));
	setvbuf(stdout, NULL, _IOLBF, 4096);
	if (!freopen("/dev/console", "r", stdin) || !freopen("/dev/console", "w", stdout)) {
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 4096);
	printf("tiny: start\n");
	for (;;) {
		printf("tiny> ");
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin)) {
			clearerr(stdin);
			poll(NULL, 0, 100);
			continue;
		}
		line[strcspn(line, "\r\n")] = '\0';
		serve(line);
	}
}
