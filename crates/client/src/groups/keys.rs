//! Group keys: made for a new epoch, sealed to every member, handed on to newcomers, kept.
//!
//! Anybody can send anything as a group key. What the chain does not commit to is kept apart and bounded for each
//! sender, until the chain says more; it is handed to no other device and goes into no backup.

use std::collections::HashSet;

use momedo_protocol::api::groups::{GroupKeyMessage, GroupKeysRequest, MAX_GROUP_KEYS_AT_ONCE};
use momedo_protocol::digest::Sha512Digest;
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
use momedo_protocol::time::UnixMillis;
use web_time::Instant;

use super::chain;
use crate::contacts::KnownKeys;
use crate::profile::Profile;
use crate::progress::{Progress, Step};
use crate::receiving::look_for_group_keys;
use crate::receiving::meaning::Meaning;
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

/// Keeps a group key that the chain commits to, or that an own device handed on.
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

/// Group keys for a new device: all that count. Should there be very many, then first the newest of every group, then
/// the one before of every group, and so on: a member who makes epoch after epoch pushes out keys of that group alone.
pub(crate) fn list(profile: &Profile) -> Result<Vec<Base64Bytes>, ClientError> {
    let mut chosen = Vec::new();
    let mut left: Vec<String> = profile.secret_names(SECRET)?;
    if left.len() > MAX_HANDED_ON {
        let mut groups = Vec::new();
        for group in profile.groups()? {
            groups.push(profile.group_commitments(group.id())?);
        }
        let kept: HashSet<&String> = left.iter().collect();
        let deepest = groups.iter().map(Vec::len).max().unwrap_or(0);
        let fairly = (0..deepest).flat_map(|depth| groups.iter().filter_map(move |group| group.get(depth)));
        chosen = fairly.map(name).filter(|name| kept.contains(name)).take(MAX_HANDED_ON).collect();
        let taken: HashSet<&String> = chosen.iter().collect();
        left.retain(|name| !taken.contains(name));
        left.reverse();
    }
    let all = chosen.iter().chain(&left).take(MAX_HANDED_ON);
    all.map(|name| Ok(Base64Bytes(profile.secret(name)?.get(..32).map(<[u8]>::to_vec).unwrap_or_default())))
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
    profile.remove_unconfirmed_keys_before(UnixMillis(now().0.saturating_sub(KEPT_DAYS * 86_400_000)))
}

/// Goes through what was said to be keys of a group, now that more of its chain is known: what the chain commits to
/// counts, what it contradicts or no member sent is forgotten.
pub(crate) fn confirm(profile: &Profile, state: &GroupState) -> Result<(), ClientError> {
    for said in profile.unconfirmed_keys(&state.group)? {
        let committed = profile.group_commitment(state.id(), said.epoch)?;
        let is_right = committed == Some(said.key.commitment());
        if is_right {
            keep(profile, &said.key)?;
        }
        if is_right || committed.is_some() || state.active(said.sender).is_none() {
            profile.remove_unconfirmed_key(&said)?;
        }
    }
    Ok(())
}

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

/// Takes a group key that somebody handed on. It counts once the chain commits to it; `None` if the chain says that it
/// is none, or if it counts already: nothing new can be opened with it.
pub(crate) fn take(profile: &Profile, message: &Message) -> Result<Option<GroupKeyBody>, ClientError> {
    let Ok(body) = serde_json::from_value::<GroupKeyBody>(message.body.clone()) else { return Ok(None) };
    let Some(key) = GroupKey::from_bytes(&body.key.0) else { return Ok(None) };
    let id = GroupId::of(&body.group);
    let known = profile.group(id)?;
    if known.as_ref().is_some_and(|state| state.group != body.group) {
        return Ok(None);
    }
    match profile.group_commitment(id, body.epoch)? {
        Some(commitment) if commitment == key.commitment() => {
            if find(profile, &commitment)?.is_some() {
                return Ok(None);
            }
            keep(profile, &key)?;
        }
        Some(_) => return Ok(None),
        None => profile.put_unconfirmed_key(&body.group, body.epoch, message.from, &key, now())?,
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use momedo_protocol::group::entry::{
        Access, Encryption, GroupEntry, GroupEntryPayload, Posting, Settings,
    };
    use momedo_protocol::jws::Jws;
    use momedo_protocol::rsa_private_key::RsaPrivateKey;

    use super::*;

    fn handed_on(from: ParticipantId, group: Sha512Digest, epoch: u32, key: &GroupKey) -> Message {
        let body = GroupKeyBody { group, epoch, key: Base64Bytes(key.bytes().to_vec()) };
        Message {
            from,
            to: None,
            group: None,
            id: MessageId::new(now()),
            sent_at: now(),
            conversation: None,
            log: None,
            kind: KIND_GROUP_KEY.into(),
            body: serde_json::to_value(&body).unwrap(),
        }
    }

    fn holds(carried: &[Base64Bytes], key: &GroupKey) -> bool {
        carried.iter().any(|carried| carried.0 == key.bytes())
    }

    #[test]
    fn made_up_keys_push_no_true_one_out_of_what_other_devices_get() {
        let profile = crate::testing::profile(None);
        let true_key = GroupKey::random();
        keep(&profile, &true_key).unwrap();
        let eve = ParticipantId::random();
        let made_up: Vec<_> = (0..1_000u32).map(|number| (number, GroupKey::random())).collect();
        profile
            .atomically(|| {
                for (number, key) in &made_up {
                    let group = Sha512Digest::of(&number.to_be_bytes());
                    take(&profile, &handed_on(eve, group, 1, key))?;
                }
                Ok(())
            })
            .unwrap();
        let carried = list(&profile).unwrap();
        assert!(holds(&carried, &true_key), "the true key was pushed out");
        assert!(!made_up.iter().any(|(_, key)| holds(&carried, key)), "a made-up key is carried");
    }

    type Chain = Vec<(GroupEntry, Jws)>;

    /// A group with so many epochs: what it is, its chain, and its keys, oldest first.
    fn group_with_epochs(
        author: ParticipantId,
        signer: &RsaPrivateKey,
        epochs: u32,
    ) -> (GroupState, Chain, Vec<GroupKey>) {
        let word = |state: Option<&GroupState>, action: Action| {
            let payload = GroupEntryPayload {
                group: state.map(|state| state.group),
                number: state.map_or(1, |state| state.number + 1),
                previous: state.map(|state| state.head),
                author,
                key: Base64Bytes(signer.public().spki().to_vec()),
                made_at: now(),
                action,
            };
            let digest = Sha512Digest::of(&serde_json::to_vec(&payload).unwrap());
            // What was signed is not read again here.
            let jws = payload.sign(&NotSigned);
            (GroupEntry { payload, digest, key: signer.public().clone() }, jws)
        };
        let settings = Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Closed };
        let salt = Base64Bytes(momedo_protocol::random::bytes::<16>().to_vec());
        let (encryption, home) = (Encryption::Symmetric, signer.public().fingerprint());
        let mut chain = vec![word(None, Action::Create { settings, encryption, home, version: 1, salt })];
        let mut state = GroupState::create(&chain[0].0).unwrap();
        let keys: Vec<_> = (0..epochs).map(|_| GroupKey::random()).collect();
        for (epoch, key) in (1..).zip(&keys) {
            let next = word(Some(&state), Action::Epoch { epoch, commitment: key.commitment() });
            state.apply(&next.0).unwrap();
            chain.push(next);
        }
        (state, chain, keys)
    }

    struct NotSigned;

    impl momedo_protocol::jws::Signer for NotSigned {
        fn sign(&self, _: &[u8]) -> Vec<u8> {
            vec![0; 384]
        }
    }

    #[test]
    fn a_key_counts_once_the_chain_commits_to_it_and_what_it_contradicts_is_forgotten() {
        let profile = crate::testing::profile(Some("geheim"));
        let signer = RsaPrivateKey::generate();
        let (ada, eve) = (ParticipantId::random(), ParticipantId::random());
        let (state, chain, keys) = group_with_epochs(ada, &signer, 2);
        // Keys come before the chain was read: true ones, and one of somebody who does not belong.
        for (epoch, key) in (1..).zip(&keys) {
            take(&profile, &handed_on(ada, state.group, epoch, key)).unwrap().unwrap();
            take(&profile, &handed_on(eve, state.group, epoch, &GroupKey::random())).unwrap().unwrap();
        }
        take(&profile, &handed_on(eve, state.group, 3, &GroupKey::random())).unwrap().unwrap();
        let next = GroupKey::random();
        take(&profile, &handed_on(ada, state.group, 3, &next)).unwrap().unwrap();
        assert!(list(&profile).unwrap().is_empty());
        assert!(find(&profile, &keys[0].commitment()).unwrap().is_none());
        profile.save_group(&state, &chain).unwrap();
        confirm(&profile, &state).unwrap();
        for key in &keys {
            assert_eq!(find(&profile, &key.commitment()).unwrap().unwrap().bytes(), key.bytes());
        }
        assert_eq!(list(&profile).unwrap().len(), 2);
        // A member's key for an epoch to come still waits; everything else is gone.
        let waiting = profile.unconfirmed_keys(&state.group).unwrap();
        assert_eq!(waiting.iter().map(|said| said.key.bytes()).collect::<Vec<_>>(), [next.bytes()]);
        // What the chain contradicts is not taken at all.
        assert!(take(&profile, &handed_on(ada, state.group, 2, &next)).unwrap().is_none());
    }

    #[test]
    fn a_group_of_many_epochs_pushes_out_its_own_keys_alone() {
        let profile = crate::testing::profile(None);
        let signer = RsaPrivateKey::generate();
        let ada = ParticipantId::random();
        let (small_state, small_chain, small) = group_with_epochs(ada, &signer, 2);
        let (large_state, large_chain, large) = group_with_epochs(ada, &signer, 1_100);
        profile
            .atomically(|| {
                profile.save_group(&small_state, &small_chain)?;
                profile.save_group(&large_state, &large_chain)?;
                small.iter().chain(&large).try_for_each(|key| keep(&profile, key))
            })
            .unwrap();
        let carried = list(&profile).unwrap();
        assert_eq!(carried.len(), MAX_HANDED_ON);
        assert!(small.iter().chain(large.last()).all(|key| holds(&carried, key)));
        assert!(!holds(&carried, &large[0]));
    }
}
