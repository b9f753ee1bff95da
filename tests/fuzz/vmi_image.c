/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs all that reads a kernel's memory on a real image, of which what is read is damaged on the
 * way: vmi_image CORE SEED ROUNDS. Linked with --wrap=core_read, so that only bytes that somebody
 * looks at are changed. It must come to its end: with sanitizers, and no answer may go on for ever.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "files.h"
#include "interrupts.h"
#include "kernel.h"
#include "locks.h"
#include "memory_use.h"
#include "mounts.h"
#include "net.h"
#include "object.h"
#include "printk.h"
#include "system.h"

int __real_core_read(struct core *c, uint64_t physical, void *p, size_t len);
int __wrap_core_read(struct core *c, uint64_t physical, void *p, size_t len);

static uint64_t random_state;
static unsigned one_in; /* of so many reads one is damaged; 0: none */
static uint64_t seen[64];
static unsigned long items;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

int __wrap_core_read(struct core *c, uint64_t physical, void *p, size_t len)
{
	int r = __real_core_read(c, physical, p, len);
	uint64_t value;
	size_t at, n;

	if (r < 0 || len == 0 || one_in == 0) {
		return r;
	}
	if (len >= 8) {
		memcpy(&seen[next_random() % 64], p, 8);
	}
	if (next_random() % one_in != 0) {
		return r;
	}
	switch (next_random() % 6) {
	case 0:
		value = 0;
		break;
	case 1:
		value = UINT64_MAX;
		break;
	case 2:
		value = next_random();
		break;
	case 3:
		return -14; /* EFAULT: as if the page were not there */
	case 4:
		value = next_random() % 4096;
		break;
	default: /* a pointer to something else makes circles */
		value = seen[next_random() % 64];
		break;
	}
	at = (next_random() % len) & ~(size_t)7;
	n = len - at < 8 ? len - at : 8;
	memcpy((uint8_t *)p + at, &value, n);
	return r;
}

static int read_kernel(void *user, uint64_t address, void *p, size_t len)
{
	return kernel_read(user, address, p, len);
}

static void each_record(const struct printk_record *record, void *user)
{
	items += strlen(record->text) > 0;
}

static bool each_file(struct kernel *k, unsigned fd, uint64_t file, void *user)
{
	char path[PATH_TEXT_MAX];
	uint64_t socket = path_socket(k, file);

	path_of_file(k, file, path);
	if (socket) {
		struct socket_info i;

		socket_read(k, socket, &i);
	}
	return ++*(unsigned *)user < 4096;
}

/* Bounded here as the verbs' tables are by memory. */
static void each_area(const struct area *a, void *user)
{
	items += a->end > a->start;
}

static void each_mount(const struct mount_info *m, void *user)
{
	items++;
}

static void each_interface(const struct interface_info *i, void *user)
{
	items++;
}

static void each_route(const struct route_info *r, void *user)
{
	items++;
}

static void each_slab(const struct slab *s, void *user)
{
	items++;
}

static void each_interrupt(const struct interrupt *i, void *user)
{
	items++;
}

static void each_timer(const struct timer *t, void *user)
{
	items++;
}

static void each_finding(const struct finding *f, void *user)
{
	items++;
}

static void tasks(struct kernel *k, struct stacks *s)
{
	struct tasks all;

	if (tasks_load(k, true, &all) < 0) {
		return;
	}
	for (size_t i = 0; i < all.n && i < 2000; i++) {
		struct process_memory memory;
		unsigned files = 0;
		struct unwind u;
		char text[256];

		stacks_of(s, &all.list[i], UNWIND_FRAMES_MAX, &u);
		for (size_t f = 0; f < u.n; f++) {
			char name[SYMBOL_TEXT_MAX];

			symbols_text(s->symbols, u.frames[f].ip, name);
		}
		task_command(k, &all.list[i], text, sizeof(text));
		task_process_run_ns(k, &all.list[i]);
		process_memory_read(k, &all.list[i], &memory);
		files_each(k, &all.list[i], each_file, &files);
		areas_each(k, &all.list[i], each_area, NULL);
	}
	if (all.n > 0) {
		mounts_each(k, all.list[0].address, each_mount, NULL);
	}
	items += all.n;
	tasks_fini(&all);
}

static void look_at_all(struct kernel *k)
{
	const struct printk_memory memory = { read_kernel, k };
	struct printk_result result;
	struct memory_use use;
	struct system system;
	struct fault fault;
	struct stacks s;
	uint64_t net;

	if (printk_each(kernel_vmcoreinfo(k), &memory, 0, each_record, NULL, &result) < 0) {
		kernel_mark(k, "no log");
	}
	if (kernel_need_types(k, &fault) < 0 || stacks_open(k, &s, &fault) < 0) {
		return;
	}
	system_read(k, &system);
	tasks(k, &s);
	memory_use_read(k, &use);
	slabs_each(k, each_slab, NULL);
	net = kernel_symbol_or_zero(k, "init_net");
	interfaces_each(k, net, each_interface, NULL);
	routes_each(k, net, each_route, NULL);
	if (interrupts_each(k, each_interrupt, NULL) < 0) {
		kernel_mark(k, "no interrupts");
	}
	timers_each(k, each_timer, NULL);
	if (doctor_run(k, &s, each_finding, NULL) < 0) {
		kernel_mark(k, "no doctor");
	}
	stacks_close(&s);
}

int main(int argc, char **argv)
{
	static const unsigned rates[] = { 3, 30, 300, 3000, 30000 };
	unsigned long rounds = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	unsigned opened = 0, marked = 0;

	if (rounds == 0) {
		fprintf(stderr, "usage: vmi_image CORE SEED ROUNDS\n");
		return 2;
	}
	for (unsigned long i = 0; i < rounds; i++) {
		struct fault fault = { 0 };
		struct kernel *k;

		random_state = (strtoull(argv[2], NULL, 10) + i) * 0x9e3779b97f4a7c15u + 1;
		/* every other round opens well, so that what comes behind is reached too */
		one_in = i % 2 ? rates[i / 2 % 5] : 0;
		if (kernel_open(argv[1], &k, &fault) < 0) {
			continue;
		}
		opened++;
		if (one_in == 0 && kernel_need_types(k, &fault) < 0) {
			fprintf(stderr, "%s\n", fault.message);
			return 1;
		}
		one_in = i == 0 ? 0 : rates[i / 2 % 5];
		look_at_all(k);
		if (i == 0 && kernel_marks(k) > 0) {
			fprintf(stderr, "undamaged, but: %s\n", kernel_first_mark(k));
			return 1;
		}
		marked += kernel_marks(k) > 0;
		kernel_free(k);
	}
	printf("%lu rounds, %u opened, %u marked as partial, %lu things seen\n", rounds, opened,
	       marked, items);
	return 0;
}
