-- How own messages to people of other servers begin, until it is known what became of them.

CREATE TABLE beginnings (id TEXT PRIMARY KEY, kept_at INTEGER NOT NULL, words BLOB NOT NULL) STRICT;
