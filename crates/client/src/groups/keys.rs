//! Group keys: made for a new epoch, sealed to every member, handed on to newcomers, kept.

use std::time::Instant;

use momedo_protocol::api::groups::{GroupKeyMessage, GroupKeysRequest, MAX_GROUP_KEYS_AT_ONCE};
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::entry::{Action, MAX_ADDED_AT_ONCE};
use momedo_protocol::group::key::{GroupKey, GroupKeyBody};
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::mceliece::McEliecePublicKey;
use momedo_protocol::message::{KIND_GROUP_KEY, Message};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;

use super::chain;
use crate::profile::Profile;
use crate::receiving::look_for_group_keys;
use crate::registration::{Progress, Step};
use crate::sending::{StepTime, insist, seal_to};
use crate::session::Session;
use crate::{ClientError, contacts, now};

/// Secrets that hold group keys begin with this; the commitment follows.
pub(crate) const SECRET: &str = "group-key/";

/// How long a key is kept, in days: longer than any server's retention, so that nothing that waits is lost.
const KEPT_DAYS: u64 = 400;

/// Most keys a new device is given, 48 bytes of JSON each.
const MAX_HANDED_ON: usize = 1_000;

fn name(commitment: &Sha512Digest) -> String {
    format!("{SECRET}{commitment}")
}

/// Keeps a group key; the chain says by its commitment which epoch it is for.
pub(crate) fn keep(profile: &Profile, key: &GroupKey) -> Result<(), ClientError> {
    let mut value = zeroize::Zeroizing::new(key.bytes().to_vec());
    value.extend_from_slice(&now().0.to_be_bytes());
    profile.set_secret(&name(&key.commitment()), &value)
}

/// The key the chain means.
pub(crate) fn find(profile: &Profile, commitment: &Sha512Digest) -> Result<Option<GroupKey>, ClientError> {
    let name = name(commitment);
    if !profile.has_secret(&name)? {
        return Ok(None);
    }
    let value = profile.secret(&name)?;
    Ok(value.get(..32).and_then(GroupKey::from_bytes))
}

/// Group keys for a new device: all of them, or the newest, should there be very many.
pub(crate) fn list(profile: &Profile) -> Result<Vec<Base64Bytes>, ClientError> {
    let names = profile.secret_names(SECRET)?;
    let newest = names.iter().skip(names.len().saturating_sub(MAX_HANDED_ON));
    newest
        .map(|name| Ok(Base64Bytes(profile.secret(name)?.get(..32).map(<[u8]>::to_vec).unwrap_or_default())))
        .collect()
}

/// Erases keys nothing can arrive under any more: forward secrecy by epochs.
pub(crate) fn erase_old(profile: &Profile) -> Result<(), ClientError> {
    let current: Vec<Sha512Digest> = profile.groups()?.iter().filter_map(|group| group.commitment).collect();
    for name in profile.secret_names(SECRET)? {
        let is_current = current.iter().any(|commitment| name.ends_with(&commitment.to_string()));
        let value = profile.secret(&name)?;
        let kept_at = value.get(32..40).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        if !is_current && now() > UnixMillis(kept_at).plus_days(KEPT_DAYS) {
            profile.remove_secret(&name)?;
        }
    }
    Ok(())
}

/// Everybody's public keys for one round of sealing.
async fn recipient(
    profile: &Profile,
    session: &mut Session,
    id: ParticipantId,
    progress: Progress<'_>,
) -> Result<(KeyBundle, Option<McEliecePublicKey>), ClientError> {
    let bundle = if id == session.id {
        profile.own_bundle()?
    } else {
        // What is remembered may be stale; the server says so, and it is fetched again then.
        match contacts::remembered(profile, id)? {
            Some(known) if known.bundle.payload.expires_at > now() => known.bundle,
            _ => contacts::fetch(profile, session, id).await?.bundle,
        }
    };
    let key = contacts::mceliece_key(profile, session, &bundle, progress).await?;
    Ok((bundle, key))
}

/// A key on its way to members.
struct HandedOut<'a> {
    state: &'a GroupState,
    epoch: u32,
    key: &'a GroupKey,
}

/// Seals the group key to members and hands it out, at most 50 at once; returns those who cannot have it.
async fn hand_out(
    profile: &Profile,
    session: &mut Session,
    handed_out: HandedOut<'_>,
    members: &[ParticipantId],
    deadline: Instant,
    progress: Progress<'_>,
) -> Result<Vec<ParticipantId>, ClientError> {
    let HandedOut { state, epoch, key } = handed_out;
    let step = StepTime::until(deadline);
    let body = GroupKeyBody { group: state.group, epoch, key: Base64Bytes(key.bytes().to_vec()) };
    let body = serde_json::to_value(&body).map_err(|error| ClientError::Protocol(error.to_string()))?;
    let has_other_devices =
        insist(profile, session, step.deadline(), async |session| session.devices().await)
            .await?
            .devices
            .len()
            > 1;
    let signature_key = profile.signature_key()?;
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
                    let (bundle, mceliece) = recipient(profile, session, to, &|_| {}).await?;
                    let message = Message {
                        from: session.id,
                        to: Some(to),
                        group: None,
                        id: request.id,
                        sent_at: now(),
                        conversation: None,
                        log: None,
                        kind: KIND_GROUP_KEY.into(),
                        body: body.clone(),
                    };
                    seal_to(&bundle, mceliece.as_ref(), &message, &signature_key)
                })
                .await;
                match sealed {
                    Ok(envelope) => {
                        request.messages.push(GroupKeyMessage { to, envelope: Base64Bytes(envelope) });
                    }
                    Err(ClientError::KeysReset { .. } | ClientError::UntrustedKeys { .. }) => {
                        left_out.push(to)
                    }
                    Err(error) if error.problem() == Some("unknown-participant") => left_out.push(to),
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
        hand_out(
            profile,
            session,
            HandedOut { state, epoch: state.epoch, key: &key },
            &newcomers,
            deadline,
            progress,
        )
        .await?;
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
    // Kept before anybody else has it: what was sealed with it must stay readable here.
    keep(profile, &key)?;
    let members: Vec<_> = state.active_members().map(|(id, _)| id).collect();
    let epoch = state.epoch + 1;
    let step = StepTime::until(deadline);
    hand_out(profile, session, HandedOut { state, epoch, key: &key }, &members, deadline, progress).await?;
    let action = Action::Epoch { epoch, commitment: key.commitment() };
    let taken = chain::append_once(profile, session, state, action, step.deadline()).await?;
    Ok(taken.then_some(key))
}

/// Takes a group key that somebody handed on; the chain decides later whether it counts.
pub(crate) fn take(profile: &Profile, message: &Message) -> Result<Option<GroupKeyBody>, ClientError> {
    let Ok(body) = serde_json::from_value::<GroupKeyBody>(message.body.clone()) else { return Ok(None) };
    let Some(key) = GroupKey::from_bytes(&body.key.0) else { return Ok(None) };
    keep(profile, &key)?;
    Ok(Some(body))
}
