//! The `relayed` table: batches that pass through. A row stays until the answer has gone back to where it came from.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link::BatchId;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, Tick, WriteTx};

/// A batch that passes through.
#[derive(Debug, Clone)]
pub struct RelayedRow {
    /// Its place; rises while the server runs, also over rows that are gone.
    pub id: i64,
    /// Names it.
    pub batch: BatchId,
    /// The neighbour it came from.
    pub source: Fingerprint,
    /// The home it is for.
    pub home: Fingerprint,
    /// The neighbour it goes to.
    pub via: Fingerprint,
    /// The frame, or its answer.
    pub frame: Vec<u8>,
    /// Which of them.
    pub answered: bool,
}

const RELAYED: &str = "id, batch, source, home, via, frame, answered";

fn relayed(row: &rusqlite::Row<'_>) -> rusqlite::Result<RelayedRow> {
    Ok(RelayedRow {
        id: row.get(0)?,
        batch: BatchId(row.get(1)?),
        source: Fingerprint(row.get(2)?),
        home: Fingerprint(row.get(3)?),
        via: Fingerprint(row.get(4)?),
        frame: row.get(5)?,
        answered: row.get(6)?,
    })
}

impl ReadTx<'_> {
    /// Batches to pass on to a neighbour after place `after`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn passing(&self, via: Fingerprint, after: i64, limit: usize) -> Result<Vec<RelayedRow>, StoreError> {
        let sql = format!(
            "SELECT {RELAYED} FROM relayed WHERE via = ?1 AND answered = 0 AND id > ?2 ORDER BY id LIMIT ?3"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map((via.0, after, limit as u64), relayed)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Answers to give back to a neighbour, oldest first.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn answers(&self, source: Fingerprint, limit: usize) -> Result<Vec<RelayedRow>, StoreError> {
        let sql =
            format!("SELECT {RELAYED} FROM relayed WHERE source = ?1 AND answered = 1 ORDER BY id LIMIT ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map((source.0, limit as u64), relayed)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One batch that passes through.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_relayed(&self, batch: &BatchId) -> Result<Option<RelayedRow>, StoreError> {
        let sql = format!("SELECT {RELAYED} FROM relayed WHERE batch = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([batch.0], relayed).optional()?)
    }

    /// Bytes of a neighbour's batches that wait here, and of those that wait for `via`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn relayed_bytes(&self, source: Fingerprint, via: Fingerprint) -> Result<(u64, u64), StoreError> {
        let sql =
            "SELECT coalesce(sum(size), 0), coalesce(sum(size) FILTER (WHERE via = ?2 AND answered = 0), 0)
                   FROM relayed WHERE source = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row((source.0, via.0), |row| Ok((row.get(0)?, row.get(1)?)))?)
    }
}

impl WriteTx<'_> {
    /// Keeps a batch that passes through.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_relayed(
        &self,
        batch: &BatchId,
        source: Fingerprint,
        home: Fingerprint,
        via: Fingerprint,
        frame: &[u8],
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO relayed (id, batch, source, home, via, stored_tick, size, frame, answered)
                 VALUES ((SELECT max(coalesce(max(id) + 1, 0), ?1) FROM relayed), ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)",
            )?
            .execute((self.first_place(), batch.0, source.0, home.0, via.0, self.tick().0, frame.len() as u64, frame))?;
        Ok(())
    }

    /// Puts the answer in a batch's place; false when it is not there, or not on its way over `via`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn answer_relayed(
        &self,
        batch: &BatchId,
        via: Fingerprint,
        answer: &[u8],
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE relayed SET frame = ?3, size = ?4, answered = 1 WHERE batch = ?1 AND via = ?2";
        let parameters = (batch.0, via.0, answer, answer.len() as u64);
        Ok(self.connection.prepare_cached(sql)?.execute(parameters)? == 1)
    }

    /// Forgets an answered batch once its source has the answer.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_answered(&self, batch: &BatchId, source: Fingerprint) -> Result<(), StoreError> {
        let sql = "DELETE FROM relayed WHERE batch = ?1 AND source = ?2 AND answered = 1";
        self.connection.prepare_cached(sql)?.execute((batch.0, source.0))?;
        Ok(())
    }

    /// Forgets batches stored before `before`: their origins have them still, or told their senders.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forget_relayed(&self, before: Tick) -> Result<usize, StoreError> {
        Ok(self
            .connection
            .prepare_cached("DELETE FROM relayed WHERE stored_tick < ?1")?
            .execute([before.0])?)
    }

    /// Batches that wait for a neighbour that is leaving, at most `limit`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn relayed_over(&self, via: Fingerprint, limit: u32) -> Result<Vec<BatchId>, StoreError> {
        let sql = "SELECT batch FROM relayed WHERE via = ?1 AND answered = 0 LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map((via.0, limit), |row| row.get(0).map(BatchId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets batches and answers of a neighbour that is leaving.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_relayed_from(&self, source: Fingerprint) -> Result<(), StoreError> {
        let sql = "DELETE FROM relayed WHERE source = ?1";
        self.connection.prepare_cached(sql)?.execute([source.0])?;
        Ok(())
    }
}
