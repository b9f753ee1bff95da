/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between dvm-hostd and the hypervisor: what a driver (libvirt, fake) must do.
 *
 * Every call may block and is made in a worker thread, any number at once; a driver does its own
 * locking. A call that needs the hypervisor while it is away fails with FAULT_HYPERVISOR_AWAY and
 * may be repeated. Every verb converges: asking for what is already so succeeds. Functions return 0
 * or -EREMOTEIO with `fault` filled.
 *
 * Domains are named by UUID or by the hypervisor's own name; D-VMs by their session, or by what
 * stands for one before they have it (dvm_adopt).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "cpu_state.h"
#include "fault.h"

#define DOMAIN_UUID_LEN 36
#define DOMAIN_DISKS_MAX 64
#define DOMAIN_CONSOLES_MAX 8
#define DVM_SESSION_MAX 64
#define DVM_OWNER_MAX 32
#define DVM_LAYERS_MAX 16
#define SCREENSHOT_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define CHORD_KEYS_MAX 16
/* virtio-blk carries 20 bytes */
#define DISK_SERIAL_MAX 20

enum domain_state {
	DOMAIN_UNKNOWN,
	DOMAIN_RUNNING,
	DOMAIN_PAUSED,
	DOMAIN_OFF,
	DOMAIN_CRASHED,
	_DOMAIN_STATE_MAX,
};

/* As in PROTOCOL.host. ON starts the domain but holds it before its first instruction (RESUME lets
 * it run), so that its console can be listened to from the first byte. */
enum power_verb {
	POWER_ON,
	POWER_OFF,
	POWER_SHUTDOWN,
	POWER_REBOOT,
	POWER_RESET,
	POWER_PAUSE,
	POWER_RESUME,
	POWER_NMI,
	_POWER_VERB_MAX,
};

const char *domain_state_name(enum domain_state state);
enum domain_state domain_state_parse(const char *name); /* DOMAIN_UNKNOWN for others */
const char *power_verb_name(enum power_verb verb);
int power_verb_parse(const char *name, enum power_verb *ret) _must_check_;

/* One line of a list. */
struct domain_brief {
	char uuid[DOMAIN_UUID_LEN + 1];
	char *name;
	enum domain_state state;
	char session[DVM_SESSION_MAX + 1]; /* "" unless it is a D-VM of ours */
	char owner[DVM_OWNER_MAX + 1];	   /* of a D-VM: whose, see struct dvm_spec */
};

struct domain_list {
	struct domain_brief *domains;
	size_t n_domains;
};
void domain_list_fini(struct domain_list *list);

enum disk_backend {
	DISK_BACKEND_OTHER,
	DISK_BACKEND_FILE,
	DISK_BACKEND_BLOCK,
	DISK_BACKEND_NBD, /* `source`: a unix socket */
};

struct domain_disk {
	char dev[16];	 /* target's own name, "vda" */
	char format[16]; /* "raw", "qcow2", … */
	char serial[DISK_SERIAL_MAX + 1];
	char *source; /* path of a file or block device; NULL for an empty drive or another backend
		       */
	enum disk_backend backend;
	bool cdrom, readonly;
	uint64_t size_bytes; /* as the guest sees it; 0 if not known */
};

struct domain_console {
	char type[16]; /* "pty", "unix", "tcp", "file", … */
	bool usable;
};

struct domain_info {
	char uuid[DOMAIN_UUID_LEN + 1];
	char *name;
	enum domain_state state;
	unsigned run; /* differs between two starts of the domain; 0 when off or not yet started */
	uint64_t memory_mib;
	unsigned vcpus;
	struct domain_disk disks[DOMAIN_DISKS_MAX];
	size_t n_disks;
	struct domain_console consoles[DOMAIN_CONSOLES_MAX];
	size_t n_consoles;
	char graphics[4][16];
	size_t n_graphics;
};
void domain_info_fini(struct domain_info *info);

/* A console. STREAM is open, read and (if `writable`) written; FILE is a log that grows, named
 * only: its writer may be putting another in its place. */
enum console_kind { CONSOLE_STREAM, CONSOLE_FILE };

struct console {
	int fd;		/* of a STREAM; -1 */
	char *path;	/* of a FILE; NULL */
	int history_fd; /* a file of what it said before, as far as somebody kept it; -1 */
	enum console_kind kind;
	bool writable;
	unsigned run; /* see struct domain_info */
};
void console_fini(struct console *console);

struct dvm_layer {
	const char *name; /* serial of the disk: "root", "stack-NAME" */
	const char *path; /* raw image, shared by all D-VMs, read-only */
};

struct dvm_spec {
	const char *session; /* domain name: dvm-SESSION */
	const char *image;   /* id, kept in the domain's metadata */
	const char *owner;   /* which of several dvm on this hypervisor made it */
	unsigned memory_mib, vcpus;
	const char *kernel, *initrd, *cmdline;
	const char *firmware;			 /* NULL: the hypervisor's own */
	struct dvm_layer layers[DVM_LAYERS_MAX]; /* the root first */
	size_t n_layers;
	const char *memory; /* a memory image of the same shape, which is used up; NULL: it boots */
	bool paused;	    /* with `memory`: it executes nothing before dvm_resume() */
	const char *log_path; /* serial console, for the operator */
	uid_t uid;	      /* user of the emulator; 0: the hypervisor's choice */
	gid_t gid;
};

struct dvm_adoption {
	const char *member;		     /* what the D-VM was made as */
	const char *session, *image, *owner; /* as of struct dvm_spec */
};

struct dvm_disk {
	const char *session;
	const char *serial; /* "t0-vda" */
	const char *source, *format;
	enum disk_backend backend;
	bool readonly;
};

#define DOMAIN_RANGES_MAX 64

/* RAM of a domain: where the guest has it, and where in the fd it is. Whole pages. */
struct domain_range {
	uint64_t address, length, place;
};

/* The memory of a running domain, as it is now. */
struct domain_memory {
	int fd; /* to be read only; the caller's to close */
	unsigned run, vcpus;
	struct domain_range ranges[DOMAIN_RANGES_MAX]; /* by address */
	size_t n_ranges;
};

/* A port of a VM, by its kind and its place among those of its kind. */
enum vm_port {
	VM_PORT_SERIAL0, /* the console, as a rule */
	VM_PORT_SERIAL1,
	VM_PORT_SERIAL2,
	VM_PORT_SERIAL3,
	VM_PORT_PARALLEL0,
	_VM_PORT_MAX,
};
const char *vm_port_name(enum vm_port port);   /* "serial1", "parallel0" */
const char *vm_port_device(enum vm_port port); /* as a guest calls it: "ttyS1", "lp0" */
bool vm_port_is_parallel(enum vm_port port);
int vm_port_parse(const char *name, enum vm_port *ret) _must_check_;

#define DVM_PORT_NAME_MAX 24
#define DVM_PORT_PLACE_MAX 40

/* A device of a D-VM that a port of a target appears as. */
struct dvm_port {
	const char *session;
	const char *name; /* "t0-serial1" */
	bool parallel;	  /* a virtio-serial port, else a UART */
};

enum domain_event_kind {
	DOMAIN_EVENT_STARTED,
	DOMAIN_EVENT_STOPPED,
	DOMAIN_EVENT_PAUSED,
	DOMAIN_EVENT_RESUMED,
	DOMAIN_EVENT_CRASHED,
	DOMAIN_EVENT_DEFINED,
	DOMAIN_EVENT_UNDEFINED,
	DOMAIN_EVENT_UNPLUGGED, /* a device, which may have been memory */
	_DOMAIN_EVENT_MAX,
};
const char *domain_event_name(enum domain_event_kind kind);

struct domain_event {
	char uuid[DOMAIN_UUID_LEN + 1];
	char session[DVM_SESSION_MAX + 1]; /* "" unless named like a D-VM */
	enum domain_event_kind kind;
	enum domain_state state;
};

/* Called from threads of the driver; must not block and must not call the driver. */
struct hypervisor_events {
	/* First contact, loss, contact again. Events between loss and contact are gone: list again.
	 */
	void (*contact)(bool up, void *user);
	void (*domain)(const struct domain_event *event, void *user);
	/* What the hypervisor said about a failure; for the operator's log only, may name anything.
	 */
	void (*trouble)(const char *text, void *user);
};

struct hypervisor; /* begins with a pointer to its ops */

struct hypervisor_ops {
	/* Starts looking for the hypervisor and returns at once; contact() tells. */
	int (*open)(const char *uri, const struct hypervisor_events *events, void *user,
		    struct hypervisor **ret, struct fault *fault);
	struct hypervisor *(*free)(struct hypervisor *hv);
	bool (*alive)(struct hypervisor *hv);

	int (*list)(struct hypervisor *hv, struct domain_list *ret, struct fault *fault);
	int (*get)(struct hypervisor *hv, const char *domain, struct domain_info *ret,
		   struct fault *fault);
	int (*power)(struct hypervisor *hv, const char *domain, enum power_verb verb,
		     enum domain_state *ret_state, struct fault *fault);
	/* FAULT_VM_NOT_RUNNING, FAULT_CONSOLE_UNSUPPORTED. A console may be opened again and again.
	 * Free with console_fini(). */
	int (*console_open)(struct hypervisor *hv, const char *domain, struct console *ret,
			    struct fault *fault);

	/* A serial break on that console, as if its line were pulled down for a moment.
	 * FAULT_VM_NOT_RUNNING, FAULT_NOT_SUPPORTED. Not repeatable. */
	int (*console_break)(struct hypervisor *hv, const char *domain, struct fault *fault);
	/* A connection of its own to the domain's VNC display, past its password, if any.
	 * FAULT_VM_NOT_RUNNING, FAULT_DISPLAY_UNSUPPORTED. */
	int (*display_open)(struct hypervisor *hv, const char *domain, int *ret_fd,
			    struct fault *fault);
	/* The screen as a PNG of at most SCREENSHOT_BYTES_MAX, the caller's to free. Faults as
	 * above. */
	int (*screenshot)(struct hypervisor *hv, const char *domain, uint8_t **ret, size_t *ret_len,
			  struct fault *fault);
	/* Presses 1 to CHORD_KEYS_MAX keys (codes of Linux' input-event-codes.h), in this order,
	 * and lets them go after `hold_ms`; may return before. */
	int (*keys_press)(struct hypervisor *hv, const char *domain, const unsigned *codes,
			  size_t n, unsigned hold_ms, struct fault *fault);

	/* As console_open, for any port. FAULT_CONSOLE_UNSUPPORTED also where there is no such
	 * port. */
	int (*port_open)(struct hypervisor *hv, const char *domain, enum vm_port port,
			 struct console *ret, struct fault *fault);

	/* FAULT_VM_NOT_RUNNING, FAULT_NOT_SUPPORTED. The domain runs on meanwhile. */
	int (*memory_open)(struct hypervisor *hv, const char *domain, struct domain_memory *ret,
			   struct fault *fault);
	/* Of each vCPU, not stopping it; `ret` has room for CPUS_MAX. Faults as above. */
	int (*registers)(struct hypervisor *hv, const char *domain, struct cpu_state *ret,
			 size_t *ret_n, struct fault *fault);
	/* Switches the domain's gdb stub on, in place of one that there may be, and connects to it,
	 * which stops a running domain; its watchdog does nothing from then on.
	 * FAULT_VM_NOT_STOPPED: it runs, and `may_stop` is false; FAULT_VM_NOT_RUNNING,
	 * FAULT_NOT_SUPPORTED. */
	int (*gdb_open)(struct hypervisor *hv, const char *domain, bool may_stop, int *ret_fd,
			struct fault *fault);
	/* Off again, with its watchdog as before. `left`: whoever had the connection may have left
	 * breakpoints, which are removed, and for that the domain is stopped. `resume`: it is to
	 * run then. Fine when there is no stub, or the domain is off. */
	int (*gdb_close)(struct hypervisor *hv, const char *domain, bool left, bool resume,
			 struct fault *fault);

	/* What two D-VMs have in common when one can start from a memory image of the other; free
	 * with free(). */
	int (*dvm_shape)(struct hypervisor *hv, const struct dvm_spec *spec, char **ret,
			 struct fault *fault);
	/* Fine when it exists already. */
	int (*dvm_create)(struct hypervisor *hv, const struct dvm_spec *spec, struct fault *fault);
	/* Whether its agent has come up and waits for the host. */
	int (*dvm_settled)(struct hypervisor *hv, const char *session, bool *ret,
			   struct fault *fault);
	/* Writes what it holds in memory to a new file, a memory image; the D-VM is gone then.
	 * FAULT_DISK_FULL is told as FAULT_HYPERVISOR_FAILED. */
	int (*dvm_save)(struct hypervisor *hv, const char *session, const char *path,
			struct fault *fault);
	int (*dvm_pause)(struct hypervisor *hv, const char *session, struct fault *fault);
	/* Gives a D-VM that belongs to no session to one: it is that session's from then on and
	 * found under its name only, also by a dvm-hostd started later. FAULT_DVM_LOST. */
	int (*dvm_adopt)(struct hypervisor *hv, const struct dvm_adoption *adoption,
			 struct fault *fault);
	/* Fine when there is none. */
	int (*dvm_destroy)(struct hypervisor *hv, const char *session, struct fault *fault);
	/* FAULT_DVM_LOST when there is none. A started D-VM runs; one found paused is resumed. */
	int (*dvm_get)(struct hypervisor *hv, const char *session, struct domain_info *ret,
		       struct fault *fault);
	int (*dvm_resume)(struct hypervisor *hv, const char *session, struct fault *fault);
	/* The host's end of the channel to the agent, a new connection each time. */
	int (*dvm_tunnel_open)(struct hypervisor *hv, const char *session, int *ret_fd,
			       struct fault *fault);
	int (*dvm_disk_attach)(struct hypervisor *hv, const struct dvm_disk *disk,
			       struct fault *fault);
	/* Returns when the D-VM has let go: by itself within `patience_ms`, else after a reset of
	 * it, else because it was destroyed. */
	int (*dvm_disk_detach)(struct hypervisor *hv, const char *session, const char *serial,
			       unsigned patience_ms, struct fault *fault);
	/* `ret_place`: where the D-VM finds it: "pci 0000:00:07.0" or "virtio NAME". Fine when it
	 * is there already. */
	int (*dvm_port_attach)(struct hypervisor *hv, const struct dvm_port *port,
			       char ret_place[DVM_PORT_PLACE_MAX + 1], struct fault *fault);
	/* The host's end of it; a new connection takes the place of the old. */
	int (*dvm_port_open)(struct hypervisor *hv, const struct dvm_port *port, int *ret_fd,
			     struct fault *fault);
	/* Returns when the D-VM has let go, or when `patience_ms` are over: a device without an end
	 * on the host carries nothing, and the next attach takes it over. */
	int (*dvm_port_detach)(struct hypervisor *hv, const struct dvm_port *port,
			       unsigned patience_ms, struct fault *fault);
};

struct hypervisor {
	const struct hypervisor_ops *ops;
};

extern const struct hypervisor_ops hypervisor_libvirt, hypervisor_fake;

/* The driver for a URI: "fake:SOCKET", else libvirt's. */
const struct hypervisor_ops *hypervisor_driver(const char *uri);
