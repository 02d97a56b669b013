-- Received messages as they were signed, for reporting; sealed like secrets.

CREATE TABLE signed_messages (sender TEXT NOT NULL, id TEXT NOT NULL, received_at INTEGER NOT NULL,
                              message BLOB NOT NULL, PRIMARY KEY (sender, id)) STRICT;
