-- Servers that were found in the local network, and ask without a pairing link.

-- Whether this neighbour was found nearby, until it has recorded this server: it is asked without a code.
ALTER TABLE neighbours ADD COLUMN nearby INTEGER NOT NULL DEFAULT 0 CHECK (nearby IN (0, 1));

-- When it asked this server without a code, until an admin here decides.
ALTER TABLE neighbours ADD COLUMN asked_tick INTEGER;
