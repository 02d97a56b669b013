//! The `smoke_messages` table: offline copies that wait for participants with the Smoke app.

use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, Tick, WriteTx};
use crate::domain::smoke::Waiting;

impl ReadTx<'_> {
    /// What waits for these participants, oldest first.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn waiting_smoke_messages(&self, participants: &[i64]) -> Result<Vec<Waiting>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, size, released FROM smoke_messages WHERE participant = ?1 AND read_tick IS NULL",
        )?;
        let mut waiting = Vec::new();
        for participant in participants {
            let rows = statement.query_map([participant], |row| {
                Ok(Waiting { number: row.get(0)?, size: row.get(1)?, released: row.get(2)? })
            })?;
            for row in rows {
                waiting.push(row?);
            }
        }
        waiting.sort_by_key(|message| message.number);
        Ok(waiting)
    }

    /// The body of a message that still waits.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn smoke_message_body(&self, number: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT body FROM smoke_messages WHERE id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([number], |row| row.get(0)).optional()?.flatten())
    }

    /// Messages that wait for a participant, and their bytes.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn smoke_queue_size(&self, participant: i64) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT count(*), coalesce(sum(size), 0) FROM smoke_messages
                   WHERE participant = ?1 AND read_tick IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([participant], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Whether a message with this digest waits or was read lately.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn is_smoke_message_known(&self, participant: i64, digest: &[u8; 64]) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM smoke_messages WHERE participant = ?1 AND digest = ?2)";
        Ok(self.connection.prepare_cached(sql)?.query_row((participant, digest), |row| row.get(0))?)
    }
}

impl WriteTx<'_> {
    /// Stores a message.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_smoke_message(
        &self,
        participant: i64,
        digest: &[u8; 64],
        body: &[u8],
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO smoke_messages (participant, digest, size, stored_tick, body)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((participant, digest, body.len() as u64, self.tick().0, body))?;
        Ok(())
    }

    /// Notes that messages are being handed over.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn mark_smoke_messages_released(&self, numbers: &[i64]) -> Result<(), StoreError> {
        let sql = "UPDATE smoke_messages SET released = 1 WHERE id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        for number in numbers {
            statement.execute([number])?;
        }
        Ok(())
    }

    /// Notes that a participant read a message that was handed over, and drops its body; false when there is
    /// no such message.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn mark_smoke_message_read(&self, participant: i64, digest: &[u8; 64]) -> Result<bool, StoreError> {
        let tick = self.tick().0;
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE smoke_messages SET read_tick = ?3, body = NULL
                 WHERE participant = ?1 AND digest = ?2 AND released AND read_tick IS NULL",
            )?
            .execute((participant, digest, tick))?;
        Ok(changed > 0)
    }

    /// Deletes everything stored before, read or not; how many messages nobody had read.
    ///
    /// Numbers rise as ticks do, so this looks at the oldest rows and stops at the first that stays.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn expire_smoke_messages(&self, before: Tick) -> Result<u64, StoreError> {
        let sql = "SELECT id FROM smoke_messages WHERE stored_tick >= ?1 ORDER BY id LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let first: Option<i64> = statement.query_row([before.0], |row| row.get(0)).optional()?;
        let first = first.unwrap_or(i64::MAX);
        let unread = "SELECT count(*) FROM smoke_messages WHERE id < ?1 AND read_tick IS NULL";
        let unread = self.connection.prepare_cached(unread)?.query_row([first], |row| row.get(0))?;
        self.connection.prepare_cached("DELETE FROM smoke_messages WHERE id < ?1")?.execute([first])?;
        Ok(unread)
    }
}
