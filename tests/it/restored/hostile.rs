//! What somebody makes of a server that takes back what it may have forgotten: nothing.

use std::time::Duration;

use momedo_client::connection::Payload;
use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::{ClientError, devices};
use momedo_client_native::stream::Stream;
use momedo_protocol::api;
use momedo_protocol::api::key_log::KeyLogPage;
use momedo_protocol::api::restored::{Held, HeldEntries, HeldKeyLog, HeldKeys};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::entry::{Access, Action, Encryption, GroupRole};
use momedo_protocol::jws::{Jws, Signer};
use momedo_protocol::key_bundle::{KeyBundle, KeyBundlePayload};
use momedo_protocol::key_log::{KeyLogEntry, KeyLogHead, LogPlace, SignedHead};
use momedo_protocol::login::Login;
use serde::Serialize;

use super::{membership, on_a_deep_stack, post, receive, settings};
use crate::harness::{Person, Server, refused, rsa_key, text};
use crate::key_backup::string;
use crate::raw::Raw;

fn json(value: &impl Serialize) -> Payload {
    Payload::Json(serde_json::to_vec(value).unwrap())
}

fn back_up(server: &Server) -> String {
    string(&server.json(&["admin", "backup", "now", "--data-dir", "data", "--json"])[0], "name")
}

fn restore(server: &mut Server, backup: &str) {
    server.terminate();
    let file = format!("data/backups/{backup}.db");
    let restored = server.run(&["admin", "restore", &file, "--replace", "--data-dir", "data"]);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    server.launch();
}

/// Logs somebody's only device in with something to hand back; answers the session's token, and whether it was news.
async fn bring(server: &Server, person: &Person, held: Held) -> Result<(String, bool), ClientError> {
    let mut raw = Raw::new(server);
    let device = person.session.device;
    let asked = json(&api::LoginChallengeRequest { device });
    let challenge = raw.call("POST", "/sessions/challenge", None, asked).await.unwrap();
    let challenge: api::LoginChallenge = serde_json::from_value(challenge).unwrap();
    let login = Login { device, nonce: challenge.nonce, server: raw.connection.server().fingerprint };
    let login = login.sign(&person.keys.device.login);
    let request = json(&api::LoginRequest { login, held: Some(Box::new(held)) });
    let answer = raw.call("POST", "/sessions", None, request).await?;
    let session: api::Session = serde_json::from_value(answer).unwrap();
    Ok((session.token, session.was_behind))
}

/// The version that is published of somebody.
async fn published(server: &Server, token: &str, person: &Person) -> u64 {
    let path = format!("/keys/{}", person.id());
    let answer = Raw::new(server).call("GET", &path, Some(token), Payload::None).await.unwrap();
    let keys: api::PublishedKeys = serde_json::from_value(answer).unwrap();
    KeyBundle::verify(&keys.bundle).unwrap().payload.version
}

/// A bundle of this version, with the signature key that is given, signed by these.
fn bundle(person: &Person, version: u64, key: usize, signers: &[&dyn Signer]) -> Jws {
    let signature_key = Base64Bytes(rsa_key(key).public().spki().to_vec());
    KeyBundlePayload { version, signature_key, ..person.bundle.payload.clone() }.sign(signers)
}

fn keys(bundle: Jws) -> Held {
    Held { keys: HeldKeys { changes: Vec::new(), bundle, device_list: None }, log: None }
}

/// What stands for Ada's key in `rsa_key`.
const ADAS: usize = 1;

#[test]
fn only_newer_keys_signed_from_the_known_ones_on_are_taken_and_only_after_a_restore() {
    on_a_deep_stack(|| async {
        let mut server = Server::start();
        let ada = server.register(0).await;
        let own = rsa_key(ADAS);
        let honest = bundle(&ada, 5, ADAS, &[&own]);
        // Nothing was restored.
        let (token, was_behind) = bring(&server, &ada, keys(honest.clone())).await.unwrap();
        assert_eq!((was_behind, published(&server, &token, &ada).await), (false, 1));
        let backup = back_up(&server);
        restore(&mut server, &backup);
        let other = rsa_key(11);
        for (why, held) in [
            ("another key", bundle(&ada, 5, 11, &[&other])),
            ("another key that only it signs, twice", bundle(&ada, 5, 11, &[&other, &other])),
            ("all versions at once", bundle(&ada, u64::from(u32::MAX), ADAS, &[&own])),
            ("a new signature key without a list", bundle(&ada, 5, 11, &[&other, &own])),
            ("the same version with something else", bundle(&ada, 1, ADAS, &[&own])),
        ] {
            let (token, was_behind) = bring(&server, &ada, keys(held)).await.unwrap();
            assert_eq!((was_behind, published(&server, &token, &ada).await), (false, 1), "{why}");
        }
        let (token, was_behind) = bring(&server, &ada, keys(honest.clone())).await.unwrap();
        assert_eq!((was_behind, published(&server, &token, &ada).await), (true, 5));
        // What is older comes too late, and the same again is no news.
        for held in [bundle(&ada, 3, ADAS, &[&own]), honest] {
            let (token, was_behind) = bring(&server, &ada, keys(held)).await.unwrap();
            assert_eq!((was_behind, published(&server, &token, &ada).await), (false, 5));
        }
    });
}

#[test]
fn an_end_of_the_log_that_the_server_did_not_sign_or_that_does_not_continue_it_is_not_taken() {
    on_a_deep_stack(|| async {
        let mut server = Server::start();
        let (ada, ben) = (server.register(0).await, server.register(1).await);
        let backup = back_up(&server);
        restore(&mut server, &backup);
        let log = async |token: &str| -> KeyLogPage {
            let answer =
                Raw::new(&server).call("GET", "/keys/log", Some(token), Payload::None).await.unwrap();
            serde_json::from_value(answer).unwrap()
        };
        let plain = keys(bundle(&ada, 1, ADAS, &[&rsa_key(ADAS)]));
        let (token, _) = bring(&server, &ada, plain.clone()).await.unwrap();
        let page = log(&token).await;
        // Ben is said to have newer keys, which would lock him out.
        let forged = KeyLogEntry { version: 9, ..page.entries[1] };
        let fingerprint = server.server_address().fingerprint;
        let head = page.head.verify(fingerprint).unwrap();
        let end = LogPlace { number: head.number, hash: head.hash }.after(&forged);
        let claimed = KeyLogHead { number: end.number, hash: end.hash, ..head };
        let by_ada =
            SignedHead { identity_key: page.head.identity_key.clone(), head: claimed.sign(&rsa_key(ADAS)) };
        let entries = [&page.entries[..], &[forged]].concat();
        for (why, entries, head) in [
            ("somebody else signed", entries.clone(), by_ada),
            ("an entry more than was signed", entries, page.head.clone()),
            ("nothing new", page.entries.clone(), page.head.clone()),
            ("cut off", page.entries[..1].to_vec(), page.head.clone()),
        ] {
            let held = Held { log: Some(HeldKeyLog { entries, head }), ..plain.clone() };
            let (token, _) = bring(&server, &ada, held).await.unwrap();
            assert_eq!(log(&token).await.entries.len(), page.entries.len(), "{why}");
            assert_eq!(published(&server, &token, &ben).await, 1, "{why}");
        }
    });
}

#[test]
fn a_device_revoked_after_the_backup_is_out_as_soon_as_anybody_who_saw_it_comes() {
    on_a_deep_stack(|| async {
        let mut server = Server::start();
        let ada = server.register_profile(0, "ada").await;
        let ben = server.register_profile(1, "ben").await;
        let (tablet, _) =
            momedo_testing::people::add_device(&ada, &server.profile("tablet"), "tablet").await.unwrap();
        post(&ben, momedo_client::sending::Destination::Participant(ada.id().unwrap()), "vorher")
            .await
            .unwrap();
        for profile in [&ada, &tablet, &ben] {
            receive(profile).await.unwrap();
        }
        let backup = back_up(&server);
        devices::revoke(&ada, &[tablet.device().unwrap()], &[], "en", &|_| {}).await.unwrap();
        // Ben follows the log, and no more.
        receive(&ben).await.unwrap();
        restore(&mut server, &backup);
        // Nobody can tell it from the others yet.
        let mut session = tablet.log_in("en").await.unwrap();
        session.devices().await.unwrap();
        let token = session.token().to_owned();
        let mut stream = Stream::open(&server.server_address(), &token, None, 8).await.unwrap();
        // With what Ben saw the server knows that there are newer keys.
        receive(&ben).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(20), async {
            while let Ok(Some(_)) = stream.next().await {}
        });
        ended.await.expect("its stream ends");
        assert_eq!(refused(session.devices().await), "not-logged-in");
        assert_eq!(refused(tablet.log_in("en").await.map(drop)), "keys-forgotten");
        // Ben goes on writing to her, with what he remembers, and whoever knows nothing of her waits.
        let carl = server.register_profile(2, "carl").await;
        let to = momedo_client::sending::Destination::Participant(ada.id().unwrap());
        post(&ben, to, "trotzdem").await.unwrap();
        assert_eq!(post(&carl, to, "fremd").await.unwrap_err().problem(), Some("keys-forgotten"));
        // Her phone puts everything right, and only the phone hears what was written.
        let heard = receive(&ada).await.unwrap();
        assert!(super::shows(&heard, "trotzdem"), "{heard:#?}");
        assert_eq!(refused(tablet.log_in("en").await.map(drop)), "device-revoked");
        post(&carl, to, "jetzt").await.unwrap();
        assert!(super::shows(&receive(&ada).await.unwrap(), "jetzt"));
    });
}

#[test]
fn chains_are_taken_back_only_after_a_restore_only_as_they_were_and_no_deleted_one() {
    on_a_deep_stack(|| async {
        let mut server = Server::start();
        let ada = server.register_profile(0, "ada").await;
        let ben = server.register_profile(1, "ben").await;
        let backup = back_up(&server);
        let mut moderator: Membership<'_> = membership(&ada).await;
        let made = settings("Neu", Access::Closed);
        let group = moderator.create(made, Encryption::Symmetric).await.unwrap().id();
        moderator.add(group, &[ben.id().unwrap()], GroupRole::Member).await.unwrap();
        let renamed = Action::Settings { settings: settings("Umbenannt", Access::Closed) };
        moderator.change(group, |_| renamed.clone()).await.unwrap();
        receive(&ben).await.unwrap();
        let entries = ben.log_in("en").await.unwrap().group_entries(group, 0, None).await.unwrap().entries;
        let hand_back = async |profile: &Profile, entries: &[Jws]| {
            let mut session = profile.log_in("en").await.unwrap();
            let token = session.token().to_owned();
            let held = json(&HeldEntries { entries: entries.to_vec() });
            let path = format!("/groups/{group}/entries");
            session
                .connection()
                .request("PUT".parse().unwrap(), &path, Some(&token), held, Duration::ZERO)
                .await
                .map(drop)
        };
        // What is known is known; nothing is taken back by a server that has forgotten nothing.
        assert_eq!(refused(hand_back(&ben, &entries).await), "unknown-group");
        restore(&mut server, &backup);
        let carl = server.register_profile(2, "carl").await;
        assert_eq!(refused(hand_back(&carl, &entries[1..]).await), "unknown-group");
        // The same again is no other thing; where an entry is missing in between, the next does not follow.
        let twice = [entries[0].clone(), entries[0].clone()];
        hand_back(&carl, &twice).await.unwrap();
        let gap = [entries[0].clone(), entries.last().unwrap().clone()];
        assert_eq!(refused(hand_back(&carl, &gap).await), "stale-group");
        hand_back(&carl, &entries).await.unwrap();
        // It is theirs again; Carl, who brought it, does not belong.
        receive(&ben).await.unwrap();
        assert!(ben.group(group).unwrap().is_some());
        let mut session = carl.log_in("en").await.unwrap();
        assert_eq!(refused(session.group_entries(group, 0, None).await), "unknown-group");
        server.json(&["admin", "group", "delete", &group.to_string(), "--data-dir", "data", "--json"]);
        assert_eq!(refused(hand_back(&ben, &entries).await), "unknown-group");
        receive(&ben).await.unwrap();
        receive(&ada).await.unwrap();
        assert!(server.json(&["admin", "group", "list", "--data-dir", "data", "--json"]).is_empty());
    });
}

#[test]
fn keys_that_nobody_has_any_more_are_reset_above_the_forgotten_ones() {
    on_a_deep_stack(|| async {
        let mut server = Server::start();
        let ada = server.register_profile(0, "ada").await;
        let ben = server.register_profile(1, "ben").await;
        let (to_ada, to_ben) = (ada.id().unwrap(), ben.id().unwrap());
        let to = momedo_client::sending::Destination::Participant;
        let backup = back_up(&server);
        for _ in 0..3 {
            let mut session = ada.log_in("en").await.unwrap();
            momedo_client::rotation::rotate(&ada, &mut session, &|_| {}).await.unwrap();
        }
        post(&ben, to(to_ada), "vorher").await.unwrap();
        restore(&mut server, &backup);
        receive(&ben).await.unwrap();
        // Her only device is gone, and the server knows that there were newer keys.
        let invite = server.json(&[
            "admin",
            "participant",
            "reset-keys",
            &to_ada.to_string(),
            "--data-dir",
            "data",
            "--json",
        ]);
        let invite = string(&invite[0], "link").parse().unwrap();
        let anew = momedo_testing::keys::ParticipantKeys::generate;
        let anew = server.register_profile_with(invite, "anew", anew).await;
        assert_eq!(anew.own_bundle().unwrap().payload.version, 5);
        post(&anew, to(to_ben), "neu").await.unwrap();
        let fingerprint = anew.own_bundle().unwrap().fingerprint();
        let mut session = ben.log_in("en").await.unwrap();
        momedo_client::contacts::compare(&ben, &mut session, to_ada, fingerprint).await.unwrap();
        post(&ben, to(to_ada), "nachher").await.unwrap();
        assert!(super::shows(&receive(&anew).await.unwrap(), "nachher"));
        assert!(ada.log_in("en").await.is_err());
    });
}
