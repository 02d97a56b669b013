//! Who stores, renews, fetches and ends a key backup: over the API, without a socket.

use axum::http::{Method, StatusCode};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_backup::lock_of;
use momedo_protocol::limits::MAX_KEY_BACKUP_BYTES;
use momedo_testing::stored_keys::rsa_key;
use serde_json::{Value, json};

use crate::service::people::{self, Who};
use crate::service::permission::RecentlyConfirmed;
use crate::testing::joining::{Keys, device_id, list};
use crate::testing::{Answer, Person, Server, word};

const SECRET: [u8; 32] = [7; 32];

fn base64(bytes: &[u8]) -> Value {
    json!(Base64Bytes(bytes.to_vec()))
}

/// A slot of this version that `secret` opens.
fn slot(version: u64, secret: &[u8; 32], renews: bool) -> Value {
    let lock = base64(&lock_of(secret));
    json!({ "version": version, "lock": lock, "slot": base64(&version.to_be_bytes()), "renews": renews })
}

async fn store(server: &Server, by: &Person, slot: Value) -> Answer {
    server.call(by, Method::PUT, "/me/key-backup", slot).await
}

async fn fetch(server: &Server, id: ParticipantId, secret: &[u8]) -> Answer {
    let body = json!({ "id": id, "fetch_secret": base64(secret) });
    server.call_with(None, Method::POST, "/key-backups/fetch", body).await
}

async fn state(server: &Server, by: &Person) -> Answer {
    server.call(by, Method::GET, "/me/key-backup", Value::Null).await
}

/// Somebody with a key backup.
async fn with_backup(server: &Server) -> Person {
    let ada = server.join("Ada", 1).await.person;
    assert!(store(server, &ada, slot(1, &SECRET, false)).await.0.is_success());
    ada
}

#[tokio::test]
async fn a_slot_has_its_form_and_never_goes_back() {
    let server = Server::open("").await;
    let ada = with_backup(&server).await;
    let with = |name: &str, value: Value| {
        let mut changed = slot(2, &SECRET, false);
        changed[name] = value;
        changed
    };
    assert_eq!(word(&store(&server, &ada, with("lock", base64(&[1; 31]))).await), "malformed");
    assert_eq!(word(&store(&server, &ada, with("version", json!(0))).await), "malformed");
    assert_eq!(word(&store(&server, &ada, with("version", json!(1_u64 << 32))).await), "malformed");
    let large = with("slot", base64(&vec![1; MAX_KEY_BACKUP_BYTES + 1]));
    assert_eq!(word(&store(&server, &ada, large).await), "body-too-large");
    assert_eq!(word(&store(&server, &ada, slot(1, &SECRET, false)).await), "key-backup-outdated");
    let largest = with("slot", base64(&vec![1; MAX_KEY_BACKUP_BYTES]));
    assert!(store(&server, &ada, largest).await.0.is_success());
    assert_eq!(word(&store(&server, &ada, slot(1, &SECRET, false)).await), "key-backup-outdated");
    assert_eq!(state(&server, &ada).await.1["version"], 2);
}

#[tokio::test]
async fn a_wrong_secret_and_somebody_without_a_backup_sound_the_same() {
    let server = Server::open("").await;
    let ada = with_backup(&server).await;
    let ben = server.register("Ben").await;
    let answers = [
        fetch(&server, ada.id, &[8; 32]).await,
        fetch(&server, ada.id, &SECRET[1..]).await,
        // The lock of nobody would be all zeros.
        fetch(&server, ben.id, &[0; 32]).await,
        fetch(&server, ParticipantId::random(), &SECRET).await,
    ];
    assert_eq!(word(&answers[0]), "key-backup-refused");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let opened = fetch(&server, ada.id, &SECRET).await;
    assert_eq!((&opened.1["version"], &opened.1["slot"]), (&json!(1), &base64(&1_u64.to_be_bytes())));
    assert!(
        state(&server, &ada).await.1["slot"]["fetched_at"].is_u64(),
        "its owner sees that it was fetched"
    );
}

#[tokio::test]
async fn a_slot_is_renewed_only_while_the_one_it_renews_is_there() {
    let server = Server::open("").await;
    let ada = with_backup(&server).await;
    assert!(store(&server, &ada, slot(2, &SECRET, true)).await.0.is_success());
    assert_eq!(word(&store(&server, &ada, slot(3, &[8; 32], true)).await), "key-backup-outdated");
    let delete = async || server.call(&ada, Method::DELETE, "/me/key-backup", Value::Null).await;
    assert!(delete().await.0.is_success());
    assert_eq!(word(&store(&server, &ada, slot(3, &SECRET, true)).await), "key-backup-outdated");
    assert_eq!(word(&delete().await), "no-key-backup");
    assert_eq!(word(&fetch(&server, ada.id, &SECRET).await), "key-backup-refused");
    let told = state(&server, &ada).await.1;
    assert_eq!((told.get("slot"), &told["ended"]["by"]), (None, &json!(ada.device)));
    assert!(store(&server, &ada, slot(3, &[8; 32], false)).await.0.is_success());
    assert_eq!(fetch(&server, ada.id, &[8; 32]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn somebody_without_a_backup_is_told_so() {
    let server = Server::open("").await;
    let ada = server.register("Ada").await;
    assert_eq!(word(&state(&server, &ada).await), "no-key-backup");
}

#[tokio::test]
async fn only_who_knows_the_secret_hears_that_somebody_is_disabled() {
    let server = Server::open("").await;
    let ada = with_backup(&server).await;
    let (admin, who) = (RecentlyConfirmed::at_the_machine(), Who::Participant(ada.id));
    people::set_enabled(server.app(), &admin, who, false).await.unwrap();
    assert_eq!(word(&fetch(&server, ada.id, &[8; 32]).await), "key-backup-refused");
    assert_eq!(word(&fetch(&server, ada.id, &SECRET).await), "participant-disabled");
}

#[tokio::test]
async fn a_device_comes_back_by_the_secret_and_the_signature_key_together() {
    let server = Server::open("").await;
    let ada = with_backup(&server).await;
    let add = async |secret: &[u8; 32], key: usize, version| {
        let device_list = list(ada.id, version, &[1, 4], &rsa_key(key));
        let body = json!({ "id": ada.id, "fetch_secret": base64(secret), "device_list": device_list });
        server.call_with(None, Method::POST, "/key-backups/device", body).await
    };
    assert_eq!(word(&add(&[8; 32], 0, 2).await), "key-backup-refused");
    assert_eq!(word(&add(&SECRET, 5, 2).await), "device-list-refused");
    assert_eq!(word(&server.log_in(4).await), "login-refused");
    assert!(add(&SECRET, 0, 2).await.0.is_success());
    assert_eq!(server.log_in(4).await.0, StatusCode::CREATED);
    let shown = server.call(&ada, Method::GET, "/devices", Value::Null).await.1;
    let new = shown["devices"].as_array().unwrap().iter().find(|one| one["id"] == json!(device_id(4)));
    let joined = &new.unwrap()["joined"];
    assert_eq!((&joined["how"], &joined["by"]), (&json!("recovered"), &json!(ada.device)));
}

#[tokio::test]
async fn a_backup_ends_with_a_device_that_is_locked_out() {
    let server = Server::open("").await;
    let ada = with_backup(&server).await;
    let two = json!({ "device_list": list(ada.id, 2, &[1, 4], &rsa_key(0)) });
    assert!(server.call(&ada, Method::PUT, "/devices", two).await.0.is_success());
    assert_eq!(fetch(&server, ada.id, &SECRET).await.0, StatusCode::OK, "adding one ends nothing");
    let (admin, who) = (RecentlyConfirmed::at_the_machine(), Who::Participant(ada.id));
    people::revoke_device(server.app(), &admin, who, device_id(4)).await.unwrap();
    assert_eq!(word(&fetch(&server, ada.id, &SECRET).await), "key-backup-refused");
    let told = state(&server, &ada).await.1;
    assert_eq!((told.get("slot"), told["ended"].get("by")), (None, None));
    assert_eq!(word(&store(&server, &ada, slot(2, &SECRET, true)).await), "key-backup-outdated");
}

#[tokio::test]
async fn a_backup_ends_with_the_signature_key_and_not_with_other_keys() {
    let server = Server::open("").await;
    let joined = server.join("Ada", 1).await;
    let ada = &joined.person;
    assert!(store(&server, ada, slot(1, &SECRET, false)).await.0.is_success());
    let rotated = Keys::new(0, 6);
    let bundle = rotated.bundle(&server, ada.id, 2).sign(&[&rotated.signature]);
    assert!(server.publish(&ada.token, &rotated, &bundle, None).await.0.is_success());
    assert_eq!(fetch(&server, ada.id, &SECRET).await.0, StatusCode::OK);
    let new = Keys::new(5, 6);
    let bundle = new.bundle(&server, ada.id, 3).sign(&[&new.signature, &joined.keys.signature]);
    let same_devices = list(ada.id, 2, &[1], &new.signature);
    assert!(server.publish(&ada.token, &new, &bundle, Some(&same_devices)).await.0.is_success());
    assert_eq!(word(&fetch(&server, ada.id, &SECRET).await), "key-backup-refused");
}
