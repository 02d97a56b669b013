//! A lost phone: the recovery code brings the identity back, and nobody else gets it.

use std::io::Write;
use std::process::{Output, Stdio};

use momedo_client::connection::Payload;
use momedo_protocol::api;
use momedo_protocol::encoding::{Base64Bytes, encode_base64};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_backup::{RecoveryCode, RecoveryKeys};
use momedo_protocol::limits::MAX_KEY_BACKUP_BYTES;
use serde_json::{Value, json};

use crate::harness::{Server, program, refused, text};
use crate::raw::Raw;

/// Runs a command with this on its standard input.
pub(crate) fn run_with_input(server: &Server, arguments: &[&str], input: &str) -> Output {
    let mut child = program()
        .args(arguments)
        .current_dir(server.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

pub(crate) fn string(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

fn register(server: &Server, profile: &str) -> String {
    server.join(&server.invite().to_string(), profile, Some(profile))
}

pub(crate) fn texts(server: &Server, profile: &str) -> Vec<Value> {
    server.json(&["receive", "--profile", profile, "--json"])
}

pub(crate) fn recover(server: &Server, backup: &Value, profile: &str, words: &str, more: &[&str]) -> Output {
    let (link, id) = (string(backup, "server"), string(backup, "id"));
    let line = ["user", "recover", "--server", &link, "--id", &id, "--profile", profile, "--json"];
    run_with_input(server, &[&line[..], more].concat(), words)
}

#[test]
fn a_lost_phone_does_not_mean_a_lost_identity() {
    let server = Server::start();
    let (ada, ben) = (register(&server, "ada"), register(&server, "ben"));
    let fingerprint = string(&server.json(&["keys", "show", "--profile", "ada", "--json"])[0], "fingerprint");
    server.json(&["send", "--profile", "ben", "--to", &ada, "vorher", "--json"]);
    server.json(&["send", "--profile", "ada", "--to", &ben, "gesehen", "--json"]);
    assert_eq!(texts(&server, "ada")[0]["text"], "vorher");
    assert_eq!(texts(&server, "ben")[0]["text"], "gesehen");
    let backup = server.json(&["user", "backup-keys", "--profile", "ada", "--json"]).remove(0);
    let words = string(&backup, "words");
    assert_eq!(words.split(' ').count(), 12);
    // The keys change, and the backup with them, without the words.
    server.json(&["keys", "rotate", "--profile", "ada", "--json"]);
    let state = server.json(&["user", "backup-keys", "--state", "--profile", "ada", "--json"]).remove(0);
    assert_eq!(state["key_backup"]["version"], 2, "{state}");
    assert_eq!(state["key_backup"]["renewable"], true);
    std::fs::remove_dir_all(server.profile("ada")).unwrap();

    // Typed from paper: numbered, in capitals, in lines.
    let typed: String = words
        .split(' ')
        .enumerate()
        .map(|(n, word)| format!("{}. {}\n", n + 1, word.to_uppercase()))
        .collect();
    let recovered = recover(&server, &backup, "ada-new", &typed, &[]);
    assert!(recovered.status.success(), "{}", text(&recovered.stderr));
    let recovered: Value = serde_json::from_slice(&recovered.stdout).unwrap();
    assert_eq!(recovered["id"], ada.as_str());
    assert_eq!(recovered["others"].as_array().unwrap().len(), 1);
    let shown = server.json(&["keys", "show", "--profile", "ada-new", "--json"]).remove(0);
    assert_eq!(string(&shown, "fingerprint"), fingerprint);
    // Contacts see no change in either direction, and pins are there again.
    server.json(&["send", "--profile", "ada-new", "--to", &ben, "wieder da", "--json"]);
    server.json(&["send", "--profile", "ben", "--to", &ada, "schön", "--json"]);
    for (profile, expected) in [("ben", "wieder da"), ("ada-new", "schön")] {
        let got = texts(&server, profile);
        assert_eq!((&got[0]["text"], &got[0]["verified"]), (&json!(expected), &json!(true)), "{got:?}");
    }
    // The lost device is revoked: a followed change, and the words end with it.
    let lost = string(&recovered["others"][0], "device");
    server.json(&["user", "revoke-device", "--profile", "ada-new", &lost, "--json"]);
    server.json(&["send", "--profile", "ben", "--to", &ada, "nach dem Sperren", "--json"]);
    let got = texts(&server, "ada-new");
    assert_eq!((&got[0]["text"], &got[1]["kind"]), (&json!("nach dem Sperren"), &json!("alarm")), "{got:?}");
    let ended = recover(&server, &backup, "ada-third", &words, &[]);
    assert!(text(&ended.stderr).contains("No key backup here opens"), "{}", text(&ended.stderr));
    let backup = server.json(&["user", "backup-keys", "--profile", "ada-new", "--json"]).remove(0);
    let words = string(&backup, "words");
    let again = recover(&server, &backup, "ada-third", &words, &["--revoke-others"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    server.json(&["send", "--profile", "ada-third", "--to", &ben, "noch einmal", "--json"]);
    let got = texts(&server, "ben");
    assert_eq!((&got[0]["text"], &got[0]["verified"]), (&json!("noch einmal"), &json!(true)));
    let refused = server.failure(&["receive", "--profile", "ada-new", "--json"]);
    assert!(refused.contains("removed from its owner's list"), "{refused}");
}

#[test]
fn another_device_renews_the_backup_and_a_new_code_ends_the_old_one() {
    let server = Server::start();
    let ada = register(&server, "ada");
    server.json(&["user", "add-device", "--profile", "ada", "--new-profile", "tablet", "--json"]);
    let first = server.json(&["user", "backup-keys", "--profile", "ada", "--json"]).remove(0);
    // The tablet hears of it with its mail, and says who made it.
    let devices = server.json(&["user", "devices", "--profile", "tablet", "--json"]);
    let old = string(devices.iter().find(|device| device["this"] == false).unwrap(), "device");
    let told = texts(&server, "tablet");
    assert!(told.len() == 1 && string(&told[0], "text").contains(&old), "{told:?}");
    server.json(&["keys", "rotate", "--profile", "tablet", "--json"]);
    let state = server.json(&["user", "backup-keys", "--state", "--profile", "tablet", "--json"]).remove(0);
    assert_eq!(
        (&state["key_backup"]["version"], &state["key_backup"]["made_by"]),
        (&json!(2), &json!(old)),
        "{state}"
    );
    let recovered = recover(&server, &first, "back", &string(&first, "words"), &[]);
    assert!(recovered.status.success(), "{}", text(&recovered.stderr));
    let second = server.json(&["user", "backup-keys", "--profile", "tablet", "--json"]).remove(0);
    assert_ne!(first["words"], second["words"]);
    let ended = recover(&server, &first, "no", &string(&first, "words"), &[]);
    assert!(text(&ended.stderr).contains("No key backup here opens"), "{}", text(&ended.stderr));
    assert!(!server.profile("no").join("profile.db").exists());
    // What has not heard of the new code leaves its backup alone.
    server.json(&["user", "backup-keys", "--delete", "--profile", "tablet", "--json"]);
    let state = server.json(&["user", "backup-keys", "--state", "--profile", "tablet", "--json"]).remove(0);
    assert_eq!(state["key_backup"], Value::Null);
    let gone = recover(&server, &second, "no", &string(&second, "words"), &[]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(!ada.is_empty());
}

#[test]
fn a_wrong_word_is_named_and_a_wrong_code_opens_nothing() {
    let server = Server::start();
    register(&server, "ada");
    let backup = server.json(&["user", "backup-keys", "--profile", "ada", "--json"]).remove(0);
    let words = string(&backup, "words");
    let said = |typed: &str| text(&recover(&server, &backup, "new", typed, &[]).stderr);
    assert!(said("abandon").contains("has 12 words; these are 1"));
    let wrong = format!("kaffee {}", words.split_once(' ').unwrap().1);
    assert!(said(&wrong).contains("word 1"), "{}", said(&wrong));
    let other = RecoveryCode::random();
    assert!(said(&other.words()).contains("No key backup here opens"));
    assert!(!server.profile("new").join("profile.db").exists());
}

#[tokio::test]
async fn guessing_secrets_is_slowed_down_by_address_and_tells_nobody_who_has_a_backup() {
    let server = Server::start_with("[rates]\nfailures = { per_minute = 1, burst = 8 }\n");
    let ada = server.register(0).await;
    let mut raw = Raw::new(&server);
    let guess = |id: ParticipantId| {
        let fetch_secret = Base64Bytes(vec![7; 32]);
        Payload::Json(serde_json::to_vec(&api::KeyBackupFetchRequest { id, fetch_secret }).unwrap())
    };
    let code = RecoveryCode::random();
    let keys = RecoveryKeys::derive(&code, server.server_address().fingerprint, ada.id()).sealing_keys();
    let slot = Base64Bytes(keys.seal(b"{}", ada.id(), 1).unwrap());
    let request = api::KeyBackupRequest { version: 1, lock: keys.lock.clone(), slot, renews: false };
    let body = Payload::Json(serde_json::to_vec(&request).unwrap());
    let token = ada.session.token().to_owned();
    raw.call("PUT", "/me/key-backup", Some(&token), body).await.unwrap();
    let mut said = Vec::new();
    for number in 0..12 {
        // One with a backup, one without, one whom nobody knows.
        let id = if number % 2 == 0 { ada.id() } else { ParticipantId::random() };
        said.push(refused(raw.call("POST", "/key-backups/fetch", None, guess(id)).await));
    }
    assert!(said[..8].iter().all(|word| word == "key-backup-refused"), "{said:?}");
    assert!(said[8..].iter().all(|word| word == "too-often"), "{said:?}");
}

#[tokio::test]
async fn a_slot_is_its_owners_within_its_limits_and_never_goes_back() {
    let server = Server::start();
    let (ada, ben) = (server.register(0).await, server.register(1).await);
    let mut raw = Raw::new(&server);
    let put = |version: u64, size: usize, lock: usize| {
        let request = api::KeyBackupRequest {
            version,
            lock: Base64Bytes(vec![1; lock]),
            slot: Base64Bytes(vec![2; size]),
            renews: false,
        };
        Payload::Json(serde_json::to_vec(&request).unwrap())
    };
    let (token, other) = (ada.session.token().to_owned(), ben.session.token().to_owned());
    let path = "/me/key-backup";
    assert_eq!(refused(raw.call("GET", path, Some(&token), Payload::None).await), "no-key-backup");
    assert_eq!(refused(raw.call("DELETE", path, Some(&token), Payload::None).await), "no-key-backup");
    assert_eq!(refused(raw.call("PUT", path, None, put(1, 9, 32)).await), "not-logged-in");
    assert_eq!(refused(raw.call("PUT", path, Some(&token), put(0, 9, 32)).await), "malformed");
    assert_eq!(refused(raw.call("PUT", path, Some(&token), put(1, 9, 31)).await), "malformed");
    let large = put(1, MAX_KEY_BACKUP_BYTES + 1, 32);
    assert_eq!(refused(raw.call("PUT", path, Some(&token), large).await), "body-too-large");
    raw.call("PUT", path, Some(&token), put(1, MAX_KEY_BACKUP_BYTES, 32)).await.unwrap();
    assert_eq!(refused(raw.call("PUT", path, Some(&token), put(1, 9, 32)).await), "key-backup-outdated");
    raw.call("PUT", path, Some(&token), put(2, 9, 32)).await.unwrap();
    let state = raw.call("GET", path, Some(&token), Payload::None).await.unwrap();
    assert_eq!((&state["version"], &state["slot"]["bytes"]), (&json!(2), &json!(9)));
    // A renewal takes the place of what it renews, and of nothing else, be it another code's or none.
    let renewal = |version: u64, lock: u8| {
        let (lock, slot) = (Base64Bytes(vec![lock; 32]), Base64Bytes(vec![2; 7]));
        let request = api::KeyBackupRequest { version, lock, slot, renews: true };
        Payload::Json(serde_json::to_vec(&request).unwrap())
    };
    assert_eq!(refused(raw.call("PUT", path, Some(&token), renewal(3, 9)).await), "key-backup-outdated");
    raw.call("PUT", path, Some(&token), renewal(3, 1)).await.unwrap();
    // Somebody else's session sees and changes only their own.
    assert_eq!(refused(raw.call("GET", path, Some(&other), Payload::None).await), "no-key-backup");
    assert_eq!(refused(raw.call("DELETE", path, Some(&other), Payload::None).await), "no-key-backup");
    assert_eq!(raw.call("GET", path, Some(&token), Payload::None).await.unwrap()["version"], 3);
    raw.call("DELETE", path, Some(&token), Payload::None).await.unwrap();
    assert_eq!(refused(raw.call("PUT", path, Some(&token), renewal(4, 1)).await), "key-backup-outdated");
    let ended = raw.call("GET", path, Some(&token), Payload::None).await.unwrap();
    assert!(ended["slot"].is_null() && ended["ended"]["by"].is_string(), "{ended}");
}

#[tokio::test]
async fn the_secret_alone_adds_no_device_and_the_database_never_holds_what_opens_the_slot() {
    let server = Server::start();
    let (ada, ben) = (server.register(0).await, server.register(1).await);
    let code = RecoveryCode::random();
    let keys = RecoveryKeys::derive(&code, server.server_address().fingerprint, ada.id());
    let sealing = keys.sealing_keys();
    let slot = Base64Bytes(sealing.seal(b"the content of a slot", ada.id(), 1).unwrap());
    let request = api::KeyBackupRequest { version: 1, lock: sealing.lock.clone(), slot, renews: false };
    let sent = serde_json::to_vec(&request).unwrap();
    let mut raw = Raw::new(&server);
    let token = ada.session.token().to_owned();
    raw.call("PUT", "/me/key-backup", Some(&token), Payload::Json(sent.clone())).await.unwrap();
    let fetch_secret = Base64Bytes(keys.fetch_secret.to_vec());
    let fetch = api::KeyBackupFetchRequest { id: ada.id(), fetch_secret: fetch_secret.clone() };
    let fetch = serde_json::to_vec(&fetch).unwrap();
    let fetched = raw.call("POST", "/key-backups/fetch", None, Payload::Json(fetch.clone())).await.unwrap();
    let fetched: api::KeyBackup = serde_json::from_value(fetched).unwrap();
    let opened = keys.open(&fetched.slot.0, ada.id(), fetched.version).unwrap();
    assert_eq!(&**opened, b"the content of a slot");

    // A device list that somebody else signed.
    let mut list = momedo_protocol::device_list::DeviceListPayload::verify(
        &fetched.devices.device_list,
        &ada.bundle.signature_key,
    )
    .unwrap();
    list.version += 1;
    list.devices.push(crate::harness::device_keys(7).entry("theft"));
    let forged = list.sign(&ben.keys.signature_key);
    let request = api::RecoverDeviceRequest { id: ada.id(), fetch_secret, device_list: forged };
    let body = Payload::Json(serde_json::to_vec(&request).unwrap());
    let said = refused(raw.call("POST", "/key-backups/device", None, body).await);
    assert_eq!(said, "device-list-refused");
    // The right one, with a wrong secret.
    let right = list.sign(&ada.keys.signature_key);
    let wrong = Base64Bytes(vec![0; 32]);
    let request = api::RecoverDeviceRequest { id: ada.id(), fetch_secret: wrong, device_list: right };
    let body = Payload::Json(serde_json::to_vec(&request).unwrap());
    let said = refused(raw.call("POST", "/key-backups/device", None, body).await);
    assert_eq!(said, "key-backup-refused");

    // Neither what was sent nor what is kept holds the symmetric key or the ML-KEM seed; the fetch secret is
    // sent and not kept.
    let seal_key = sealing.seal_key.0.clone();
    let secret = keys.fetch_secret.to_vec();
    for bytes in [&sent, &fetch] {
        assert!(!holds(bytes, encode_base64(&seal_key).as_bytes()));
    }
    assert!(holds(&fetch, encode_base64(&secret).as_bytes()));
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(server.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            kept.extend(std::fs::read(path).unwrap());
        }
    }
    assert!(holds(&kept, &sealing.lock.0), "the lock is there");
    for secret in [&seal_key, &secret] {
        assert!(!holds(&kept, secret) && !holds(&kept, encode_base64(secret).as_bytes()));
    }
}

pub(crate) fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
