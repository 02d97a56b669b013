//! The `remote_participants`, `remote_groups` and `blocked_remote` tables: who lives and what is kept on another
//! server, which neighbour leads there, and from whom nothing is taken.

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::UnixMillis;
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
    /// The other home that their bundle names.
    pub other_home: Option<Fingerprint>,
}

impl RemoteRow {
    /// Whether a server speaks for them.
    pub fn lives_at(&self, server: Fingerprint) -> bool {
        self.home == server || self.other_home == Some(server)
    }
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

const COLUMNS: &str =
    "id, home, via, version, digest, mceliece, keys, learned_tick, disputed_by, settled, other_home";

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
        other_home: row.get::<_, Option<[u8; 32]>>(10)?.map(Fingerprint),
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
        let sql = "SELECT via FROM (SELECT via, learned_tick FROM remote_participants WHERE home = ?1
                                    UNION ALL SELECT via, learned_tick FROM remote_groups WHERE home = ?1)
                   ORDER BY learned_tick DESC LIMIT 1";
        let via = self.connection.prepare_cached(sql)?.query_row([home.0], |row| row.get(0)).optional()?;
        Ok(via.map(Fingerprint))
    }

    /// The home of a group of another server, and the neighbour that leads there.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_remote_group(&self, id: GroupId) -> Result<Option<(Fingerprint, Fingerprint)>, StoreError> {
        let sql = "SELECT home, via FROM remote_groups WHERE id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement
            .query_row([id.number()], |row| Ok((Fingerprint(row.get(0)?), Fingerprint(row.get(1)?))));
        Ok(row.optional()?)
    }

    /// Whether nothing is taken from a participant of another server.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn is_blocked_remote(&self, id: ParticipantId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM blocked_remote WHERE participant = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([id.number()], |row| row.get(0))?)
    }

    /// Participants of other servers from whom nothing is taken.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn blocked_remote(&self) -> Result<Vec<ParticipantId>, StoreError> {
        let sql = "SELECT participant FROM blocked_remote ORDER BY participant";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| column::participant(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
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

impl ReadTx<'_> {
    /// Pairs of homes of participants known here: the one used now, and the other.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_pairs_of_homes(&self) -> Result<Vec<(Fingerprint, Fingerprint)>, StoreError> {
        let sql = "SELECT DISTINCT home, other_home FROM remote_participants WHERE other_home IS NOT NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((Fingerprint(row.get(0)?), Fingerprint(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
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
                                                  disputed_by, settled, other_home)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (id) DO UPDATE SET home = ?2, via = ?3, version = ?4, digest = ?5, mceliece = ?6,
                     keys = ?7, learned_tick = ?8, disputed_by = ?9, settled = ?10, other_home = ?11",
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
                row.other_home.map(|home| home.0),
            ))?;
        Ok(())
    }

    /// Keeps where a group of another server is kept.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn save_remote_group(
        &self,
        id: GroupId,
        home: Fingerprint,
        via: Fingerprint,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO remote_groups (id, home, via, learned_tick) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET home = ?2, via = ?3, learned_tick = ?4",
            )?
            .execute((id.number(), home.0, via.0, self.tick().0))?;
        Ok(())
    }

    /// Takes nothing from a participant of another server any more, or takes it again.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_blocked_remote(
        &self,
        id: ParticipantId,
        blocked_at: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        match blocked_at {
            Some(at) => self
                .connection
                .prepare_cached(
                    "INSERT INTO blocked_remote (participant, blocked_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                )?
                .execute((id.number(), at.0))?,
            None => self
                .connection
                .prepare_cached("DELETE FROM blocked_remote WHERE participant = ?1")?
                .execute([id.number()])?,
        };
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
        for table in ["remote_participants", "remote_groups"] {
            let sql = format!("DELETE FROM {table} WHERE via = ?1");
            self.connection.prepare_cached(&sql)?.execute([via.0])?;
        }
        let sql = "UPDATE remote_participants SET disputed_by = NULL WHERE disputed_by = ?1";
        self.connection.prepare_cached(sql)?.execute([via.0])?;
        Ok(())
    }

    /// Forgets the way to a home over a neighbour that has none any more.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forget_way(&self, home: Fingerprint, via: Fingerprint) -> Result<(), StoreError> {
        for table in ["remote_participants", "remote_groups"] {
            let sql = format!("DELETE FROM {table} WHERE home = ?1 AND via = ?2");
            self.connection.prepare_cached(&sql)?.execute((home.0, via.0))?;
        }
        Ok(())
    }

    /// Forgets participants of other servers learned before `before` to whom nothing is on its way.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forget_remote(&self, before: Tick) -> Result<usize, StoreError> {
        self.connection
            .prepare_cached("DELETE FROM remote_groups WHERE learned_tick < ?1")?
            .execute([before.0])?;
        Ok(self
            .connection
            .prepare_cached(
                "DELETE FROM remote_participants WHERE learned_tick < ?1 AND disputed_by IS NULL AND NOT settled
                 AND home NOT IN (SELECT home FROM outbox)",
            )?
            .execute([before.0])?)
    }
}
