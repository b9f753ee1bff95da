-- SPDX-License-Identifier: Apache-2.0
-- What a request did, written down in the transaction in which it did it; '' while it has done nothing.
ALTER TABLE idempotency ADD COLUMN object TEXT NOT NULL DEFAULT '';
