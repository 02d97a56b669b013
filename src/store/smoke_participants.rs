//! The `smoke_participants` and `smoke_keys` tables: who uses the Smoke app here, and their public keys.

use momedo_protocol::time::UnixMillis;
use momedo_smoke::key_stream::{KeyStream, STREAM_BYTES};
use momedo_smoke::smoke_id::SmokeId;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row};
use strum::{EnumString, IntoStaticStr};

use super::{ReadTx, StoreError, WriteTx};

/// How keys stand with an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum SmokeKeysState {
    /// They are its keys.
    Bound,
    /// The ID is an alias, so an admin decides.
    Waiting,
}

impl SmokeKeysState {
    /// The word in tables and JSON.
    pub fn word(self) -> &'static str {
        self.into()
    }

    fn of(word: &str) -> Self {
        word.parse().unwrap_or(Self::Waiting)
    }
}

/// A participant with the Smoke app, with what waits.
#[derive(Debug, Clone)]
pub struct SmokeParticipantRow {
    /// The row's number.
    pub number: i64,
    /// The ID.
    pub id: SmokeId,
    /// The name admins gave.
    pub name: String,
    /// Whether a client shared the ID; otherwise an admin added it.
    pub is_shared: bool,
    /// Whether keys that somebody else passes on are taken.
    pub accepts_unsigned: bool,
    /// When its owner last asked for mail.
    pub seen_at: Option<UnixMillis>,
    /// Why the last key bundle was not taken.
    pub refusal: Option<String>,
    /// How its keys stand.
    pub keys: Option<SmokeKeysState>,
    /// Digest of the encryption key, for comparing.
    pub encryption_digest: Option<[u8; 64]>,
    /// Messages that wait.
    pub depth: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The public keys of a participant.
#[derive(Debug, Clone)]
pub struct SmokeKeysRow {
    /// Whose.
    pub participant: i64,
    /// How they stand.
    pub state: SmokeKeysState,
    /// SPKI DER.
    pub encryption_key: Vec<u8>,
    /// As it came.
    pub encryption_signature: Vec<u8>,
    /// SPKI DER.
    pub signature_key: Vec<u8>,
    /// As it came.
    pub signature: Vec<u8>,
}

const KEYS_COLUMNS: &str =
    "participant, state, encryption_key, encryption_signature, signature_key, signature";

fn keys_row(row: &Row<'_>) -> rusqlite::Result<SmokeKeysRow> {
    Ok(SmokeKeysRow {
        participant: row.get(0)?,
        state: SmokeKeysState::of(&row.get::<_, String>(1)?),
        encryption_key: row.get(2)?,
        encryption_signature: row.get(3)?,
        signature_key: row.get(4)?,
        signature: row.get(5)?,
    })
}

fn smoke_id(row: &Row<'_>, index: usize) -> rusqlite::Result<SmokeId> {
    let text: String = row.get(index)?;
    text.parse()
        .map_err(|_| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, "not a Smoke ID".into()))
}

/// What the lists of the pages are read with.
const LISTED: &str = "SELECT p.id, p.smoke_id, p.name, p.origin = 'shared', p.accepts_unsigned, p.seen_at, p.refusal,
        k.state, k.encryption_digest,
        (SELECT count(*) FROM smoke_messages m WHERE m.participant = p.id AND m.read_tick IS NULL),
        (SELECT coalesce(sum(m.size), 0) FROM smoke_messages m WHERE m.participant = p.id AND m.read_tick IS NULL)
    FROM smoke_participants p LEFT JOIN smoke_keys k ON k.participant = p.id";

fn listed(row: &Row<'_>) -> rusqlite::Result<SmokeParticipantRow> {
    Ok(SmokeParticipantRow {
        number: row.get(0)?,
        id: smoke_id(row, 1)?,
        name: row.get(2)?,
        is_shared: row.get(3)?,
        accepts_unsigned: row.get(4)?,
        seen_at: row.get::<_, Option<u64>>(5)?.map(UnixMillis),
        refusal: row.get(6)?,
        keys: row.get::<_, Option<String>>(7)?.map(|word| SmokeKeysState::of(&word)),
        encryption_digest: row.get(8)?,
        depth: row.get(9)?,
        bytes: row.get(10)?,
    })
}

impl ReadTx<'_> {
    /// Numbers, IDs and derived keys of everybody.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn smoke_streams(&self) -> Result<Vec<(i64, SmokeId, KeyStream)>, StoreError> {
        let sql = "SELECT id, smoke_id, stream FROM smoke_participants ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let stream: [u8; STREAM_BYTES] = row.get(2)?;
            Ok((row.get(0)?, smoke_id(row, 1)?, KeyStream::from_bytes(&stream)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One page of participants by name, and how many there are in all.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_smoke_participants(
        &self,
        search: &str,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<SmokeParticipantRow>, u64), StoreError> {
        let found = "finds(p.name || ' ' || p.smoke_id, ?1)";
        let total = format!("SELECT count(*) FROM smoke_participants p WHERE {found}");
        let total = self.connection.prepare_cached(&total)?.query_row([search.trim()], |row| row.get(0))?;
        // Those who wait for a decision first.
        let sql = format!(
            "{LISTED} WHERE {found} ORDER BY coalesce(k.state, '') <> 'waiting', p.sort_key, p.id
             LIMIT ?2 OFFSET ?3"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map((search.trim(), limit, offset), listed)?;
        Ok((rows.collect::<Result<_, _>>()?, total))
    }

    /// The participant with this ID.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_smoke_participant(&self, id: &SmokeId) -> Result<Option<SmokeParticipantRow>, StoreError> {
        let sql = format!("{LISTED} WHERE p.smoke_id = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([id.as_str()], listed).optional()?)
    }

    /// Whether there is a participant of this number.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn is_smoke_participant(&self, number: i64) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM smoke_participants WHERE id = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([number], |row| row.get(0))?)
    }

    /// How many participants there are.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_smoke_participants(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM smoke_participants";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// How many IDs wait for an admin's decision.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_waiting_smoke_keys(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM smoke_keys WHERE state = 'waiting'";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// The keys of a participant.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_smoke_keys(&self, participant: i64) -> Result<Option<SmokeKeysRow>, StoreError> {
        let sql = format!("SELECT {KEYS_COLUMNS} FROM smoke_keys WHERE participant = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([participant], keys_row).optional()?)
    }

    /// Bound keys whose encryption key has this digest. Several IDs may share one: an own one and an alias.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn smoke_keys_by_encryption(&self, digest: &[u8; 64]) -> Result<Vec<SmokeKeysRow>, StoreError> {
        let sql = format!(
            "SELECT {KEYS_COLUMNS} FROM smoke_keys WHERE encryption_digest = ?1 AND state = 'bound'
             ORDER BY participant LIMIT 4"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([digest], keys_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Bound keys whose signature key has this digest; which of several does not matter, it is the same key.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn smoke_keys_by_signature(&self, digest: &[u8; 64]) -> Result<Option<SmokeKeysRow>, StoreError> {
        let sql = format!(
            "SELECT {KEYS_COLUMNS} FROM smoke_keys WHERE signature_digest = ?1 AND state = 'bound'
             ORDER BY participant LIMIT 1"
        );
        Ok(self.connection.prepare_cached(&sql)?.query_row([digest], keys_row).optional()?)
    }
}

impl WriteTx<'_> {
    /// Adds a participant; its number.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_smoke_participant(
        &self,
        id: &SmokeId,
        name: &str,
        stream: &KeyStream,
        is_shared: bool,
        now: UnixMillis,
    ) -> Result<i64, StoreError> {
        let origin = if is_shared { "shared" } else { "added" };
        self.connection
            .prepare_cached(
                "INSERT INTO smoke_participants (smoke_id, name, sort_key, stream, origin, created_at)
                 VALUES (?1, ?2, sort_key(?2), ?3, ?4, ?5)",
            )?
            .execute((id.as_str(), name, stream.bytes(), origin, now.0))?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Renames a participant, and says whether unsigned keys are taken for it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn update_smoke_participant(
        &self,
        number: i64,
        name: &str,
        accepts_unsigned: bool,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE smoke_participants SET name = ?2, sort_key = sort_key(?2), accepts_unsigned = ?3 WHERE id = ?1",
            )?
            .execute((number, name, accepts_unsigned))?;
        Ok(())
    }

    /// Deletes a participant with keys and messages.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_smoke_participant(&self, number: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM smoke_participants WHERE id = ?1")?.execute([number])?;
        Ok(())
    }

    /// Notes why a key bundle was not taken; `None`: one was. Writes nothing when that was known.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_smoke_refusal(&self, number: i64, refusal: Option<&str>) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE smoke_participants SET refusal = ?2 WHERE id = ?1 AND refusal IS NOT ?2")?
            .execute((number, refusal))?;
        Ok(())
    }

    /// Notes when a participant last asked for mail, to ten minutes: clients ask every minute, and each would be
    /// a write.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn mark_smoke_participant_seen(&self, number: i64, now: UnixMillis) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE smoke_participants SET seen_at = ?2
                 WHERE id = ?1 AND (seen_at IS NULL OR abs(seen_at - ?2) > 600000)",
            )?
            .execute((number, now.0))?;
        Ok(())
    }

    /// Puts keys in the place of any others of this participant.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn put_smoke_keys(&self, keys: &SmokeKeysRow, now: UnixMillis) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO smoke_keys (participant, state, encryption_digest, signature_digest,
                     received_at, encryption_key, encryption_signature, signature_key, signature)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute((
                keys.participant,
                keys.state.word(),
                momedo_smoke::sha512(&keys.encryption_key),
                momedo_smoke::sha512(&keys.signature_key),
                now.0,
                &keys.encryption_key,
                &keys.encryption_signature,
                &keys.signature_key,
                &keys.signature,
            ))?;
        Ok(())
    }

    /// Binds keys that waited; false when none did.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn bind_waiting_smoke_keys(&self, participant: i64) -> Result<bool, StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE smoke_keys SET state = 'bound' WHERE participant = ?1 AND state = 'waiting'",
            )?
            .execute([participant])?;
        Ok(changed > 0)
    }

    /// Forgets a participant's keys; false when there were none.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_smoke_keys(&self, participant: i64) -> Result<bool, StoreError> {
        let sql = "DELETE FROM smoke_keys WHERE participant = ?1";
        Ok(self.connection.prepare_cached(sql)?.execute([participant])? > 0)
    }
}
