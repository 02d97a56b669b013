//! The `participants` table.

use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;
use strum::{EnumString, IntoStaticStr};

use super::{ReadTx, StoreError, WriteTx, column};

/// Whether a participant may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum ParticipantState {
    /// May log in, send and receive.
    Active,
    /// Kept, but may not log in.
    Disabled,
    /// Gone; only the ID is remembered.
    Erased,
}

impl ParticipantState {
    pub(super) fn of(word: &str) -> Self {
        word.parse().unwrap_or(Self::Erased)
    }

    /// The word for it in tables and JSON.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// A participant as stored.
#[derive(Debug, Clone)]
pub struct ParticipantRow {
    /// The ID.
    pub id: ParticipantId,
    /// Display name.
    pub name: String,
    /// Whether the participant may act.
    pub state: ParticipantState,
    /// Whether the next bundle may change the signature key without the old one.
    pub key_reset_allowed: bool,
}

const COLUMNS: &str = "id, name, state, key_reset_allowed";

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ParticipantRow> {
    let state: String = row.get(2)?;
    Ok(ParticipantRow {
        id: column::participant(row, 0)?,
        name: row.get(1)?,
        state: ParticipantState::of(&state),
        key_reset_allowed: row.get(3)?,
    })
}

impl ReadTx<'_> {
    /// The participant with this ID, erased ones included.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_participant(&self, id: ParticipantId) -> Result<Option<ParticipantRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM participants WHERE id = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row([id.number()], from_row).optional()?)
    }

    /// How many participants are not erased.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_participants(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM participants WHERE state <> 'erased'";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

impl WriteTx<'_> {
    /// Adds an active member.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_participant(
        &mut self,
        id: ParticipantId,
        name: &str,
        created_at: UnixMillis,
    ) -> Result<(), StoreError> {
        self.directory.forget();
        self.connection
            .prepare_cached(
                "INSERT INTO participants (id, name, role, state, created_at)
                 VALUES (?1, ?2, 'member', 'active', ?3)",
            )?
            .execute((id.number(), name, created_at.0))?;
        Ok(())
    }

    /// Lets a participant act, or not.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_participant_state(
        &mut self,
        id: ParticipantId,
        state: ParticipantState,
    ) -> Result<(), StoreError> {
        self.directory.forget();
        self.connection
            .prepare_cached("UPDATE participants SET state = ?2 WHERE id = ?1")?
            .execute((id.number(), state.word()))?;
        self.note_change_for_other_home(id)
    }

    /// Lets the next bundle change the signature key without the old one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn allow_key_reset(&mut self, id: ParticipantId) -> Result<(), StoreError> {
        self.directory.forget();
        self.connection
            .prepare_cached("UPDATE participants SET key_reset_allowed = 1 WHERE id = ?1")?
            .execute([id.number()])?;
        Ok(())
    }

    /// Takes over the display name of a newly published bundle and uses up an allowed key reset.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn update_participant_after_publishing(
        &self,
        id: ParticipantId,
        name: &str,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE participants SET name = ?2, key_reset_allowed = 0 WHERE id = ?1")?
            .execute((id.number(), name))?;
        Ok(())
    }
}
