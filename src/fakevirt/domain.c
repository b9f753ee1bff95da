/* SPDX-License-Identifier: Apache-2.0 */
/* Domains: their state, and a console that talks like a machine that boots. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "fakevirt.h"
#include "parse.h"

#define TYPED_MAX 65536
#define LINE_MS_DEFAULT 2
#define LOGIN "login: "

static const char *const boot_default[] = {
	"Firmware 1.0, press F12 for menu",
	"Booting from hard disk...",
	"[    0.000000] Linux version 6.1.0 (pretended)",
	"[    0.100000] Command line: console=ttyS0",
	"[    1.000000] systemd[1]: Reached target Multi-User System.",
	"",
	"Debian GNU/Linux 12 target ttyS0",
	"",
};

static const enum domain_state event_states[] = {
	[DOMAIN_EVENT_STARTED] = DOMAIN_RUNNING,   [DOMAIN_EVENT_STOPPED] = DOMAIN_OFF,
	[DOMAIN_EVENT_PAUSED] = DOMAIN_PAUSED,	   [DOMAIN_EVENT_RESUMED] = DOMAIN_RUNNING,
	[DOMAIN_EVENT_CRASHED] = DOMAIN_CRASHED,   [DOMAIN_EVENT_DEFINED] = DOMAIN_UNKNOWN,
	[DOMAIN_EVENT_UNDEFINED] = DOMAIN_UNKNOWN, [DOMAIN_EVENT_UNPLUGGED] = DOMAIN_UNKNOWN,
};
static_assert(ARRAY_SIZE(event_states) == _DOMAIN_EVENT_MAX, "a state for each event");

struct fake_domain *fake_domain_find(struct fakevirt *f, const char *name)
{
	struct fake_domain *d;

	list_for_each (d, &f->domains, link) {
		if (strcmp(d->uuid, name) == 0 || strcmp(d->name, name) == 0) {
			return d;
		}
	}
	return NULL;
}

struct fake_domain *fake_dvm_find(struct fakevirt *f, const char *session)
{
	struct fake_domain *d;

	list_for_each (d, &f->domains, link) {
		if (d->session[0] && strcmp(d->session, session) == 0) {
			return d;
		}
	}
	return NULL;
}

static void uuid_make(char uuid[DOMAIN_UUID_LEN + 1])
{
	uint8_t b[16];

	random_bytes(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(uuid, DOMAIN_UUID_LEN + 1,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
}

int fake_domain_new(struct fakevirt *f, const char *name, struct fake_domain **ret)
{
	struct fake_domain *d;

	if (f->n_domains == FAKE_DOMAINS_MAX) {
		return -ENOSPC;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		return -ENOMEM;
	}
	*d = (struct fake_domain){
		.f = f,
		.name = strdup(name),
		.state = DOMAIN_OFF,
		.memory_mib = 256,
		.vcpus = 1,
		.line_ms = LINE_MS_DEFAULT,
		.agent_fd = -1,
		.agent_far_fd = -1,
	};
	if (!d->name) {
		free(d);
		return -ENOMEM;
	}
	uuid_make(d->uuid);
	buf_init(&d->typed, TYPED_MAX);
	list_add_tail(&f->domains, &d->link);
	f->n_domains++;
	*ret = d;
	return 0;
}

int fake_memory_make(struct fake_domain *d)
{
	_cleanup_close_ int fd = -1;

	if (!d->memory) {
		d->memory = strf("%s/%s.memory", d->f->folder, d->uuid);
	}
	fd = d->memory ? open(d->memory, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	return fd < 0 || ftruncate(fd, (off_t)d->memory_mib << 20) < 0 ? -errno : 0;
}

/* As of a process that has ended: nothing is there, for those who have it open too. */
static void memory_gone(struct fake_domain *d)
{
	if (d->memory && truncate(d->memory, 0) == 0 && unlink(d->memory) == 0) {
		free(d->memory);
		d->memory = NULL;
	}
}

struct fake_domain *fake_domain_free(struct fake_domain *d)
{
	if (!d) {
		return NULL;
	}
	fake_dvm_stop(d);
	fake_port_close(&d->console);
	fake_display_free(d->display);
	fake_gdb_free(d->gdb);
	free(d->screen);
	memory_gone(d);
	free(d->memory);
	fake_ports_close(d);
	sd_event_source_disable_unref(d->boot_timer);
	for (size_t i = 0; i < d->n_disks; i++) {
		free(d->disks[i].source);
	}
	buf_fini(&d->typed);
	json_decref(d->boot);
	list_del(&d->link);
	d->f->n_domains--;
	free(d->name);
	free(d);
	return NULL;
}

void fake_domain_event(struct fake_domain *d, enum domain_event_kind kind)
{
	fake_tell(d->f, json_pack("{ssssssss}", "uuid", d->uuid, "session", d->session, "event",
				  domain_event_name(kind), "state",
				  domain_state_name(event_states[kind])));
}

json_t *fake_domain_json(const struct fake_domain *d)
{
	json_t *disks = json_array();

	for (size_t i = 0; i < d->n_disks; i++) {
		const struct fake_disk *disk = &d->disks[i];

		json_array_append_new(
			disks, json_pack("{sssssssssIsbsb}", "dev", disk->dev, "format",
					 disk->format, "source", disk->source, "serial",
					 disk->serial, "size_bytes", (json_int_t)disk->size_bytes,
					 "readonly", disk->readonly, "cdrom", disk->cdrom));
	}
	return json_pack("{sssssssssssssbsisisiso}", "uuid", d->uuid, "name", d->name, "state",
			 domain_state_name(d->state), "session", d->session, "image", d->image,
			 "owner", d->owner, "from_memory", d->from_memory, "run",
			 (int)(d->state == DOMAIN_OFF ? 0 : d->run), "memory_mib",
			 (int)d->memory_mib, "vcpus", (int)d->vcpus, "disks", disks);
}

/* --- console
 * --------------------------------------------------------------------------------------------- */

static void say(struct fake_domain *d, const char *text)
{
	fake_port_write(&d->console, text, strlen(text));
}

static const char *boot_line(const struct fake_domain *d, size_t i)
{
	if (d->boot) {
		return json_string_value(json_array_get(d->boot, i));
	}
	return i < ARRAY_SIZE(boot_default) ? boot_default[i] : NULL;
}

static int on_boot(sd_event_source *source, uint64_t now, void *user)
{
	struct fake_domain *d = user;
	const char *line = boot_line(d, d->boot_at);

	if (d->state != DOMAIN_RUNNING) {
		return 0; /* resume goes on */
	}
	if (!line) {
		say(d, LOGIN);
		d->boot_at = SIZE_MAX;
		return 0;
	}
	say(d, line);
	say(d, "\r\n");
	d->boot_at++;
	sd_event_source_set_time_relative(source, d->line_ms * USEC_PER_MSEC);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

static void boot_go_on(struct fake_domain *d)
{
	d->boot_timer = sd_event_source_disable_unref(d->boot_timer);
	if (!d->session[0] && d->boot_at != SIZE_MAX) {
		sd_event_add_time_relative(d->f->event, &d->boot_timer, CLOCK_MONOTONIC, 0, 1,
					   on_boot, d);
	}
}

static void boot_again(struct fake_domain *d)
{
	d->boot_at = 0;
	boot_go_on(d);
}

static void on_typed(struct fake_port *p, const uint8_t *bytes, size_t len)
{
	struct fake_domain *d = container_of(p, struct fake_domain, console);

	if (buf_append(&d->typed, bytes, len) < 0) {
		buf_clear(&d->typed);
	}
	if (d->state == DOMAIN_RUNNING) {
		fake_port_write(p, bytes, len);
	}
	for (size_t i = 0; i < len && d->state == DOMAIN_RUNNING; i++) {
		if (bytes[i] == '\r' || bytes[i] == '\n') {
			say(d, "\r\n" LOGIN);
		}
	}
}

/* --- power
 * -----------------------------------------------------------------------------------------------
 */

/* A disk that another running domain has open is locked, as by the emulator. */
static bool disk_in_use(const struct fake_domain *d)
{
	struct fake_domain *other;

	list_for_each (other, &d->f->domains, link) {
		for (size_t i = 0; other != d && other->state != DOMAIN_OFF && i < other->n_disks;
		     i++) {
			for (size_t j = 0; j < d->n_disks; j++) {
				if (strcmp(other->disks[i].source, d->disks[j].source) == 0) {
					return true;
				}
			}
		}
	}
	return false;
}

static int start_held(struct fake_domain *d, struct fault *fault)
{
	_cleanup_free_ char *path = NULL, *display = NULL;

	if (disk_in_use(d)) {
		return fault_set(fault, FAULT_VM_FENCED, "A disk of the VM is in use elsewhere");
	}
	d->run = ++d->f->next_run;
	path = strf("%s/console-%u.sock", d->f->folder, d->run);
	if (!path || fake_port_open(&d->console, d->f, path) < 0 || fake_ports_open(d) < 0) {
		return fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The VM's console could not be made");
	}
	display = strf("%s/display-%u.sock", d->f->folder, d->run);
	if (!display || fake_display_new(d, display, &d->display) < 0) {
		fake_port_close(&d->console);
		return fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The VM's display could not be made");
	}
	d->console.input = on_typed;
	buf_clear(&d->typed);
	d->boot_at = 0;
	d->state = DOMAIN_PAUSED;
	fake_domain_event(d, DOMAIN_EVENT_STARTED);
	fake_domain_event(d, DOMAIN_EVENT_PAUSED);
	return 0;
}

void fake_domain_off(struct fake_domain *d, enum domain_event_kind kind)
{
	d->state = DOMAIN_OFF;
	d->display = fake_display_free(d->display);
	d->gdb = fake_gdb_free(d->gdb);
	d->boot_timer = sd_event_source_disable_unref(d->boot_timer);
	fake_port_close(&d->console);
	fake_ports_close(d);
	memory_gone(d);
	fake_dvm_stop(d);
	fake_domain_event(d, kind);
	if (d->session[0]) {
		fake_domain_free(d); /* transient */
	}
}

int fake_domain_power(struct fake_domain *d, enum power_verb verb, struct fault *fault)
{
	if (d->state == DOMAIN_OFF && verb != POWER_ON && verb != POWER_OFF &&
	    verb != POWER_SHUTDOWN) {
		return fault_set(fault, FAULT_VM_NOT_RUNNING, "The VM is off");
	}
	switch (verb) {
	case POWER_ON:
		return d->state == DOMAIN_OFF ? start_held(d, fault) : 0;
	case POWER_SHUTDOWN:
	case POWER_OFF:
		if (d->state != DOMAIN_OFF) {
			if (verb == POWER_SHUTDOWN) {
				say(d, "\r\nreboot: Power down\r\n");
			}
			fake_domain_off(d, DOMAIN_EVENT_STOPPED);
		}
		return 0;
	case POWER_REBOOT:
	case POWER_RESET:
		boot_again(d);
		return 0;
	case POWER_PAUSE:
		if (d->state == DOMAIN_RUNNING) {
			d->state = DOMAIN_PAUSED;
			fake_domain_event(d, DOMAIN_EVENT_PAUSED);
		}
		return 0;
	case POWER_RESUME:
		if (d->state == DOMAIN_PAUSED) {
			d->state = DOMAIN_RUNNING;
			fake_domain_event(d, DOMAIN_EVENT_RESUMED);
			boot_go_on(d);
		}
		return 0;
	case POWER_NMI:
		say(d, "\r\nUhhuh. NMI received for unknown reason 30 on CPU 0.\r\n");
		return 0;
	case _POWER_VERB_MAX:
		break;
	}
	return 0;
}

/* --- disks
 * -----------------------------------------------------------------------------------------------
 */

static void copy_text(char *field, size_t size, const json_t *params, const char *key,
		      const char *otherwise)
{
	const char *value = json_string_value(json_object_get(params, key));

	snprintf(field, size, "%s", value ? value : otherwise);
}

static int file_make(const char *path, uint64_t size_bytes)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 || ftruncate(fd, (off_t)size_bytes) < 0 ? -errno : 0;
}

int fake_disk_add(struct fake_domain *d, const json_t *params, struct fault *fault)
{
	const char *source = json_string_value(json_object_get(params, "source"));
	json_int_t size = json_integer_value(json_object_get(params, "size_bytes"));
	struct fake_disk *disk = &d->disks[d->n_disks];

	if (d->n_disks == DOMAIN_DISKS_MAX) {
		return fault_set(fault, FAULT_NO_CAPACITY, "The VM has no place for another disk");
	}
	*disk = (struct fake_disk){
		.size_bytes = size > 0 ? (uint64_t)size : 1 << 20,
		.readonly = json_is_true(json_object_get(params, "readonly")),
		.cdrom = json_is_true(json_object_get(params, "cdrom")),
	};
	copy_text(disk->dev, sizeof(disk->dev), params, "dev", "vda");
	copy_text(disk->format, sizeof(disk->format), params, "format", "raw");
	copy_text(disk->serial, sizeof(disk->serial), params, "serial", "");
	disk->source =
		source ? strdup(source) : strf("%s/%s-%s.img", d->f->folder, d->uuid, disk->dev);
	if (!disk->source || (!source && file_make(disk->source, disk->size_bytes) < 0)) {
		free(disk->source);
		return fault_set(fault, FAULT_HYPERVISOR_FAILED, "The disk could not be made");
	}
	d->n_disks++;
	return 0;
}
