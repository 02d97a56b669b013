//! The `remote_participants`, `remote_groups`, `posted_elsewhere` and `blocked_remote` tables: who lives and what is kept
//! on another server, which neighbour leads there, what was posted there from here, and from whom nothing is taken.

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, Tick, WriteTx, column};

/// What is kept of what leads over one neighbour, at most: some thousand people with their keys, or a hundred thousand
/// names. It is learned anew when somebody asks.
const SHARE_BYTES: u64 = 32 * 1024 * 1024;

/// What a row costs besides its keys, as the triggers of the tables count, too.
const ROW_BYTES: u64 = 256;

/// McEliece keys that are kept of what leads over one neighbour: 100 MiB.
const MCELIECE_KEYS: u64 = 200;

/// Rows without keys that make room at once.
const STEP: u64 = 64;

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

impl ReadTx<'_> {
    /// Bytes that are kept of what leads over a neighbour, each row counted as 256 besides its keys.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn remote_bytes(&self, via: Fingerprint) -> Result<u64, StoreError> {
        let sql = "SELECT bytes FROM remote_shares WHERE via = ?1";
        let bytes = self.connection.prepare_cached(sql)?.query_row([via.0], |row| row.get(0)).optional()?;
        Ok(bytes.unwrap_or(0))
    }

    /// Whether a participant of this server posted this message to a group of another one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn has_posted_elsewhere(
        &self,
        id: MessageId,
        sender: ParticipantId,
        group: GroupId,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM posted_elsewhere
                   WHERE message_id = ?1 AND sender = ?2 AND group_id = ?3)";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row((id.0, sender.number(), group.number()), |row| row.get(0))?)
    }
}

impl WriteTx<'_> {
    /// Notes that a participant of this server posts this message to a group of another one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_posted_elsewhere(
        &self,
        id: MessageId,
        sender: ParticipantId,
        group: GroupId,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO posted_elsewhere (message_id, sender, group_id, posted_tick) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING",
            )?
            .execute((id.0, sender.number(), group.number(), self.tick().0))?;
        Ok(())
    }

    /// Forgets what was posted before `before`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forget_posted_elsewhere(&self, before: Tick) -> Result<(), StoreError> {
        let sql = "DELETE FROM posted_elsewhere WHERE posted_tick < ?1";
        self.connection.prepare_cached(sql)?.execute([before.0])?;
        Ok(())
    }

    /// Keeps what is known of a participant of another server. What leads over a neighbour has a share of its own,
    /// where the oldest makes room; false when nothing of it can go, and nothing was kept.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn save_remote(&self, row: &RemoteRow) -> Result<bool, StoreError> {
        let keys = row.keys.as_ref();
        if !self.make_room(row.via, keys.map_or(0, |keys| keys.published.len()) as u64)? {
            return Ok(false);
        }
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
        Ok(true)
    }

    /// Whether there is room for one row more of what leads over a neighbour, after the oldest ones made it.
    fn make_room(&self, via: Fingerprint, keys: u64) -> Result<bool, StoreError> {
        // Whatever waits for its home needs its way, unless the neighbour is that home. Names that only batches said go
        // first: flooding with them makes nobody forget whose keys are known.
        const REMOVABLE: &str = "disputed_by IS NULL AND NOT settled
            AND (home = via OR NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.home = r.home))";
        const GROUPS: &str = "DELETE FROM remote_groups WHERE id IN (
            SELECT id FROM remote_groups WHERE via = ?1 ORDER BY learned_tick LIMIT ?2)";
        let of = |keys: &str| {
            format!(
                "DELETE FROM remote_participants WHERE id IN (
                     SELECT id FROM remote_participants r WHERE via = ?1 AND keys {keys} AND {REMOVABLE}
                     ORDER BY learned_tick LIMIT ?2)"
            )
        };
        while self.remote_bytes(via)? + ROW_BYTES + keys > SHARE_BYTES {
            let mut gone = 0;
            for (sql, step) in [(of("IS NULL"), STEP), (GROUPS.to_owned(), STEP), (of("IS NOT NULL"), 1)] {
                gone = self.connection.prepare_cached(&sql)?.execute((via.0, step))?;
                if gone > 0 {
                    break;
                }
            }
            if gone == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Keeps where a group of another server is kept, in the share of the neighbour that leads there.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn save_remote_group(
        &self,
        id: GroupId,
        home: Fingerprint,
        via: Fingerprint,
    ) -> Result<(), StoreError> {
        if !self.make_room(via, 0)? {
            return Ok(());
        }
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

    /// Keeps the McEliece key of a participant of another server, in the share of the neighbour it came over; the oldest
    /// make room.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_brought_mceliece_key(
        &self,
        digest: &Sha512Digest,
        owner: ParticipantId,
        via: Fingerprint,
        key: &[u8],
    ) -> Result<(), StoreError> {
        let count = "SELECT count(*) FROM mceliece_brought WHERE via = ?1";
        let count: u64 = self.connection.prepare_cached(count)?.query_row([via.0], |row| row.get(0))?;
        if let Some(many) = (count + 1).checked_sub(MCELIECE_KEYS) {
            let oldest = "SELECT digest FROM mceliece_brought WHERE via = ?1 ORDER BY stored_tick LIMIT ?2";
            for table in ["mceliece_keys", "mceliece_brought"] {
                let sql = format!("DELETE FROM {table} WHERE digest IN ({oldest})");
                self.connection.prepare_cached(&sql)?.execute((via.0, many))?;
            }
        }
        self.insert_mceliece_key(digest, owner, key)?;
        let sql = "INSERT INTO mceliece_brought (digest, via, stored_tick) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.connection.prepare_cached(sql)?.execute((digest.0, via.0, self.tick().0))?;
        Ok(())
    }

    /// Keeps a McEliece key for good that came from elsewhere until now: its owner is a participant here.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn adopt_mceliece_key(&self, digest: &Sha512Digest) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM mceliece_brought WHERE digest = ?1")?
            .execute([digest.0])?;
        Ok(())
    }

    /// Has kept keys of a home's participants that count as fresh for `fresh_millis` asked for anew: its log of key changes
    /// went on. They serve while nobody answers.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn age_remote_keys(&self, home: Fingerprint, fresh_millis: u64) -> Result<(), StoreError> {
        let sql = "UPDATE remote_participants SET learned_tick = max(learned_tick - ?2, 0)
                   WHERE home = ?1 AND learned_tick + ?2 > ?3";
        self.connection.prepare_cached(sql)?.execute((home.0, fresh_millis, self.tick().0))?;
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
