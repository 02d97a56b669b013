//! Parts by themselves: durable submissions by concurrency, sealing and opening, decoding, verifying.
//!
//! `cargo bench --bench parts` prints one line of JSON per figure. The server as a whole is measured by
//! the load tool, `cargo bench --bench load`.
#![allow(clippy::unwrap_used, reason = "a tool for developers: a failure is its result")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use momedo::domain::delivery::Takers;
use momedo::domain::ozone::{Quota, Source};
use momedo::service::ServiceError;
use momedo::store::{Charged, Conversation, NewEnvelope, Store, StoreOptions};
use momedo::surroundings::clock::Clock;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::envelope;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::jws::{DocumentType, Jws};
use momedo_protocol::mceliece::McEliecePrivateKey;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::{PrivateKeys, RecipientKeys, open, seal};
use momedo_protocol::suite::Suite;
use momedo_protocol::time::UnixMillis;
use serde_json::json;

/// How long each part is repeated.
const TIME: Duration = Duration::from_secs(1);

/// Repeats `work` for a second and prints how long once takes.
fn part(name: &str, mut work: impl FnMut()) {
    let (begun, mut count) = (Instant::now(), 0u32);
    while begun.elapsed() < TIME {
        work();
        count += 1;
    }
    let microseconds = begun.elapsed().as_secs_f64() * 1e6 / f64::from(count);
    println!("{}", json!({ "part": name, "microseconds": (microseconds * 100.0).round() / 100.0 }));
}

fn main() {
    sealing();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for concurrency in [1, 10, 100, 1_000] {
        runtime.block_on(submissions(concurrency));
    }
}

fn sealing() {
    let (mceliece_private, mceliece) = McEliecePrivateKey::generate();
    let keys = PrivateKeys {
        rsa: RsaPrivateKey::generate(),
        ml_kem: MlKemPrivateKey::generate(),
        mceliece: Some(mceliece_private),
    };
    let ml_kem = keys.ml_kem.public();
    let public = RecipientKeys {
        version: 1,
        digest: Sha512Digest([1; 64]),
        rsa: keys.rsa.public(),
        ml_kem: &ml_kem,
        mceliece: Some(&mceliece),
    };
    let id = MessageId::new(UnixMillis(1));
    for (suite, seal_name, open_name) in
        [(Suite::Full, "seal, suite 1", "open, suite 1"), (Suite::Small, "seal, suite 2", "open, suite 2")]
    {
        let sealed = seal(suite, &public, id, &[7; 1000]).unwrap();
        part(seal_name, || drop(seal(suite, &public, id, &[7; 1000]).unwrap()));
        part(open_name, || drop(open(&sealed, &keys).unwrap()));
        if suite == Suite::Full {
            part("decode an envelope", || {
                std::hint::black_box(envelope::decode(std::hint::black_box(&sealed)).unwrap());
            });
        }
    }
    let jws = Jws::sign(DocumentType::Login, b"{}", &[&keys.rsa]);
    part("sign", || drop(Jws::sign(DocumentType::Login, b"{}", &[&keys.rsa])));
    part("verify", || drop(jws.verify(DocumentType::Login, &[keys.rsa.public()]).unwrap()));
}

/// Durable submissions with `concurrency` of them waiting at any time.
async fn submissions(concurrency: usize) {
    let folder = tempfile::tempdir_in(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let listener = Box::new(|_| ());
    let store = Store::open(folder.path(), Clock::system(), &StoreOptions::default(), listener).unwrap();
    let (ada, ben) = (ParticipantId::random(), ParticipantId::random());
    let device = DeviceId::of_login_key(b"ben");
    store
        .write(move |tx| {
            tx.insert_participant(ada, "Ada", UnixMillis(0))?;
            tx.insert_participant(ben, "Ben", UnixMillis(0))?;
            Ok::<_, ServiceError>(tx.upsert_device(device, ben, &Sha512Digest([0; 64]), b"ben")?)
        })
        .await
        .unwrap();
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..concurrency {
        let store = store.clone();
        tasks.spawn(async move {
            let quota = Quota { queue_bytes: u64::MAX, sender_bytes: u64::MAX };
            let mut count = 0u64;
            while begun.elapsed() < TIME * 2 {
                let envelope = NewEnvelope {
                    sender: ada,
                    message_id: MessageId::new(momedo_client::now()),
                    accepted_at: UnixMillis(1),
                    bundle_version: 1,
                    source: Source::Here,
                    charged: Charged::Sender,
                    bytes: vec![7; 1024],
                };
                let write = store.write_decided(move |tx| {
                    tx.remember_message(envelope.message_id, ada, Conversation::With(ben), &[1; 16])?;
                    let queues = tx.queues(&[device], Source::Here, ada)?;
                    let size = envelope.bytes.len() as u64;
                    let takers = Takers::with_room(&queues, Source::Here, size, &quota);
                    tx.append(ben, &takers, envelope.clone())?;
                    Ok::<_, ServiceError>(())
                });
                write.await.unwrap();
                count += 1;
            }
            count
        });
    }
    let count: u64 = tasks.join_all().await.into_iter().sum();
    let per_second = (count as f64 / begun.elapsed().as_secs_f64()) as u64;
    store.close().await;
    println!(
        "{}",
        json!({ "part": "durable submissions of 1 KiB", "concurrency": concurrency, "per_second": per_second })
    );
}
