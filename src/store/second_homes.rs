//! The `second_homes` table: participants with a home on another server, too.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, WriteTx, column};

/// A participant's other home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherHome {
    /// The other server.
    pub server: Fingerprint,
    /// Whether changes of keys and devices are made here.
    pub is_first: bool,
    /// Whether the participant wants it no more.
    pub ends: bool,
    /// Rises with everything the other home has to know of.
    pub changed: u64,
    /// Up to which of these the other home, if it is the second, has heard of everything.
    pub told: u64,
}

/// How many participants this server and another keep together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Shared {
    /// This server's, whose second home the other is.
    pub ours: u64,
    /// Of those, how many the other has not heard of, or not of the newest.
    pub waiting: u64,
    /// The other's, whose second home this server is.
    pub theirs: u64,
}

const COLUMNS: &str = "other, is_first, ends, changed, told";

fn from_row(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<OtherHome> {
    Ok(OtherHome {
        server: Fingerprint(row.get(first)?),
        is_first: row.get(first + 1)?,
        ends: row.get(first + 2)?,
        changed: row.get(first + 3)?,
        told: row.get(first + 4)?,
    })
}

impl ReadTx<'_> {
    /// A participant's other home.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_other_home(&self, id: ParticipantId) -> Result<Option<OtherHome>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM second_homes WHERE participant = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row([id.number()], |row| from_row(row, 0)).optional()?)
    }

    /// This server's participants of whom a second home has not heard everything, after `after`, by number.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_untold(
        &self,
        server: Fingerprint,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(ParticipantId, OtherHome)>, StoreError> {
        let sql = format!(
            "SELECT participant, {COLUMNS} FROM second_homes
             WHERE other = ?1 AND is_first = 1 AND told < changed AND participant > ?2
             ORDER BY participant LIMIT ?3"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map((server.0, after, limit), |row| {
            Ok((column::participant(row, 0)?, from_row(row, 1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many participants this server and another keep together.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_shared(&self, server: Fingerprint) -> Result<Shared, StoreError> {
        let sql = "SELECT count(*) FILTER (WHERE is_first = 1),
                          count(*) FILTER (WHERE is_first = 1 AND told < changed),
                          count(*) FILTER (WHERE is_first = 0)
                   FROM second_homes WHERE other = ?1";
        let shared = |row: &rusqlite::Row<'_>| {
            Ok(Shared { ours: row.get(0)?, waiting: row.get(1)?, theirs: row.get(2)? })
        };
        Ok(self.connection.prepare_cached(sql)?.query_row([server.0], shared)?)
    }

    /// Participants whose first home another server is.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_stood_in_for(&self, server: Fingerprint) -> Result<Vec<ParticipantId>, StoreError> {
        let sql =
            "SELECT participant FROM second_homes WHERE other = ?1 AND is_first = 0 ORDER BY participant";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([server.0], |row| column::participant(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl WriteTx<'_> {
    /// Sets a participant's other home, of which it has everything to hear if it is the second.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_other_home(
        &mut self,
        id: ParticipantId,
        server: Fingerprint,
        is_first: bool,
    ) -> Result<(), StoreError> {
        self.directory.forget();
        self.connection
            .prepare_cached(
                "INSERT INTO second_homes (participant, other, is_first, ends, changed, told)
                 VALUES (?1, ?2, ?3, 0, 1, 0)
                 ON CONFLICT (participant) DO UPDATE
                 SET other = ?2, is_first = ?3, ends = 0, changed = changed + 1",
            )?
            .execute((id.number(), server.0, is_first))?;
        Ok(())
    }

    /// Notes that a participant wants their second home no more.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn end_other_home(&mut self, id: ParticipantId) -> Result<(), StoreError> {
        self.directory.forget();
        let sql = "UPDATE second_homes SET ends = 1, changed = changed + 1 WHERE participant = ?1";
        self.connection.prepare_cached(sql)?.execute([id.number()])?;
        Ok(())
    }

    /// Notes that a participant's second home, if there is one, has something to hear.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub(super) fn note_change_for_other_home(&self, id: ParticipantId) -> Result<(), StoreError> {
        let sql = "UPDATE second_homes SET changed = changed + 1 WHERE participant = ?1 AND is_first = 1";
        self.connection.prepare_cached(sql)?.execute([id.number()])?;
        Ok(())
    }

    /// Notes that the other home has heard of everything up to `changed`; it is forgotten if that was the end.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_told(&mut self, id: ParticipantId, changed: u64) -> Result<(), StoreError> {
        let sql = "UPDATE second_homes SET told = ?2 WHERE participant = ?1 AND told < ?2";
        self.connection.prepare_cached(sql)?.execute((id.number(), changed))?;
        let sql = "DELETE FROM second_homes WHERE participant = ?1 AND ends = 1 AND told = changed";
        if self.connection.prepare_cached(sql)?.execute([id.number()])? == 1 {
            self.directory.forget();
        }
        Ok(())
    }

    /// Makes another server the first home of everybody whose second home it was until now; returns how many.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn yield_first_homes(&mut self, server: Fingerprint) -> Result<usize, StoreError> {
        self.directory.forget();
        let sql = "UPDATE second_homes SET is_first = 0 WHERE other = ?1 AND is_first = 1 AND ends = 0";
        Ok(self.connection.prepare_cached(sql)?.execute([server.0])?)
    }

    /// Forgets a server as anybody's second home.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forget_second_homes_at(&mut self, server: Fingerprint) -> Result<(), StoreError> {
        self.directory.forget();
        let sql = "DELETE FROM second_homes WHERE other = ?1 AND is_first = 1";
        self.connection.prepare_cached(sql)?.execute([server.0])?;
        Ok(())
    }

    /// Forgets a participant that this server only stood in for: from now on they live elsewhere. What they wrote to
    /// others here stays theirs.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forget_participant(&mut self, id: ParticipantId) -> Result<(), StoreError> {
        self.directory.forget();
        for device in self.list_devices(id)? {
            self.drop_queue(device.id)?;
        }
        for sql in [
            "DELETE FROM queues WHERE device IN (SELECT id FROM devices WHERE participant = ?1)",
            "DELETE FROM devices WHERE participant = ?1",
            "DELETE FROM device_lists WHERE participant = ?1",
            "DELETE FROM key_bundles WHERE participant = ?1",
            "DELETE FROM key_log_subjects WHERE participant = ?1",
            "DELETE FROM blocks WHERE participant = ?1",
            "DELETE FROM key_backups WHERE participant = ?1",
            "DELETE FROM invites WHERE spent_by = ?1",
            // Where this server was the first home once, its admins know the person.
            "UPDATE people SET participant = NULL WHERE participant = ?1",
            "DELETE FROM second_homes WHERE participant = ?1",
            "DELETE FROM participants WHERE id = ?1",
        ] {
            self.connection.prepare_cached(sql)?.execute([id.number()])?;
        }
        Ok(())
    }

    /// Gives somebody the role their first home says, for as long as no admin here knows them.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_role_of_participant(
        &mut self,
        id: ParticipantId,
        role: crate::domain::role::Role,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE participants SET role = ?2 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute((id.number(), role.word()))?;
        Ok(())
    }
}
