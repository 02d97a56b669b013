//! Who pays for what is asked: nothing that a stranger does uses up what somebody else may do.

use momedo::service::set_up;
use momedo_client::connection::Payload;
use momedo_protocol::api;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::key_backup::{RecoveryCode, RecoveryKeys};
use momedo_protocol::login::Login;

use crate::harness::{Inside, Person, Server, device_keys, refused, rsa_key};
use crate::raw::Raw;

fn json(value: &impl serde::Serialize) -> Payload {
    Payload::Json(serde_json::to_vec(value).unwrap())
}

/// What somebody sends who knows nothing but an ID.
fn made_up_device(ada: &Person) -> Payload {
    let entry = device_keys(3).entry("made up");
    let (id, issued_at) = (ada.id(), momedo_client::now());
    let list = DeviceListPayload { id, version: 2, issued_at, devices: vec![entry] };
    let device_list = list.sign(&rsa_key(11));
    json(&api::RecoverDeviceRequest { id, fetch_secret: Base64Bytes(vec![7; 32]), device_list })
}

/// Stores a key backup of Ada's, and says what fetches it.
async fn back_up(raw: &mut Raw, ada: &Person) -> api::KeyBackupFetchRequest {
    let server = raw.connection.server().fingerprint;
    let keys = RecoveryKeys::derive(&RecoveryCode::random(), server, ada.id());
    let sealing = keys.sealing_keys();
    let slot = Base64Bytes(sealing.seal(b"{}", ada.id(), 1).unwrap());
    let request = api::KeyBackupRequest { version: 1, lock: sealing.lock.clone(), slot, renews: false };
    raw.call("PUT", "/me/key-backup", Some(ada.session.token()), json(&request)).await.unwrap();
    api::KeyBackupFetchRequest { id: ada.id(), fetch_secret: Base64Bytes(keys.fetch_secret.to_vec()) }
}

#[tokio::test]
async fn wrong_recovery_codes_use_up_nothing_of_their_owners() {
    // The guesser has more tries than the owner has publications.
    let server = Server::start_with(
        "[rates]\nfailures = { per_minute = 60, burst = 120 }\npublications = { per_minute = 1, burst = 8 }\n",
    );
    let ada = server.register(0).await;
    let mut raw = Raw::new(&server);
    let right = back_up(&mut raw, &ada).await;
    for _ in 0..31 {
        let guessed = raw.call("POST", "/key-backups/device", None, made_up_device(&ada)).await;
        assert_eq!(refused(guessed), "key-backup-refused");
        let guess = api::KeyBackupFetchRequest { id: ada.id(), fetch_secret: Base64Bytes(vec![7; 32]) };
        assert_eq!(
            refused(raw.call("POST", "/key-backups/fetch", None, json(&guess)).await),
            "key-backup-refused"
        );
    }
    let token = ada.session.token();
    raw.connection
        .request(http::Method::GET, "/me/export", Some(token), Payload::None, Default::default())
        .await
        .unwrap();
    raw.put_mceliece(
        token,
        &ada.bundle.payload.mceliece_key.unwrap(),
        crate::harness::mceliece_key().1.bytes(),
    )
    .await
    .unwrap();
    raw.call("POST", "/key-backups/fetch", None, json(&right)).await.unwrap();
}

#[tokio::test]
async fn whoever_is_right_is_let_in_whatever_others_behind_the_same_address_guess() {
    let server = Server::start_with("[rates]\nfailures = { per_minute = 1, burst = 5 }\n");
    let ada = server.register(0).await;
    let mut raw = Raw::new(&server);
    let right = back_up(&mut raw, &ada).await;
    let mut guesses = Vec::new();
    for _ in 0..8 {
        let guess = json(&api::ReserveRequest { invite: InviteCode::random() });
        guesses.push(refused(raw.call("POST", "/participants", None, guess).await));
    }
    assert_eq!(guesses[5..], ["too-often"; 3], "{guesses:?}");
    // Nor does anybody learn more who guesses something else from there.
    let nonce = Base64Bytes(vec![1; 32]);
    let login = Login { device: ada.session.device, nonce, server: raw.connection.server().fingerprint };
    let forged = json(&api::LoginRequest { login: login.sign(&rsa_key(11)), held: None });
    assert_eq!(refused(raw.call("POST", "/sessions", None, forged).await), "too-often");
    momedo_testing::people::log_in(server.connect(), ada.session.device, &ada.keys.device.login)
        .await
        .unwrap();
    server.register(1).await;
    raw.call("POST", "/key-backups/fetch", None, json(&right)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_keeps_an_admin_from_setting_up_who_reads_the_code() {
    let inside = Inside::start().await;
    let (app, stranger) = (&inside.app, [10, 0, 0, 1].into());
    let wrong: Vec<bool> =
        (0..8).map(|_| set_up::check_code(app, "ABCD-ABCD-ABCD", stranger).is_err()).collect();
    assert_eq!(wrong, [true; 8]);
    set_up::check_code(app, &set_up::code(app), stranger).unwrap();
}
