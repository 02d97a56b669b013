-- What a device keeps: its own keys and settings, contacts, what is on its way, and what it has.

CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE contacts (id TEXT PRIMARY KEY, trust TEXT NOT NULL, bundle TEXT NOT NULL,
                       earlier_keys TEXT NOT NULL, reset TEXT) STRICT;
CREATE TABLE mceliece_keys (digest BLOB PRIMARY KEY, key BLOB NOT NULL) STRICT;
CREATE TABLE outbox (id TEXT PRIMARY KEY, request TEXT NOT NULL) STRICT;
CREATE TABLE inbox (sender TEXT NOT NULL, id TEXT NOT NULL, event TEXT, PRIMARY KEY (sender, id)) STRICT;

CREATE TABLE groups (id TEXT PRIMARY KEY, state TEXT NOT NULL, members TEXT NOT NULL,
                     gone INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE group_entries (group_id TEXT NOT NULL, number INTEGER NOT NULL, digest BLOB NOT NULL,
                            entry TEXT NOT NULL, PRIMARY KEY (group_id, number)) STRICT;
CREATE TABLE group_epochs (group_id TEXT NOT NULL, epoch INTEGER NOT NULL, commitment BLOB NOT NULL,
                           PRIMARY KEY (group_id, epoch)) STRICT;
CREATE TABLE unconfirmed_group_keys (id INTEGER PRIMARY KEY, group_digest BLOB NOT NULL, epoch INTEGER NOT NULL,
                                     sender TEXT NOT NULL, kept_at INTEGER NOT NULL, key BLOB NOT NULL) STRICT;
CREATE TABLE locked_messages (id INTEGER PRIMARY KEY, delivery TEXT NOT NULL) STRICT;

-- Messages that live on after they were shown.
CREATE TABLE messages (sender TEXT NOT NULL, id TEXT NOT NULL, conversation TEXT NOT NULL, kind TEXT NOT NULL,
                       body TEXT, audience TEXT, withdrawn INTEGER NOT NULL DEFAULT 0,
                       PRIMARY KEY (sender, id)) STRICT;
CREATE INDEX messages_by_id ON messages (id);
CREATE TABLE marks (sender TEXT NOT NULL, id TEXT NOT NULL, who TEXT NOT NULL, mark TEXT NOT NULL,
                    value TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (sender, id, who, mark)) STRICT;
CREATE TABLE due_receipts (sender TEXT NOT NULL, id TEXT NOT NULL, group_digest TEXT NOT NULL,
                           PRIMARY KEY (sender, id)) STRICT;
