//! Group keys: made for a new epoch, sealed to every member, handed on to newcomers, kept.
//!
//! Anybody can send anything as a group key. What the chain does not commit to is kept apart and bounded for each
//! sender, until the chain says more; it is handed to no other device and goes into no backup.

use momedo_protocol::api::groups::{GroupKeyMessage, GroupKeysRequest, MAX_GROUP_KEYS_AT_ONCE};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Action, MAX_ADDED_AT_ONCE};
use momedo_protocol::group::key::{GroupKey, GroupKeyBody};
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::mceliece::McEliecePublicKey;
use momedo_protocol::message::{KIND_GROUP_KEY, Message};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::rsa_key::RsaPublicKey;
use web_time::Instant;

use super::chain;
use super::key_store::find;
use super::looking::look_for_group_keys;
use crate::insisting::{StepTime, insist};
use crate::known_keys::KnownKeys;
use crate::meaning::Meaning;
use crate::profile::Profile;
use crate::progress::{Progress, Step};
use crate::session::Session;
use crate::submitting::seal_to;
use crate::{ClientError, contacts, now};

/// Most chains that are read on because somebody sent a key: whoever makes groups up costs no more than that.
const MAX_CHAINS: usize = 64;

/// Reads on the chains for which keys came and wait to be confirmed, those of the server's groups first.
///
/// # Errors
/// As [`ClientError`] says; a group that cannot be read keeps nobody up.
pub(crate) async fn confirm_waiting(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let mut waiting = profile.unconfirmed_groups()?;
    if waiting.is_empty() {
        return Ok(());
    }
    let own: Vec<_> = session.groups().await?.groups.into_iter().map(|group| group.group).collect();
    waiting.sort_by_key(|group| !own.contains(group));
    for group in waiting.into_iter().take(MAX_CHAINS) {
        match chain::sync(profile, session, GroupId::of(&group)).await {
            Ok(_) | Err(ClientError::BrokenGroup { .. }) => {}
            Err(error @ ClientError::Profile { .. }) => return Err(error),
            Err(error) => match Meaning::of(&error, session.is_second) {
                Meaning::NoAnswers => return Err(error),
                // Whoever makes groups up must not keep a device from being added.
                Meaning::TooMuch => return Ok(()),
                Meaning::Passes | Meaning::Refused | Meaning::Settled => {}
            },
        }
    }
    Ok(())
}

/// Whether keys are those of the member whom the chain lists: the key it pins, or one that followed it.
fn are_pinned(state: &GroupState, id: ParticipantId, keys: &KnownKeys) -> bool {
    state.active(id).is_none_or(|member| {
        let earlier = keys.earlier_keys.iter().map(RsaPublicKey::fingerprint);
        earlier.chain([keys.bundle.fingerprint()]).any(|key| key == member.fingerprint)
    })
}

/// Keys of a member as their home shows them now.
///
/// # Errors
/// [`ClientError::UntrustedKeys`] for keys that are not the member's: a server could show its own to whoever does not know
/// them yet, and read along.
pub(super) async fn fetch_member(
    profile: &Profile,
    session: &mut Session,
    state: &GroupState,
    id: ParticipantId,
) -> Result<KeyBundle, ClientError> {
    let keys = contacts::fetch(profile, session, id).await?;
    if are_pinned(state, id, &keys) {
        return Ok(keys.bundle);
    }
    let reason = "they are not those that the group knows".into();
    Err(ClientError::UntrustedKeys { id, reason, may_change: true })
}

/// Everybody's public keys for one round of sealing.
async fn recipient(
    profile: &Profile,
    session: &mut Session,
    state: &GroupState,
    id: ParticipantId,
    progress: Progress<'_>,
) -> Result<(KeyBundle, Option<McEliecePublicKey>), ClientError> {
    let bundle = if id == session.id {
        profile.own_bundle()?
    } else {
        // What is remembered may be stale; the server says so, and it is fetched again then.
        match contacts::remembered(profile, id)? {
            Some(known) if known.bundle.payload.expires_at > now() && are_pinned(state, id, &known) => {
                known.bundle
            }
            _ => fetch_member(profile, session, state, id).await?,
        }
    };
    let key = contacts::mceliece_key(profile, session, &bundle, progress).await?;
    Ok((bundle, key))
}

/// What members are told about their group, each in an envelope of their own.
pub(super) struct Notice {
    kind: &'static str,
    body: serde_json::Value,
}

impl Notice {
    /// Something of this kind.
    pub(super) fn new(kind: &'static str, body: &impl serde::Serialize) -> Result<Self, ClientError> {
        let body = serde_json::to_value(body).map_err(|error| ClientError::Protocol(error.to_string()))?;
        Ok(Self { kind, body })
    }

    /// The key of an epoch.
    pub(super) fn of_key(state: &GroupState, epoch: u32, key: &GroupKey) -> Result<Self, ClientError> {
        let key = Base64Bytes(key.bytes().to_vec());
        Self::new(KIND_GROUP_KEY, &GroupKeyBody { group: state.group, epoch, key })
    }
}

/// Seals a notice to members and hands it out, at most 50 at once; returns those who cannot have it.
pub(super) async fn tell(
    profile: &Profile,
    session: &mut Session,
    state: &GroupState,
    notice: &Notice,
    members: &[ParticipantId],
    deadline: Instant,
    progress: Progress<'_>,
) -> Result<Vec<ParticipantId>, ClientError> {
    let step = StepTime::until(deadline);
    let has_other_devices =
        insist(profile, session, step.deadline(), async |session| session.devices().await)
            .await?
            .devices
            .len()
            > 1;
    let signature_key = profile.signature_key().await?;
    let members: Vec<_> =
        members.iter().copied().filter(|id| *id != session.id || has_other_devices).collect();
    let mut left_out = Vec::new();
    for (index, part) in members.chunks(MAX_GROUP_KEYS_AT_ONCE).enumerate() {
        progress(Step::HandingOutKeys { done: index * MAX_GROUP_KEYS_AT_ONCE, total: members.len() });
        let mut waiting = part.to_vec();
        // Once with the keys remembered, once with those fetched anew.
        for _ in 0..2 {
            let mut request = GroupKeysRequest { id: MessageId::new(now()), messages: Vec::new() };
            for to in waiting.drain(..) {
                let sealed = insist(profile, session, step.deadline(), async |session| {
                    let (bundle, mceliece) = recipient(profile, session, state, to, &|_| {}).await?;
                    let message = Message {
                        from: session.id,
                        to: Some(to),
                        group: None,
                        id: request.id,
                        sent_at: now(),
                        conversation: None,
                        log: None,
                        kind: notice.kind.into(),
                        body: notice.body.clone(),
                    };
                    seal_to(&bundle, mceliece.as_ref(), &message, &signature_key).await
                })
                .await;
                match sealed {
                    Ok(envelope) => {
                        request.messages.push(GroupKeyMessage { to, envelope: Base64Bytes(envelope) });
                    }
                    Err(ClientError::KeysReset { .. } | ClientError::UntrustedKeys { .. }) => {
                        left_out.push(to)
                    }
                    Err(error) if error.is_about_one_recipient() => left_out.push(to),
                    Err(error) => return Err(error),
                }
            }
            if request.messages.is_empty() {
                break;
            }
            let id = state.id();
            let receipt = insist(profile, session, step.deadline(), async |session| {
                session.hand_out_keys(id, &request).await
            })
            .await?;
            for refused in receipt.refused {
                if refused.problem.name() == "stale-bundle" {
                    contacts::fetch(profile, session, refused.to).await.map(drop).or_else(
                        |error| match error {
                            ClientError::KeysReset { .. } | ClientError::UntrustedKeys { .. } => Ok(()),
                            error => Err(error),
                        },
                    )?;
                    waiting.push(refused.to);
                } else {
                    // A full mailbox or no device at the moment: they get the next key.
                    left_out.push(refused.to);
                }
            }
            if waiting.is_empty() {
                break;
            }
        }
        left_out.append(&mut waiting);
    }
    Ok(left_out)
}

/// Makes sure that this device has the key of the current epoch and that everybody was sent it: begins an epoch
/// where one is needed, and welcomes newcomers. Returns the key, or `None` if the chain moved on meanwhile.
pub(crate) async fn ensure(
    profile: &Profile,
    session: &mut Session,
    state: &mut GroupState,
    deadline: Instant,
    progress: Progress<'_>,
) -> Result<Option<GroupKey>, ClientError> {
    let known = match state.commitment {
        Some(commitment) if !state.needs_epoch => match find(profile, &commitment)? {
            Some(key) => Some(key),
            None => {
                look_for_group_keys(profile, session).await?;
                find(profile, &commitment)?
            }
        },
        _ => None,
    };
    let Some(key) = known else {
        return begin_epoch(profile, session, state, deadline, progress).await;
    };
    let newcomers: Vec<_> =
        state.active_members().filter(|(_, member)| member.awaits_key).map(|(id, _)| id).collect();
    if !newcomers.is_empty() {
        let step = StepTime::until(deadline);
        let notice = Notice::of_key(state, state.epoch, &key)?;
        tell(profile, session, state, &notice, &newcomers, deadline, progress).await?;
        for members in newcomers.chunks(MAX_ADDED_AT_ONCE) {
            let action = Action::Welcome { members: members.to_vec() };
            if !chain::append_once(profile, session, state, action, step.deadline()).await? {
                return Ok(None);
            }
        }
    }
    Ok(Some(key))
}

async fn begin_epoch(
    profile: &Profile,
    session: &mut Session,
    state: &mut GroupState,
    deadline: Instant,
    progress: Progress<'_>,
) -> Result<Option<GroupKey>, ClientError> {
    let key = GroupKey::random();
    let epoch = state.epoch + 1;
    // Kept before anybody else has it: what was sealed with it must stay readable here. The chain confirms it.
    profile.put_unconfirmed_key(&state.group, epoch, session.id, &key, now())?;
    let members: Vec<_> = state.active_members().map(|(id, _)| id).collect();
    let step = StepTime::until(deadline);
    let notice = Notice::of_key(state, epoch, &key)?;
    tell(profile, session, state, &notice, &members, deadline, progress).await?;
    let action = Action::Epoch { epoch, commitment: key.commitment() };
    let taken = chain::append_once(profile, session, state, action, step.deadline()).await?;
    Ok(taken.then_some(key))
}
