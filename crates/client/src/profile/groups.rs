//! What a device keeps of its groups: their chains.

use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Action, GroupEntry};
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::time::UnixMillis;
use rusqlite::{OptionalExtension, params};

use super::Profile;
use crate::ClientError;

/// Most keys from one sender that no chain confirms yet; more push out that sender's own.
const MAX_UNCONFIRMED_KEYS: u32 = 64;

/// What unconfirmed keys are sealed as.
const UNCONFIRMED: &str = "unconfirmed group key";

/// A group key that somebody says is one, and that the chain has not confirmed.
pub(crate) struct UnconfirmedKey {
    id: i64,
    /// For which epoch.
    pub(crate) epoch: u32,
    /// Who says so.
    pub(crate) sender: ParticipantId,
    /// The key.
    pub(crate) key: GroupKey,
}

impl Profile {
    /// A group as far as this device has read its chain.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn group(&self, id: GroupId) -> Result<Option<GroupState>, ClientError> {
        let row: Option<(String, String)> = self.sql(|database| {
            let sql = "SELECT state, members FROM groups WHERE id = ?1";
            database.query_row(sql, [id.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })?;
        let Some((state, members)) = row else { return Ok(None) };
        let mut state: GroupState = serde_json::from_str(&state).map_err(|error| self.failed(error))?;
        state.members = serde_json::from_str(&members).map_err(|error| self.failed(error))?;
        Ok(Some(state))
    }

    /// What a group is called: asked for each message of it, so its members are left alone.
    pub(crate) fn group_name(&self, id: GroupId) -> Result<Option<String>, ClientError> {
        self.sql(|database| {
            let sql = "SELECT json_extract(state, '$.settings.name') FROM groups WHERE id = ?1";
            database.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0)).optional()
        })
    }

    /// Keeps what a group is now, with the entries that led there.
    pub(crate) fn save_group(
        &self,
        state: &GroupState,
        entries: &[(GroupEntry, Jws)],
    ) -> Result<(), ClientError> {
        let text = |value| serde_json::to_string(value).map_err(|error| self.failed(error));
        let id = state.id().to_string();
        let members = serde_json::to_string(&state.members).map_err(|error| self.failed(error))?;
        let state = serde_json::to_string(state).map_err(|error| self.failed(error))?;
        let sql = "INSERT INTO groups (id, state, members) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO UPDATE SET state = ?2, members = ?3, gone = 0";
        self.sql(|database| database.execute(sql, [&id, &state, &members]))?;
        self.wake_set_aside(&id)?;
        for (entry, jws) in entries {
            let (number, entry_text) = (entry.payload.number, text(jws)?);
            self.sql(|database| {
                let sql = "INSERT INTO group_entries VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
                database.execute(sql, params![id, number, entry.digest.0, entry_text])
            })?;
            if let Action::Epoch { epoch, commitment } = &entry.payload.action {
                self.sql(|database| {
                    let sql = "INSERT INTO group_epochs VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
                    database.execute(sql, params![id, epoch, commitment.0])
                })?;
            }
        }
        Ok(())
    }

    /// The entries of a group up to a number, as they were signed.
    pub(crate) fn group_entries(&self, id: GroupId, from: u32, to: u32) -> Result<Vec<Jws>, ClientError> {
        let texts: Vec<String> = self.sql(|database| {
            let sql = "SELECT entry FROM group_entries WHERE group_id = ?1 AND number BETWEEN ?2 AND ?3
                       ORDER BY number";
            let mut statement = database.prepare(sql)?;
            statement.query_map(params![id.to_string(), from, to], |row| row.get(0))?.collect()
        })?;
        texts.iter().map(|text| serde_json::from_str(text).map_err(|error| self.failed(error))).collect()
    }

    /// What the chain says of an epoch's key.
    pub(crate) fn group_commitment(
        &self,
        id: GroupId,
        epoch: u32,
    ) -> Result<Option<Sha512Digest>, ClientError> {
        let bytes: Option<[u8; 64]> = self.sql(|database| {
            let sql = "SELECT commitment FROM group_epochs WHERE group_id = ?1 AND epoch = ?2";
            database.query_row(sql, params![id.to_string(), epoch], |row| row.get(0)).optional()
        })?;
        Ok(bytes.map(Sha512Digest))
    }

    /// The commitments of a group's epochs, the newest first.
    pub(crate) fn group_commitments(&self, id: GroupId) -> Result<Vec<Sha512Digest>, ClientError> {
        self.sql(|database| {
            let sql = "SELECT commitment FROM group_epochs WHERE group_id = ?1 ORDER BY epoch DESC";
            let mut statement = database.prepare(sql)?;
            statement.query_map([id.to_string()], |row| row.get(0).map(Sha512Digest))?.collect()
        })
    }

    /// Keeps a key that no chain confirms yet, apart from those that count.
    pub(crate) fn put_unconfirmed_key(
        &self,
        group: &Sha512Digest,
        epoch: u32,
        sender: ParticipantId,
        key: &GroupKey,
        now: UnixMillis,
    ) -> Result<(), ClientError> {
        let stored = self.sealed(UNCONFIRMED, key.bytes())?;
        let sender = sender.to_string();
        self.sql(|database| {
            database.execute(
                "INSERT INTO unconfirmed_group_keys (group_digest, epoch, sender, kept_at, key)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![group.0, epoch, sender, now.0, stored],
            )?;
            let sql = "DELETE FROM unconfirmed_group_keys WHERE sender = ?1 AND id NOT IN
                       (SELECT id FROM unconfirmed_group_keys WHERE sender = ?1 ORDER BY id DESC LIMIT ?2)";
            database.execute(sql, params![sender, MAX_UNCONFIRMED_KEYS]).map(drop)
        })
    }

    /// Groups that unconfirmed keys are said to be of.
    pub(crate) fn unconfirmed_groups(&self) -> Result<Vec<Sha512Digest>, ClientError> {
        self.sql(|database| {
            let sql = "SELECT DISTINCT group_digest FROM unconfirmed_group_keys";
            let mut statement = database.prepare(sql)?;
            statement.query_map([], |row| row.get(0).map(Sha512Digest))?.collect()
        })
    }

    /// What was said to be keys of a group, oldest first.
    pub(crate) fn unconfirmed_keys(&self, group: &Sha512Digest) -> Result<Vec<UnconfirmedKey>, ClientError> {
        let rows: Vec<(i64, u32, String, Vec<u8>)> = self.sql(|database| {
            let sql = "SELECT id, epoch, sender, key FROM unconfirmed_group_keys WHERE group_digest = ?1 ORDER BY id";
            let mut statement = database.prepare(sql)?;
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            statement.query_map([group.0], read)?.collect()
        })?;
        let read = |(id, epoch, sender, stored): (i64, u32, String, Vec<u8>)| {
            let key = GroupKey::from_bytes(&self.unsealed(UNCONFIRMED, stored)?);
            let key = key.ok_or_else(|| self.failed("a group key has another length"))?;
            let sender = sender.parse().map_err(|error| self.failed(error))?;
            Ok(UnconfirmedKey { id, epoch, sender, key })
        };
        rows.into_iter().map(read).collect()
    }

    /// Forgets what was said to be a key.
    pub(crate) fn remove_unconfirmed_key(&self, key: &UnconfirmedKey) -> Result<(), ClientError> {
        let sql = "DELETE FROM unconfirmed_group_keys WHERE id = ?1";
        self.sql(|database| database.execute(sql, [key.id]).map(drop))
    }

    /// Forgets what was said to be a key before `before`.
    pub(crate) fn remove_unconfirmed_keys_before(&self, before: UnixMillis) -> Result<(), ClientError> {
        let sql = "DELETE FROM unconfirmed_group_keys WHERE kept_at < ?1";
        self.sql(|database| database.execute(sql, [before.0]).map(drop))
    }

    /// Groups this device knows and that the server still counts it into.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn groups(&self) -> Result<Vec<GroupState>, ClientError> {
        let ids: Vec<String> = self.sql(|database| {
            let mut statement = database.prepare("SELECT id FROM groups WHERE gone = 0 ORDER BY id")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })?;
        let mut groups = Vec::with_capacity(ids.len());
        for id in ids.iter().filter_map(|id| id.parse().ok()) {
            groups.extend(self.group(id)?);
        }
        Ok(groups)
    }

    /// Notes that the server does not count this participant into a group any more.
    pub(crate) fn mark_group_gone(&self, id: GroupId) -> Result<(), ClientError> {
        let sql = "UPDATE groups SET gone = 1 WHERE id = ?1";
        self.sql(|database| database.execute(sql, [id.to_string()]).map(drop))
    }

    /// Copies every group and every group key that counts from another profile of the same participant.
    pub(crate) fn copy_groups(&self, from: &Profile) -> Result<(), ClientError> {
        for state in from.groups()? {
            let mut entries = Vec::new();
            for jws in from.group_entries(state.id(), 1, state.number)? {
                entries.push((GroupEntry::read(&jws).map_err(|error| self.failed(error))?, jws));
            }
            self.save_group(&state, &entries)?;
        }
        for name in from.secret_names(crate::groups::keys::SECRET)? {
            self.set_secret(&name, &from.secret(&name)?)?;
        }
        Ok(())
    }
}
