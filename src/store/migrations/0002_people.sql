-- Whom the admins know: people before and after they register, their classes, and what admins did.

-- AUTOINCREMENT where a number is remembered elsewhere: none is ever given twice.
CREATE TABLE imports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at INTEGER NOT NULL,
    account TEXT NOT NULL,
    file_name TEXT NOT NULL,
    added INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    -- What changed people were before, as JSON, for undoing.
    before TEXT NOT NULL,
    undone_at INTEGER
) STRICT;

CREATE TABLE people (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    -- The name in lower case, umlauts too, which SQLite cannot do: for searching and sorting.
    folded_name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('member', 'moderator', 'admin', 'bot')),
    -- The number a school's or town's own software knows the person by.
    external_key TEXT UNIQUE,
    created_at INTEGER NOT NULL,
    participant INTEGER UNIQUE REFERENCES participants (id),
    import INTEGER REFERENCES imports (id)
) STRICT;
CREATE INDEX people_by_name ON people (folded_name, id);
CREATE INDEX people_by_import ON people (import) WHERE import IS NOT NULL;

CREATE TABLE classes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE class_members (
    class INTEGER NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    person INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    PRIMARY KEY (class, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX class_members_by_person ON class_members (person);

INSERT INTO people (name, folded_name, role, created_at, participant)
    SELECT name, lower(name), role, created_at, id FROM participants WHERE state <> 'erased';

ALTER TABLE invites ADD COLUMN person INTEGER REFERENCES people (id) ON DELETE CASCADE;
CREATE INDEX invites_by_person ON invites (person) WHERE person IS NOT NULL;

ALTER TABLE admin_accounts ADD COLUMN role TEXT NOT NULL DEFAULT 'admin' CHECK (role IN ('admin', 'moderator'));
ALTER TABLE admin_accounts ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
-- The shared secret of time-based one-time passwords (RFC 6238), and the last step used.
ALTER TABLE admin_accounts ADD COLUMN totp_secret BLOB;
ALTER TABLE admin_accounts ADD COLUMN totp_step INTEGER NOT NULL DEFAULT 0;

CREATE TABLE recovery_codes (
    account TEXT NOT NULL REFERENCES admin_accounts (name) ON DELETE CASCADE,
    code_hash BLOB NOT NULL CHECK (length(code_hash) = 32),
    PRIMARY KEY (account, code_hash)
) STRICT, WITHOUT ROWID;

-- A moderator's account looks after these classes.
CREATE TABLE account_classes (
    account TEXT NOT NULL REFERENCES admin_accounts (name) ON DELETE CASCADE,
    class INTEGER NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    PRIMARY KEY (account, class)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    account TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL
) STRICT;
