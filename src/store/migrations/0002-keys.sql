-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE ssh_keys (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id),
	type TEXT NOT NULL,
	blob TEXT NOT NULL,
	fingerprint TEXT NOT NULL UNIQUE,
	comment TEXT NOT NULL,
	rights BIGINT NOT NULL,
	created BIGINT NOT NULL,
	last_used BIGINT NOT NULL
);
CREATE INDEX ssh_keys_user ON ssh_keys (user_id);
-- Of an SSH login: the key that opened it. Such a token goes with the login, at the latest with the key.
ALTER TABLE tokens ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
CREATE INDEX tokens_key ON tokens (key_id) WHERE key_id <> '';
