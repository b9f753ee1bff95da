-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE users (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	rights BIGINT NOT NULL,
	created BIGINT NOT NULL
);
CREATE TABLE projects (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	created BIGINT NOT NULL
);
CREATE TABLE members (
	project_id TEXT NOT NULL REFERENCES projects (id),
	user_id TEXT NOT NULL REFERENCES users (id),
	rights BIGINT NOT NULL,
	PRIMARY KEY (project_id, user_id)
);
CREATE TABLE tokens (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id),
	name TEXT NOT NULL,
	hash TEXT NOT NULL UNIQUE,
	rights BIGINT NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	last_used BIGINT NOT NULL,
	revoked BIGINT NOT NULL
);
CREATE TABLE vms (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	project_id TEXT NOT NULL REFERENCES projects (id),
	cloud TEXT NOT NULL,
	domain TEXT NOT NULL UNIQUE,
	state TEXT NOT NULL,
	state_at BIGINT NOT NULL,
	fence TEXT NOT NULL,
	adopted_by TEXT NOT NULL,
	created BIGINT NOT NULL,
	UNIQUE (project_id, name)
);
-- Targets and attachments outlive their VM's place in the inventory: no reference to vms.
CREATE TABLE sessions (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE,
	owner TEXT NOT NULL REFERENCES users (id),
	project_id TEXT NOT NULL REFERENCES projects (id),
	rights BIGINT NOT NULL,
	state TEXT NOT NULL,
	state_at BIGINT NOT NULL,
	image TEXT NOT NULL,
	stacks TEXT NOT NULL,
	keys TEXT NOT NULL,
	host_key TEXT NOT NULL,
	placement TEXT NOT NULL,
	lease_length BIGINT NOT NULL,
	lease_expires BIGINT NOT NULL,
	lease_warned BIGINT NOT NULL,
	created BIGINT NOT NULL,
	ready_at BIGINT NOT NULL,
	ended BIGINT NOT NULL,
	fault_code TEXT NOT NULL,
	fault_message TEXT NOT NULL,
	fault_hint TEXT NOT NULL,
	end_reason TEXT NOT NULL
);
CREATE INDEX sessions_live ON sessions (project_id) WHERE ended = 0;
CREATE TABLE session_targets (
	session_id TEXT NOT NULL REFERENCES sessions (id),
	number BIGINT NOT NULL,
	vm_id TEXT NOT NULL,
	name TEXT NOT NULL,
	PRIMARY KEY (session_id, number),
	UNIQUE (session_id, vm_id)
);
CREATE INDEX session_targets_vm ON session_targets (vm_id);
CREATE TABLE attachments (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE,
	session_id TEXT NOT NULL REFERENCES sessions (id),
	vm_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	mode TEXT NOT NULL,
	required BIGINT NOT NULL,
	state TEXT NOT NULL,
	devices TEXT NOT NULL,
	fault_code TEXT NOT NULL,
	fault_message TEXT NOT NULL,
	fault_hint TEXT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX attachments_session ON attachments (session_id);
CREATE TABLE events (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	time BIGINT NOT NULL,
	type TEXT NOT NULL,
	session_id TEXT NOT NULL,
	vm_id TEXT NOT NULL,
	project_id TEXT NOT NULL,
	data TEXT NOT NULL
);
CREATE INDEX events_session ON events (session_id, seq);
CREATE TABLE audit (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	time BIGINT NOT NULL,
	user_id TEXT NOT NULL,
	token_id TEXT NOT NULL,
	project_id TEXT NOT NULL,
	session_id TEXT NOT NULL,
	action TEXT NOT NULL,
	object TEXT NOT NULL,
	detail TEXT NOT NULL,
	outcome TEXT NOT NULL,
	request TEXT NOT NULL
);
CREATE INDEX audit_session ON audit (session_id, seq);
CREATE TABLE idempotency (
	user_id TEXT NOT NULL,
	key TEXT NOT NULL,
	request_hash TEXT NOT NULL,
	status BIGINT NOT NULL,
	body TEXT NOT NULL,
	expires BIGINT NOT NULL,
	PRIMARY KEY (user_id, key)
);
