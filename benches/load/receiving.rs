//! What the program of somebody who was away takes for each message that waited: direct ones, and those of a group.

use std::path::Path;
use std::time::{Duration, Instant};

use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::receiving;
use momedo_client::registration::Joining;
use momedo_client::sending::{Destination, Draft, send};
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::mceliece::McEliecePrivateKey;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::PrivateKeys;
use momedo_testing::keys::{DeviceKeys, NewKeys, ParticipantKeys};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::figures::print;
use crate::keys::keys;
use crate::subject::Subject;

/// Messages of each kind; `RECEIVED_MESSAGES` changes that. Each is sent with a log-in, of which a device has 512 a minute.
const MESSAGES: usize = 200;

async fn register(subject: &Subject, path: &Path, stored: Vec<RsaPrivateKey>) -> Profile {
    let joining =
        Joining { invite: subject.invite(), name: Some("load"), device_name: "load", language: "en" };
    let make = move || {
        let mut stored = stored.into_iter();
        let mut next = || stored.next().unwrap();
        let (mceliece_private, mceliece) = McEliecePrivateKey::generate();
        let private = |rsa, mceliece| PrivateKeys { rsa, ml_kem: MlKemPrivateKey::generate(), mceliece };
        ParticipantKeys {
            signature_key: next(),
            device: DeviceKeys { login: next(), private: private(next(), None) },
            encryption: NewKeys { private: private(next(), Some(mceliece_private)), mceliece },
        }
    };
    momedo_testing::people::register_with(path, &joining, make, &|_| {}).await.unwrap().0
}

/// Receives all that waits; how many messages, and the time.
async fn receive(profile: &Profile) -> (usize, Duration) {
    let mut session = profile.log_in("en").await.unwrap();
    let begun = Instant::now();
    let mut count = 0;
    let mut show = |received: &receiving::Received| {
        count += usize::from(received.kind == "text" && received.verified);
        Ok(())
    };
    receiving::receive(profile, &mut session, Duration::ZERO, &mut show).await.unwrap();
    (count, begun.elapsed())
}

pub(crate) fn receiving(runtime: &Runtime) {
    let messages: usize = std::env::var("RECEIVED_MESSAGES").map_or(MESSAGES, |count| count.parse().unwrap());
    runtime.block_on(async {
        let subject = Subject::start();
        let mut stored = keys(8);
        let second = stored.split_off(4);
        let ada = register(&subject, &subject.folder().join("ada"), stored).await;
        let ben = register(&subject, &subject.folder().join("ben"), second).await;
        let mut membership = Membership::begin(&ada, "en", &|_| {}).await.unwrap();
        let settings = Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Closed };
        let group = membership.create(settings, Encryption::Symmetric).await.unwrap().id();
        membership.add(group, &[ben.id().unwrap()], GroupRole::Member).await.unwrap();
        for (kind, to) in
            [("direct", Destination::Participant(ben.id().unwrap())), ("group", Destination::Group(group))]
        {
            // The first fetches keys and chain; it is not counted.
            for number in 0..=messages {
                let draft = Draft::text(&format!("Nummer {number}"));
                send(&ada, to, &draft, Duration::from_secs(30), "en", &|_| {}).await.unwrap();
                if number == 0 {
                    receive(&ben).await;
                }
            }
            let (count, time) = receive(&ben).await;
            assert_eq!(count, messages);
            let each = time.as_secs_f64() * 1000.0 / messages as f64;
            print(
                "receiving",
                json!({ "kind": kind, "messages": messages, "ms_each": (each * 100.0).round() / 100.0 }),
            );
        }
    });
}
