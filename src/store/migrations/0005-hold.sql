-- SPDX-License-Identifier: Apache-2.0
-- 1: the VM's next start or reset stops before its first instruction.
ALTER TABLE vms ADD COLUMN hold BIGINT NOT NULL DEFAULT 0;
