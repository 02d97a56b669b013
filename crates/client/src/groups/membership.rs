//! Making a group, and changing who belongs to it.

use std::time::Duration;

use momedo_protocol::api::groups::{GroupEntryRequest, GroupSummary, Groups};
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{
    Action, Encryption, GroupEntry, GroupRole, MAX_ADDED_AT_ONCE, NewMember, Settings,
};
use momedo_protocol::group::link::GroupLink;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::random;
use web_time::Instant;

use super::chain::{self, append, next_payload, suspend_reset, sync};
use super::keys;
use crate::adopting::adopt_published_keys;
use crate::insisting::{insist, log_in};
use crate::profile::Profile;
use crate::progress::{Progress, Step};
use crate::session::Session;
use crate::signing::signed;
use crate::{ClientError, contacts};

/// How long a change is tried while the server cannot be reached.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often joining is tried again because somebody else changed the group meanwhile.
const MAX_TRIES: usize = 16;

/// A log-in with which groups are changed.
pub struct Membership<'a> {
    profile: &'a Profile,
    session: Session,
    deadline: Instant,
    progress: Progress<'a>,
}

impl<'a> Membership<'a> {
    /// Whose groups they are.
    pub fn profile(&self) -> &'a Profile {
        self.profile
    }

    /// Logs in.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn begin(
        profile: &'a Profile,
        language: &str,
        progress: Progress<'a>,
    ) -> Result<Self, ClientError> {
        let deadline = Instant::now() + PATIENCE;
        let mut session = log_in(profile, language, deadline).await?;
        adopt_published_keys(profile, &mut session).await?;
        Ok(Self { profile, session, deadline, progress })
    }

    /// Each step of long work gets its time anew.
    fn again(&mut self) {
        self.deadline = Instant::now() + PATIENCE;
    }

    /// Makes a group; whoever makes it moderates it.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn create(
        &mut self,
        settings: Settings,
        encryption: Encryption,
    ) -> Result<GroupState, ClientError> {
        let own = self.profile.own_bundle()?;
        let action = Action::Create {
            settings,
            encryption,
            home: self.profile.server()?.fingerprint,
            version: u32::try_from(own.payload.version).unwrap_or(u32::MAX),
            salt: Base64Bytes(random::bytes::<16>().to_vec()),
        };
        let signature_key = self.profile.signature_key().await?;
        let jws = signed(&next_payload(None, &own, action), &[&signature_key]).await?;
        let entry = GroupEntry::read(&jws).map_err(|error| ClientError::Protocol(error.to_string()))?;
        let state =
            GroupState::create(&entry).map_err(|error| ClientError::GroupRefused(error.to_string()))?;
        let request = GroupEntryRequest { entry: jws.clone() };
        let profile = self.profile;
        insist(profile, &mut self.session, self.deadline, async |session| {
            session.create_group(&request).await
        })
        .await?;
        profile.atomically(|| profile.save_group(&state, &[(entry, jws)]))?;
        Ok(state)
    }

    /// The participant's groups, those of other servers too, and the open ones of the own server.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn list(&mut self) -> Result<Groups, ClientError> {
        let mut listed = self.session.groups().await?;
        let own_server = self.profile.server()?.fingerprint;
        // The own server does not know who belongs to groups that others keep; the chain does.
        for state in self.profile.groups()?.into_iter().filter(|state| state.home != own_server) {
            if state.active(self.session.id).is_some() {
                listed.groups.push(GroupSummary {
                    id: state.id(),
                    group: state.group,
                    name: state.settings.name.clone(),
                    number: state.number,
                    members: state.active_members().count() as u64,
                });
            }
        }
        Ok(listed)
    }

    /// A group, read to its end.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn state(&mut self, id: GroupId) -> Result<GroupState, ClientError> {
        Ok(sync(self.profile, &mut self.session, id).await?.state)
    }

    /// Adds people, or pins them anew after a reset of their keys; those who belong already are left as they are.
    ///
    /// # Errors
    /// As [`ClientError`] says; nobody of a part of 256 is added if one cannot be.
    pub async fn add(
        &mut self,
        id: GroupId,
        people: &[ParticipantId],
        role: GroupRole,
    ) -> Result<GroupState, ClientError> {
        let mut newcomers = Vec::with_capacity(people.len());
        let group_home = self.state(id).await?.home;
        for (done, who) in people.iter().enumerate() {
            (self.progress)(Step::FetchingKeys { done, total: people.len() });
            self.again();
            let profile = self.profile;
            let bundle = insist(profile, &mut self.session, self.deadline, async |session| {
                Ok(contacts::fetch(profile, session, *who).await?.bundle)
            })
            .await?;
            newcomers.push(NewMember {
                id: *who,
                fingerprint: bundle.fingerprint(),
                version: u32::try_from(bundle.payload.version).unwrap_or(u32::MAX),
                home: bundle.payload.homes.first().copied().filter(|home| *home != group_home),
                role,
            });
        }
        let mut state = self.state(id).await?;
        for part in newcomers.chunks(MAX_ADDED_AT_ONCE) {
            self.again();
            state = append(self.profile, &mut self.session, id, self.deadline, |state| {
                let is_new = |new: &&NewMember| {
                    state.active(new.id).is_none_or(|member| member.fingerprint != new.fingerprint)
                };
                let members: Vec<_> = part.iter().filter(is_new).cloned().collect();
                Ok((!members.is_empty()).then_some(Action::Add { members }))
            })
            .await?;
        }
        // Newcomers get the key now if there is one; if not, whoever writes first sees to it.
        let has_key = |commitment: Sha512Digest| {
            Ok::<_, ClientError>(super::key_store::find(self.profile, &commitment)?.is_some())
        };
        if !state.needs_epoch && state.commitment.map(has_key).transpose()? == Some(true) {
            self.again();
            keys::ensure(self.profile, &mut self.session, &mut state, self.deadline, self.progress).await?;
        }
        Ok(state)
    }

    /// Removes people; they are out at once, and whoever writes next makes a new group key.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn remove(&mut self, id: GroupId, people: &[ParticipantId]) -> Result<GroupState, ClientError> {
        let mut state = self.state(id).await?;
        for part in people.chunks(MAX_ADDED_AT_ONCE) {
            state = self.change(id, |_| Action::Remove { members: part.to_vec() }).await?;
        }
        Ok(state)
    }

    /// Makes one change.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn change(
        &mut self,
        id: GroupId,
        action: impl Fn(&GroupState) -> Action,
    ) -> Result<GroupState, ClientError> {
        self.again();
        append(self.profile, &mut self.session, id, self.deadline, |state| Ok(Some(action(state)))).await
    }

    /// Leaves a group.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn leave(&mut self, id: GroupId) -> Result<(), ClientError> {
        self.change(id, |_| Action::Leave {}).await?;
        self.profile.mark_group_gone(id)
    }

    /// Makes a link that lets so many people join, in place of any other.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn open_link(&mut self, id: GroupId, uses: u32) -> Result<GroupLink, ClientError> {
        let link = GroupLink::random(self.state(id).await?.group);
        let key = Base64Bytes(link.public_key());
        self.change(id, |_| Action::Link { key: Some(key.clone()), uses }).await?;
        Ok(link)
    }

    /// Joins an open group.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn join(&mut self, id: GroupId) -> Result<GroupState, ClientError> {
        self.join_with(id, None).await
    }

    /// Joins a group with its link.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn join_by_link(&mut self, link: &GroupLink) -> Result<GroupState, ClientError> {
        self.join_with(GroupId::of(&link.group), Some(link)).await
    }

    async fn join_with(&mut self, id: GroupId, link: Option<&GroupLink>) -> Result<GroupState, ClientError> {
        let own = self.profile.own_bundle()?;
        let (who, fingerprint): (ParticipantId, Fingerprint) = (self.session.id, own.fingerprint());
        let signature = link.map(|link| link.prove(who, &fingerprint));
        let proof = signature.as_ref().map(|signature| [&fingerprint.0[..], signature].concat());
        for _ in 0..MAX_TRIES {
            if let Some(state) = self.belongs(id).await? {
                return Ok(state);
            }
            let entrance = match chain::entrance(&mut self.session, id, proof.as_deref()).await {
                Ok(Some(entrance)) => entrance,
                Err(error) if link.is_none() || error.problem() != Some("unknown-group") => {
                    return Err(error);
                }
                Ok(None) if link.is_none() => {
                    return Err(ClientError::GroupRefused("the group is closed: ask for its link".into()));
                }
                Ok(None) | Err(_) => {
                    let reason =
                        "the link was ended or used up, or there is no such group: ask for a new one";
                    return Err(ClientError::GroupRefused(reason.into()));
                }
            };
            if link.is_some_and(|link| link.group != entrance.first.group) {
                return Err(ClientError::GroupRefused("the link is for another group".into()));
            }
            let home = self.profile.server()?.fingerprint;
            let action = Action::Join {
                version: u32::try_from(own.payload.version).unwrap_or(u32::MAX),
                home: Some(home).filter(|home| *home != entrance.first.home),
                proof: signature.clone().map(Base64Bytes),
            };
            // The chain itself is for members, so it is read and checked as soon as this is one.
            let end = entrance.end;
            let state = GroupState { number: end.number, head: end.head, ..entrance.first };
            let signature_key = self.profile.signature_key().await?;
            let entry = signed(&next_payload(Some(&state), &own, action), &[&signature_key]).await?;
            let (profile, request) = (self.profile, GroupEntryRequest { entry });
            let joined = insist(profile, &mut self.session, self.deadline, async |session| {
                session.append_to_group(id, &request).await
            });
            match joined.await {
                Err(error) if error.problem() == Some("stale-group") => {}
                result => result?,
            }
        }
        Err(ClientError::GroupRefused("others change the group all the time; try again later".into()))
    }

    /// The group, if this participant belongs to it.
    async fn belongs(&mut self, id: GroupId) -> Result<Option<GroupState>, ClientError> {
        match sync(self.profile, &mut self.session, id).await {
            Ok(synced) => Ok(Some(synced.state).filter(|state| state.active(self.session.id).is_some())),
            Err(error) if error.problem() == Some("unknown-group") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a new group key now, as when the current one may be known to others.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn new_key(&mut self, id: GroupId) -> Result<GroupState, ClientError> {
        loop {
            self.again();
            let mut synced = sync(self.profile, &mut self.session, id).await?;
            if suspend_reset(self.profile, &mut self.session, &mut synced, self.deadline).await? {
                continue;
            }
            let mut state = synced.state;
            if state.encryption != Encryption::Symmetric {
                return Err(ClientError::GroupRefused("this group has no group key".into()));
            }
            state.needs_epoch = true;
            let made =
                keys::ensure(self.profile, &mut self.session, &mut state, self.deadline, self.progress)
                    .await?;
            if made.is_some() {
                return Ok(state);
            }
        }
    }
}
