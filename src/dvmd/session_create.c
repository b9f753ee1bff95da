/* SPDX-License-Identifier: Apache-2.0 */
/* A new session: what was asked for is checked, then recorded as `requested` in one transaction. */
#include <errno.h>
#include <string.h>

#include "access.h"
#include "clock.h"
#include "engine.h"
#include "events.h"
#include "parse.h"
#include "session_lease.h"
#include "session_ops.h"
#include "ssh_pubkey.h"
#include "view.h"

struct draft {
	struct dvmd *d;
	const struct principal *who;
	const struct session_spec *spec;
	struct session_row row;
	struct vm_row vms[SESSION_TARGETS_MAX];
	const char *disk_mode[SESSION_TARGETS_MAX];			    /* NULL: not attached */
	const char *device_mode[SESSION_TARGETS_MAX][_ATTACHMENT_KIND_MAX]; /* the same */
	size_t n_attachments, n_serials;
};

static void draft_fini(struct draft *draft)
{
	session_row_fini(&draft->row);
}

static int check_words(const struct session_spec *spec, struct fault *fault)
{
	const char *placement = spec->placement ?: "auto";

	/* The agent writes them into authorized_keys, so nothing but such a line may pass. */
	for (size_t i = 0; i < spec->n_keys; i++) {
		struct ssh_pubkey key;
		int r = ssh_pubkey_parse(spec->keys[i], &key, fault);

		if (r < 0) {
			return r == -ENOMEM ? fault_set(fault, FAULT_INTERNAL, "Out of memory") : r;
		}
	}
	for (size_t i = 0; i < spec->n_stacks; i++) {
		if (!name_valid(spec->stacks[i])) {
			return fault_set(fault, FAULT_BAD_VALUE, "stacks: not a valid name");
		}
		for (size_t k = 0; k < i; k++) {
			if (strcmp(spec->stacks[i], spec->stacks[k]) == 0) {
				return fault_set(fault, FAULT_BAD_VALUE,
						 "stacks: \"%s\" is there twice", spec->stacks[i]);
			}
		}
	}
	if (spec->image && (!name_valid(spec->image) ||
			    strlen(spec->image) >= sizeof(((struct session_row *)0)->image))) {
		/* Ids are longer than names but of the same letters. */
		if (strlen(spec->image) != 64 || strspn(spec->image, "0123456789abcdef") != 64) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "image is neither a name nor an id");
		}
	}
	if (strcmp(placement, "auto") != 0 && strcmp(placement, "same") != 0 &&
	    strcmp(placement, "other") != 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "placement must be auto, same or other");
	}
	return 0;
}

static int check_target(struct draft *draft, size_t i, struct fault *fault)
{
	struct dvmd *d = draft->d;
	struct vm_row *vm = &draft->vms[i];
	char session[ID_MAX];
	int r = access_vm(d, draft->who, draft->spec->targets[i], RIGHT_VIEW | RIGHT_DEBUG,
			  "session.create", vm, fault);

	if (r < 0) {
		return r;
	}
	if (vm->state == VM_GONE) {
		return fault_set(fault, FAULT_VM_GONE, "VM %s no longer exists", vm->name);
	}
	if (strcmp(vm->project, draft->vms[0].project) != 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "targets must be of one project");
	}
	for (size_t k = 0; k < i; k++) {
		if (strcmp(vm->id, draft->vms[k].id) == 0) {
			return fault_set(fault, FAULT_BAD_VALUE, "targets: VM %s is there twice",
					 vm->name);
		}
	}
	r = store_session_of_vm(d->store, vm->id, session, fault);
	if (r == 0) {
		return fault_set(fault, FAULT_VM_IN_SESSION, "VM %s is in session %s", vm->name,
				 session);
	}
	return r == -ENOENT ? 0 : r;
}

static int check_quota(struct draft *draft, struct fault *fault)
{
	struct dvmd *d = draft->d;
	size_t n = 0;
	int r = store_session_count_live(d->store, draft->vms[0].project, &n, fault);

	if (r == 0 && n >= d->config.sessions_per_project) {
		return fault_set(fault, FAULT_QUOTA, "The project has %zu sessions, its maximum",
				 n);
	}
	return r;
}

/* The disks of a target may be taken only with the rights for it, and while it is off. */
static int check_disk(struct draft *draft, size_t i, const char *mode, struct fault *fault)
{
	const struct vm_row *vm = &draft->vms[i];
	struct access_object o = { .kind = "VM", .id = vm->id, .project = vm->project };
	unsigned rights;
	int r;

	if (!mode) {
		rights = principal_rights(draft->who, vm->project);
		mode = rights & RIGHT_DISK_WRITE ? "rw" : "ro";
	}
	rights = strcmp(mode, "rw") == 0 ? RIGHT_DISK_READ | RIGHT_DISK_WRITE : RIGHT_DISK_READ;
	r = access_check(draft->d, draft->who, &o, rights, "session.attach", fault);
	if (r == 0 && vm->state != VM_OFF) {
		return fault_set(fault, FAULT_VM_RUNNING, "VM %s is not off", vm->name);
	}
	draft->disk_mode[i] = mode;
	return r;
}

static int check_device(struct draft *draft, size_t i, const struct attach_spec *a,
			struct fault *fault)
{
	const struct vm_row *vm = &draft->vms[i];
	struct access_object o = { .kind = "VM", .id = vm->id, .project = vm->project };
	const char *mode =
		session_port_mode(a->kind, a->mode, principal_rights(draft->who, vm->project));
	int r = access_check(draft->d, draft->who, &o, session_device_rights(a->kind, mode),
			     "session.attach", fault);

	if (r == 0 && attachment_is_serial(a->kind) && ++draft->n_serials > SESSION_SERIALS_MAX) {
		return fault_set(fault, FAULT_QUOTA, "The D-VM has room for %d serial ports",
				 SESSION_SERIALS_MAX);
	}
	draft->device_mode[i][a->kind] = mode;
	return r;
}

static int check_attach(struct draft *draft, const struct attach_spec *a, struct fault *fault)
{
	bool found = false;

	for (size_t i = 0; i < draft->spec->n_targets; i++) {
		const struct vm_row *vm = &draft->vms[i];

		if (a->target && strcmp(a->target, vm->id) != 0 &&
		    strcmp(a->target, vm->name) != 0) {
			continue;
		}
		found = true;
		/* Consoles, displays and debuggers are attached in any case. */
		if (a->kind == ATTACHMENT_DISK) {
			int r = check_disk(draft, i, a->mode, fault);

			if (r < 0) {
				return r;
			}
		} else if (attachment_is_wished(a->kind)) {
			int r = check_device(draft, i, a, fault);

			if (r < 0) {
				return r;
			}
		}
	}
	if (!found) {
		return fault_set(fault, FAULT_BAD_VALUE, "attach: \"%.64s\" is not a target",
				 a->target);
	}
	return 0;
}

/* The user's own keys log in as well, as far as they let him debug. */
static int add_user_keys(struct draft *draft, struct fault *fault)
{
	_cleanup_free_ struct key_row *keys = NULL;
	json_t *list = draft->row.keys;
	size_t n = 0;
	int r = store_key_list(draft->d->store, draft->who->user, SESSION_KEYS_MAX, NULL, &keys, &n,
			       fault);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < n && json_array_size(list) < SESSION_KEYS_MAX; i++) {
		if (keys[i].rights & RIGHT_DEBUG) {
			json_array_append_new(list,
					      json_sprintf("%s %s", keys[i].type, keys[i].blob));
		}
	}
	if (json_array_size(list) == 0) {
		fault_set(fault, FAULT_BAD_VALUE, "An SSH public key is needed");
		fault_hint(fault, "Give ssh_key, or put yours on record: dvm key add FILE.");
		return -EREMOTEIO;
	}
	return 0;
}

static int fill_row(struct draft *draft, struct fault *fault)
{
	const struct session_spec *spec = draft->spec;
	const struct config *config = &draft->d->config;
	struct session_row *row = &draft->row;
	_cleanup_free_ char *id = random_id("s", 12);
	usec_t now = clock_realtime();

	row->stacks = json_array();
	row->keys = json_array();
	if (!id || !row->stacks || !row->keys) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	for (size_t i = 0; i < spec->n_stacks; i++) {
		json_array_append_new(row->stacks, json_string(spec->stacks[i]));
	}
	for (size_t i = 0; i < spec->n_keys; i++) {
		json_array_append_new(row->keys, json_string(spec->keys[i]));
	}
	strcpy(row->id, id);
	strcpy(row->owner, draft->who->user);
	strcpy(row->project, draft->vms[0].project);
	row->rights = principal_rights(draft->who, row->project);
	row->state = SESSION_REQUESTED;
	row->state_at = row->created = now;
	snprintf(row->image, sizeof(row->image), "%s", spec->image ?: "");
	snprintf(row->placement, sizeof(row->placement), "%s", spec->placement ?: "auto");
	row->lease_length =
		session_lease_grant(spec->lease, config->lease_default, config->lease_max);
	row->lease_expires = now + row->lease_length;
	return 0;
}

static int add_attachment(struct draft *draft, const struct vm_row *vm, enum attachment_kind kind,
			  const char *mode, bool required, struct fault *fault)
{
	struct attachment_row a = { .kind = kind,
				    .required = required,
				    .state = ATTACHMENT_WANTED,
				    .created = clock_realtime() };
	_cleanup_free_ char *id = random_id("a", 12);

	if (!id) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	if (++draft->n_attachments > SESSION_ATTACHMENTS_MAX) {
		return fault_set(fault, FAULT_QUOTA, "A session can have %d attachments",
				 SESSION_ATTACHMENTS_MAX);
	}
	strcpy(a.id, id);
	strcpy(a.session, draft->row.id);
	strcpy(a.vm, vm->id);
	strcpy(a.mode, mode);
	return store_attachment_add(draft->d->store, &a, fault);
}

static int add_attachments(struct draft *draft, struct fault *fault)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < draft->spec->n_targets; i++) {
		/* The D-VM may do what its user may. */
		if (draft->row.rights & (RIGHT_TYPE | RIGHT_VIEW)) {
			const char *mode = draft->row.rights & RIGHT_TYPE ? "rw" : "ro";

			r = add_attachment(draft, &draft->vms[i], ATTACHMENT_CONSOLE, mode, false,
					   fault);
			if (r == 0) {
				r = add_attachment(draft, &draft->vms[i], ATTACHMENT_VNC, mode,
						   false, fault);
			}
			if (r == 0 && draft->row.rights & RIGHT_MEMORY) {
				mode = draft->row.rights & RIGHT_DEBUG ? "rw" : "ro";
				r = add_attachment(draft, &draft->vms[i], ATTACHMENT_GDB, mode,
						   false, fault);
			}
		}
		if (r == 0 && draft->disk_mode[i]) {
			r = add_attachment(draft, &draft->vms[i], ATTACHMENT_DISK,
					   draft->disk_mode[i], true, fault);
		}
		for (unsigned k = 0; r == 0 && k < _ATTACHMENT_KIND_MAX; k++) {
			if (draft->device_mode[i][k]) {
				r = add_attachment(draft, &draft->vms[i], (enum attachment_kind)k,
						   draft->device_mode[i][k], true, fault);
			}
		}
	}
	return r;
}

static int record(struct draft *draft, struct fault *fault)
{
	struct dvmd *d = draft->d;
	struct session_row *row = &draft->row;
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	int r = store_tx_begin(&tx, d->store, fault);

	if (r == 0) {
		r = store_session_add(d->store, row, fault);
	}
	for (size_t i = 0; r == 0 && i < draft->spec->n_targets; i++) {
		struct target_row t = { .index = (unsigned)i };

		strcpy(t.vm, draft->vms[i].id);
		strcpy(t.name, draft->vms[i].name);
		r = store_target_add(d->store, row->id, &t, fault);
	}
	if (r == 0) {
		r = add_attachments(draft, fault);
	}
	if (r == 0) {
		r = events_add(d->events, "session.state", row->id, NULL, row->project,
			       json_pack("{s:n,s:s}", "from", "to", session_state_name(row->state)),
			       fault);
	}
	if (r == 0) {
		r = audit_add(d->events, draft->who, row->project, row->id, "session.create",
			      row->id, draft->vms[0].name, FAULT_NONE, fault);
	}
	return r < 0 ? r : store_tx_commit(&tx, fault);
}

int session_create(struct dvmd *d, const struct principal *p, const struct session_spec *spec,
		   json_t **ret, struct fault *fault)
{
	_cleanup_(draft_fini) struct draft draft = { .d = d, .who = p, .spec = spec };
	int r = check_words(spec, fault);

	if (r == 0 && (spec->n_targets == 0 || spec->n_targets > SESSION_TARGETS_MAX)) {
		r = fault_set(fault, FAULT_BAD_VALUE, "targets: 1 to %d VMs", SESSION_TARGETS_MAX);
	}
	for (size_t i = 0; r == 0 && i < spec->n_targets; i++) {
		r = check_target(&draft, i, fault);
	}
	for (size_t i = 0; r == 0 && i < spec->n_attach; i++) {
		r = check_attach(&draft, &spec->attach[i], fault);
	}
	if (r == 0) {
		r = check_quota(&draft, fault);
	}
	if (r == 0) {
		r = fill_row(&draft, fault);
	}
	if (r == 0) {
		r = add_user_keys(&draft, fault);
	}
	if (r == 0) {
		r = record(&draft, fault);
	}
	if (r < 0) {
		return r;
	}
	events_committed(d->events);
	r = engine_adopt(d->engine, draft.row.id, fault);
	if (r < 0) {
		return r;
	}
	*ret = view_session(d, &draft.row);
	return *ret ? 0 : fault_set(fault, FAULT_INTERNAL, "Out of memory");
}
