//! The `neighbours` and `pairing_codes` tables.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, Tick, WriteTx};
use crate::domain::neighbour::{Asking, Belonging, Contract, Decision};

/// A neighbour as kept.
#[derive(Debug, Clone)]
pub struct NeighbourRow {
    /// Its server ID.
    pub id: Fingerprint,
    /// The name its admin gave it.
    pub name: String,
    /// Where it may be dialled.
    pub addresses: Vec<String>,
    /// Whether an admin here confirmed.
    pub ours: bool,
    /// Whether an admin there confirmed.
    pub theirs: bool,
    /// What an admin here decided.
    pub decision: Decision,
    /// How it is asked, until it has recorded this server.
    pub asking: Option<Asking>,
    /// What may pass.
    pub contract: Contract,
    /// When it was added.
    pub added_at: UnixMillis,
    /// When it asked without a code, until an admin here decides.
    pub asked: Option<Tick>,
}

impl NeighbourRow {
    /// Whether it asked without a code, and waits for an admin here.
    pub fn asks_from_nearby(&self) -> bool {
        self.asked.is_some() && !self.ours && self.decision == Decision::Active
    }

    /// Whether mail may go there and come from there.
    pub fn is_paired(&self) -> bool {
        self.ours && self.theirs && self.decision == Decision::Active
    }

    /// Whether mail for it is taken: also while there is a pause, when it waits.
    pub fn is_wanted(&self) -> bool {
        self.ours && self.theirs && self.decision != Decision::Blocked
    }
}

/// What somebody who shows a pairing code may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeUse {
    /// It is theirs.
    Right,
    /// It is unknown, expired, or somebody else's.
    Wrong,
}

const COLUMNS: &str =
    "id, name, addresses, ours, theirs, decision, code, contract, added_at, nearby, asked_tick";

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<NeighbourRow> {
    let (addresses, decision, contract): (String, String, String) = (row.get(2)?, row.get(5)?, row.get(7)?);
    let (code, is_nearby): (Option<String>, bool) = (row.get(6)?, row.get(9)?);
    Ok(NeighbourRow {
        id: Fingerprint(row.get(0)?),
        name: row.get(1)?,
        addresses: serde_json::from_str(&addresses).unwrap_or_default(),
        ours: row.get(3)?,
        theirs: row.get(4)?,
        decision: Decision::of(&decision),
        asking: code.map(Asking::Code).or(is_nearby.then_some(Asking::Nearby)),
        // What cannot be read allows nothing.
        contract: serde_json::from_str(&contract).unwrap_or_default(),
        added_at: UnixMillis(row.get(8)?),
        asked: row.get::<_, Option<u64>>(10)?.map(Tick),
    })
}

impl ReadTx<'_> {
    /// Every neighbour, by name.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_neighbours(&self) -> Result<Vec<NeighbourRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM neighbours ORDER BY sort_key(name), id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_map([], from_row)?.collect::<Result<_, _>>()?)
    }

    /// One neighbour.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_neighbour(&self, id: Fingerprint) -> Result<Option<NeighbourRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM neighbours WHERE id = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([id.0], from_row).optional()?)
    }

    /// What decides whether a participant of this server may talk across.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn belonging(&self, participant: ParticipantId) -> Result<Belonging, StoreError> {
        let sql = "SELECT id, role FROM people WHERE participant = ?1";
        let person: Option<(i64, String)> = self
            .connection
            .prepare_cached(sql)?
            .query_row([participant.number()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((person, role)) = person else {
            // Somebody this server only stands in for: as their first home says.
            let sql = "SELECT role FROM participants WHERE id = ?1";
            let role: Option<String> = self
                .connection
                .prepare_cached(sql)?
                .query_row([participant.number()], |row| row.get(0))
                .optional()?;
            let role = role.and_then(|role| role.parse().ok()).unwrap_or_default();
            return Ok(Belonging { role, classes: Vec::new() });
        };
        let mut statement =
            self.connection.prepare_cached("SELECT class FROM class_members WHERE person = ?1")?;
        let classes = statement.query_map([person], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(Belonging { role: role.parse().unwrap_or_default(), classes })
    }
}

impl WriteTx<'_> {
    /// Keeps a neighbour, new or changed.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn save_neighbour(&self, row: &NeighbourRow) -> Result<(), StoreError> {
        let json = |result: serde_json::Result<String>| {
            result.map_err(|error| StoreError::Sqlite(format!("a neighbour cannot be written: {error}")))
        };
        let addresses = json(serde_json::to_string(&row.addresses))?;
        let contract = json(serde_json::to_string(&row.contract))?;
        let code = match &row.asking {
            Some(Asking::Code(code)) => Some(code),
            Some(Asking::Nearby) | None => None,
        };
        self.connection
            .prepare_cached(
                "INSERT INTO neighbours (id, name, addresses, ours, theirs, decision, code, contract, added_at, nearby,
                     asked_tick)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (id) DO UPDATE SET name = ?2, addresses = ?3, ours = ?4, theirs = ?5,
                     decision = ?6, code = ?7, contract = ?8, nearby = ?10, asked_tick = ?11",
            )?
            .execute((
                row.id.0,
                &row.name,
                addresses,
                row.ours,
                row.theirs,
                row.decision.word(),
                code,
                contract,
                row.added_at.0,
                row.asking == Some(Asking::Nearby),
                row.asked.map(|tick| tick.0),
            ))?;
        Ok(())
    }

    /// Forgets a neighbour; false when there was none.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_neighbour(&self, id: Fingerprint) -> Result<bool, StoreError> {
        let sql = "DELETE FROM neighbours WHERE id = ?1";
        Ok(self.connection.prepare_cached(sql)?.execute([id.0])? == 1)
    }

    /// Forgets requests without a code that came before a tick and that no admin has decided about, and says whose.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn expire_requests(&self, before: Tick) -> Result<Vec<Fingerprint>, StoreError> {
        let sql =
            "DELETE FROM neighbours WHERE asked_tick < ?1 AND ours = 0 AND decision = 'active' RETURNING id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let expired = statement.query_map([before.0], |row| Ok(Fingerprint(row.get(0)?)))?;
        Ok(expired.collect::<Result<_, _>>()?)
    }

    /// Keeps the code of a new pairing link, and forgets codes that are over.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_pairing_code(&self, code_hash: &[u8; 32], expires: Tick) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM pairing_codes WHERE expires_tick < ?1")?
            .execute([self.tick().0])?;
        self.connection
            .prepare_cached("INSERT INTO pairing_codes (code_hash, expires_tick) VALUES (?1, ?2)")?
            .execute((code_hash, expires.0))?;
        Ok(())
    }

    /// Uses a pairing code up for a server; the same server may use it again.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn use_pairing_code(&self, code_hash: &[u8; 32], server: Fingerprint) -> Result<CodeUse, StoreError> {
        let used = self
            .connection
            .prepare_cached(
                "UPDATE pairing_codes SET used_by = ?2
                 WHERE code_hash = ?1 AND expires_tick > ?3 AND (used_by IS NULL OR used_by = ?2)",
            )?
            .execute((code_hash, server.0, self.tick().0))?;
        Ok(if used == 1 { CodeUse::Right } else { CodeUse::Wrong })
    }
}
