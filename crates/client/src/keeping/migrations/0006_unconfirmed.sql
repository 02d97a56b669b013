-- What was accepted for people of other servers, until the own home says what became of it.

CREATE TABLE unconfirmed (id TEXT NOT NULL, recipient TEXT NOT NULL, request TEXT NOT NULL,
                          accepted_at INTEGER NOT NULL, due INTEGER NOT NULL DEFAULT 0,
                          PRIMARY KEY (id, recipient)) STRICT;
