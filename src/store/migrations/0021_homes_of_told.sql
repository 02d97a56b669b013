-- Whose word it is that somebody of another server is gone, when nothing else is known of them here any more: their homes
-- when a server was told of them. Both are NULL for this server's own, and for whom was told before.

ALTER TABLE servers_told ADD COLUMN home BLOB CHECK (home IS NULL OR length(home) = 32);
ALTER TABLE servers_told ADD COLUMN other_home BLOB CHECK (other_home IS NULL OR length(other_home) = 32);
