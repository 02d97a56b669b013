//! The `remote_participants` table: who lives on another server, and which neighbour leads there.

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::id::ParticipantId;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, Tick, WriteTx, column};

/// A participant of another server.
#[derive(Debug, Clone)]
pub struct RemoteRow {
    /// Who.
    pub id: ParticipantId,
    /// Where they live.
    pub home: Fingerprint,
    /// The neighbour that leads there.
    pub via: Fingerprint,
    /// Their keys, once asked for.
    pub keys: Option<RemoteKeys>,
    /// When this was learned.
    pub learned: Tick,
    /// Another server that claims the same ID; nothing is routed then.
    pub disputed_by: Option<Fingerprint>,
    /// Whether an admin decided which of two servers is right.
    pub settled: bool,
}

/// Keys of a participant of another server.
#[derive(Debug, Clone)]
pub struct RemoteKeys {
    /// The bundle's version.
    pub version: u64,
    /// The bundle's digest.
    pub digest: Sha512Digest,
    /// Digest of its McEliece key.
    pub mceliece: Option<Sha512Digest>,
    /// What the home published, as JSON of the API.
    pub published: String,
}

const COLUMNS: &str = "id, home, via, version, digest, mceliece, keys, learned_tick, disputed_by, settled";

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RemoteRow> {
    let published: Option<String> = row.get(6)?;
    let keys = match published {
        Some(published) => Some(RemoteKeys {
            version: row.get(3)?,
            digest: column::digest(row, 4)?,
            mceliece: row.get::<_, Option<[u8; 64]>>(5)?.map(Sha512Digest),
            published,
        }),
        None => None,
    };
    Ok(RemoteRow {
        id: column::participant(row, 0)?,
        home: Fingerprint(row.get(1)?),
        via: Fingerprint(row.get(2)?),
        keys,
        learned: Tick(row.get(7)?),
        disputed_by: row.get::<_, Option<[u8; 32]>>(8)?.map(Fingerprint),
        settled: row.get(9)?,
    })
}

impl ReadTx<'_> {
    /// What is known of a participant of another server.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_remote(&self, id: ParticipantId) -> Result<Option<RemoteRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM remote_participants WHERE id = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([id.number()], from_row).optional()?)
    }

    /// The neighbour that leads to a home, as the newest of what is known of its participants says.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn way_to_home(&self, home: Fingerprint) -> Result<Option<Fingerprint>, StoreError> {
        let sql = "SELECT via FROM remote_participants WHERE home = ?1 ORDER BY learned_tick DESC LIMIT 1";
        let via = self.connection.prepare_cached(sql)?.query_row([home.0], |row| row.get(0)).optional()?;
        Ok(via.map(Fingerprint))
    }

    /// Somebody whose bundle names this McEliece key.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_remote_by_mceliece(&self, digest: &Sha512Digest) -> Result<Option<RemoteRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM remote_participants WHERE mceliece = ?1 LIMIT 1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([digest.0], from_row).optional()?)
    }

    /// IDs that two servers claim.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn disputed_participants(&self) -> Result<Vec<RemoteRow>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM remote_participants WHERE disputed_by IS NOT NULL ORDER BY id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_map([], from_row)?.collect::<Result<_, _>>()?)
    }

    /// How many participants of other servers are known.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_remote(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM remote_participants";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

impl WriteTx<'_> {
    /// Keeps what is known of a participant of another server.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn save_remote(&self, row: &RemoteRow) -> Result<(), StoreError> {
        let keys = row.keys.as_ref();
        self.connection
            .prepare_cached(
                "INSERT INTO remote_participants (id, home, via, version, digest, mceliece, keys, learned_tick,
                                                  disputed_by, settled)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (id) DO UPDATE SET home = ?2, via = ?3, version = ?4, digest = ?5, mceliece = ?6,
                     keys = ?7, learned_tick = ?8, disputed_by = ?9, settled = ?10",
            )?
            .execute((
                row.id.number(),
                row.home.0,
                row.via.0,
                keys.map(|keys| keys.version),
                keys.map(|keys| keys.digest.0),
                keys.and_then(|keys| keys.mceliece).map(|digest| digest.0),
                keys.map(|keys| &keys.published),
                row.learned.0,
                row.disputed_by.map(|home| home.0),
                row.settled,
            ))?;
        Ok(())
    }

    /// Forgets a participant of another server.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_remote(&self, id: ParticipantId) -> Result<(), StoreError> {
        let sql = "DELETE FROM remote_participants WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute([id.number()])?;
        Ok(())
    }

    /// Forgets everything a neighbour leads to, and what it disputes.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forget_ways_over(&self, via: Fingerprint) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM remote_participants WHERE via = ?1")?.execute([via.0])?;
        let sql = "UPDATE remote_participants SET disputed_by = NULL WHERE disputed_by = ?1";
        self.connection.prepare_cached(sql)?.execute([via.0])?;
        Ok(())
    }

    /// Forgets the way to a home over a neighbour that has none any more.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forget_way(&self, home: Fingerprint, via: Fingerprint) -> Result<(), StoreError> {
        let sql = "DELETE FROM remote_participants WHERE home = ?1 AND via = ?2";
        self.connection.prepare_cached(sql)?.execute((home.0, via.0))?;
        Ok(())
    }

    /// Forgets participants of other servers learned before `before` to whom nothing is on its way.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forget_remote(&self, before: Tick) -> Result<usize, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "DELETE FROM remote_participants WHERE learned_tick < ?1 AND disputed_by IS NULL AND NOT settled
                 AND home NOT IN (SELECT home FROM outbox)",
            )?
            .execute([before.0])?)
    }
}
