//! Mail of a neighbour that makes senders and groups up: it costs that neighbour's share, and nobody else's.

use std::time::Duration;

use momedo::store::{RemoteKeys, RemoteRow, StoreError, Tick};
use momedo_protocol::api::groups::GroupMessageRequest;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{
    Access, Action, Encryption, GroupEntry, GroupEntryPayload, Posting, Settings,
};
use momedo_protocol::group::envelope::seal_message;
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::link::calls::{Refusal, Request, Response};
use momedo_protocol::link::documents::{BatchHeader, Outcome, Receipt};
use momedo_protocol::link::{Batch, FoundGroup, Frame, MAX_BATCH_ITEMS};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::rsa_key::RsaPublicKey;

use crate::harness::{Inside, Server, refused, rsa_key};
use crate::hostile::Hostile;

/// A group as this neighbour made it up.
struct MadeUp {
    state: GroupState,
    first: Jws,
}

/// One that it keeps itself, as its first entry proves.
fn made_up_group(hostile: &Hostile) -> MadeUp {
    let key = rsa_key(1);
    let payload = GroupEntryPayload {
        group: None,
        number: 1,
        previous: None,
        author: ParticipantId::random(),
        key: Base64Bytes(key.public().spki().to_vec()),
        made_at: momedo_client::now(),
        action: Action::Create {
            settings: Settings { name: "made up".into(), posting: Posting::Everyone, access: Access::Open },
            encryption: Encryption::Symmetric,
            home: hostile.id(),
            version: 1,
            salt: Base64Bytes(momedo_protocol::random::bytes::<16>().to_vec()),
        },
    };
    let first = payload.sign(&key);
    let state = GroupState::create(&GroupEntry::read(&first).unwrap()).unwrap();
    MadeUp { state, first }
}

impl Hostile {
    /// A batch with what these are said to have posted to a group.
    fn postings(&self, group: &GroupState, posted: &[(ParticipantId, ParticipantId)]) -> Batch {
        let envelopes = posted.iter().map(|(from, to)| {
            let id = MessageId::new(momedo_client::now());
            let envelope = seal_message(group.group, 1, &GroupKey::random(), *from, id, b"{}").unwrap();
            (*from, *to, id, envelope)
        });
        let batch = self.batch(self.server, envelopes.collect());
        let header = batch.signed_header().unwrap();
        let mut header = BatchHeader::verify(&header, self.identity.public()).unwrap();
        header.items.iter_mut().for_each(|item| item.group = Some(GroupId::of(&group.group)));
        Batch { header: serde_json::to_vec(&header.sign(&self.identity)).unwrap(), ..batch }
    }

    /// Sends a batch, and answers who keeps its groups with this entry, or says that it knows nobody.
    async fn outcomes_proving(&mut self, batch: Batch, first: Option<&Jws>) -> Vec<Outcome> {
        let id = batch.id();
        self.send(&Frame::Batch(Box::new(batch))).await;
        loop {
            match self.next().await.expect("the link goes on") {
                Frame::FindGroup(find) => {
                    let found = FoundGroup { query: find.query, entry: first.cloned(), distance: 0 };
                    self.send(&Frame::FoundGroup(Box::new(found))).await;
                }
                Frame::Receipt(signed) if signed.batch == id => {
                    let key = RsaPublicKey::from_spki(&signed.identity_key.0).unwrap();
                    let receipt = Receipt::verify(&signed.receipt, &key).unwrap();
                    return receipt.outcomes.into_iter().map(|outcome| outcome.outcome).collect();
                }
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_senders_leave_room_for_everybody_else() {
    let server = Server::start_with("[mail]\nmax_queue_bytes = 300000\n");
    let (mut ben, mut ann) = (server.register(0).await, server.register(1).await);
    let mut hostile = Hostile::paired(&server).await;
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        let made_up = |_| hostile.message(ParticipantId::random(), &ben.bundle);
        let batch = hostile.batch(hostile.server, (0..MAX_BATCH_ITEMS).map(made_up).collect());
        outcomes.extend(hostile.outcomes(batch).await);
    }
    let delivered = outcomes.iter().filter(|outcome| **outcome == Outcome::Delivered).count();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered | Outcome::Later)));
    let first_full = outcomes.iter().position(|outcome| *outcome == Outcome::Later);
    assert_eq!(first_full, Some(delivered), "what does not fit comes again");
    // Ann's share is a quarter, as if the neighbour were not there.
    for _ in 0..20 {
        ann.submit(&ben.bundle, 1024).await.unwrap();
    }
    // As soon as Ben has read, the neighbour has room again.
    let page = ben.waiting().await;
    ben.session.acknowledge(page.cursor).await.unwrap();
    let batch = hostile.batch(hostile.server, vec![hostile.message(ParticipantId::random(), &ben.bundle)]);
    assert_eq!(hostile.outcomes(batch).await, [Outcome::Delivered]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_for_a_pupil_or_passes_a_block_through_a_made_up_group() {
    let server = Server::start();
    let (mut ben, mut ann) = (server.register(0).await, server.register(1).await);
    let mut hostile = Hostile::paired(&server).await;
    let stranger = ParticipantId::random();
    let everybody = [(ann.id(), ben.id()), (stranger, ben.id())];
    // A group that nobody keeps, and one that another server would have to keep.
    let mut nowhere = made_up_group(&hostile);
    nowhere.state.group = Sha512Digest([7; 64]);
    let batch = hostile.postings(&nowhere.state, &everybody);
    assert_eq!(hostile.outcomes_proving(batch, None).await, [Outcome::Later, Outcome::Later]);
    let group = made_up_group(&hostile);
    let batch = hostile.postings(&nowhere.state, &everybody);
    let outcomes = hostile.outcomes_proving(batch, Some(&group.first)).await;
    assert_eq!(
        outcomes,
        [Outcome::Later, Outcome::Later],
        "the entry of one group proves nothing of another"
    );
    assert!(ben.waiting().await.messages.is_empty());
    // One that it keeps: it may name whom it likes, but nobody who lives here and posted nothing.
    let batch = hostile.postings(&group.state, &everybody);
    let outcomes = hostile.outcomes_proving(batch, Some(&group.first)).await;
    assert_eq!(outcomes, [Outcome::WrongHome, Outcome::Delivered]);
    assert_eq!(ben.waiting().await.messages.len(), 1);
    // Blocks hold for both kinds of mail.
    ben.session.block(stranger).await.unwrap();
    let direct = hostile.batch(hostile.server, vec![hostile.message(stranger, &ben.bundle)]);
    assert_eq!(hostile.outcomes(direct).await, [Outcome::NotAllowedAcross]);
    let batch = hostile.postings(&group.state, &[(stranger, ben.id())]);
    assert_eq!(hostile.outcomes_proving(batch, None).await, [Outcome::Delivered]);
    assert_eq!(ben.waiting().await.messages.len(), 1, "what the blocked posted is not kept");
    // Ann's own mail is as it was.
    ann.submit(&ben.bundle, 1024).await.unwrap();
    assert_eq!(ben.waiting().await.messages.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_neighbour_asks_in_a_pupils_name_uses_up_nothing_of_theirs() {
    let rates =
        "[rates]\nmessages = { per_minute = 1, burst = 10 }\npublications = { per_minute = 1, burst = 5 }\n";
    let server = Server::start_with(rates);
    let (ben, mut ann) = (server.register(0).await, server.register(1).await);
    let mut hostile = Hostile::paired(&server).await;
    let group = made_up_group(&hostile);
    for _ in 0..10 {
        let id = MessageId::new(momedo_client::now());
        let envelope = seal_message(group.state.group, 1, &GroupKey::random(), ann.id(), id, b"{}").unwrap();
        let message = GroupMessageRequest {
            id,
            number: 1,
            envelope: Base64Bytes(envelope),
            slots: Vec::new(),
            blobs: Vec::new(),
        };
        let post = Request::GroupPost {
            from: ann.id(),
            group: group.state.id(),
            message: Box::new(message),
            sizes: Vec::new(),
        };
        let call = hostile.call(&post);
        let answer = hostile.answer(call).await;
        assert!(matches!(answer, Some(Response::Refused(Refusal::UnknownGroup))), "{answer:?}");
        let reason = String::new();
        let report = Request::Report { from: ann.id(), reason, message: group.first.clone() };
        let call = hostile.call(&report);
        let answer = hostile.answer(call).await;
        assert!(matches!(answer, Some(Response::Refused(Refusal::ReportRefused))), "{answer:?}");
    }
    ann.submit(&ben.bundle, 1024).await.unwrap();
}

/// One that takes questions and answers none.
#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_answers_nothing_holds_nobody_up_for_long() {
    let server = Server::start();
    let mut ben = server.register(0).await;
    let hostile = Hostile::paired(&server).await;
    let asking = async {
        for _ in 0..50 {
            let stranger = ParticipantId::random();
            // Whether somebody there has the ID, nobody has said.
            assert_eq!(refused(ben.session.keys(stranger, 0).await), "unknown-here");
        }
    };
    // Four seconds for each, as it was once, are three minutes.
    tokio::time::timeout(Duration::from_secs(30), asking)
        .await
        .expect("nobody is waited for again and again");
    drop(hostile);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_neighbour_makes_known_costs_its_own_share_alone() {
    const KEYS: usize = 512 * 1024;
    let here = Inside::start().await;
    let (hostile, honest) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
    let row = |number: u64, via: Fingerprint, keys: usize| RemoteRow {
        id: ParticipantId::from_number(number).unwrap(),
        home: via,
        via,
        keys: (keys > 0).then(|| RemoteKeys {
            version: 1,
            digest: Sha512Digest([3; 64]),
            mceliece: None,
            published: "x".repeat(keys),
        }),
        learned: Tick(number),
        disputed_by: None,
        settled: false,
        other_home: None,
    };
    let (ada, last) = (row(1, honest, 0), row(100, hostile, KEYS));
    let (ada_id, last_id) = (ada.id, last.id);
    let made_up: Vec<RemoteRow> = (2..100).map(|number| row(number, hostile, KEYS)).chain([last]).collect();
    let kept = here.app.store.write(move |tx| {
        assert!(tx.save_remote(&ada)?);
        for row in &made_up {
            assert!(tx.save_remote(row)?);
        }
        let known = |id| Ok::<_, StoreError>(tx.find_remote(id)?.is_some());
        let oldest = known(made_up[0].id)?;
        Ok::<_, StoreError>((tx.remote_bytes(hostile)?, known(ada_id)?, known(last_id)?, oldest))
    });
    let (bytes, ada, last, oldest) = kept.await.unwrap();
    assert!(bytes > 30 * 1024 * 1024 && bytes <= 32 * 1024 * 1024, "{bytes}");
    assert!(ada && last && !oldest, "the oldest of its own make room");
    // Whoever goes takes what was counted along.
    let gone = here.app.store.write(move |tx| {
        tx.forget_ways_over(hostile)?;
        Ok::<_, StoreError>((tx.remote_bytes(hostile)?, tx.remote_bytes(honest)?))
    });
    assert_eq!(gone.await.unwrap(), (0, 256));
}
