//! The `key_backups` table: one slot per participant, opaque to the server.

use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, WriteTx};

/// A slot without its bytes.
#[derive(Debug, Clone)]
pub struct KeyBackupRow {
    /// Its version.
    pub version: u64,
    /// SHA-256 of the secret it is fetched with.
    pub lock: [u8; 32],
    /// Its size.
    pub bytes: u64,
    /// When it was stored.
    pub stored_at: UnixMillis,
    /// When it was last fetched, if ever.
    pub fetched_at: Option<UnixMillis>,
}

impl ReadTx<'_> {
    /// A participant's slot, without its bytes.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_key_backup(&self, id: ParticipantId) -> Result<Option<KeyBackupRow>, StoreError> {
        let sql = "SELECT version, lock, length(slot), stored_at, fetched_at FROM key_backups
                   WHERE participant = ?1";
        let row = self.connection.prepare_cached(sql)?.query_row([id.number()], |row| {
            Ok(KeyBackupRow {
                version: row.get(0)?,
                lock: row.get(1)?,
                bytes: row.get(2)?,
                stored_at: UnixMillis(row.get(3)?),
                fetched_at: row.get::<_, Option<u64>>(4)?.map(UnixMillis),
            })
        });
        Ok(row.optional()?)
    }

    /// The bytes of a participant's slot.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn key_backup_slot(&self, id: ParticipantId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT slot FROM key_backups WHERE participant = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([id.number()], |row| row.get(0)).optional()?)
    }
}

impl WriteTx<'_> {
    /// Stores a slot in place of the one before.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_key_backup(
        &self,
        id: ParticipantId,
        version: u64,
        lock: &[u8; 32],
        slot: &[u8],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO key_backups (participant, version, lock, stored_at, slot)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (participant) DO UPDATE SET version = ?2, lock = ?3, stored_at = ?4, slot = ?5",
            )?
            .execute((id.number(), version, lock, now.0, slot))?;
        Ok(())
    }

    /// Notes that a slot was fetched.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn mark_key_backup_fetched(&self, id: ParticipantId, now: UnixMillis) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE key_backups SET fetched_at = ?2 WHERE participant = ?1")?
            .execute((id.number(), now.0))?;
        Ok(())
    }

    /// Removes a slot; false when there is none.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_key_backup(&self, id: ParticipantId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM key_backups WHERE participant = ?1";
        Ok(self.connection.prepare_cached(sql)?.execute([id.number()])? == 1)
    }
}
