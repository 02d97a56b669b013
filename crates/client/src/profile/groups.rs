//! What a device keeps of its groups: their chains.

use std::collections::HashSet;
use std::ops::ControlFlow;

use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Action, GroupEntry};
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::time::UnixMillis;
use serde::Deserialize;

use super::Profile;
use super::rows::number;
use crate::ClientError;
use crate::keeping::tables::{group_entries, group_epochs, groups, unconfirmed_group_keys};
use crate::keeping::{Cell, Row, Scan};

/// Secrets that hold group keys begin with this; the commitment follows.
pub(crate) const GROUP_KEYS: &str = "group-key/";

/// Most keys from one sender that no chain confirms yet; more push out that sender's own.
const MAX_UNCONFIRMED_KEYS: usize = 64;

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

/// A state as far as its name.
#[derive(Deserialize)]
struct Named {
    settings: Name,
}

/// What a group is called, without its rules.
#[derive(Deserialize)]
struct Name {
    name: String,
}

impl Profile {
    /// A group as far as this device has read its chain.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn group(&self, id: GroupId) -> Result<Option<GroupState>, ClientError> {
        let columns = [groups::STATE, groups::MEMBERS];
        let read = |row: &mut Row| Ok((row.text()?, row.text()?));
        let row = self.row(&groups::TABLE, &[id.to_string().into()], &columns, read)?;
        let Some((state, members)) = row else { return Ok(None) };
        let mut state: GroupState = serde_json::from_str(&state).map_err(|error| self.failed(error))?;
        state.members = serde_json::from_str(&members).map_err(|error| self.failed(error))?;
        Ok(Some(state))
    }

    /// What a group is called: asked for each message of it, so its members are left alone.
    pub(crate) fn group_name(&self, id: GroupId) -> Result<Option<String>, ClientError> {
        let state = self.row(&groups::TABLE, &[id.to_string().into()], &[groups::STATE], Row::text)?;
        let read = |state: String| serde_json::from_str::<Named>(&state).map_err(|error| self.failed(error));
        Ok(state.map(read).transpose()?.map(|named| named.settings.name))
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
        self.whole(|| {
            let row = [(&id).into(), state.into(), members.into(), false.into()];
            self.put(&groups::TABLE, row)?;
            self.wake_set_aside(&id)?;
            for (entry, jws) in entries {
                let (number, digest) = (entry.payload.number.into(), entry.digest.0.into());
                let row = [(&id).into(), number, digest, text(jws)?.into()];
                self.insert(&group_entries::TABLE, row)?;
                if let Action::Epoch { epoch, commitment } = &entry.payload.action {
                    let row = [(&id).into(), (*epoch).into(), commitment.0.into()];
                    self.insert(&group_epochs::TABLE, row)?;
                }
            }
            Ok(())
        })
    }

    /// The entries of a group up to a number, as they were signed.
    pub(crate) fn group_entries(&self, id: GroupId, from: u32, to: u32) -> Result<Vec<Jws>, ClientError> {
        use group_entries::{ENTRY, NUMBER, TABLE};
        if from > to {
            return Ok(Vec::new());
        }
        let mut texts = Vec::new();
        let group = [id.to_string().into()];
        self.visit(&TABLE, Scan::by_key(&group).from(from.into()), &[NUMBER, ENTRY], |row| {
            let number: u32 = row.number()?;
            if number <= to {
                texts.push(row.text()?);
            }
            Ok(if number >= to { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        texts.iter().map(|text| serde_json::from_str(text).map_err(|error| self.failed(error))).collect()
    }

    /// What the chain says of an epoch's key.
    pub(crate) fn group_commitment(
        &self,
        id: GroupId,
        epoch: u32,
    ) -> Result<Option<Sha512Digest>, ClientError> {
        let key = [id.to_string().into(), epoch.into()];
        let bytes = self.row(&group_epochs::TABLE, &key, &[group_epochs::COMMITMENT], Row::array)?;
        Ok(bytes.map(Sha512Digest))
    }

    /// The commitments of a group's epochs, the newest first.
    pub(crate) fn group_commitments(&self, id: GroupId) -> Result<Vec<Sha512Digest>, ClientError> {
        let group = [id.to_string().into()];
        let scan = Scan::by_key(&group).down();
        self.rows(&group_epochs::TABLE, scan, &[group_epochs::COMMITMENT], |row| {
            row.array().map(Sha512Digest)
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
        use unconfirmed_group_keys::{ID, SENDER, TABLE};
        self.whole(|| {
            let kept_at = number(now.0)?;
            let row = [Cell::Null, group.0.into(), epoch.into(), (&sender).into(), kept_at, stored.into()];
            self.add(&TABLE, row)?;
            let scan = Scan::by_arrival().down().only(SENDER, sender.into());
            let mut oldest =
                self.rows(&TABLE, scan, &[ID], Row::cell)?.into_iter().skip(MAX_UNCONFIRMED_KEYS);
            oldest.try_for_each(|id| self.delete(&TABLE, &[id]).map(drop))
        })
    }

    /// Groups that unconfirmed keys are said to be of.
    pub(crate) fn unconfirmed_groups(&self) -> Result<Vec<Sha512Digest>, ClientError> {
        use unconfirmed_group_keys::{GROUP_DIGEST, TABLE};
        let all = self.rows(&TABLE, Scan::by_arrival(), &[GROUP_DIGEST], Row::array)?;
        let mut seen = HashSet::new();
        Ok(all.into_iter().filter(|digest| seen.insert(*digest)).map(Sha512Digest).collect())
    }

    /// What was said to be keys of a group, oldest first.
    pub(crate) fn unconfirmed_keys(&self, group: &Sha512Digest) -> Result<Vec<UnconfirmedKey>, ClientError> {
        use unconfirmed_group_keys::{EPOCH, GROUP_DIGEST, ID, KEY, SENDER, TABLE};
        let scan = Scan::by_arrival().only(GROUP_DIGEST, group.0.into());
        let rows = self.rows(&TABLE, scan, &[ID, EPOCH, SENDER, KEY], |row| {
            Ok((row.number()?, row.number()?, row.text()?, row.bytes()?))
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
        self.delete(&unconfirmed_group_keys::TABLE, &[key.id.into()]).map(drop)
    }

    /// Forgets what was said to be a key before `before`.
    pub(crate) fn remove_unconfirmed_keys_before(&self, before: UnixMillis) -> Result<(), ClientError> {
        self.delete_before(&unconfirmed_group_keys::TABLE, unconfirmed_group_keys::KEPT_AT, before.0)
    }

    /// Groups this device knows and that the server still counts it into.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn groups(&self) -> Result<Vec<GroupState>, ClientError> {
        let scan = Scan::by_key(&[]).only(groups::GONE, false.into());
        let ids = self.rows(&groups::TABLE, scan, &[groups::ID], Row::text)?;
        let mut groups = Vec::with_capacity(ids.len());
        for id in ids.iter().filter_map(|id| id.parse().ok()) {
            groups.extend(self.group(id)?);
        }
        Ok(groups)
    }

    /// Notes that the server does not count this participant into a group any more.
    pub(crate) fn mark_group_gone(&self, id: GroupId) -> Result<(), ClientError> {
        let gone = [(groups::GONE, true.into())];
        self.change(&groups::TABLE, &[id.to_string().into()], gone).map(drop)
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
        for name in from.secret_names(GROUP_KEYS)? {
            self.set_secret(&name, &from.secret(&name)?)?;
        }
        Ok(())
    }
}
