//! The `key_backups` table: one slot per participant, opaque to the server, and what ended the last one.

use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, WriteTx, column};

/// A slot without its bytes, or what is left of one.
#[derive(Debug, Clone)]
pub struct KeyBackupRow {
    /// Its version; the next slot's is higher, also after this one ended.
    pub version: u64,
    /// SHA-256 of the secret it is fetched with; `None` once it ended.
    pub lock: Option<[u8; 32]>,
    /// Its size; 0 once it ended.
    pub bytes: u64,
    /// When it was stored.
    pub stored_at: UnixMillis,
    /// When it was last fetched, if ever.
    pub fetched_at: Option<UnixMillis>,
    /// When its recovery code was made.
    pub made_at: UnixMillis,
    /// The device that made the recovery code.
    pub made_by: Option<DeviceId>,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
    /// The device that removed it; `None` after a revocation or new signature keys.
    pub ended_by: Option<DeviceId>,
}

/// A slot to be stored.
#[derive(Debug)]
pub struct NewSlot<'a> {
    /// Its version.
    pub version: u64,
    /// SHA-256 of the secret it is fetched with.
    pub lock: &'a [u8; 32],
    /// The sealed bytes.
    pub bytes: &'a [u8],
    /// The device that stores it.
    pub device: DeviceId,
}

fn optional_device(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Option<DeviceId>> {
    match row.get_ref(index)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => column::device(row, index).map(Some),
    }
}

impl ReadTx<'_> {
    /// A participant's slot, without its bytes, or what is left of it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_key_backup(&self, id: ParticipantId) -> Result<Option<KeyBackupRow>, StoreError> {
        let sql = "SELECT version, lock, coalesce(length(slot), 0), stored_at, fetched_at, made_at, made_by, ended_at,
                   ended_by FROM key_backups WHERE participant = ?1";
        let row = self.connection.prepare_cached(sql)?.query_row([id.number()], |row| {
            Ok(KeyBackupRow {
                version: row.get(0)?,
                lock: row.get(1)?,
                bytes: row.get(2)?,
                stored_at: UnixMillis(row.get(3)?),
                fetched_at: row.get::<_, Option<u64>>(4)?.map(UnixMillis),
                made_at: UnixMillis(row.get(5)?),
                made_by: optional_device(row, 6)?,
                ended_at: row.get::<_, Option<u64>>(7)?.map(UnixMillis),
                ended_by: optional_device(row, 8)?,
            })
        });
        Ok(row.optional()?)
    }

    /// The bytes of a participant's slot.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn key_backup_slot(&self, id: ParticipantId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT slot FROM key_backups WHERE participant = ?1 AND slot IS NOT NULL";
        Ok(self.connection.prepare_cached(sql)?.query_row([id.number()], |row| row.get(0)).optional()?)
    }
}

impl WriteTx<'_> {
    /// Stores a slot in place of the one before. Another lock is another recovery code, made now on this device.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_key_backup(
        &self,
        id: ParticipantId,
        slot: &NewSlot<'_>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO key_backups (participant, version, lock, stored_at, made_at, made_by, slot)
                 VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)
                 ON CONFLICT (participant) DO UPDATE SET version = ?2, stored_at = ?4, slot = ?6,
                     made_at = CASE WHEN lock IS ?3 THEN made_at ELSE ?4 END,
                     made_by = CASE WHEN lock IS ?3 THEN made_by ELSE ?5 END,
                     fetched_at = CASE WHEN lock IS ?3 THEN fetched_at END,
                     lock = ?3, ended_at = NULL, ended_by = NULL",
            )?
            .execute((id.number(), slot.version, slot.lock, now.0, slot.device.number(), slot.bytes))?;
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

    /// Ends a slot; false when there is none. `by` is the device that removes it, `None` for a revocation.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn end_key_backup(
        &self,
        id: ParticipantId,
        now: UnixMillis,
        by: Option<DeviceId>,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE key_backups SET lock = NULL, slot = NULL, ended_at = ?2, ended_by = ?3
                   WHERE participant = ?1 AND lock IS NOT NULL";
        let row = (id.number(), now.0, by.map(DeviceId::number));
        Ok(self.connection.prepare_cached(sql)?.execute(row)? == 1)
    }
}
