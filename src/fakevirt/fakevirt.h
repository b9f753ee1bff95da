/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dvm-fakevirt: a hypervisor that only pretends, for tests and for a look at dvm without one. A
 * daemon of its own, so that its "domains" outlive dvm-hostd as real ones do.
 * src/hypervisor/fake.c is its client, interfaces/PROTOCOL.fakevirt what they say.
 *
 * A target has a console that talks: firmware, boot text, "login: ", then it echoes. A D-VM is the
 * real agent, dvm-agent, as a child process, without a kernel around it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "buf.h"
#include "hypervisor.h"
#include "list.h"
#include "rpc_peer.h"

#define FAKE_DOMAINS_MAX 256
#define FAKE_RULES_MAX 64

struct fake_rule;

struct fakevirt {
	sd_event *event;
	char *folder; /* of sockets and made-up disks */
	char *agent;  /* program */
	char *ssh_exec;
	struct list domains; /* struct fake_domain */
	unsigned n_domains, next_run;
	struct list clients;
	int listen_fd;
	sd_event_source *listen_io;
	bool away, silent;
	struct list rules; /* struct fake_rule */
	unsigned n_rules;
	struct list delayed; /* calls that wait */
};

struct fake_disk {
	char dev[16], format[16], serial[DISK_SERIAL_MAX + 1];
	char *source;
	uint64_t size_bytes;
	bool readonly, cdrom;
};

/* One unix socket with at most one connection, as a chardev of the emulator: what is written while
 * nobody is there is lost. */
struct fake_port {
	struct fakevirt *f;
	char *path;
	int listen_fd, fd;
	sd_event_source *listen_io, *io;
	struct buf out;
	void (*input)(struct fake_port *p, const uint8_t *bytes, size_t len);
	void (*drained)(struct fake_port *p); /* may be NULL */
};

struct fake_display;
struct fake_gdb;
/* A port on which a test is the guest. */
#define FAKE_HEARD_MAX 65536
struct fake_line {
	struct fake_port port; /* open while it has a path */
	struct buf heard;
};

#define FAKE_DVM_PORTS_MAX 8
struct fake_dvm_port {
	char name[DVM_PORT_NAME_MAX + 1]; /* "": free */
	char place[DVM_PORT_PLACE_MAX + 1];
	struct fake_line line;
};

struct fake_domain {
	struct list link;
	struct fakevirt *f;
	char uuid[DOMAIN_UUID_LEN + 1];
	char *name;
	enum domain_state state;
	unsigned run, memory_mib, vcpus;
	struct fake_disk disks[DOMAIN_DISKS_MAX];
	size_t n_disks;

	/* a target's console */
	struct fake_port console;
	json_t *boot; /* lines */
	size_t boot_at;
	unsigned line_ms;
	sd_event_source *boot_timer;
	struct buf typed;
	struct fake_display *display; /* NULL: off */
	struct fake_gdb *gdb;	      /* NULL: never on since it was started */
	char *screen;		      /* path of what screenshots show; NULL: made up */
	bool has_port[_VM_PORT_MAX];
	struct fake_line ports[_VM_PORT_MAX];
	char *memory;	   /* path of a file; NULL: nobody has asked */
	json_int_t looked; /* at its registers, how often */

	/* a D-VM */
	char session[DVM_SESSION_MAX + 1];
	char image[65], owner[DVM_OWNER_MAX + 1];
	bool from_memory; /* started from a memory image */
	struct fake_port tunnel;
	pid_t agent_pid;
	int agent_fd, agent_far_fd; /* the port: our end and the agent's */
	bool agent_again;	    /* start it again when it ends */
	sd_event_source *agent_child, *agent_io;
	struct buf to_agent;
	struct fake_dvm_port dvm_ports[FAKE_DVM_PORTS_MAX];
};

/* port.c */
int fake_port_open(struct fake_port *p, struct fakevirt *f, const char *path);
void fake_port_close(struct fake_port *p);
bool fake_port_connected(const struct fake_port *p);
/* What does not fit any more is lost. */
void fake_port_write(struct fake_port *p, const void *bytes, size_t len);

/* domain.c */
struct fake_domain *fake_domain_find(struct fakevirt *f, const char *name);
struct fake_domain *fake_dvm_find(struct fakevirt *f, const char *session);
int fake_domain_new(struct fakevirt *f, const char *name, struct fake_domain **ret);
struct fake_domain *fake_domain_free(struct fake_domain *d);
/* Also tells the subscribers. */
void fake_domain_event(struct fake_domain *d, enum domain_event_kind kind);
json_t *fake_domain_json(const struct fake_domain *d);
int fake_domain_power(struct fake_domain *d, enum power_verb verb, struct fault *fault);
void fake_domain_off(struct fake_domain *d, enum domain_event_kind kind);
/* The file that is the domain's memory. */
int fake_memory_make(struct fake_domain *d);
int fake_disk_add(struct fake_domain *d, const json_t *params, struct fault *fault);

/* ports.c */
int fake_ports_open(struct fake_domain *d);
void fake_ports_close(struct fake_domain *d); /* a D-VM's too */
struct fake_dvm_port *fake_dvm_port_find(struct fake_domain *d, const char *name);
int fake_dvm_port_attach(struct fake_domain *d, const char *name, bool parallel,
			 struct fake_dvm_port **ret, struct fault *fault);
void fake_dvm_port_detach(struct fake_domain *d, const char *name);

/* dvm.c */
int fake_dvm_start(struct fake_domain *d, struct fault *fault);
void fake_dvm_restart_agent(struct fake_domain *d);
void fake_dvm_stop(struct fake_domain *d);

/* display.c */
int fake_display_new(struct fake_domain *d, const char *path, struct fake_display **ret);
struct fake_display *fake_display_free(struct fake_display *v);
const char *fake_display_path(const struct fake_display *v);
void fake_display_key(struct fake_display *v, const json_t *codes);
json_t *fake_display_json(const struct fake_display *v);
int fake_screen_make(const char *path);

/* gdb.c */
int fake_gdb_open(struct fake_domain *d, const char *path);
void fake_gdb_off(struct fake_gdb *g);
void fake_gdb_clean(struct fake_gdb *g); /* no breakpoints */
struct fake_gdb *fake_gdb_free(struct fake_gdb *g);
const char *fake_gdb_path(const struct fake_gdb *g);
void fake_gdb_stopped(struct fake_gdb *g, unsigned signal);
void fake_gdb_hit(struct fake_gdb *g);
json_t *fake_gdb_json(const struct fake_gdb *g);

/* methods.c, script.c */
void fake_call(struct fakevirt *f, struct rpc_request *request, const char *method, json_t *params,
	       struct rpc_peer *peer);
/* What a test ordered for the method: true when it took the request (fails it, or calls again
 * later). */
bool fake_rule_apply(struct fakevirt *f, struct rpc_request *request, const char *method,
		     json_t *params, struct rpc_peer *peer);
/* The script.* methods. Sets *ret_result or returns -EREMOTEIO; -ENOENT when it is none of them. */
int fake_script(struct fakevirt *f, const char *method, json_t *params, json_t **ret_result,
		struct fault *fault);
int fake_script_file(struct fakevirt *f, const char *path);
void fake_rules_free(struct fakevirt *f);

/* server.c */
int fake_server_open(struct fakevirt *f, const char *path);
void fake_server_close(struct fakevirt *f);
void fake_subscribe(struct fakevirt *f, struct rpc_peer *peer);
/* Ends the connections of those who subscribed. */
void fake_unsubscribe_all(struct fakevirt *f);
void fake_tell(struct fakevirt *f, json_t *event); /* takes */
