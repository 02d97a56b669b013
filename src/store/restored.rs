//! What a restored server has to know: since when it is one, whose keys it has forgotten, which groups stay deleted, and
//! which life of their stores neighbours are in.

use std::collections::HashMap;

use momedo_protocol::cursor::StoreEpoch;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_log::LogSubject;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, Tick, WriteTx, column};
use crate::domain::limits::TAKES_BACK_DAYS;

/// Setting with the time served when the database was restored.
pub(super) const RESTORED: &str = "restored-at-served-millis";

impl ReadTx<'_> {
    /// Whether the server was restored so recently that it takes back what it may have forgotten.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn takes_back(&self) -> Result<bool, StoreError> {
        let restored = self.setting(RESTORED)?.and_then(|bytes| bytes.try_into().ok());
        let restored = restored.map(|bytes| Tick(u64::from_be_bytes(bytes)));
        Ok(restored.is_some_and(|at| self.tick() < at.plus_days(TAKES_BACK_DAYS)))
    }

    /// The newest version of a participant's keys that the server knows to have had and has no more.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forgotten_keys(&self, id: ParticipantId) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT version FROM forgotten_keys WHERE participant = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([id.number()], |row| row.get(0)).optional()?)
    }

    /// Whether an admin deleted this group.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn was_group_deleted(&self, id: GroupId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM deleted_groups WHERE id = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([id.number()], |row| row.get(0))?)
    }

    /// The newest entry of the own key log about somebody: version and digest.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn newest_in_key_log(&self, subject: LogSubject) -> Result<Option<(u64, Sha512Digest)>, StoreError> {
        let sql = "SELECT version, digest FROM key_log WHERE subject = ?1 ORDER BY number DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([subject.0], |row| Ok((row.get(0)?, column::digest(row, 1)?))).optional()?)
    }

    /// Who everybody is whom the own key log tells of.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn log_subjects(&self) -> Result<HashMap<LogSubject, ParticipantId>, StoreError> {
        let sql = "SELECT subject, participant FROM key_log_subjects";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows =
            statement.query_map([], |row| Ok((LogSubject(row.get(0)?), column::participant(row, 1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Which life of its store a neighbour told of last.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn neighbour_epoch(&self, server: Fingerprint) -> Result<Option<StoreEpoch>, StoreError> {
        let sql = "SELECT epoch FROM neighbours WHERE id = ?1";
        let epoch: Option<Option<u64>> =
            self.connection.prepare_cached(sql)?.query_row([server.0], |row| row.get(0)).optional()?;
        Ok(epoch.flatten().and_then(StoreEpoch::from_number))
    }
}

impl WriteTx<'_> {
    /// Notes that the server has had newer keys of a participant than it has.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_forgotten_keys(&self, id: ParticipantId, version: u64) -> Result<(), StoreError> {
        let sql = "INSERT INTO forgotten_keys (participant, version) VALUES (?1, ?2)
                   ON CONFLICT (participant) DO UPDATE SET version = max(version, ?2)";
        self.connection.prepare_cached(sql)?.execute((id.number(), version))?;
        Ok(())
    }

    /// Notes that keys of a participant with this version are there.
    pub(super) fn settle_forgotten_keys(&self, id: ParticipantId, version: u64) -> Result<(), StoreError> {
        let sql = "DELETE FROM forgotten_keys WHERE participant = ?1 AND version <= ?2";
        self.connection.prepare_cached(sql)?.execute((id.number(), version))?;
        Ok(())
    }

    /// Notes which life of its store a neighbour is in.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_neighbour_epoch(&self, server: Fingerprint, epoch: StoreEpoch) -> Result<(), StoreError> {
        let sql = "UPDATE neighbours SET epoch = ?2 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute((server.0, epoch.number()))?;
        Ok(())
    }

    /// Notes that a second home has to be told anew of everybody.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn tell_second_home_anew(&self, server: Fingerprint) -> Result<(), StoreError> {
        let sql = "UPDATE second_homes SET told = 0 WHERE other = ?1 AND is_first = 1";
        self.connection.prepare_cached(sql)?.execute([server.0])?;
        Ok(())
    }
}
