-- Logs of key changes: every one has its server; before there was one of each table. Some profiles of before have
-- some of these tables already.

CREATE TABLE IF NOT EXISTS server_logs (
    server TEXT NOT NULL, number INTEGER NOT NULL, subject BLOB NOT NULL, version INTEGER NOT NULL,
    digest BLOB NOT NULL, made_at INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (server, number)) STRICT;
CREATE INDEX IF NOT EXISTS server_logs_by_subject ON server_logs (server, subject, number);
CREATE TABLE IF NOT EXISTS server_logs_past (
    server TEXT NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (server, number, hash)) STRICT;
CREATE TABLE IF NOT EXISTS server_log_subjects (
    server TEXT NOT NULL, id TEXT NOT NULL, subject BLOB NOT NULL, PRIMARY KEY (server, id)) STRICT;
CREATE TABLE IF NOT EXISTS key_log_alarms (
    about TEXT PRIMARY KEY, at INTEGER NOT NULL, words TEXT NOT NULL, before TEXT, after TEXT) STRICT;

CREATE TABLE IF NOT EXISTS key_log (
    number INTEGER PRIMARY KEY, subject BLOB NOT NULL, version INTEGER NOT NULL, digest BLOB NOT NULL,
    made_at INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS key_log_past (number INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (number, hash)) STRICT;
CREATE TABLE IF NOT EXISTS key_log_subjects (id TEXT PRIMARY KEY, subject BLOB NOT NULL) STRICT;
CREATE TEMPORARY VIEW own_server AS SELECT trim(value, '"') AS server FROM main.settings WHERE name = 'server';
INSERT INTO server_logs SELECT server, key_log.* FROM key_log, own_server;
INSERT INTO server_logs_past SELECT server, key_log_past.* FROM key_log_past, own_server;
INSERT INTO server_log_subjects SELECT server, key_log_subjects.* FROM key_log_subjects, own_server;
UPDATE settings SET name = name || ':' || (SELECT server FROM own_server)
    WHERE name IN ('key-log-head', 'key-log-checked');
DROP VIEW own_server;
DROP TABLE key_log;
DROP TABLE key_log_past;
DROP TABLE key_log_subjects;
