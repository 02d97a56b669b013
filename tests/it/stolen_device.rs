//! What a thief makes of a device before its owner revokes it, and what is left of that afterwards: nothing.

use std::time::Duration;

use futures_util::FutureExt;
use momedo::live::sessions::Principal;
use momedo::service::{ServiceError, devices, key_backup as service};
use momedo::state::App;
use momedo_protocol::api;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::key_backup::{RecoveryCode, RecoveryKeys};
use momedo_protocol::key_bundle::KeyBundlePayload;
use serde_json::Value;

use crate::harness::{Inside, Server, device_keys, refused, text};
use crate::key_backup::{recover, string, texts};
use crate::raw::Raw;

fn add_device(server: &Server, profile: &str, new: &str) -> String {
    let line =
        ["user", "add-device", "--profile", profile, "--new-profile", new, "--device-name", new, "--json"];
    string(&server.json(&line)[0], "device")
}

fn back_up(server: &Server, profile: &str) -> Value {
    server.json(&["user", "backup-keys", "--profile", profile, "--json"]).remove(0)
}

fn devices_of(server: &Server, profile: &str) -> Vec<Value> {
    server.json(&["user", "devices", "--profile", profile, "--json"])
}

fn fingerprint(server: &Server, profile: &str) -> String {
    string(&server.json(&["keys", "show", "--profile", profile, "--json"])[0], "fingerprint")
}

fn says(received: &[Value], kind: &str, words: &[&str]) -> bool {
    let has = |text: &str| words.iter().all(|word| text.contains(word));
    received.iter().any(|message| message["kind"] == kind && message["text"].as_str().is_some_and(has))
}

fn opens_nothing(server: &Server, backup: &Value) {
    let ended = recover(server, backup, "thief", &string(backup, "words"), &[]);
    assert!(text(&ended.stderr).contains("No key backup here opens"), "{}", text(&ended.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_words_open_anything_once_a_stolen_device_is_revoked() {
    let server = Server::start();
    let phone = server.register_profile(0, "phone").await.device().unwrap().to_string();
    let ada = momedo_client_native::profiles::open(&server.profile("phone"), None)
        .unwrap()
        .id()
        .unwrap()
        .to_string();
    server.register_profile(1, "ben").await;
    add_device(&server, "phone", "tablet");
    let laptop = add_device(&server, "phone", "laptop");
    server.json(&["send", "--profile", "ben", "--to", &ada, "vorher", "--json"]);
    // A device that was handed its contacts watches them, too.
    add_device(&server, "ben", "ben-tablet");
    texts(&server, "ben-tablet");
    let own = back_up(&server, "tablet");
    texts(&server, "tablet");
    // Whoever has the phone makes words of their own. Every device says so, whether a message of it comes or not.
    let stolen = back_up(&server, "phone");
    for message in texts(&server, "tablet") {
        assert!(says(&[message], "alarm", &["words were replaced", &phone]));
    }
    assert!(devices_of(&server, "tablet").iter().all(|device| device["recovery_code"] == "valid"));
    opens_nothing(&server, &own);
    // What the phone added would get the new keys, so the owner has to say whose it is.
    let revoke = ["user", "revoke-device", "--profile", "tablet", &phone, "--json"];
    let asked = server.failure(&revoke);
    assert!(asked.contains(&laptop) && asked.contains("--keep"), "{asked}");
    let revoked = server.run(&[&revoke[..], &["--keep", &laptop]].concat());
    assert!(revoked.status.success(), "{}", text(&revoked.stderr));
    assert!(text(&revoked.stderr).contains("Make a new recovery code"), "{}", text(&revoked.stderr));
    // The laptop takes the thief's message after it was revoked; neither device brings the slot back.
    let heard = texts(&server, "laptop");
    assert!(says(&heard, "alarm", &["opens nothing any more", "was revoked"]), "{heard:?}");
    for profile in ["laptop", "tablet"] {
        texts(&server, profile);
        server.json(&["keys", "rotate", "--profile", profile, "--json"]);
        opens_nothing(&server, &stolen);
        opens_nothing(&server, &own);
        let listed = server.run(&["user", "devices", "--profile", profile, "--json"]);
        assert!(text(&listed.stderr).contains("Make a new recovery code"), "{}", text(&listed.stderr));
        assert!(devices_of(&server, profile).iter().all(|device| device["recovery_code"] == "ended"));
    }
    // A new code works, and who comes with it is announced to the other devices and to contacts.
    server.json(&["send", "--profile", "ben", "--to", &ada, "nachher", "--json"]);
    let fresh = back_up(&server, "laptop");
    let recovered = recover(&server, &fresh, "found", &string(&fresh, "words"), &[]);
    assert!(recovered.status.success(), "{}", text(&recovered.stderr));
    let found = string(&serde_json::from_slice(&recovered.stdout).unwrap(), "device");
    for profile in ["laptop", "tablet"] {
        let heard = texts(&server, profile);
        assert!(says(&heard, "alarm", &["A device was added", &found, "recovery code"]), "{heard:?}");
        assert!(says(&heard, "text", &["nachher"]), "{heard:?}");
    }
    for profile in ["ben", "ben-tablet"] {
        let heard = texts(&server, profile);
        assert!(says(&heard, "device-added", &[&ada]), "{heard:?}");
        assert!(texts(&server, profile).is_empty(), "it is said once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_admin_locks_out_takes_words_and_keys_with_it() {
    let server = Server::start();
    let phone = server.register_profile(0, "phone").await.device().unwrap().to_string();
    add_device(&server, "phone", "tablet");
    let stolen = back_up(&server, "phone");
    texts(&server, "tablet");
    let before = fingerprint(&server, "tablet");
    let who = string(&stolen, "id");
    let line = ["admin", "participant", "revoke-device", &who, &phone, "--data-dir", "data", "--json"];
    server.json(&line);
    opens_nothing(&server, &stolen);
    let heard = texts(&server, "tablet");
    assert!(says(&heard, "alarm", &["opens nothing any more", "was revoked"]), "{heard:?}");
    // Nobody had to ask for it: the phone knew every key.
    assert_ne!(fingerprint(&server, "tablet"), before);
    assert_eq!(devices_of(&server, "tablet").len(), 1);
    opens_nothing(&server, &stolen);
    let state = server.json(&["user", "backup-keys", "--state", "--profile", "tablet", "--json"]).remove(0);
    assert!(state["key_backup"].is_null() && state["ended"]["by"].is_null(), "{state}");
}

/// Revokes a device as an admin does, as far as the database goes.
async fn revoke(app: &App, device: momedo_protocol::id::DeviceId) {
    let now = momedo_client::now();
    app.store.write(move |tx| Ok::<_, ServiceError>(tx.revoke_device(device, now)?)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_has_under_way_when_it_is_revoked_fails() {
    let Inside { server, app, .. } = &Inside::start().await;
    let ada = server.register(0).await;
    let principal = Principal { participant: ada.id(), device: ada.session.device };
    let keys = RecoveryKeys::derive(&RecoveryCode::random(), app.fingerprint, ada.id());
    let sealing = keys.sealing_keys();
    let slot = |version: u64, renews: bool| api::KeyBackupRequest {
        version,
        lock: sealing.lock.clone(),
        slot: Base64Bytes(sealing.seal(b"{}", ada.id(), version).unwrap()),
        renews,
    };
    service::store(app, principal, slot(1, false)).await.unwrap();
    let listed = devices::list(app, ada.id()).await.unwrap();
    let list = DeviceListPayload::verify(&listed.device_list, &ada.bundle.signature_key).unwrap();
    let list_with = |number: usize| {
        let mut list = list.clone();
        list.version += 1;
        list.devices.push(device_keys(number).entry("theft"));
        list.sign(&ada.keys.signature_key)
    };
    // A device does not join hidden in a change of keys, of which nobody would be told.
    let payload = KeyBundlePayload { version: 2, ..ada.bundle.payload.clone() };
    let hidden = api::PublishRequest {
        bundle: payload.sign(&[&ada.keys.signature_key]),
        device_list: Some(list_with(5)),
    };
    let token = ada.session.token().to_owned();
    assert_eq!(refused(Raw::new(server).publish(&token, ada.id(), &hidden).await), "keys-refused");
    let recovering = api::RecoverDeviceRequest {
        id: ada.id(),
        fetch_secret: Base64Bytes(keys.fetch_secret.to_vec()),
        device_list: list_with(6),
    };
    let adding = api::DeviceListRequest { device_list: list_with(7) };
    // The writer is held while each looks around and gets in line; the revocation gets in line before them.
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let blocking = app.store.write(move |_| held.recv().map_err(|_| ServiceError::Busy));
    let mut blocking = std::pin::pin!(blocking);
    assert!(blocking.as_mut().now_or_never().is_none());
    let revoking = revoke(app, principal.device);
    let mut revoking = std::pin::pin!(revoking);
    assert!(revoking.as_mut().now_or_never().is_none());
    let mut recovering = std::pin::pin!(service::add_device(app, recovering));
    let mut adding = std::pin::pin!(devices::update(app, principal, adding));
    let mut storing = std::pin::pin!(service::store(app, principal, slot(2, true)));
    let mut removing = std::pin::pin!(service::delete(app, principal));
    let all = async { tokio::join!(&mut recovering, &mut adding, &mut storing, &mut removing) };
    let mut all = std::pin::pin!(all);
    // Were this too short, what has not read yet would only be refused earlier.
    let waits = tokio::time::timeout(Duration::from_millis(500), all.as_mut()).await;
    assert!(waits.is_err(), "{waits:?}");
    go_on.send(()).unwrap();
    blocking.await.unwrap();
    revoking.await;
    let (recovered, added, stored, removed) = all.await;
    assert!(matches!(recovered, Err(ServiceError::KeyBackupRefused)), "{recovered:?}");
    assert!(matches!(added, Err(ServiceError::DeviceRevoked)), "{added:?}");
    assert!(matches!(stored, Err(ServiceError::DeviceRevoked)), "{stored:?}");
    assert!(matches!(removed, Err(ServiceError::DeviceRevoked)), "{removed:?}");
    let left = app.store.read(move |tx| Ok::<_, ServiceError>(tx.list_devices(principal.participant)?));
    assert!(left.await.unwrap().is_empty());
}
