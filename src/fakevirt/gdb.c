/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gdb stub that is pretended, with the habits of the emulator's: one connection, which stops the
 * domain; any byte stops one that runs; breakpoints outlive the connection; `?` removes them. Its
 * guest is a page of memory at 0x1000, whose first byte counts how often it was let run, and two
 * threads of one register.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cleanup.h"
#include "fakevirt.h"
#include "gdb.h"
#include "parse.h"

#define PAGE_AT 0x1000
#define PAGE_BYTES 4096
#define STUB_READ_MAX 2048
#define SEEN_MAX 4096

struct fake_gdb {
	struct fake_domain *d;
	struct fake_port port;
	struct gdb_reader reader;
	json_t *seen;
	unsigned breakpoints, next_thread;
	uint8_t page[PAGE_BYTES];
};

static void say(struct fake_gdb *g, const char *body)
{
	struct buf out;

	buf_init(&out, GDB_ENCODED_MAX(GDB_PACKET_MAX));
	if (gdb_encode(&out, body, strlen(body)) == 0) {
		fake_port_write(&g->port, buf_data(&out), buf_len(&out));
	}
	buf_fini(&out);
}

static void power(struct fake_gdb *g, enum power_verb verb)
{
	struct fault fault;

	(void)fake_domain_power(g->d, verb, &fault);
}

/* Also where somebody else pauses it. */
void fake_gdb_stopped(struct fake_gdb *g, unsigned signal)
{
	char text[32];

	snprintf(text, sizeof(text), "T%02xthread:01;", signal);
	say(g, text);
}

void fake_gdb_hit(struct fake_gdb *g)
{
	if (g->d->state == DOMAIN_RUNNING) {
		power(g, POWER_PAUSE);
		fake_gdb_stopped(g, 5);
	}
}

static void say_memory(struct fake_gdb *g, const struct gdb_request *q)
{
	char text[2 * STUB_READ_MAX + 1];

	if (q->args[1] > STUB_READ_MAX || q->args[0] < PAGE_AT ||
	    q->args[0] + q->args[1] > PAGE_AT + PAGE_BYTES) {
		say(g, "E14");
		return;
	}
	hex_encode(g->page + (q->args[0] - PAGE_AT), q->args[1], text);
	say(g, text);
}

static void set_memory(struct fake_gdb *g, const struct gdb_request *q)
{
	char digits[2 * STUB_READ_MAX + 1];

	if (q->bytes_len > 2 * STUB_READ_MAX || q->args[1] != q->bytes_len / 2 ||
	    q->args[0] < PAGE_AT || q->args[0] + q->args[1] > PAGE_AT + PAGE_BYTES) {
		say(g, "E14");
		return;
	}
	memcpy(digits, q->bytes, q->bytes_len);
	digits[q->bytes_len] = '\0';
	say(g, hex_decode(digits, g->page + (q->args[0] - PAGE_AT), q->args[1]) < 0 ? "E16" : "OK");
}

static void resume(struct fake_gdb *g, const char *body)
{
	g->page[0]++;
	power(g, POWER_RESUME);
	if (strncmp(body, "vCont;s", 7) == 0) {
		fake_gdb_hit(g);
	}
}

static void asked(struct fake_gdb *g, const char *body, size_t len)
{
	struct gdb_request q;
	char text[32];

	if (json_array_size(g->seen) < SEEN_MAX) {
		json_array_append_new(g->seen, json_string(body));
	}
	gdb_request_parse(body, len, &q);
	switch (q.command) {
	case GDB_SUPPORTED:
		say(g, "PacketSize=1000;qXfer:features:read+;vContSupported+;multiprocess+");
		break;
	case GDB_FEATURES:
		say(g, "l<target><architecture>i386:x86-64</architecture></target>");
		break;
	case GDB_WHY:
		g->breakpoints = 0;
		fake_gdb_stopped(g, 5);
		break;
	case GDB_THREADS_FIRST:
		g->next_thread = 1;
		/* fall through */
	case GDB_THREADS_NEXT:
		snprintf(text, sizeof(text), g->next_thread > 2 ? "l" : "m%02x", g->next_thread);
		g->next_thread++;
		say(g, text);
		break;
	case GDB_REGISTER:
	case GDB_REGISTERS:
		say(g, "0010000000000000");
		break;
	case GDB_MEMORY:
		say_memory(g, &q);
		break;
	case GDB_MEMORY_SET:
		set_memory(g, &q);
		break;
	case GDB_BREAK:
		g->breakpoints++;
		say(g, "OK");
		break;
	case GDB_UNBREAK:
		g->breakpoints -= g->breakpoints > 0;
		say(g, "OK");
		break;
	case GDB_RESUME:
		resume(g, body);
		break;
	case GDB_UNKNOWN:
		say(g, "");
		break;
	default:
		say(g, "OK");
	}
}

static void on_input(struct fake_port *p, const uint8_t *bytes, size_t len)
{
	struct fake_gdb *g = container_of(p, struct fake_gdb, port);

	while (len > 0) {
		enum gdb_event event;
		size_t used = 1;

		if (g->d->state == DOMAIN_RUNNING) {
			power(g, POWER_PAUSE);
			fake_gdb_stopped(g, 2);
		} else if (gdb_reader_input(&g->reader, bytes, len, &used, &event) < 0) {
			return;
		} else if (event == GDB_PACKET) {
			size_t body_len;
			const char *body = gdb_reader_body(&g->reader, &body_len);

			fake_port_write(p, "+", 1);
			asked(g, body, body_len);
		}
		bytes += used;
		len -= used;
	}
}

int fake_gdb_open(struct fake_domain *d, const char *path)
{
	struct fake_gdb *g = d->gdb;

	if (!g) {
		g = calloc(1, sizeof(*g));
		if (!g) {
			return -ENOMEM;
		}
		g->d = d;
		g->seen = json_array();
		d->gdb = g;
	}
	fake_port_close(&g->port);
	gdb_reader_fini(&g->reader);
	gdb_reader_init(&g->reader, false);
	g->port.input = on_input;
	return fake_port_open(&g->port, d->f, path);
}

void fake_gdb_off(struct fake_gdb *g)
{
	fake_port_close(&g->port);
}

void fake_gdb_clean(struct fake_gdb *g)
{
	g->breakpoints = 0;
}

struct fake_gdb *fake_gdb_free(struct fake_gdb *g)
{
	if (g) {
		fake_port_close(&g->port);
		gdb_reader_fini(&g->reader);
		json_decref(g->seen);
		free(g);
	}
	return NULL;
}

const char *fake_gdb_path(const struct fake_gdb *g)
{
	return g->port.path;
}

json_t *fake_gdb_json(const struct fake_gdb *g)
{
	return json_pack("{sbsbsisO}", "on", g->port.path != NULL, "connected",
			 fake_port_connected(&g->port), "breakpoints", (int)g->breakpoints, "seen",
			 g->seen);
}
