-- What weighs much on the admin pages is shown to every admin until they have read it.

ALTER TABLE audit_log ADD COLUMN grave INTEGER NOT NULL DEFAULT 0 CHECK (grave IN (0, 1));
CREATE INDEX audit_log_grave ON audit_log (id) WHERE grave = 1;

-- The last line an account has read.
ALTER TABLE admin_accounts ADD COLUMN read_line INTEGER NOT NULL DEFAULT 0;
UPDATE admin_accounts SET read_line = (SELECT coalesce(max(id), 0) FROM audit_log);
