-- Running totals of attachments, so that announcing one costs the same however many there are. A file takes whole
-- blocks of the disk: at least 4,096 bytes.

CREATE TABLE blob_totals (
    owner INTEGER PRIMARY KEY,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    -- Whether the owner lived elsewhere when the first of them came.
    elsewhere INTEGER NOT NULL CHECK (elsewhere IN (0, 1))
) STRICT;

-- One row: of everybody.
CREATE TABLE blob_sums (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    bytes INTEGER NOT NULL,
    -- Bytes that announced uploads still have to bring.
    to_come INTEGER NOT NULL,
    -- Of owners who live elsewhere.
    elsewhere INTEGER NOT NULL
) STRICT;

INSERT INTO blob_totals (owner, files, bytes, elsewhere)
    SELECT owner, count(*), sum((size + 4095) / 4096 * 4096), owner NOT IN (SELECT id FROM participants)
    FROM blobs GROUP BY owner;
INSERT INTO blob_sums (one, bytes, to_come, elsewhere)
    SELECT 1, coalesce(sum(bytes), 0), (SELECT coalesce(sum(size - durable), 0) FROM blobs),
        coalesce(sum(bytes * elsewhere), 0)
    FROM blob_totals;

CREATE TRIGGER blob_announced AFTER INSERT ON blobs BEGIN
    INSERT INTO blob_totals (owner, files, bytes, elsewhere)
        VALUES (NEW.owner, 1, (NEW.size + 4095) / 4096 * 4096,
            NOT EXISTS (SELECT 1 FROM participants WHERE id = NEW.owner))
        ON CONFLICT (owner) DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes;
    UPDATE blob_sums SET
        bytes = bytes + (NEW.size + 4095) / 4096 * 4096,
        to_come = to_come + NEW.size - NEW.durable,
        elsewhere = elsewhere + (NEW.size + 4095) / 4096 * 4096
            * (SELECT elsewhere FROM blob_totals WHERE owner = NEW.owner);
END;

CREATE TRIGGER blob_grown AFTER UPDATE OF durable ON blobs BEGIN
    UPDATE blob_sums SET to_come = to_come + OLD.durable - NEW.durable;
END;

CREATE TRIGGER blob_gone AFTER DELETE ON blobs BEGIN
    UPDATE blob_sums SET
        bytes = bytes - (OLD.size + 4095) / 4096 * 4096,
        to_come = to_come - OLD.size + OLD.durable,
        elsewhere = elsewhere - (OLD.size + 4095) / 4096 * 4096
            * (SELECT elsewhere FROM blob_totals WHERE owner = OLD.owner);
    UPDATE blob_totals SET files = files - 1, bytes = bytes - (OLD.size + 4095) / 4096 * 4096
        WHERE owner = OLD.owner;
    DELETE FROM blob_totals WHERE owner = OLD.owner AND files = 0;
END;
