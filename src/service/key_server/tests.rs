//! Which keys are taken, for how long they count, and who gets them: over the API, without a socket.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::{KeyBundle, KeyBundlePayload};
use momedo_protocol::mceliece::PUBLIC_KEY_BYTES;
use momedo_testing::stored_keys::rsa_key;
use serde_json::{Value, json};

use crate::domain::limits::CHALLENGE;
use crate::testing::joining::{Joined, Keys, list};
use crate::testing::{Answer, Person, Server, word};

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Joined {
    /// The next bundle with the same keys.
    fn next(&self, server: &Server) -> KeyBundlePayload {
        self.keys.bundle(server, self.person.id, self.person.bundle.payload.version + 1)
    }

    async fn offer(&self, server: &Server, payload: &KeyBundlePayload) -> Answer {
        let bundle = payload.sign(&[&self.keys.signature]);
        server.offer(&self.person.token, self.person.id, &bundle, None).await
    }

    /// Publishes the next version of the same keys; the person with it.
    async fn renewed(&self, server: &Server) -> Person {
        let bundle = self.next(server).sign(&[&self.keys.signature]);
        let published = server.publish(&self.person.token, &self.keys, &bundle, None).await;
        assert_eq!(published.0, StatusCode::CREATED, "{published:?}");
        let bundle = KeyBundle::verify(&bundle).unwrap();
        Person { bundle, token: self.person.token.clone(), ..self.person }
    }
}

async fn keys_of(server: &Server, by: &Person, id: ParticipantId, known: u64) -> Answer {
    server.call(by, Method::GET, &format!("/keys/{id}?known={known}"), Value::Null).await
}

#[tokio::test]
async fn a_bundle_follows_the_one_before_and_belongs_to_its_publisher_and_to_this_server() {
    let server = Server::open("").await;
    let (ada, ben) = (server.join("Ada", 1).await, server.join("Ben", 4).await);
    let next = ada.next(&server);
    for version in [0, 1, 3] {
        let other = KeyBundlePayload { version, ..next.clone() };
        assert_eq!(word(&ada.offer(&server, &other).await), "bundle-refused", "version {version}");
    }
    let mut elsewhere = next.clone();
    elsewhere.homes[0].0[0] ^= 1;
    assert_eq!(word(&ada.offer(&server, &elsewhere).await), "keys-refused");
    let of_ben = KeyBundlePayload { id: ben.person.id, ..next.clone() };
    assert_eq!(word(&ada.offer(&server, &of_ben).await), "keys-refused");
    let bundle = of_ben.sign(&[&ada.keys.signature]);
    assert_eq!(word(&server.offer(&ada.person.token, ben.person.id, &bundle, None).await), "not-yours");
    assert_eq!(ada.offer(&server, &next).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn another_signature_key_is_signed_by_the_one_before_and_signs_the_device_list() {
    let server = Server::open("").await;
    let ada = server.join("Ada", 1).await;
    let (new, token) = (Keys::new(5, 3), &ada.person.token);
    let payload = new.bundle(&server, ada.person.id, 2);
    let (alone, both) =
        (payload.sign(&[&new.signature]), payload.sign(&[&new.signature, &ada.keys.signature]));
    let by = |key: usize| list(ada.person.id, 2, &[1], &rsa_key(key));
    assert_eq!(word(&server.publish(token, &new, &alone, Some(&by(5))).await), "bundle-refused");
    assert_eq!(word(&server.publish(token, &new, &both, None).await), "keys-refused");
    assert_eq!(word(&server.publish(token, &new, &both, Some(&by(0))).await), "device-list-refused");
    assert_eq!(server.publish(token, &new, &both, Some(&by(5))).await.0, StatusCode::CREATED);
    let told = keys_of(&server, &ada.person, ada.person.id, 1).await.1;
    assert_eq!(told["changes"].as_array().map(Vec::len), Some(1));
    let told = keys_of(&server, &ada.person, ada.person.id, 2).await.1;
    assert_eq!(told["changes"], json!([]), "whoever knows the change is not told it again");
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_by_whoever_can_open_the_keys() {
    let server = Server::open("").await;
    let ada = server.join("Ada", 1).await;
    let bundle = ada.next(&server).sign(&[&ada.keys.signature]);
    let path = format!("/keys/{}/proof", ada.person.id);
    let prove = async |proof: Value| server.call(&ada.person, Method::POST, &path, proof).await;
    let offered = ada.offer(&server, &ada.next(&server)).await;
    let right = server.proof(&offered, &ada.keys, &bundle);
    let other = Keys::new(0, 3);
    let wrong = server.proof(&offered, &other, &bundle);
    assert_eq!(word(&prove(wrong).await), "wrong-proof");
    assert_eq!(word(&prove(right).await), "challenge-gone", "a wrong answer ends it");
    let first = ada.offer(&server, &ada.next(&server)).await;
    let second = ada.offer(&server, &ada.next(&server)).await;
    let early = server.proof(&first, &ada.keys, &bundle);
    assert_eq!(word(&prove(early).await), "challenge-gone", "the newest one counts");
    let right = server.proof(&second, &ada.keys, &bundle);
    assert_eq!(prove(right.clone()).await.0, StatusCode::CREATED);
    assert_eq!(word(&prove(right).await), "challenge-gone");
}

#[tokio::test]
async fn a_challenge_holds_for_two_minutes() {
    let server = Server::open("").await;
    let ada = server.join("Ada", 1).await;
    let bundle = ada.next(&server).sign(&[&ada.keys.signature]);
    let path = format!("/keys/{}/proof", ada.person.id);
    let mut answers = Vec::new();
    for wait in [CHALLENGE + Duration::from_millis(1), CHALLENGE] {
        let offered = ada.offer(&server, &ada.next(&server)).await;
        server.advance(wait);
        let proof = server.proof(&offered, &ada.keys, &bundle);
        answers.push(server.call(&ada.person, Method::POST, &path, proof).await);
    }
    assert_eq!((word(&answers[0]), answers[1].0), ("challenge-gone", StatusCode::CREATED));
}

#[tokio::test]
async fn mail_to_keys_that_were_replaced_is_taken_for_two_weeks() {
    let server = Server::open("").await;
    let ben = server.register("Ben").await;
    let ada = server.join("Ada", 1).await;
    let new = ada.renewed(&server).await;
    server.advance(14 * DAY - Duration::from_secs(1));
    let (ben, old) = (server.log_in_again(&ben), &ada.person);
    assert!(server.send(&ben, old).await.0.is_success());
    let page = server.waiting(&server.log_in_again(old)).await;
    assert_eq!(page.oldest_bundle_version, 1, "somebody may still seal to them");
    server.advance(Duration::from_secs(1));
    assert_eq!(word(&server.send(&ben, old).await), "stale-bundle");
    assert!(server.send(&ben, &new).await.0.is_success());
    let ada = server.log_in_again(old);
    let page = server.waiting(&ada).await;
    assert_eq!((page.messages.len(), page.oldest_bundle_version), (2, 1), "something sealed to them waits");
    server.call(&ada, Method::POST, "/ozone/ack", json!({ "cursor": page.cursor })).await;
    assert_eq!(server.waiting(&ada).await.oldest_bundle_version, 2);
}

#[tokio::test]
async fn nothing_is_taken_that_is_sealed_to_keys_the_recipient_never_had() {
    let server = Server::open("").await;
    let ben = server.register("Ben").await;
    let ada = server.join("Ada", 1).await;
    let made_up = Keys::new(0, 3).bundle(&server, ada.person.id, 1).sign(&[&rsa_key(0)]);
    let bundle = KeyBundle::verify(&made_up).unwrap();
    let other = Person { bundle, token: String::new(), ..ada.person };
    assert_eq!(word(&server.send(&ben, &other).await), "stale-bundle");
    assert!(server.send(&ben, &ada.person).await.0.is_success());
}

#[tokio::test]
async fn keys_are_shown_to_whoever_is_logged_in_and_to_nobody_else() {
    let server = Server::open("").await;
    let ben = server.register("Ben").await;
    let ada = server.join("Ada", 1).await;
    let shown = keys_of(&server, &ben, ada.person.id, 0).await;
    let jws = serde_json::from_value(shown.1["bundle"].clone()).unwrap();
    assert_eq!(KeyBundle::verify(&jws).unwrap().digest, ada.person.bundle.digest);
    let path = format!("/keys/{}", ada.person.id);
    for token in [None, Some("made-up")] {
        assert_eq!(word(&server.call_with(token, Method::GET, &path, Value::Null).await), "not-logged-in");
    }
    assert_eq!(word(&keys_of(&server, &ben, ParticipantId::random(), 0).await), "unknown-participant");
}

#[tokio::test]
async fn whoever_takes_a_device_off_the_list_makes_every_key_anew() {
    let server = Server::open("").await;
    let ada = server.join("Ada", 1).await;
    let two = json!({ "device_list": list(ada.person.id, 2, &[1, 4], &ada.keys.signature) });
    assert!(server.call(&ada.person, Method::PUT, "/devices", two).await.0.is_success());
    let session = server.log_in(4).await;
    let lost = session.1["token"].as_str().unwrap();
    let token = &ada.person.token;
    let same_signature = Keys::new(0, 6);
    let same_rsa = Keys::new(5, 3);
    let all = Keys::new(5, 6);
    let same_ml_kem = {
        let mut payload = all.bundle(&server, ada.person.id, 2);
        payload.ml_kem_key = ada.person.bundle.payload.ml_kem_key.clone();
        payload
    };
    for payload in [
        same_signature.bundle(&server, ada.person.id, 2),
        same_rsa.bundle(&server, ada.person.id, 2),
        same_ml_kem,
    ] {
        let is_changed = payload.signature_key != ada.person.bundle.payload.signature_key;
        let signer = if is_changed { rsa_key(5) } else { rsa_key(0) };
        let bundle =
            if is_changed { payload.sign(&[&signer, &rsa_key(0)]) } else { payload.sign(&[&signer]) };
        let shorter = list(ada.person.id, 3, &[1], &signer);
        let refused = server.offer(token, ada.person.id, &bundle, Some(&shorter)).await;
        assert_eq!(word(&refused), "revoking-needs-new-keys");
    }
    assert!(server.call_with(Some(lost), Method::GET, "/ozone", Value::Null).await.0.is_success());
    let bundle = all.bundle(&server, ada.person.id, 2).sign(&[&rsa_key(5), &rsa_key(0)]);
    let shorter = list(ada.person.id, 3, &[1], &rsa_key(5));
    assert_eq!(server.publish(token, &all, &bundle, Some(&shorter)).await.0, StatusCode::CREATED);
    let ended = server.call_with(Some(lost), Method::GET, "/ozone", Value::Null).await;
    assert_eq!((word(&ended), word(&server.log_in(4).await)), ("not-logged-in", "device-revoked"));
}

#[tokio::test]
async fn no_device_joins_hidden_in_a_change_of_keys() {
    let server = Server::open("").await;
    let ada = server.join("Ada", 1).await;
    let bundle = ada.next(&server).sign(&[&ada.keys.signature]);
    let longer = list(ada.person.id, 2, &[1, 4], &ada.keys.signature);
    let refused = server.offer(&ada.person.token, ada.person.id, &bundle, Some(&longer)).await;
    assert_eq!(word(&refused), "keys-refused");
}

#[tokio::test]
async fn a_mceliece_key_is_what_its_name_says_and_three_wait_for_a_bundle_for_an_hour() {
    let server = Server::open("").await;
    let ada = server.join("Ada", 1).await;
    let store = async |digest: Sha512Digest, key: Vec<u8>| {
        let path = format!("/keys/mceliece/{digest}");
        let (status, bytes) = server.bytes(Some(&ada.person.token), Method::PUT, &path, key).await;
        let answer = (status, serde_json::from_slice(&bytes).unwrap());
        if status.is_success() { "taken".to_owned() } else { word(&answer).to_owned() }
    };
    let key = |byte| vec![byte; PUBLIC_KEY_BYTES];
    assert_eq!(store(Sha512Digest::of(&[1]), vec![1]).await, "mceliece-length");
    assert_eq!(store(Sha512Digest([9; 64]), key(1)).await, "mceliece-digest");
    for byte in [1, 2, 3] {
        assert_eq!(store(Sha512Digest::of(&key(byte)), key(byte)).await, "taken");
    }
    assert_eq!(store(Sha512Digest::of(&key(4)), key(4)).await, "too-often");
    server.advance(Duration::from_secs(3601));
    server.upkeep().await;
    assert_eq!(store(Sha512Digest::of(&key(4)), key(4)).await, "taken");
    let path = format!("/keys/mceliece/{}", Sha512Digest::of(&key(1)));
    assert_eq!(
        word(&server.call(&ada.person, Method::GET, &path, Value::Null).await),
        "unknown-mceliece-key"
    );
}

#[tokio::test]
async fn keys_are_published_so_often_and_others_pay_nothing_for_it() {
    let server = Server::open("[rates]\npublications = { per_minute = 1, burst = 3 }\n").await;
    let (ada, ben) = (server.join("Ada", 1).await, server.join("Ben", 4).await);
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(ada.offer(&server, &ada.next(&server)).await);
    }
    assert_eq!(word(answers.last().unwrap()), "too-often");
    assert_eq!(ben.offer(&server, &ben.next(&server)).await.0, StatusCode::ACCEPTED);
    server.advance(Duration::from_secs(60));
    assert_eq!(ada.offer(&server, &ada.next(&server)).await.0, StatusCode::ACCEPTED);
}
