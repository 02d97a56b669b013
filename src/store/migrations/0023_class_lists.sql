-- Lists say which part of a name is the family name; people are sorted by it. Classes are told apart as people do:
-- "07a", "7 A" and "7a" are one. store/folding.rs fills these columns.

ALTER TABLE people ADD COLUMN family_name TEXT NOT NULL DEFAULT '';

ALTER TABLE classes ADD COLUMN folded_name TEXT NOT NULL DEFAULT '';
CREATE INDEX classes_by_name ON classes (folded_name, id);
