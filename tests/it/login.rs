//! Log-in and sessions: who gets in, and for how long.

use momedo_client::connection::Payload;
use momedo_protocol::api;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::DeviceId;
use momedo_protocol::login::Login;

use crate::harness::{Server, refused, rsa_key};
use crate::raw::Raw;

async fn challenge(raw: &mut Raw, device: DeviceId) -> api::LoginChallenge {
    let body = serde_json::to_vec(&api::LoginChallengeRequest { device }).unwrap();
    let answer = raw.call("POST", "/sessions/challenge", None, Payload::Json(body)).await.unwrap();
    serde_json::from_value(answer).unwrap()
}

async fn log_in(
    raw: &mut Raw,
    login: momedo_protocol::jws::Jws,
) -> Result<serde_json::Value, momedo_client::ClientError> {
    let body = serde_json::to_vec(&api::LoginRequest { login, held: None }).unwrap();
    raw.call("POST", "/sessions", None, Payload::Json(body)).await
}

#[tokio::test]
async fn a_replayed_log_in_is_refused() {
    let server = Server::start();
    let ada = server.register(0).await;
    let mut raw = Raw::new(&server);
    let device = ada.session.device;
    let nonce = challenge(&mut raw, device).await.nonce;
    let login =
        Login { device, nonce, server: raw.connection.server().fingerprint }.sign(&ada.keys.device.login);
    log_in(&mut raw, login.clone()).await.unwrap();
    assert_eq!(refused(log_in(&mut raw, login).await), "login-refused");
}

#[tokio::test]
async fn a_log_in_with_another_key_nonce_device_or_server_is_refused() {
    let server = Server::start();
    let (ada, ben) = (server.register(0).await, server.register(1).await);
    let mut raw = Raw::new(&server);
    let device = ada.session.device;
    let fingerprint = raw.connection.server().fingerprint;
    let nonce = challenge(&mut raw, device).await.nonce;
    let login = Login { device, nonce, server: fingerprint };
    assert_eq!(refused(log_in(&mut raw, login.sign(&rsa_key(11))).await), "login-refused");
    // Somebody else's nonce.
    let nonce = challenge(&mut raw, ben.session.device).await.nonce;
    let login = Login { nonce, ..login };
    assert_eq!(refused(log_in(&mut raw, login.sign(&ada.keys.device.login)).await), "login-refused");
    // Meant for another server.
    let nonce = challenge(&mut raw, device).await.nonce;
    let login = Login { nonce, server: Fingerprint([3; 32]), device };
    assert_eq!(refused(log_in(&mut raw, login.sign(&ada.keys.device.login)).await), "login-refused");
    // A device nobody has gets a nonce like any other.
    let unknown = DeviceId::of_login_key(b"nobody");
    let nonce = challenge(&mut raw, unknown).await.nonce;
    let login = Login { nonce, server: fingerprint, device: unknown };
    assert_eq!(refused(log_in(&mut raw, login.sign(&ada.keys.device.login)).await), "login-refused");
}

#[tokio::test]
async fn guessing_invites_is_slowed_down_and_keeps_nobody_with_a_session_out() {
    let server = Server::start_with("[rates]\nfailures = { per_minute = 1, burst = 5 }\n");
    let mut ada = server.register(0).await;
    let mut names = Vec::new();
    for _ in 0..8 {
        let mut connection = server.connect();
        let guess = momedo_protocol::invite::InviteCode::random();
        names.push(refused(momedo_client::registration::reserve(&mut connection, guess).await));
    }
    assert_eq!(names[..5], ["unknown-invite"; 5]);
    assert_eq!(names[5..], ["too-often"; 3]);
    ada.waiting().await;
}

#[tokio::test]
async fn tokens_that_ended_keep_nobody_from_logging_in() {
    let server = Server::start_with("[rates]\nfailures = { per_minute = 1, burst = 5 }\n");
    let ada = server.register(0).await;
    let mut raw = Raw::new(&server);
    // A whole school's clients after a restart.
    for number in 0..50 {
        let token = format!("ended{number}");
        let answer = raw.call("GET", "/ozone", Some(&token), Payload::None).await;
        assert_eq!(refused(answer), "not-logged-in");
    }
    momedo_testing::people::log_in(server.connect(), ada.session.device, &ada.keys.device.login)
        .await
        .unwrap();
}

#[tokio::test]
async fn sessions_end_with_a_restart_and_the_device_logs_in_anew() {
    let mut server = Server::start();
    let mut ada = server.register(0).await;
    ada.waiting().await;
    server.kill();
    server.launch();
    assert_eq!(refused(ada.session.devices().await), "not-logged-in");
    let mut again =
        momedo_testing::people::log_in(server.connect(), ada.session.device, &ada.keys.device.login)
            .await
            .unwrap();
    assert_eq!(again.devices().await.unwrap().devices.len(), 1);
}
