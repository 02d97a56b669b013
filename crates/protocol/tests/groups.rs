//! Groups: what the rules allow, and that everybody comes to the same group whatever the order of tries.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::OnceLock;

use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::entry::{
    Access, Action, Encryption, GroupEntry, GroupEntryPayload, GroupRole, NewMember, Posting, Settings,
};
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::group::link::GroupLink;
use momedo_protocol::group::state::{
    GroupError, GroupState, MAX_GROUP_ENTRIES, MAX_GROUP_MEMBERS, RESERVED_GROUP_ENTRIES,
};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundlePayload;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::suite::Suite;
use momedo_protocol::time::UnixMillis;
use proptest::prelude::*;

/// Key 0 to 3 sign, 4 encrypts: made once, since each takes a second.
fn key(index: usize) -> &'static RsaPrivateKey {
    static KEYS: OnceLock<Vec<RsaPrivateKey>> = OnceLock::new();
    &KEYS.get_or_init(|| {
        let make = |_| std::thread::spawn(RsaPrivateKey::generate);
        let making: Vec<_> = (0..5).map(make).collect();
        making.into_iter().map(|key| key.join().unwrap()).collect()
    })[index]
}

fn person(number: u64) -> ParticipantId {
    ParticipantId::from_number(number).unwrap()
}

fn fingerprint(index: usize) -> Fingerprint {
    key(index).public().fingerprint()
}

/// An entry as if its signature had been read.
fn entry(state: Option<&GroupState>, author: u64, key_index: usize, action: Action) -> GroupEntry {
    let payload = GroupEntryPayload {
        group: state.map(|state| state.group),
        number: state.map_or(1, |state| state.number + 1),
        previous: state.map(|state| state.head),
        author: person(author),
        key: Base64Bytes(key(key_index).public().spki().to_vec()),
        made_at: UnixMillis(1_790_000_000_000),
        action,
    };
    let digest = Sha512Digest::of(&serde_json::to_vec(&payload).unwrap());
    GroupEntry { payload, digest, key: key(key_index).public().clone() }
}

fn settings(posting: Posting, access: Access) -> Settings {
    Settings { name: "7b".into(), posting, access }
}

/// A group made by person 0 with key 0, kept by a server whose identity is key 3.
fn group(encryption: Encryption, access: Access) -> GroupState {
    let action = Action::Create {
        settings: settings(Posting::Everyone, access),
        encryption,
        home: fingerprint(3),
        version: 1,
        salt: Base64Bytes(vec![7; 16]),
    };
    GroupState::create(&entry(None, 0, 0, action)).unwrap()
}

fn new_member(number: u64, key_index: usize, role: GroupRole) -> NewMember {
    NewMember { id: person(number), fingerprint: fingerprint(key_index), version: 1, home: None, role }
}

fn add(numbers: impl IntoIterator<Item = u64>) -> Action {
    let members = numbers.into_iter().map(|number| new_member(number, 1, GroupRole::Member)).collect();
    Action::Add { members }
}

fn epoch(state: &GroupState) -> Action {
    Action::Epoch { epoch: state.epoch + 1, commitment: GroupKey::random().commitment() }
}

/// Person 0 moderates; 1 and 2 are members with key 1; the group has a key.
fn small_group() -> GroupState {
    let mut state = group(Encryption::Symmetric, Access::Closed);
    act(&mut state, 0, 0, add([1, 2])).unwrap();
    let first = epoch(&state);
    act(&mut state, 0, 0, first).unwrap();
    state
}

fn act(state: &mut GroupState, author: u64, key_index: usize, action: Action) -> Result<(), GroupError> {
    let next = entry(Some(state), author, key_index, action);
    let before = state.clone();
    let result = state.apply(&next);
    match &result {
        Ok(()) => assert_eq!((state.number, state.head), (before.number + 1, next.digest)),
        Err(_) => assert_eq!(*state, before, "a refused entry changed the group"),
    }
    result
}

fn not_allowed(result: Result<(), GroupError>) {
    assert!(matches!(result, Err(GroupError::NotAllowed(_))), "{result:?}");
}

fn invalid(result: Result<(), GroupError>) {
    assert!(matches!(result, Err(GroupError::Invalid(_))), "{result:?}");
}

#[test]
fn only_a_moderator_with_the_pinned_key_changes_a_group() {
    let mut state = small_group();
    not_allowed(act(&mut state, 1, 1, add([3])));
    not_allowed(act(&mut state, 0, 1, add([3])));
    not_allowed(act(&mut state, 9, 0, add([3])));
    not_allowed(act(&mut state, 1, 1, Action::Remove { members: vec![person(2)] }));
    not_allowed(act(&mut state, 1, 1, Action::Archive {}));
    act(&mut state, 0, 0, add([3])).unwrap();
    assert!(state.active(person(3)).unwrap().awaits_key);
}

#[test]
fn an_entry_follows_the_last_one_or_does_not_count() {
    let mut state = small_group();
    let next = entry(Some(&state), 0, 0, add([3]));
    for change in [
        &mut |payload: &mut GroupEntryPayload| payload.number += 1,
        &mut |payload: &mut GroupEntryPayload| payload.previous = None,
        &mut |payload: &mut GroupEntryPayload| payload.previous = payload.group,
        &mut |payload: &mut GroupEntryPayload| payload.group = payload.previous,
    ] as [&mut dyn FnMut(&mut GroupEntryPayload); 4]
    {
        let mut other = next.clone();
        change(&mut other.payload);
        assert!(matches!(state.apply(&other), Err(GroupError::NotNext { .. })));
    }
    state.apply(&next).unwrap();
    assert!(matches!(state.apply(&next), Err(GroupError::NotNext { .. })));
}

#[test]
fn whoever_leaves_is_followed_by_a_new_epoch() {
    for action in [Action::Remove { members: vec![person(1)] }, Action::Leave {}] {
        let mut state = small_group();
        assert!(!state.needs_epoch);
        let author = if action == (Action::Leave {}) { (1, 1) } else { (0, 0) };
        act(&mut state, author.0, author.1, action).unwrap();
        assert!(state.needs_epoch);
        // The one who left has no say any more.
        let next = epoch(&state);
        not_allowed(act(&mut state, 1, 1, next.clone()));
        act(&mut state, 2, 1, next).unwrap();
        assert_eq!((state.epoch, state.needs_epoch), (2, false));
    }
}

#[test]
fn epochs_are_counted_without_gaps() {
    let mut state = small_group();
    let commitment = GroupKey::random().commitment();
    for number in [0, 1, 3] {
        invalid(act(&mut state, 0, 0, Action::Epoch { epoch: number, commitment }));
    }
    act(&mut state, 0, 0, Action::Epoch { epoch: 2, commitment }).unwrap();
    assert_eq!(state.commitment, Some(commitment));
}

#[test]
fn newcomers_wait_for_the_key_until_they_are_welcomed() {
    let mut state = small_group();
    act(&mut state, 0, 0, add([3])).unwrap();
    assert!(!state.needs_epoch);
    act(&mut state, 2, 1, Action::Welcome { members: vec![person(3)] }).unwrap();
    assert!(!state.active(person(3)).unwrap().awaits_key);
    invalid(act(&mut state, 2, 1, Action::Welcome { members: vec![person(9)] }));
    act(&mut state, 0, 0, Action::Remove { members: vec![person(3)] }).unwrap();
    invalid(act(&mut state, 2, 1, Action::Welcome { members: vec![person(1)] }));
}

#[test]
fn a_group_keeps_a_moderator() {
    let mut state = small_group();
    not_allowed(act(&mut state, 0, 0, Action::Leave {}));
    not_allowed(act(&mut state, 0, 0, Action::Role { member: person(0), role: GroupRole::Member }));
    not_allowed(act(&mut state, 0, 0, Action::Remove { members: vec![person(0)] }));
    act(&mut state, 0, 0, Action::Role { member: person(1), role: GroupRole::Moderator }).unwrap();
    act(&mut state, 0, 0, Action::Leave {}).unwrap();
    act(&mut state, 1, 1, Action::Remove { members: vec![person(2)] }).unwrap();
    // The last one may go, and the group with them.
    act(&mut state, 1, 1, Action::Leave {}).unwrap();
    assert!(state.archived && state.members.is_empty());
}

#[test]
fn announcements_are_for_moderators_and_archives_for_nobody() {
    let mut state = small_group();
    assert!(state.may_post(person(0)) && state.may_post(person(1)) && !state.may_post(person(9)));
    let rules = settings(Posting::Moderators, Access::Closed);
    act(&mut state, 0, 0, Action::Settings { settings: rules }).unwrap();
    assert!(state.may_post(person(0)) && !state.may_post(person(1)));
    act(&mut state, 0, 0, Action::Archive {}).unwrap();
    assert!(!state.may_post(person(0)));
    not_allowed(act(&mut state, 0, 0, add([5])));
    act(&mut state, 1, 1, Action::Leave {}).unwrap();
}

#[test]
fn an_open_group_is_joined_by_oneself_and_a_closed_one_with_its_link_alone() {
    let join = |proof| Action::Join { version: 1, home: None, proof };
    let mut open = group(Encryption::Symmetric, Access::Open);
    act(&mut open, 1, 1, join(None)).unwrap();
    invalid(act(&mut open, 1, 1, join(None)));
    // Anyone of this server, not of others.
    not_allowed(act(&mut open, 2, 1, Action::Join { version: 1, home: Some(fingerprint(2)), proof: None }));

    let mut closed = group(Encryption::Symmetric, Access::Closed);
    not_allowed(act(&mut closed, 1, 1, join(None)));
    let link = GroupLink::random(closed.group);
    let key = Some(Base64Bytes(link.public_key()));
    act(&mut closed, 0, 0, Action::Link { key: key.clone(), uses: 2 }).unwrap();
    let proof = |number, index| Some(Base64Bytes(link.prove(person(number), &fingerprint(index))));
    not_allowed(act(&mut closed, 1, 1, join(proof(2, 1))));
    not_allowed(act(&mut closed, 1, 1, join(proof(1, 2))));
    act(&mut closed, 1, 1, join(proof(1, 1))).unwrap();
    act(&mut closed, 2, 1, join(proof(2, 1))).unwrap();
    not_allowed(act(&mut closed, 3, 1, join(proof(3, 1))));
    not_allowed(act(&mut closed, 1, 1, Action::Link { key, uses: 9 }));
    act(&mut closed, 0, 0, Action::Link { key: None, uses: 0 }).unwrap();
    not_allowed(act(&mut closed, 3, 1, join(proof(3, 1))));
}

#[test]
fn two_thousand_fit_and_one_more_does_not() {
    let mut state = group(Encryption::Symmetric, Access::Closed);
    let mut number = 1;
    while state.members.len() < MAX_GROUP_MEMBERS {
        let count = (MAX_GROUP_MEMBERS - state.members.len()).min(256) as u64;
        act(&mut state, 0, 0, add(number..number + count)).unwrap();
        number += count;
    }
    invalid(act(&mut state, 0, 0, add([number])));
    invalid(act(&mut state, 0, 0, add(number..number + 257)));
    invalid(act(&mut state, 0, 0, Action::Add { members: Vec::new() }));
    // So many at once are welcomed and removed, too.
    let people = |count: u64| (1..=count).map(person).collect::<Vec<_>>();
    let first = epoch(&state);
    act(&mut state, 0, 0, first).unwrap();
    for count in [0, 257] {
        invalid(act(&mut state, 0, 0, Action::Welcome { members: people(count) }));
        invalid(act(&mut state, 0, 0, Action::Remove { members: people(count) }));
    }
    act(&mut state, 0, 0, Action::Welcome { members: people(256) }).unwrap();
    act(&mut state, 0, 0, Action::Remove { members: people(256) }).unwrap();
    assert_eq!(state.members.len(), MAX_GROUP_MEMBERS - 256);
    act(&mut state, 0, 0, add([number])).unwrap();
}

#[test]
fn the_last_entries_of_a_chain_only_let_people_out() {
    let mut state = small_group();
    state.number = MAX_GROUP_ENTRIES - RESERVED_GROUP_ENTRIES - 1;
    act(&mut state, 0, 0, add([3])).unwrap();
    assert_eq!(state.number, MAX_GROUP_ENTRIES - RESERVED_GROUP_ENTRIES);
    invalid(act(&mut state, 0, 0, add([4])));
    let next = epoch(&state);
    invalid(act(&mut state, 0, 0, next));
    act(&mut state, 0, 0, Action::Remove { members: vec![person(3)] }).unwrap();
    act(&mut state, 0, 0, Action::Archive {}).unwrap();
    state.number = MAX_GROUP_ENTRIES - 1;
    act(&mut state, 0, 0, Action::Leave {}).unwrap();
    assert_eq!(state.number, MAX_GROUP_ENTRIES);
}

#[test]
fn whoever_has_a_new_key_can_leave_a_full_chain_and_uses_up_no_more_of_it_than_that() {
    let mut state = small_group();
    state.number = MAX_GROUP_ENTRIES - RESERVED_GROUP_ENTRIES;
    let renew = |previous: usize, version, now: usize| Action::Renew {
        previous_key: Base64Bytes(key(previous).public().spki().to_vec()),
        bundles: vec![bundle(1, version, now, Some(previous))],
    };
    act(&mut state, 1, 2, renew(1, 2, 2)).unwrap();
    invalid(act(&mut state, 1, 1, renew(2, 3, 1)));
    act(&mut state, 1, 2, Action::Leave {}).unwrap();
    assert!(state.active(person(1)).is_none());
}

#[test]
fn everybody_in_the_largest_group_can_leave_a_chain_that_is_full() {
    let mut state = group(Encryption::Asymmetric, Access::Closed);
    for first in (1..MAX_GROUP_MEMBERS as u64).step_by(200) {
        act(&mut state, 0, 0, add(first..(first + 200).min(MAX_GROUP_MEMBERS as u64))).unwrap();
    }
    assert_eq!(state.members.len(), MAX_GROUP_MEMBERS);
    state.number = MAX_GROUP_ENTRIES - RESERVED_GROUP_ENTRIES;
    let members: Vec<_> = state.members.iter().map(|(id, member)| (*id, member.fingerprint)).collect();
    act(&mut state, 0, 0, Action::Archive {}).unwrap();
    for (id, pinned) in members {
        let index = (0..4).find(|index| fingerprint(*index) == pinned).unwrap();
        act(&mut state, id.number(), index, Action::Leave {}).unwrap();
    }
    assert!(state.members.is_empty());
}

#[test]
fn a_removal_ends_the_link() {
    let mut state = small_group();
    let link = GroupLink::random(state.group);
    let opened = || Action::Link { key: Some(Base64Bytes(link.public_key())), uses: 9 };
    let join = |number, index| {
        let proof = Some(Base64Bytes(link.prove(person(number), &fingerprint(index))));
        Action::Join { version: 1, home: None, proof }
    };
    act(&mut state, 0, 0, opened()).unwrap();
    // Whoever leaves may come back with it, and so may others.
    act(&mut state, 2, 1, Action::Leave {}).unwrap();
    act(&mut state, 2, 1, join(2, 1)).unwrap();
    act(&mut state, 0, 0, Action::Remove { members: vec![person(1)] }).unwrap();
    not_allowed(act(&mut state, 1, 1, join(1, 1)));
    not_allowed(act(&mut state, 5, 2, join(5, 2)));
    act(&mut state, 0, 0, opened()).unwrap();
    act(&mut state, 5, 2, join(5, 2)).unwrap();
}

#[test]
fn names_salts_and_links_have_their_lengths() {
    let create = |name: &str, salt: usize| {
        let settings = Settings { name: name.into(), ..settings(Posting::Everyone, Access::Closed) };
        let action = Action::Create {
            settings,
            encryption: Encryption::Symmetric,
            home: fingerprint(3),
            version: 1,
            salt: Base64Bytes(vec![7; salt]),
        };
        GroupState::create(&entry(None, 0, 0, action))
    };
    let (longest, too_long) = ("ä".repeat(80), "ä".repeat(81));
    let mut state = create("7", 16).unwrap();
    create(&longest, 16).unwrap();
    for (name, salt) in [("", 16), (" ", 16), (too_long.as_str(), 16), ("7\n", 16), ("7", 15), ("7", 17)] {
        assert!(matches!(create(name, salt), Err(GroupError::Invalid(_))), "{name:?} {salt}");
    }
    let rename = |name: &str| Action::Settings {
        settings: Settings { name: name.into(), ..settings(Posting::Everyone, Access::Closed) },
    };
    act(&mut state, 0, 0, rename(&longest)).unwrap();
    invalid(act(&mut state, 0, 0, rename(&too_long)));
    let link = |bytes: usize, uses| Action::Link { key: Some(Base64Bytes(vec![1; bytes])), uses };
    for (bytes, uses) in [(31, 1), (33, 1), (32, 0)] {
        invalid(act(&mut state, 0, 0, link(bytes, uses)));
    }
    act(&mut state, 0, 0, link(32, 1)).unwrap();
}

#[test]
fn one_entry_catches_up_with_six_changes_of_a_key() {
    // Keys 1 and 2 take turns; each change is signed by both.
    let bundles = |count: u64| -> Vec<Jws> {
        (0..count)
            .map(|index| {
                let (old, new) = if index % 2 == 0 { (1, 2) } else { (2, 1) };
                bundle(1, 2 + index, new, Some(old))
            })
            .collect()
    };
    let renew = |count| Action::Renew {
        previous_key: Base64Bytes(key(1).public().spki().to_vec()),
        bundles: bundles(count),
    };
    let mut state = small_group();
    not_allowed(act(&mut state, 1, 2, renew(7)));
    act(&mut state, 1, 1, renew(6)).unwrap();
    assert_eq!(state.active(person(1)).unwrap().version, 7);
}

fn bundle(number: u64, version: u64, signature: usize, old: Option<usize>) -> Jws {
    let payload = KeyBundlePayload {
        id: person(number),
        name: "Test".into(),
        homes: vec![fingerprint(3)],
        version,
        issued_at: UnixMillis(1),
        expires_at: UnixMillis(2),
        signature_key: Base64Bytes(key(signature).public().spki().to_vec()),
        rsa_key: Base64Bytes(key(4).public().spki().to_vec()),
        ml_kem_key: Base64Bytes(MlKemPrivateKey::generate().public().bytes().to_vec()),
        mceliece_key: None,
        suites: vec![Suite::Small],
    };
    match old {
        Some(old) => payload.sign(&[key(signature), key(old)]),
        None => payload.sign(&[key(signature)]),
    }
}

fn suspend(number: u64, bundle: Jws, named: u64, signature: usize, home: usize) -> Action {
    let countersignature = Countersignature {
        id: person(named),
        fingerprint: fingerprint(signature),
        name: "Anna".into(),
        home: fingerprint(home),
        expires_at: UnixMillis(2),
    };
    Action::Suspend {
        member: person(number),
        bundle,
        home_key: Base64Bytes(key(home).public().spki().to_vec()),
        countersignature: countersignature.sign(key(home)),
    }
}

#[test]
fn somebody_whose_keys_were_reset_is_suspended_until_added_again() {
    let mut state = small_group();
    // Not newer, somebody else's, confirmed for somebody else, by another server, or the pinned key itself.
    invalid(act(&mut state, 2, 1, suspend(1, bundle(1, 1, 2, None), 1, 2, 3)));
    invalid(act(&mut state, 2, 1, suspend(1, bundle(2, 2, 2, None), 1, 2, 3)));
    invalid(act(&mut state, 2, 1, suspend(1, bundle(1, 2, 2, None), 2, 2, 3)));
    invalid(act(&mut state, 2, 1, suspend(1, bundle(1, 2, 2, None), 1, 2, 0)));
    invalid(act(&mut state, 2, 1, suspend(1, bundle(1, 2, 1, None), 1, 1, 3)));
    act(&mut state, 2, 1, suspend(1, bundle(1, 2, 2, None), 1, 2, 3)).unwrap();
    assert!(state.active(person(1)).is_none() && state.needs_epoch);
    not_allowed(act(&mut state, 1, 1, Action::Leave {}));
    let again = NewMember { version: 2, ..new_member(1, 2, GroupRole::Member) };
    act(&mut state, 0, 0, Action::Add { members: vec![again] }).unwrap();
    assert_eq!(state.active(person(1)).unwrap().fingerprint, fingerprint(2));
    assert!(state.needs_epoch);
}

#[test]
fn a_new_key_that_the_old_one_signed_is_followed() {
    let renew = |previous: usize, bundles| Action::Renew {
        previous_key: Base64Bytes(key(previous).public().spki().to_vec()),
        bundles,
    };
    let mut state = small_group();
    not_allowed(act(&mut state, 1, 2, renew(1, vec![bundle(1, 2, 2, None)])));
    not_allowed(act(&mut state, 1, 2, renew(1, vec![bundle(1, 2, 2, Some(0))])));
    not_allowed(act(&mut state, 1, 2, renew(0, vec![bundle(1, 2, 2, Some(0))])));
    not_allowed(act(&mut state, 1, 2, renew(1, vec![bundle(2, 2, 2, Some(1))])));
    not_allowed(act(&mut state, 1, 1, renew(1, vec![])));
    not_allowed(act(&mut state, 1, 2, renew(1, vec![bundle(1, 1, 2, Some(1))])));
    act(&mut state, 1, 2, renew(1, vec![bundle(1, 2, 0, Some(1)), bundle(1, 3, 2, Some(0))])).unwrap();
    let member = state.active(person(1)).unwrap();
    assert_eq!((member.fingerprint, member.version), (fingerprint(2), 3));
    assert!(state.needs_epoch);
    not_allowed(act(&mut state, 1, 1, Action::Leave {}));
    act(&mut state, 1, 2, Action::Leave {}).unwrap();
}

#[test]
fn an_entry_is_read_with_the_key_it_brings_and_no_other() {
    let state = small_group();
    let payload = entry(Some(&state), 0, 0, add([3])).payload;
    let read = GroupEntry::read(&payload.sign(key(0))).unwrap();
    assert_eq!(read.payload, payload);
    assert!(GroupEntry::read(&payload.sign(key(1))).is_err());
    let largest = entry(Some(&state), 0, 0, add(10..266)).payload.sign(key(0));
    GroupEntry::read(&largest).unwrap();
}

/// What one moderator tries.
#[derive(Debug, Clone)]
enum Try {
    Add(u64),
    Remove(u64),
    Epoch,
    Rename(u8),
}

fn tries() -> impl Strategy<Value = Vec<(bool, Try)>> {
    let one = prop_oneof![
        (2u64..9).prop_map(Try::Add),
        (2u64..9).prop_map(Try::Remove),
        Just(Try::Epoch),
        (0u8..4).prop_map(Try::Rename),
    ];
    prop::collection::vec((any::<bool>(), one), 1..40)
}

/// The action behind a try, as somebody who knows `state` would word it.
fn action(attempt: &Try, state: &GroupState) -> Action {
    match attempt {
        Try::Add(number) => add([*number]),
        Try::Remove(number) => Action::Remove { members: vec![person(*number)] },
        Try::Epoch => epoch(state),
        Try::Rename(name) => {
            Action::Settings { settings: Settings { name: format!("7{name}"), ..state.settings.clone() } }
        }
    }
}

proptest! {
    /// Two moderators change a group from what each of them knew last; the server takes whatever follows its
    /// head; whoever comes late reads on and words it again. Everybody who reads the chain gets the same group.
    #[test]
    fn two_moderators_at_once_end_with_one_group(tries in tries(), reads_late in prop::collection::vec(any::<bool>(), 40)) {
        let mut server = group(Encryption::Symmetric, Access::Closed);
        let first = server.clone();
        let moderator = new_member(1, 1, GroupRole::Moderator);
        let mut chain = vec![entry(Some(&server), 0, 0, Action::Add { members: vec![moderator] })];
        server.apply(&chain[0]).unwrap();
        let mut views = [first.clone(), first.clone()];
        for ((second, attempt), late) in tries.iter().zip(&reads_late) {
            let view = &mut views[usize::from(*second)];
            if !late {
                catch_up(view, &chain);
            }
            let (author, key_index) = if *second { (1, 1) } else { (0, 0) };
            // A rebase or two, as a client does; what then is refused for what it says is given up.
            for _ in 0..3 {
                let next = entry(Some(view), author, key_index, action(attempt, view));
                match server.apply(&next) {
                    Ok(()) => {
                        chain.push(next);
                        break;
                    }
                    Err(GroupError::NotNext { .. }) => catch_up(view, &chain),
                    Err(_) => break,
                }
            }
        }
        for view in &mut views {
            catch_up(view, &chain);
            prop_assert_eq!(&*view, &server);
        }
        let mut newcomer = first;
        catch_up(&mut newcomer, &chain);
        prop_assert_eq!(&newcomer, &server);
        // Whoever was removed is not among those a message goes to, and no key outlives a removal.
        for (index, entry) in chain.iter().enumerate() {
            let Action::Remove { members } = &entry.payload.action else { continue };
            let later = &chain[index + 1..];
            let has_new_epoch = later.iter().any(|later| matches!(later.payload.action, Action::Epoch { .. }));
            prop_assert!(server.needs_epoch || has_new_epoch);
            let is_back = later.iter().any(|later| {
                matches!(&later.payload.action, Action::Add { members: added } if added[0].id == members[0])
            });
            prop_assert_eq!(server.active(members[0]).is_some(), is_back && server.members.contains_key(&members[0]));
        }
    }

    #[test]
    fn a_stored_group_comes_back_as_it_was(tries in tries()) {
        let mut state = small_group();
        for (_, attempt) in &tries {
            let next = entry(Some(&state), 0, 0, action(attempt, &state));
            let _ = state.apply(&next);
        }
        let json = serde_json::to_string(&state).unwrap();
        let mut read: GroupState = serde_json::from_str(&json).unwrap();
        prop_assert!(read.members.is_empty());
        read.members = state.members.clone();
        prop_assert_eq!(read, state);
    }
}

fn catch_up(view: &mut GroupState, chain: &[GroupEntry]) {
    let known = view.number;
    for entry in chain.iter().filter(|entry| entry.payload.number > known) {
        view.apply(entry).unwrap();
    }
}
