//! The `neighbour_logs` and `neighbour_log_entries` tables: what neighbours showed of their key logs.

use std::collections::HashMap;

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::key_log::{KeyLogEntry, LogPlace, LogSubject};
use momedo_protocol::time::UnixMillis;
use rusqlite::{OptionalExtension, ToSql, params_from_iter};

use super::key_log::{columns, entry};
use super::{ReadTx, StoreError, WriteTx, column};

/// How far a neighbour's log was followed.
#[derive(Debug, Clone)]
pub struct NeighbourLogRow {
    /// Where it ended.
    pub end: LogPlace,
    /// The newest head that continued the one before, as signed (JSON).
    pub head: String,
    /// The first head that did not (JSON), and when it was shown.
    pub broken: Option<(String, UnixMillis)>,
}

/// How a bundle stands in a neighbour's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStanding {
    /// It is the newest of its subject.
    Newest,
    /// A newer one follows it.
    Older,
    /// It is not there.
    Missing,
}

impl ReadTx<'_> {
    /// How far a neighbour's log was followed.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_neighbour_log(&self, server: Fingerprint) -> Result<Option<NeighbourLogRow>, StoreError> {
        let sql = "SELECT number, hash, head, broken, broken_at FROM neighbour_logs WHERE server = ?1";
        let row = |row: &rusqlite::Row<'_>| {
            let broken: Option<String> = row.get(3)?;
            let broken_at: Option<u64> = row.get(4)?;
            Ok(NeighbourLogRow {
                end: LogPlace { number: row.get(0)?, hash: column::digest(row, 1)? },
                head: row.get(2)?,
                broken: broken.zip(broken_at.map(UnixMillis)),
            })
        };
        Ok(self.connection.prepare_cached(sql)?.query_row([server.0], row).optional()?)
    }

    /// The hash at a number of a neighbour's log; `None` where it was not followed to.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn neighbour_log_hash(
        &self,
        server: Fingerprint,
        number: u64,
    ) -> Result<Option<Sha512Digest>, StoreError> {
        if number == 0 {
            return Ok(Some(LogPlace::start(server).hash));
        }
        let sql = "SELECT hash FROM neighbour_log_entries WHERE server = ?1 AND number = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row((server.0, number), |row| column::digest(row, 0)).optional()?)
    }

    /// At most `limit` entries of a neighbour's log after a number, in order.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_neighbour_log(
        &self,
        server: Fingerprint,
        after: u64,
        limit: usize,
    ) -> Result<Vec<KeyLogEntry>, StoreError> {
        let sql = "SELECT subject, version, digest, made_at FROM neighbour_log_entries
                   WHERE server = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_map((server.0, after, limit as u64), entry)?.collect::<Result<_, _>>()?)
    }

    /// The newest versions in a neighbour's log of those subjects that have one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn newest_in_neighbour_log(
        &self,
        server: Fingerprint,
        subjects: impl Iterator<Item = LogSubject>,
    ) -> Result<HashMap<LogSubject, u64>, StoreError> {
        let sql = "SELECT version FROM neighbour_log_entries
                   WHERE server = ?1 AND subject = ?2 ORDER BY number DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut newest = HashMap::new();
        for subject in subjects {
            let version = statement.query_row((server.0, subject.0), |row| row.get(0)).optional()?;
            newest.extend(version.map(|version| (subject, version)));
        }
        Ok(newest)
    }

    /// How a bundle stands in a neighbour's log.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn neighbour_log_standing(
        &self,
        server: Fingerprint,
        subject: LogSubject,
        version: u64,
        digest: &Sha512Digest,
    ) -> Result<LogStanding, StoreError> {
        let sql = "SELECT version, digest FROM neighbour_log_entries
                   WHERE server = ?1 AND subject = ?2 ORDER BY number DESC";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query((server.0, subject.0))?;
        let mut standing = LogStanding::Newest;
        while let Some(row) = rows.next()? {
            if row.get::<_, u64>(0)? == version && column::digest(row, 1)? == *digest {
                return Ok(standing);
            }
            standing = LogStanding::Older;
        }
        Ok(LogStanding::Missing)
    }
}

impl WriteTx<'_> {
    /// Keeps what continues a neighbour's log after `from`; false when it was followed on by somebody else
    /// meanwhile, or is broken.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn extend_neighbour_log(
        &self,
        server: Fingerprint,
        from: LogPlace,
        entries: &[(KeyLogEntry, LogPlace)],
        head: &str,
    ) -> Result<bool, StoreError> {
        let known = self.find_neighbour_log(server)?;
        let at = known.as_ref().map_or_else(|| LogPlace::start(server), |row| row.end);
        if at != from || known.is_some_and(|row| row.broken.is_some()) {
            return Ok(false);
        }
        let end = entries.last().map_or(from, |(_, place)| *place);
        self.connection
            .prepare_cached(
                "INSERT INTO neighbour_logs (server, number, hash, head) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (server) DO UPDATE SET number = ?2, hash = ?3, head = ?4",
            )?
            .execute((server.0, end.number, end.hash.0, head))?;
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO neighbour_log_entries (server, number, subject, version, digest, made_at, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for (entry, place) in entries {
            let of_server = std::iter::once(&server.0 as &dyn ToSql);
            statement.execute(params_from_iter(of_server.chain(columns(entry, place))))?;
        }
        Ok(true)
    }

    /// Keeps the first head of a neighbour's log that did not continue it; false when there was one already.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_broken_log(
        &self,
        server: Fingerprint,
        head: &str,
        at: UnixMillis,
    ) -> Result<bool, StoreError> {
        let sql =
            "UPDATE neighbour_logs SET broken = ?2, broken_at = ?3 WHERE server = ?1 AND broken IS NULL";
        Ok(self.connection.prepare_cached(sql)?.execute((server.0, head, at.0))? == 1)
    }

    /// Forgets how far a neighbour's log was followed; false when it was not.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forget_neighbour_log(&self, server: Fingerprint) -> Result<bool, StoreError> {
        let sql = "DELETE FROM neighbour_logs WHERE server = ?1";
        Ok(self.connection.prepare_cached(sql)?.execute([server.0])? == 1)
    }
}
