//! Group keys as this device keeps them: those that count, and those that a chain has to confirm.

use std::collections::HashSet;

use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::key::{GroupKey, GroupKeyBody};
use momedo_protocol::group::state::GroupState;
use momedo_protocol::message::Message;
use momedo_protocol::time::UnixMillis;

use crate::profile::Profile;
use crate::profile::groups::GROUP_KEYS;
use crate::{ClientError, now};

/// How long a key is kept, in days: longer than any server's retention, so that nothing that waits is lost.
const KEPT_DAYS: u64 = 400;

/// Most keys a new device is given, 48 bytes of JSON each.
const MAX_HANDED_ON: usize = 1_000;

pub(crate) fn name(commitment: &Sha512Digest) -> String {
    format!("{GROUP_KEYS}{commitment}")
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
    let mut left: Vec<String> = profile.secret_names(GROUP_KEYS)?;
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
    for name in profile.secret_names(GROUP_KEYS)? {
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
        Access, Action, Encryption, GroupEntry, GroupEntryPayload, Posting, Settings,
    };
    use momedo_protocol::id::ParticipantId;
    use momedo_protocol::jws::Jws;
    use momedo_protocol::message::KIND_GROUP_KEY;
    use momedo_protocol::message_id::MessageId;
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
