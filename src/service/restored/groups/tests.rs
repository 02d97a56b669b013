use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::entry::{Access, Encryption, GroupEntryPayload, NewMember, Posting, Settings};
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use tempfile::TempDir;

use super::*;
use crate::store::{BundleRow, Store};
use crate::testing::{self, keys};

const OWN: Fingerprint = Fingerprint([9; 32]);

/// The next entry of a chain, as if its signature had been read.
fn entry(
    state: Option<&GroupState>,
    author: ParticipantId,
    key: &RsaPrivateKey,
    action: Action,
) -> (GroupEntry, String) {
    let payload = GroupEntryPayload {
        group: state.map(|state| state.group),
        number: state.map_or(1, |state| state.number + 1),
        previous: state.map(|state| state.head),
        author,
        key: Base64Bytes(key.public().spki().to_vec()),
        made_at: UnixMillis(1),
        action,
    };
    let text = serde_json::to_string(&payload).unwrap();
    let digest = Sha512Digest::of(text.as_bytes());
    (GroupEntry { payload, digest, key: key.public().clone() }, text)
}

/// A chain that goes on.
struct Chain {
    state: GroupState,
    entries: Read,
}

impl Chain {
    fn begin(author: ParticipantId, key: &RsaPrivateKey) -> Self {
        let settings = Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Closed };
        let action = Action::Create {
            salt: Base64Bytes(vec![1; 16]),
            version: 1,
            home: OWN,
            settings,
            encryption: Encryption::Symmetric,
        };
        let first = entry(None, author, key, action);
        Self { state: GroupState::create(&first.0).unwrap(), entries: vec![first] }
    }

    fn then(&mut self, author: ParticipantId, key: &RsaPrivateKey, action: Action) {
        let next = entry(Some(&self.state), author, key, action);
        self.state.apply(&next.0).unwrap();
        self.entries.push(next);
    }
}

fn add(id: ParticipantId, key: &RsaPrivateKey) -> Action {
    let fingerprint = key.public().fingerprint();
    Action::Add {
        members: vec![NewMember { id, fingerprint, version: 1, home: None, role: GroupRole::Moderator }],
    }
}

fn renew(before: &RsaPrivateKey, after: &(KeyBundle, momedo_protocol::jws::Jws)) -> Action {
    Action::Renew {
        previous_key: Base64Bytes(before.public().spki().to_vec()),
        bundles: vec![after.1.clone()],
    }
}

/// A restored server, on which Ada has published a new signature key since her device was stolen, and her thief.
struct Bench {
    _folder: TempDir,
    store: Store,
    ada: ParticipantId,
    eve: ParticipantId,
    stolen: RsaPrivateKey,
    own: RsaPrivateKey,
    thiefs: RsaPrivateKey,
    renewed: (KeyBundle, momedo_protocol::jws::Jws),
}

impl Bench {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::store(&folder);
        let [stolen, own, thiefs, _] = keys();
        let (ada, eve) = (ParticipantId::random(), ParticipantId::random());
        let first = testing::bundle(ada, vec![OWN], 1, (&stolen, None));
        let renewed = testing::bundle(ada, vec![OWN], 2, (&own, Some(&stolen)));
        let hers = testing::bundle(eve, vec![OWN], 1, (&thiefs, None));
        let rows = [(ada, first, false), (ada, renewed.clone(), true), (eve, hers, false)].map(
            |(id, (bundle, jws), changes_signature_key)| {
                let row = BundleRow {
                    version: bundle.payload.version,
                    digest: bundle.digest,
                    mceliece: None,
                    changes_signature_key,
                    countersignature: String::new(),
                    bundle: serde_json::to_string(&jws).unwrap(),
                };
                (id, row)
            },
        );
        store
            .write(move |tx| {
                tx.set_setting("restored-at-served-millis", &0u64.to_be_bytes())?;
                tx.insert_participant(ada, "Ada", UnixMillis(0))?;
                tx.insert_participant(eve, "Eve", UnixMillis(0))?;
                for (id, row) in &rows {
                    tx.insert_bundle(*id, row)?;
                }
                Ok::<_, ServiceError>(())
            })
            .await
            .unwrap();
        Self { _folder: folder, store, ada, eve, stolen, own, thiefs, renewed }
    }

    /// Hands a part of a chain back.
    async fn hand_back(&self, chain: &Chain, from: usize, until: usize) -> Result<(), ServiceError> {
        let (id, by) = (chain.state.id(), self.eve);
        let entries: Read = chain.entries[from..until].to_vec();
        self.store.write(move |tx| put_in(tx, by, OWN, UnixMillis(0), id, &entries).map(drop)).await
    }

    async fn refuses(&self, chain: &Chain, from: usize) {
        let refused = self.hand_back(chain, from, chain.entries.len()).await;
        let is_refused =
            matches!(&refused, Err(ServiceError::GroupRefused(reason)) if reason.contains("key"));
        assert!(is_refused, "{refused:?}");
    }
}

#[tokio::test]
async fn what_the_owner_wrote_before_she_renewed_her_key_is_taken_back_with_the_renewal() {
    let bench = Bench::open().await;
    let mut chain = Chain::begin(bench.ada, &bench.stolen);
    chain.then(bench.ada, &bench.stolen, add(bench.eve, &bench.thiefs));
    chain.then(bench.ada, &bench.own, renew(&bench.stolen, &bench.renewed));
    bench.hand_back(&chain, 0, 3).await.unwrap();
    // Whoever had left before needs no renewal.
    let mut left = Chain::begin(bench.eve, &bench.thiefs);
    left.then(bench.eve, &bench.thiefs, add(bench.ada, &bench.stolen));
    left.then(bench.ada, &bench.stolen, Action::Leave {});
    bench.hand_back(&left, 0, 3).await.unwrap();
    bench.store.close().await;
}

#[tokio::test]
async fn a_thief_gets_nobody_in_with_a_key_that_was_replaced() {
    let bench = Bench::open().await;
    // The backup has the group as Ada founded it.
    let founded = Chain::begin(bench.ada, &bench.stolen);
    let text = founded.entries[0].1.clone();
    let state = founded.state.clone();
    let author = Author { participant: bench.ada, elsewhere: None, is_moderator: true };
    bench
        .store
        .write(move |tx| Ok::<_, ServiceError>(tx.insert_group(&state, &text, &author, UnixMillis(0))?))
        .await
        .unwrap();
    let again = || Chain { state: founded.state.clone(), entries: founded.entries.clone() };
    // By the stolen key alone.
    let mut chain = again();
    chain.then(bench.ada, &bench.stolen, add(bench.eve, &bench.thiefs));
    bench.refuses(&chain, 1).await;
    // Renewed to a key of the thief's own.
    let mut chain = again();
    let false_one = testing::bundle(bench.ada, vec![OWN], 2, (&bench.thiefs, Some(&bench.stolen)));
    chain.then(bench.ada, &bench.thiefs, renew(&bench.stolen, &false_one));
    bench.refuses(&chain, 1).await;
    // Taken out afterwards, by herself or by whoever was let in, and taken in again with her true key.
    let mut chain = again();
    chain.then(bench.ada, &bench.stolen, add(bench.eve, &bench.thiefs));
    let mut gone = Chain { state: chain.state.clone(), entries: chain.entries.clone() };
    gone.then(bench.ada, &bench.stolen, Action::Leave {});
    bench.refuses(&gone, 1).await;
    chain.then(bench.eve, &bench.thiefs, Action::Remove { members: vec![bench.ada] });
    bench.refuses(&chain, 1).await;
    chain.then(bench.eve, &bench.thiefs, add(bench.ada, &bench.own));
    bench.refuses(&chain, 1).await;
    bench.store.close().await;
}

#[tokio::test]
async fn nobody_founds_a_group_in_somebody_elses_name() {
    let bench = Bench::open().await;
    bench.refuses(&Chain::begin(bench.ada, &bench.thiefs), 0).await;
    bench.refuses(&Chain::begin(ParticipantId::random(), &bench.thiefs), 0).await;
    // Nor with the key that was replaced.
    bench.refuses(&Chain::begin(bench.ada, &bench.stolen), 0).await;
    bench.hand_back(&Chain::begin(bench.ada, &bench.own), 0, 1).await.unwrap();
    bench.store.close().await;
}
