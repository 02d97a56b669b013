//! The `blobs`, `blob_holds`, `blob_homes` and `blob_sources` tables: whose attachments there are, which devices and
//! other homes may fetch them, and which are being fetched from elsewhere.
//!
//! A row that goes takes its file with it: the writer hands the name on once the removal is on disk.

use std::collections::HashSet;

use momedo_protocol::blob::BlobId;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::random;
use rusqlite::{OptionalExtension, Row};

use super::blob_files::BlobFile;
use super::{ReadTx, StoreError, Tick, WriteTx, column};
use crate::domain::blobs::cost;

const COLUMNS: &str = "id, owner, file, size, durable, sent";

/// A blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRow {
    /// Its ID.
    pub id: BlobId,
    /// Who uploaded it.
    pub owner: ParticipantId,
    /// Its file.
    pub file: BlobFile,
    /// How many bytes it has or will have.
    pub size: u64,
    /// How many of them are on disk for certain.
    pub durable: u64,
    /// Whether some device ever had it to fetch.
    pub sent: bool,
}

/// What somebody's blobs take on the disk, each in whole blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlobTotals {
    /// How many there are.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What everybody's blobs take on the disk, each in whole blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlobSums {
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that announced uploads still have to bring.
    pub to_come: u64,
    /// Bytes of those whose owners live elsewhere.
    pub elsewhere: u64,
}

impl BlobRow {
    /// Whether all of it is there.
    pub fn is_complete(&self) -> bool {
        self.durable == self.size
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<BlobRow> {
    Ok(BlobRow {
        id: BlobId(row.get(0)?),
        owner: column::participant(row, 1)?,
        file: BlobFile(row.get(2)?),
        size: row.get(3)?,
        durable: row.get(4)?,
        sent: row.get(5)?,
    })
}

/// The file of every blob.
pub(super) fn files(connection: &rusqlite::Connection) -> Result<HashSet<BlobFile>, StoreError> {
    let mut statement = connection.prepare("SELECT file FROM blobs")?;
    let rows = statement.query_map([], |row| row.get(0).map(BlobFile))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl ReadTx<'_> {
    /// The blob with this ID.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_blob(&self, id: BlobId) -> Result<Option<BlobRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM blobs WHERE id = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([id.0], from_row).optional()?)
    }

    /// Whether a device holds a blob.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn holds_blob(&self, id: BlobId, device: DeviceId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM blob_holds WHERE blob = ?1 AND device = ?2)";
        let row = (id.0, device.number());
        Ok(self.connection.prepare_cached(sql)?.query_row(row, |row| row.get(0))?)
    }

    /// Whether another home may fetch a blob.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn holds_blob_for_home(&self, id: BlobId, home: Fingerprint) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM blob_homes WHERE blob = ?1 AND home = ?2)";
        Ok(self.connection.prepare_cached(sql)?.query_row((id.0, home.0), |row| row.get(0))?)
    }

    /// Homes that blobs are to be fetched from, or that have to hear that they are here.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn homes_to_fetch_from(&self) -> Result<Vec<Fingerprint>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT DISTINCT home FROM blob_sources")?;
        let rows = statement.query_map([], |row| row.get(0).map(Fingerprint))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Blobs to be fetched from a home, or of which it has to hear that they are here: by their IDs, those after
    /// `after`, at most `limit`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn blobs_to_fetch(
        &self,
        home: Fingerprint,
        after: Option<BlobId>,
        limit: u32,
    ) -> Result<Vec<BlobId>, StoreError> {
        let sql = "SELECT blob FROM blob_sources WHERE home = ?1 AND blob > ?2 ORDER BY blob LIMIT ?3";
        let after = after.as_ref().map_or(&[][..], |id| &id.0);
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map((home.0, after, limit), |row| row.get(0).map(BlobId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What somebody's blobs take, finished or announced.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn blobs_of(&self, owner: ParticipantId) -> Result<BlobTotals, StoreError> {
        let sql = "SELECT files, bytes FROM blob_totals WHERE owner = ?1";
        let row = self
            .connection
            .prepare_cached(sql)?
            .query_row([owner.number()], |row| Ok(BlobTotals { files: row.get(0)?, bytes: row.get(1)? }));
        Ok(row.optional()?.unwrap_or_default())
    }

    /// What everybody's blobs take, finished or announced.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn all_blobs(&self) -> Result<BlobSums, StoreError> {
        let sql = "SELECT bytes, to_come, elsewhere FROM blob_sums";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| {
            Ok(BlobSums { bytes: row.get(0)?, to_come: row.get(1)?, elsewhere: row.get(2)? })
        })?)
    }

    /// What blobs that came over a neighbour take on the disk, in bytes, and of those the ones that it says are a participant's.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn blob_bytes_over(&self, via: Fingerprint, owner: ParticipantId) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT coalesce(sum(size), 0), coalesce(sum(size) FILTER (WHERE owner = ?2), 0)
                   FROM blobs_brought WHERE via = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row((via.0, owner.number()), |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Blobs created before `before`, and uploads not touched since `untouched` that nobody was sent.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn expired_blobs(&self, before: Tick, untouched: Tick) -> Result<Vec<BlobId>, StoreError> {
        let sql = "SELECT id FROM blobs WHERE created_tick < ?1 OR (sent = 0 AND touched_tick < ?2)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map((before.0, untouched.0), |row| row.get(0).map(BlobId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl WriteTx<'_> {
    /// Announces a blob.
    ///
    /// # Errors
    /// As [`StoreError`] says, also when the ID is taken.
    pub fn insert_blob(&self, id: BlobId, owner: ParticipantId, size: u64) -> Result<(), StoreError> {
        let now = self.tick().0;
        self.connection
            .prepare_cached(
                "INSERT INTO blobs (id, owner, file, size, created_tick, touched_tick)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
            )?
            .execute((id.0, owner.number(), random::bytes::<16>(), size, now))?;
        Ok(())
    }

    /// Notes how much of a file is on disk for certain. Whoever says so has synced it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_blob_progress(&self, file: BlobFile, durable: u64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE blobs SET durable = ?2, touched_tick = ?3 WHERE file = ?1")?
            .execute((file.0, durable, self.tick().0))?;
        Ok(())
    }

    /// Lets devices fetch a blob.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn hold_blob(
        &self,
        id: BlobId,
        devices: impl IntoIterator<Item = DeviceId>,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO blob_holds (blob, device) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut held = false;
        for device in devices {
            statement.execute((id.0, device.number()))?;
            held = true;
        }
        if held {
            self.connection.prepare_cached("UPDATE blobs SET sent = 1 WHERE id = ?1")?.execute([id.0])?;
        }
        Ok(())
    }

    /// Ends a device's hold; the blob goes with the last one. Returns whether there was a hold.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn release_blob(&mut self, id: BlobId, device: DeviceId) -> Result<bool, StoreError> {
        let released = self
            .connection
            .prepare_cached("DELETE FROM blob_holds WHERE blob = ?1 AND device = ?2")?
            .execute((id.0, device.number()))?;
        if released == 0 {
            return Ok(false);
        }
        self.erase_if_unheld(id)?;
        Ok(true)
    }

    fn erase_if_unheld(&mut self, id: BlobId) -> Result<(), StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM blob_holds WHERE blob = ?1)
                       OR EXISTS (SELECT 1 FROM blob_homes WHERE blob = ?1)";
        let held: bool = self.connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?;
        if held { Ok(()) } else { self.erase_blob(id) }
    }

    /// Lets another home fetch blobs; those that are gone are left out.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn hold_for_home(&self, home: Fingerprint, blobs: &[BlobId]) -> Result<(), StoreError> {
        for id in blobs {
            let known =
                self.connection.prepare_cached("UPDATE blobs SET sent = 1 WHERE id = ?1")?.execute([id.0])?;
            if known == 1 {
                self.connection
                    .prepare_cached(
                        "INSERT INTO blob_homes (blob, home) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    )?
                    .execute((id.0, home.0))?;
            }
        }
        Ok(())
    }

    /// Notes that another home has a blob, which goes with its last hold.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn release_blob_of_home(&mut self, id: BlobId, home: Fingerprint) -> Result<(), StoreError> {
        let sql = "DELETE FROM blob_homes WHERE blob = ?1 AND home = ?2";
        if self.connection.prepare_cached(sql)?.execute((id.0, home.0))? == 1 {
            self.erase_if_unheld(id)?;
        }
        Ok(())
    }

    /// Announces a blob that is to be fetched from another home.
    ///
    /// # Errors
    /// As [`StoreError`] says, also when the ID is taken.
    pub fn insert_blob_from(
        &self,
        id: BlobId,
        owner: ParticipantId,
        size: u64,
        home: Fingerprint,
        via: Fingerprint,
    ) -> Result<(), StoreError> {
        self.insert_blob(id, owner, size)?;
        let sql = "INSERT INTO blobs_brought (blob, via, owner, size) VALUES (?1, ?2, ?3, ?4)";
        self.connection.prepare_cached(sql)?.execute((id.0, via.0, owner.number(), cost(size)))?;
        let sql = "INSERT INTO blob_sources (blob, home) VALUES (?1, ?2)";
        self.connection.prepare_cached(sql)?.execute((id.0, home.0))?;
        Ok(())
    }

    /// Notes that the home a blob came from knows that it is here.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn end_fetching(&self, id: BlobId) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM blob_sources WHERE blob = ?1")?.execute([id.0])?;
        Ok(())
    }

    /// Ends every hold of a device.
    pub(super) fn release_blobs_of_device(&mut self, device: DeviceId) -> Result<(), StoreError> {
        let held: Vec<BlobId> = {
            let sql = "SELECT blob FROM blob_holds WHERE device = ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([device.number()], |row| row.get(0).map(BlobId))?;
            rows.collect::<Result<_, _>>()?
        };
        for id in held {
            self.release_blob(id, device)?;
        }
        Ok(())
    }

    /// Erases everything a participant uploaded.
    pub(super) fn erase_blobs_of(&mut self, owner: ParticipantId) -> Result<(), StoreError> {
        let ids: Vec<BlobId> = {
            let mut statement = self.connection.prepare_cached("SELECT id FROM blobs WHERE owner = ?1")?;
            let rows = statement.query_map([owner.number()], |row| row.get(0).map(BlobId))?;
            rows.collect::<Result<_, _>>()?
        };
        ids.into_iter().try_for_each(|id| self.erase_blob(id))
    }

    /// Erases a blob, whoever holds it; its file goes once that is on disk.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn erase_blob(&mut self, id: BlobId) -> Result<(), StoreError> {
        let file: Option<[u8; 16]> = self
            .read
            .connection
            .prepare_cached("DELETE FROM blobs WHERE id = ?1 RETURNING file")?
            .query_row([id.0], |row| row.get(0))
            .optional()?;
        self.removed_files.extend(file.map(BlobFile));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    /// What the running totals have to equal.
    const COUNTED: &str = "SELECT (SELECT coalesce(sum((size + 4095) / 4096 * 4096), 0) FROM blobs),
        (SELECT coalesce(sum(size - durable), 0) FROM blobs),
        (SELECT coalesce(sum((size + 4095) / 4096 * 4096), 0) FROM blobs WHERE owner > 100)";

    #[test]
    fn the_running_totals_are_what_counting_gives() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE participants (id INTEGER PRIMARY KEY);
                 CREATE TABLE blobs (id INTEGER PRIMARY KEY, owner INTEGER, size INTEGER, durable INTEGER DEFAULT 0,
                     sent INTEGER DEFAULT 0);
                 INSERT INTO participants VALUES (1), (2);
                 INSERT INTO blobs (id, owner, size, durable) VALUES (1, 1, 16, 16), (2, 101, 5000, 10);",
            )
            .unwrap();
        connection.execute_batch(include_str!("migrations/0015_blob_totals.sql")).unwrap();
        let sums = |sql: &str| -> (u64, u64, u64) {
            connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
        };
        let check = |what: &str| {
            let running = sums("SELECT bytes, to_come, elsewhere FROM blob_sums");
            assert_eq!(running, sums(COUNTED), "{what}");
            let sql = "SELECT count(*) FROM (SELECT owner, files, bytes FROM blob_totals EXCEPT
                SELECT owner, count(*), sum((size + 4095) / 4096 * 4096) FROM blobs GROUP BY owner)";
            assert_eq!(connection.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap(), 0, "{what}");
        };
        check("what was there before");
        for (id, owner, size) in [(3, 1, 1), (4, 2, 4096), (5, 102, 4097), (6, 1, 1_000_000)] {
            connection
                .execute("INSERT INTO blobs (id, owner, size) VALUES (?1, ?2, ?3)", (id, owner, size))
                .unwrap();
            check("announced");
        }
        connection.execute("UPDATE blobs SET durable = 4096, sent = 1 WHERE id IN (4, 6)", []).unwrap();
        check("grown");
        for sql in
            ["DELETE FROM blobs WHERE owner = 1", "DELETE FROM blobs WHERE id = 5", "DELETE FROM blobs"]
        {
            connection.execute(sql, []).unwrap();
            check(sql);
        }
        assert_eq!(
            connection.query_row("SELECT count(*) FROM blob_totals", [], |row| row.get::<_, u64>(0)).unwrap(),
            0
        );
    }
}
