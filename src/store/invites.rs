//! The `invites` and `reservations` tables. Codes and tokens are stored as SHA-256 hashes.

use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;

use super::{PersonId, ReadTx, StoreError, Tick, WriteTx, column};

/// An invite as stored.
#[derive(Debug, Clone)]
pub struct InviteRow {
    /// The name the admin wrote on it.
    pub name: Option<String>,
    /// Until when it can be used.
    pub expires: Tick,
    /// Whether somebody registered with it.
    pub spent: bool,
    /// The participant it gives new keys to; `None`: whoever uses it gets an ID of their own.
    pub participant: Option<ParticipantId>,
}

/// An ID that somebody is registering.
#[derive(Debug, Clone)]
pub struct ReservationRow {
    /// The reserved ID.
    pub participant: ParticipantId,
    /// Hash of the invite's code.
    pub invite: [u8; 32],
    /// Until when the reservation holds.
    pub expires: Tick,
}

impl ReadTx<'_> {
    /// The invite with this code hash.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_invite(&self, code_hash: &[u8; 32]) -> Result<Option<InviteRow>, StoreError> {
        let sql = "SELECT i.name, i.expires_tick, i.spent_by IS NOT NULL, p.participant
                   FROM invites i LEFT JOIN people p ON p.id = i.person WHERE i.code_hash = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement.query_row([code_hash], |row| {
            let has_registered = row.get_ref(3)? != rusqlite::types::ValueRef::Null;
            Ok(InviteRow {
                name: row.get(0)?,
                expires: Tick(row.get(1)?),
                spent: row.get(2)?,
                participant: if has_registered { Some(column::participant(row, 3)?) } else { None },
            })
        });
        Ok(row.optional()?)
    }

    /// The reservation with this token hash.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_reservation(&self, token_hash: &[u8; 32]) -> Result<Option<ReservationRow>, StoreError> {
        let sql = "SELECT participant, invite, expires_tick FROM reservations WHERE token_hash = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement.query_row([token_hash], |row| {
            Ok(ReservationRow {
                participant: column::participant(row, 0)?,
                invite: row.get(1)?,
                expires: Tick(row.get(2)?),
            })
        });
        Ok(row.optional()?)
    }

    /// Whether nobody has, had or is registering this ID.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn is_id_free(&self, id: ParticipantId) -> Result<bool, StoreError> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM participants WHERE id = ?1)
                   AND NOT EXISTS (SELECT 1 FROM reservations WHERE participant = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([id.number()], |row| row.get(0))?)
    }

    /// How many reservations one invite has open.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_reservations(&self, invite: &[u8; 32]) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM reservations WHERE invite = ?1 AND expires_tick > ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row((invite, self.tick().0), |row| row.get(0))?)
    }
}

impl WriteTx<'_> {
    /// Adds an invite.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_invite(
        &self,
        code_hash: &[u8; 32],
        name: Option<&str>,
        person: Option<PersonId>,
        created_at: UnixMillis,
        expires_at: UnixMillis,
        expires: Tick,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO invites (code_hash, name, person, created_at, expires_at, expires_tick)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                code_hash,
                name,
                person.map(|person| person.0),
                created_at.0,
                expires_at.0,
                expires.0,
            ))?;
        Ok(())
    }

    /// Ends a person's unused invites: a lost or older sheet opens nothing.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn end_invites(&self, person: PersonId) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM invites WHERE person = ?1 AND spent_by IS NULL")?
            .execute([person.0])?;
        Ok(())
    }

    /// Adds a reservation.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_reservation(&self, row: &ReservationRow, token_hash: &[u8; 32]) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO reservations (participant, invite, token_hash, expires_tick)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((row.participant.number(), row.invite, token_hash, row.expires.0))?;
        Ok(())
    }

    /// Forgets the reservation of an ID, if there is one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_reservation(&self, id: ParticipantId) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM reservations WHERE participant = ?1")?
            .execute([id.number()])?;
        Ok(())
    }

    /// Marks an invite as used by `participant` and forgets its reservations; false when it was used already.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn spend_invite(&self, code_hash: &[u8; 32], participant: ParticipantId) -> Result<bool, StoreError> {
        let changed = self
            .connection
            .prepare_cached("UPDATE invites SET spent_by = ?2 WHERE code_hash = ?1 AND spent_by IS NULL")?
            .execute((code_hash, participant.number()))?;
        self.connection.prepare_cached("DELETE FROM reservations WHERE invite = ?1")?.execute([code_hash])?;
        Ok(changed == 1)
    }

    /// Forgets reservations that ended; invites stay, so that their users hear why they fail.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_ended_reservations(&self) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM reservations WHERE expires_tick <= ?1")?
            .execute([self.tick().0])?;
        Ok(())
    }
}
