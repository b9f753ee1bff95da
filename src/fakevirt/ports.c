/* SPDX-License-Identifier: Apache-2.0 */
/* The ports of a target beside its console, and the devices of a D-VM that ports arrive as: sockets
 * on which a test says and hears what a guest would. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "fakevirt.h"
#include "parse.h"

static void on_input(struct fake_port *p, const uint8_t *bytes, size_t len)
{
	struct fake_line *line = container_of(p, struct fake_line, port);

	if (buf_append(&line->heard, bytes, len) < 0) {
		buf_clear(&line->heard);
	}
}

static int line_open(struct fake_line *line, struct fakevirt *f, const char *path)
{
	buf_init(&line->heard, FAKE_HEARD_MAX);
	line->port.input = on_input;
	return fake_port_open(&line->port, f, path);
}

static void line_close(struct fake_line *line)
{
	if (line->port.path) {
		fake_port_close(&line->port);
		buf_fini(&line->heard);
	}
}

int fake_ports_open(struct fake_domain *d)
{
	int r = 0;

	for (unsigned i = 0; i < _VM_PORT_MAX && r == 0; i++) {
		_cleanup_free_ char *path =
			strf("%s/%s-%u.sock", d->f->folder, vm_port_name(i), d->run);

		if (d->has_port[i]) {
			r = path ? line_open(&d->ports[i], d->f, path) : -ENOMEM;
		}
	}
	return r;
}

void fake_ports_close(struct fake_domain *d)
{
	for (unsigned i = 0; i < _VM_PORT_MAX; i++) {
		line_close(&d->ports[i]);
	}
	for (unsigned i = 0; i < FAKE_DVM_PORTS_MAX; i++) {
		line_close(&d->dvm_ports[i].line);
		d->dvm_ports[i].name[0] = 0;
	}
}

struct fake_dvm_port *fake_dvm_port_find(struct fake_domain *d, const char *name)
{
	for (unsigned i = 0; i < FAKE_DVM_PORTS_MAX; i++) {
		if (strcmp(d->dvm_ports[i].name, name) == 0) {
			return &d->dvm_ports[i];
		}
	}
	return NULL;
}

int fake_dvm_port_attach(struct fake_domain *d, const char *name, bool parallel,
			 struct fake_dvm_port **ret, struct fault *fault)
{
	_cleanup_free_ char *path = strf("%s/port-%s-%s.sock", d->f->folder, d->session, name);
	struct fake_dvm_port *p = name[0] ? fake_dvm_port_find(d, name) : NULL;

	if (!p) {
		p = fake_dvm_port_find(d, "");
		if (!name[0] || strlen(name) > DVM_PORT_NAME_MAX || !p || !path ||
		    line_open(&p->line, d->f, path) < 0) {
			return fault_set(fault, FAULT_HYPERVISOR_FAILED,
					 "The hypervisor could not attach the port");
		}
		strcpy(p->name, name);
		if (parallel) {
			snprintf(p->place, sizeof(p->place), "virtio org.dvm.port.%s", name);
		} else {
			snprintf(p->place, sizeof(p->place), "pci 0000:00:%02x.0",
				 (unsigned)(p - d->dvm_ports) + 8);
		}
	}
	*ret = p;
	return 0;
}

void fake_dvm_port_detach(struct fake_domain *d, const char *name)
{
	struct fake_dvm_port *p = name[0] ? fake_dvm_port_find(d, name) : NULL;

	if (p) {
		line_close(&p->line);
		p->name[0] = 0;
	}
}
