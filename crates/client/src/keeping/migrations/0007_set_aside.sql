-- Whose keys are looked for in which log. Some profiles of before have these already.
CREATE TABLE IF NOT EXISTS log_homes (
    server TEXT NOT NULL, home TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (server, home)) STRICT;
CREATE TABLE IF NOT EXISTS log_watches (
    server TEXT NOT NULL, subject BLOB NOT NULL, id TEXT NOT NULL, since INTEGER NOT NULL,
    PRIMARY KEY (server, subject)) STRICT;

-- What arrived and cannot be judged yet, in the place of an earlier table; and how often files of a message were tried
-- before it is shown.
CREATE TABLE set_aside (id INTEGER PRIMARY KEY, sender TEXT NOT NULL, conversation TEXT NOT NULL,
                        digest BLOB NOT NULL, sealed_to BLOB, delivery TEXT NOT NULL, reason TEXT NOT NULL,
                        refusals INTEGER NOT NULL, tries INTEGER NOT NULL, due INTEGER NOT NULL,
                        told INTEGER NOT NULL DEFAULT 0, UNIQUE (sender, digest)) STRICT;
CREATE INDEX set_aside_by_due ON set_aside (due);
CREATE INDEX set_aside_by_conversation ON set_aside (conversation);
INSERT INTO set_aside (sender, conversation, digest, delivery, reason, refusals, tries, due)
    SELECT json_extract(delivery, '$.from'), coalesce(json_extract(delivery, '$.group'), ''), randomblob(32),
           delivery, 'its key has not come yet', 0, 0, 0 FROM locked_messages;
DROP TABLE locked_messages;
ALTER TABLE inbox ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
