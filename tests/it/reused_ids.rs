//! One message ID used for everything at once: whatever a sender makes of theirs, nobody else's mail is refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::sending::{Destination, Draft, send};
use momedo_protocol::api::SubmitRequest;
use momedo_protocol::api::groups::GroupMessageRequest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::group::envelope::seal_message;
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::message_id::MessageId;
use rusqlite::Connection;

use crate::across::count;
use crate::harness::{PATIENCE, Server};
use crate::neighbours::until;
use crate::second_home::{pair_with_a_neighbour, settle};
use momedo_testing::envelopes::opaque;

/// Every way in which one ID can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// To somebody at another server, with a copy for own devices or without.
    Away {
        own_copy: bool,
    },
    /// To somebody here who has a second home, as the sender has.
    Here {
        own_copy: bool,
    },
    Oneself {
        own_copy: bool,
    },
    /// To a group with all of them.
    Group(usize),
}

const USES: [Use; 8] = [
    Use::Away { own_copy: true },
    Use::Away { own_copy: false },
    Use::Here { own_copy: true },
    Use::Here { own_copy: false },
    Use::Oneself { own_copy: true },
    Use::Oneself { own_copy: false },
    Use::Group(0),
    Use::Group(1),
];

/// The uses in another order for each `round`, the same in every run.
fn shuffled(round: u64) -> Vec<Use> {
    let mut state = round.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut rest = USES.to_vec();
    let mut order = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.push(rest.remove(usize::try_from(state >> 33).unwrap() % rest.len()));
    }
    order
}

fn submission(to: &KeyBundle, own: Option<&KeyBundle>, id: MessageId) -> SubmitRequest {
    SubmitRequest {
        id,
        to: to.payload.id,
        device: None,
        envelope: Base64Bytes(opaque(to, id, 512)),
        own_devices: own.map(|own| Base64Bytes(opaque(own, id, 512))),
        blobs: Vec::new(),
    }
}

async fn group(moderator: &Profile, others: &[&Profile]) -> GroupId {
    let settings = Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Closed };
    let mut membership = Membership::begin(moderator, "en", &|_| {}).await.unwrap();
    let id = membership.create(settings, Encryption::Symmetric).await.unwrap().id();
    let others: Vec<_> = others.iter().map(|profile| profile.id().unwrap()).collect();
    membership.add(id, &others, GroupRole::Member).await.unwrap();
    // The first message brings the group's key.
    send(moderator, Destination::Group(id), &Draft::text("hallo"), PATIENCE, "en", &|_| {}).await.unwrap();
    id
}

fn group_message(profile: &Profile, group: GroupId, id: MessageId) -> GroupMessageRequest {
    let state = profile.group(group).unwrap().unwrap();
    let from = profile.id().unwrap();
    let envelope = seal_message(state.group, state.epoch, &GroupKey::random(), from, id, b"{}").unwrap();
    let (number, slots, blobs) = (state.number, Vec::new(), Vec::new());
    GroupMessageRequest { id, number, envelope: Base64Bytes(envelope), slots, blobs }
}

async fn bundle(profile: &Profile, of: &Profile) -> KeyBundle {
    let mut session = profile.log_in("en").await.unwrap();
    let keys = session.keys(of.id().unwrap(), 0).await.unwrap();
    KeyBundle::verify(&keys.bundle).unwrap()
}

fn bodies(server: &Server, id: MessageId) -> u64 {
    let database = Connection::open(server.data().join("momedo.db")).unwrap();
    let sql = "SELECT count(*) FROM bodies WHERE message_id = ?1";
    database.query_row(sql, [id.0], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_id_used_for_everything_refuses_nobody_elses_mail() {
    let ([a, b], z, [ada, zoe]) = pair_with_a_neighbour().await;
    let ben = a.register_profile(2, "ben").await;
    settle(&a, &b, &["ada", "ben"]);
    let groups = [group(&ada, &[&ben, &zoe]).await, group(&ada, &[&ben, &zoe]).await];
    let (own, here, away) = (bundle(&ada, &ada).await, bundle(&ada, &ben).await, bundle(&ada, &zoe).await);
    let mut attacker = ada.log_in("en").await.unwrap();
    // Ben's own mail goes on all the while.
    let innocent_bundle = here.clone();
    let mut innocent = ben.log_in("en").await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let is_over = over.clone();
    let innocents = tokio::spawn(async move {
        let (mut sent, mut refused) = (0, Vec::new());
        while !is_over.load(Ordering::Relaxed) {
            let id = MessageId::new(momedo_client::now());
            refused.extend(innocent.submit(&submission(&innocent_bundle, None, id)).await.err());
            sent += 1;
        }
        (sent, refused)
    });
    let mut ids = Vec::new();
    for round in 0..6 {
        let id = MessageId::new(momedo_client::now());
        ids.push(id);
        let mut taken = BTreeSet::new();
        for way in shuffled(round) {
            let answer = match way {
                Use::Group(which) => {
                    let request = group_message(&ada, groups[which], id);
                    attacker.post_to_group(groups[which], &request).await.map(|_| ())
                }
                Use::Away { own_copy } => {
                    let request = submission(&away, own_copy.then_some(&own), id);
                    attacker.submit(&request).await.map(|_| ())
                }
                Use::Here { own_copy } => {
                    let request = submission(&here, own_copy.then_some(&own), id);
                    attacker.submit(&request).await.map(|_| ())
                }
                Use::Oneself { own_copy } => {
                    let request = submission(&own, own_copy.then_some(&own), id);
                    attacker.submit(&request).await.map(|_| ())
                }
            };
            match answer {
                Ok(()) => _ = taken.insert(way),
                Err(error) => {
                    assert_eq!(error.problem(), Some("message-conflict"), "round {round}: {way:?}: {error}");
                }
            }
        }
        // Each conversation has its own message under the ID, and one alone.
        let count = |uses: [Use; 2]| uses.iter().filter(|way| taken.contains(way)).count();
        assert_eq!(count([Use::Away { own_copy: true }, Use::Away { own_copy: false }]), 1, "{taken:?}");
        assert_eq!(count([Use::Here { own_copy: true }, Use::Here { own_copy: false }]), 1, "{taken:?}");
        assert_eq!(count([Use::Group(0), Use::Group(1)]), 2, "{taken:?}");
    }
    over.store(true, Ordering::Relaxed);
    let (sent, refused) = innocents.await.unwrap();
    assert!(refused.is_empty() && sent > 0, "of {sent}: {refused:?}");
    // All that was accepted arrives: what was sent to Zoe, and what went to each group she belongs to.
    for id in ids {
        until("it arrives at the other server", || bodies(&z, id) == 3);
    }
    until("no copy stays behind", || count(&a, "outbox") == 0);
}
