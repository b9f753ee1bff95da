-- SPDX-License-Identifier: Apache-2.0
-- 1: what a VM's console says is kept for nobody.
ALTER TABLE vms ADD COLUMN no_history BIGINT NOT NULL DEFAULT 0;
