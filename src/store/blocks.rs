//! The `blocks` table: from whom a participant takes nothing.

use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::UnixMillis;

use super::{ReadTx, StoreError, WriteTx, column};

impl ReadTx<'_> {
    /// Whom a participant blocks, and since when, by ID.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_blocks(&self, id: ParticipantId) -> Result<Vec<(ParticipantId, UnixMillis)>, StoreError> {
        let sql = "SELECT blocked, since FROM blocks WHERE participant = ?1 ORDER BY blocked";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map([id.number()], |row| Ok((column::participant(row, 0)?, UnixMillis(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a participant takes nothing from somebody.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn blocks(&self, id: ParticipantId, somebody: ParticipantId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM blocks WHERE participant = ?1 AND blocked = ?2)";
        let row = (id.number(), somebody.number());
        Ok(self.connection.prepare_cached(sql)?.query_row(row, |row| row.get(0))?)
    }

    /// How many a participant blocks.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_blocks(&self, id: ParticipantId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM blocks WHERE participant = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([id.number()], |row| row.get(0))?)
    }
}

impl WriteTx<'_> {
    /// Blocks somebody; once more changes nothing.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_block(
        &mut self,
        id: ParticipantId,
        blocked: ParticipantId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.directory.forget();
        self.connection
            .prepare_cached(
                "INSERT INTO blocks (participant, blocked, since) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute((id.number(), blocked.number(), now.0))?;
        self.note_change_for_other_home(id)
    }

    /// Blocks somebody no longer.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_block(&mut self, id: ParticipantId, blocked: ParticipantId) -> Result<(), StoreError> {
        self.directory.forget();
        self.connection
            .prepare_cached("DELETE FROM blocks WHERE participant = ?1 AND blocked = ?2")?
            .execute((id.number(), blocked.number()))?;
        self.note_change_for_other_home(id)
    }
}
