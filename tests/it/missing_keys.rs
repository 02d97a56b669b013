//! All ways to miss a group key, and that nobody stays deaf for it.

use std::path::Path;
use std::time::Duration;

use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::receiving::{self, Received};
use momedo_client::sending::{Destination, Draft, send};
use momedo_client::{blocking, now};
use momedo_protocol::api::groups::{GroupKeyMessage, GroupKeysRequest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::id::DeviceId;
use momedo_protocol::message::Message;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::seal::{self, RecipientKeys};
use momedo_protocol::suite::Suite;
use rusqlite::Connection;

use crate::harness::{Server, stored_keys};

async fn group(moderator: &Profile, others: &[&Profile]) -> GroupId {
    let mut membership = Membership::begin(moderator, "en", &|_| {}).await.unwrap();
    let settings = Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Closed };
    let id = membership.create(settings, Encryption::Symmetric).await.unwrap().id();
    add(moderator, id, others).await;
    id
}

async fn add(moderator: &Profile, id: GroupId, others: &[&Profile]) {
    let mut membership = Membership::begin(moderator, "en", &|_| {}).await.unwrap();
    let others: Vec<_> = others.iter().map(|profile| profile.id().unwrap()).collect();
    membership.add(id, &others, GroupRole::Member).await.unwrap();
}

/// Whoever posts next makes a new key.
async fn remove(moderator: &Profile, id: GroupId, member: &Profile) {
    let mut membership = Membership::begin(moderator, "en", &|_| {}).await.unwrap();
    membership.remove(id, &[member.id().unwrap()]).await.unwrap();
}

async fn post(profile: &Profile, group: GroupId, text: &str) {
    let to = Destination::Group(group);
    send(profile, to, &Draft::text(text), Duration::from_secs(10), "en", &|_| {}).await.unwrap();
}

async fn received(profile: &Profile) -> Vec<Received> {
    let mut session = profile.log_in("en").await.unwrap();
    let mut shown = Vec::new();
    let mut show = |received: &Received| {
        shown.push(received.clone());
        Ok(())
    };
    receiving::receive(profile, &mut session, Duration::ZERO, &mut show).await.unwrap();
    shown
}

/// What members wrote; everything must be verified.
fn texts(received: &[Received]) -> Vec<&str> {
    let written = received.iter().filter(|received| !received.event && received.kind == "text");
    written
        .map(|received| {
            assert!(received.verified, "{received:?}");
            received.text.as_deref().unwrap()
        })
        .collect()
}

/// Whom the program says to have asked for keys.
fn said_to_have_asked(received: &[Received]) -> Option<&str> {
    let mut said = received.iter().filter_map(|received| received.text.as_deref());
    said.find_map(|text| text.split_once(": asked ")).map(|(_, whom)| whom)
}

/// All that waits is lost: it is acknowledged and was never taken.
async fn lose_mail(profile: &Profile) {
    let mut session = profile.log_in("en").await.unwrap();
    let page = session.ozone(None, 100, Duration::ZERO).await.unwrap();
    assert!(!page.messages.is_empty());
    session.acknowledge(page.cursor).await.unwrap();
}

#[tokio::test]
async fn who_missed_a_key_asks_those_who_have_it_says_so_and_reads_on() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let id = group(&ada, &[&ben, &carl]).await;
    post(&ada, id, "eins").await;
    received(&carl).await;
    lose_mail(&ben).await;
    post(&carl, id, "zwei").await;
    let got = received(&ben).await;
    assert!(texts(&got).is_empty());
    let asked = said_to_have_asked(&got).expect("nobody was told").to_owned();
    assert!(asked.contains(&carl.id().unwrap().to_string()), "who wrote has the key: {asked}");
    assert!(!asked.contains("your other devices"), "there are none: {asked}");
    // Asked once, not with every look.
    assert_eq!(said_to_have_asked(&received(&ben).await), None);
    received(&carl).await;
    assert_eq!(texts(&received(&ben).await), ["zwei"]);
    // And everybody goes on.
    post(&ben, id, "drei").await;
    assert_eq!(texts(&received(&ada).await), ["zwei", "drei"]);
    assert_eq!(ada.group(id).unwrap().unwrap().epoch, 1, "no new key was needed");
}

#[tokio::test]
async fn keys_are_given_to_whom_the_chain_lists_for_the_time_it_lists_them_and_to_nobody_else() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let dora = server.register_profile(3, "dora").await;
    let id = group(&ada, &[&ben, &carl]).await;
    post(&ada, id, "eins").await;
    remove(&ada, id, &carl).await;
    post(&ada, id, "zwei").await;
    add(&ada, id, &[&dora]).await;
    received(&dora).await;
    let state = ada.group(id).unwrap().unwrap();
    assert_eq!(state.epoch, 2);
    // Dora, who came later, asks for all epochs; Carl, who went, asks for what he had.
    for (number, asking) in [(3, &dora), (2, &carl)] {
        let mut session = asking.log_in("en").await.unwrap();
        let message = Message {
            from: asking.id().unwrap(),
            to: Some(ada.id().unwrap()),
            group: None,
            id: MessageId::new(now()),
            sent_at: now(),
            conversation: None,
            log: None,
            kind: "group-key-request".into(),
            body: serde_json::json!({ "group": state.group, "epochs": [1, 2, 3] }),
        };
        let inner = message.sign(&stored_keys(number).signature_key);
        let published = session.keys(ada.id().unwrap(), 0).await.unwrap();
        let bundle = momedo_protocol::key_bundle::KeyBundle::verify(&published.bundle).unwrap();
        let mceliece = stored_keys(0).encryption.mceliece;
        let keys = RecipientKeys::of_bundle(&bundle, Some(&mceliece)).unwrap();
        let envelope = Base64Bytes(seal::seal(Suite::Full, &keys, message.id, &inner).unwrap());
        let to = ada.id().unwrap();
        let request = GroupKeysRequest { id: message.id, messages: vec![GroupKeyMessage { to, envelope }] };
        let handed_out = session.hand_out_keys(id, &request).await;
        if number == 3 {
            assert!(handed_out.unwrap().refused.is_empty());
        } else {
            assert_eq!(crate::harness::refused(handed_out.map(drop)), "unknown-group");
        }
    }
    assert!(received(&ada).await.iter().all(|received| received.event), "questions are not for the screen");
    let mut session = dora.log_in("en").await.unwrap();
    let page = session.ozone(None, 100, Duration::ZERO).await.unwrap();
    assert_eq!(page.messages.len(), 1, "the key of the second epoch, and none of before");
    received(&dora).await;
    post(&dora, id, "drei").await;
    assert_eq!(texts(&received(&ada).await), ["drei"]);
}

#[tokio::test]
async fn a_block_hides_what_somebody_says_and_not_the_key_they_made() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let dora = server.register_profile(3, "dora").await;
    let id = group(&ada, &[&ben, &carl, &dora]).await;
    let mut session = ben.log_in("en").await.unwrap();
    blocking::block(&ben, &mut session, ada.id().unwrap()).await.unwrap();
    remove(&ada, id, &dora).await;
    post(&ada, id, "vom Gesperrten").await;
    received(&carl).await;
    post(&carl, id, "von Carl").await;
    let got = received(&ben).await;
    assert_eq!(texts(&got), ["von Carl"]);
    assert_eq!(said_to_have_asked(&got), None, "the key came");
    // The other way round nothing is in the way, either.
    post(&ben, id, "von Ben").await;
    assert_eq!(texts(&received(&ada).await), ["von Carl", "von Ben"]);
}

#[tokio::test]
async fn who_was_disabled_meanwhile_reads_what_comes_afterwards() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let dora = server.register_profile(3, "dora").await;
    let id = group(&ada, &[&ben, &carl, &dora]).await;
    let own = ben.id().unwrap().to_string();
    server.json(&["admin", "participant", "disable", &own, "--data-dir", "data", "--json"]);
    remove(&ada, id, &dora).await;
    post(&ada, id, "eins").await;
    received(&carl).await;
    server.json(&["admin", "participant", "enable", &own, "--data-dir", "data", "--json"]);
    post(&carl, id, "zwei").await;
    let mut got = received(&ben).await;
    received(&ada).await;
    received(&carl).await;
    got.extend(received(&ben).await);
    assert!(texts(&got).contains(&"zwei"), "{got:?}");
}

#[tokio::test]
async fn a_parked_device_gets_the_keys_it_missed() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let path = server.profile("tablet");
    let (tablet, device) = momedo_testing::people::add_device(&ben, &path, "Tablet").await.unwrap();
    let id = group(&ada, &[&ben, &carl]).await;
    park(&mut server, device);
    remove(&ada, id, &carl).await;
    post(&ada, id, "eins").await;
    assert_eq!(texts(&received(&ben).await), ["eins"]);
    // Back again: it hears once that something was missed, the key and a message. What comes now can be read, with a key
    // that Ben's other device hands over.
    let got = received(&tablet).await;
    let missed: Vec<_> = got.iter().filter(|received| received.kind == "missed").collect();
    assert_eq!(missed.len(), 1, "{got:?}");
    assert!(missed[0].text.as_deref().unwrap().starts_with("2 messages were lost"), "{missed:?}");
    assert!(received(&tablet).await.iter().all(|received| received.kind != "missed"));
    post(&ada, id, "zwei").await;
    let got = received(&tablet).await;
    assert!(texts(&got).is_empty());
    let asked = said_to_have_asked(&got).expect("nobody was told");
    assert!(asked.starts_with("your other devices"), "{asked}");
    received(&ben).await;
    assert_eq!(texts(&received(&tablet).await), ["zwei"]);
}

/// It was not seen for a month; nothing waits for it.
fn park(server: &mut Server, device: DeviceId) {
    server.kill();
    let database = Connection::open(server.data().join("momedo.db")).unwrap();
    let parked = "UPDATE devices SET parked = 1 WHERE id = ?1";
    assert_eq!(database.execute(parked, [device.number()]).unwrap(), 1);
    drop(database);
    server.launch();
}

#[tokio::test]
async fn three_programs_on_one_profile_show_everything_once() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    drop(server.register_profile(1, "ben").await);
    let folder = server.profile("ben");
    let ben = open(&folder).id().unwrap();
    for number in 0..20 {
        let to = Destination::Participant(ben);
        let draft = Draft::text(&format!("Nummer {number}"));
        send(&ada, to, &draft, Duration::from_secs(10), "en", &|_| {}).await.unwrap();
    }
    let receive = || {
        let mut command = crate::harness::program();
        command.args(["receive", "--json", "--profile", "ben"]).current_dir(server.folder.path());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let programs: Vec<_> = (0..3).map(|_| receive()).collect();
    let mut shown = Vec::new();
    for program in programs {
        let output = program.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            if line["kind"] == "text" {
                shown.push(line["text"].as_str().unwrap().to_owned());
            }
        }
    }
    shown.sort();
    let mut sent: Vec<_> = (0..20).map(|number| format!("Nummer {number}")).collect();
    sent.sort();
    assert_eq!(shown, sent);
}

fn open(folder: &Path) -> Profile {
    momedo_client_native::profiles::open(folder, None).unwrap()
}
