//! What a second home costs: messages among people of one server before they have one, with it, and while it is away.

use std::time::{Duration, Instant};

use momedo_client::homes;
use momedo_client::profile::Profile;
use momedo_client::registration::Joining;
use momedo_protocol::mceliece::McEliecePrivateKey;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::seal::PrivateKeys;
use momedo_testing::keys::{DeviceKeys, NewKeys, ParticipantKeys};
use momedo_testing::people::register_with;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::across::{PAIRS, PER_PAIR, invite, latency, pair, throughput};
use crate::figures::{milliseconds, print};
use crate::keys::keys;
use crate::people::{Person, copy};
use crate::subject::Subject;

/// People with profiles, which know how to take a second home.
async fn register(subject: &Subject, folder: &std::path::Path, count: usize) -> Vec<(Profile, Person)> {
    let mut stored = keys(count + 2);
    let (encryption_key, signature_key) = (stored.remove(0), stored.remove(0));
    let (mceliece_private, mceliece) = McEliecePrivateKey::generate();
    let mut people = Vec::with_capacity(count);
    for (number, login_key) in stored.into_iter().enumerate() {
        let private = |mceliece| PrivateKeys {
            rsa: copy(&encryption_key),
            ml_kem: MlKemPrivateKey::generate(),
            mceliece,
        };
        let keys = ParticipantKeys {
            signature_key: copy(&signature_key),
            device: DeviceKeys { login: copy(&login_key), private: private(None) },
            encryption: NewKeys {
                private: private(Some(mceliece_private.clone())),
                mceliece: mceliece.clone(),
            },
        };
        let joining = Joining { invite: subject.invite(), name: None, device_name: "load", language: "en" };
        let path = folder.join(number.to_string());
        let (profile, _) = register_with(&path, &joining, || keys, &|_| {}).await.unwrap();
        let session = profile.log_in("en").await.unwrap();
        people.push((profile, session, login_key));
    }
    let person = |(profile, session, login_key): (Profile, _, _)| {
        let bundle = profile.own_bundle().unwrap();
        (profile, Person { bundle, session, login_key })
    };
    people.into_iter().map(person).collect()
}

async fn figures(subject: &Subject, senders: &[Person], recipients: &[Person]) -> Value {
    let before = subject.cpu();
    let per_second = throughput((subject, senders), (subject, recipients)).await;
    let cpu = milliseconds(subject.cpu() - before) / 1e3 * 10_000.0 / (PAIRS * PER_PAIR) as f64;
    json!({
        "messages_per_second": per_second,
        "cpu_seconds_per_10000": cpu,
        "latency": latency((subject, &senders[0]), (subject, &recipients[0])).await,
    })
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "never came: {what}");
    }
}

pub(crate) fn second_home(runtime: &Runtime) {
    let (here, there) = (Subject::start(), Subject::start());
    let folder = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        pair(&here, &there, &invite(&there));
        for (one, other) in [(&here, &there), (&there, &here)] {
            let id = other.address.fingerprint.to_string();
            one.admin(&["neighbour", "allow", &id, "--second-home", "true", "--per-minute", "100000000"]);
        }
        let (profiles, mut senders): (Vec<_>, Vec<_>) =
            register(&here, folder.path(), PAIRS * 2).await.into_iter().unzip();
        let mut recipients = senders.split_off(PAIRS);
        let without = figures(&here, &senders, &recipients).await;
        for (profile, person) in profiles.iter().zip(senders.iter_mut().chain(&mut recipients)) {
            homes::follow(profile, &mut person.session, &|_| {}).await.unwrap();
            person.bundle = profile.own_bundle().unwrap();
        }
        let shared = |one: &Subject, which: &str| one.admin(&["neighbour", "list"])[0]["shared"][which].clone();
        until("the second home knows all", || shared(&there, "theirs") == PAIRS * 2);
        let with = figures(&here, &senders, &recipients).await;
        here.admin(&["neighbour", "pause", &there.address.fingerprint.to_string()]);
        let away = figures(&here, &senders, &recipients).await;
        print(
            "second-home",
            json!({ "messages": PAIRS * PER_PAIR, "without": without, "with": with, "while_it_is_away": away }),
        );
    });
}
