-- Lists by name stand in the order people look names up in, which SQLite does not know; see store/folding.rs, which fills
-- these columns, and people.folded_name anew.

ALTER TABLE people ADD COLUMN sort_key BLOB NOT NULL DEFAULT x'';
CREATE INDEX people_by_sort_key ON people (sort_key, id);

ALTER TABLE classes ADD COLUMN sort_key BLOB NOT NULL DEFAULT x'';
CREATE INDEX classes_by_sort_key ON classes (sort_key, id);

ALTER TABLE groups ADD COLUMN sort_key BLOB NOT NULL DEFAULT x'';
CREATE INDEX groups_by_sort_key ON groups (sort_key, id);
DROP INDEX groups_open;
CREATE INDEX groups_open ON groups (sort_key, id) WHERE open = 1;

ALTER TABLE smoke_participants ADD COLUMN sort_key BLOB NOT NULL DEFAULT x'';
