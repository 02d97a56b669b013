//! The `key_log` and `key_log_subjects` tables: which bundles were made current here, in a chain that only grows.

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_log::{KeyLogEntry, LogPlace, LogSubject};
use momedo_protocol::time::UnixMillis;
use rusqlite::{OptionalExtension, ToSql};

use super::{ReadTx, StoreError, WriteTx, column};

/// A current bundle that the log does not tell of yet.
#[derive(Debug, Clone, Copy)]
pub struct UnloggedBundle {
    /// Whose.
    pub participant: ParticipantId,
    /// Its version.
    pub version: u64,
    /// Its digest.
    pub digest: Sha512Digest,
}

/// Reads subject, version, digest and time from the first four columns.
pub(super) fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<KeyLogEntry> {
    Ok(KeyLogEntry {
        subject: LogSubject(row.get(0)?),
        version: row.get(1)?,
        digest: column::digest(row, 2)?,
        made_at: UnixMillis(row.get(3)?),
    })
}

/// An entry at its place: number, subject, version, digest, time and hash.
pub(super) fn columns<'a>(entry: &'a KeyLogEntry, place: &'a LogPlace) -> [&'a dyn ToSql; 6] {
    [&place.number, &entry.subject.0, &entry.version, &entry.digest.0, &entry.made_at.0, &place.hash.0]
}

impl ReadTx<'_> {
    /// Where the log ends; `server` is this one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn key_log_end(&self, server: Fingerprint) -> Result<LogPlace, StoreError> {
        let sql = "SELECT number, hash FROM key_log ORDER BY number DESC LIMIT 1";
        let place =
            |row: &rusqlite::Row<'_>| Ok(LogPlace { number: row.get(0)?, hash: column::digest(row, 1)? });
        let end = self.connection.prepare_cached(sql)?.query_row([], place).optional()?;
        Ok(end.unwrap_or_else(|| LogPlace::start(server)))
    }

    /// The hash at a number of the log; `None` beyond its end.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn key_log_hash(&self, server: Fingerprint, number: u64) -> Result<Option<Sha512Digest>, StoreError> {
        if number == 0 {
            return Ok(Some(LogPlace::start(server).hash));
        }
        let sql = "SELECT hash FROM key_log WHERE number = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([number], |row| column::digest(row, 0)).optional()?)
    }

    /// At most `limit` entries after a number, in order.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_key_log(&self, after: u64, limit: usize) -> Result<Vec<KeyLogEntry>, StoreError> {
        let sql = "SELECT subject, version, digest, made_at FROM key_log
                   WHERE number > ?1 ORDER BY number LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_map((after, limit as u64), entry)?.collect::<Result<_, _>>()?)
    }

    /// Who a participant is in the log, once it tells of them.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn log_subject(&self, participant: ParticipantId) -> Result<Option<LogSubject>, StoreError> {
        let sql = "SELECT subject FROM key_log_subjects WHERE participant = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([participant.number()], |row| row.get(0)).optional()?.map(LogSubject))
    }

    /// Whether the log has an entry about somebody.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn key_log_tells_of(&self, subject: LogSubject) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM key_log WHERE subject = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([subject.0], |row| row.get(0))?)
    }

    /// Current bundles of participants the log does not tell of: those of before there was one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_unlogged_bundles(&self) -> Result<Vec<UnloggedBundle>, StoreError> {
        let sql = "SELECT participant, version, digest FROM key_bundles
                   WHERE superseded_tick IS NULL AND participant NOT IN (SELECT participant FROM key_log_subjects)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let bundle = |row: &rusqlite::Row<'_>| {
            Ok(UnloggedBundle {
                participant: column::participant(row, 0)?,
                version: row.get(1)?,
                digest: column::digest(row, 2)?,
            })
        };
        Ok(statement.query_map([], bundle)?.collect::<Result<_, _>>()?)
    }
}

impl WriteTx<'_> {
    /// Appends an entry to the log of `server`, which is this one, and remembers whom it is about.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn append_to_key_log(
        &self,
        server: Fingerprint,
        participant: ParticipantId,
        entry: &KeyLogEntry,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO key_log_subjects (participant, subject) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute((participant.number(), entry.subject.0))?;
        self.append_entry_to_key_log(server, entry)
    }

    /// Appends an entry whose subject is no participant's: about somebody's devices, or about another server.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn append_entry_to_key_log(
        &self,
        server: Fingerprint,
        entry: &KeyLogEntry,
    ) -> Result<(), StoreError> {
        let place = self.key_log_end(server)?.after(entry);
        self.connection
            .prepare_cached(
                "INSERT INTO key_log (number, subject, version, digest, made_at, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(&columns(entry, &place)[..])?;
        Ok(())
    }
}
