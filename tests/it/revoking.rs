//! Revoking a device in the very moment it logs in, which no client can time.

use std::time::Duration;

use futures_util::FutureExt;
use momedo::live::sessions::Principal;
use momedo::service::{ServiceError, login};
use momedo::state::App;
use momedo_client::connection::Payload;
use momedo_client_native::stream::Stream;
use momedo_protocol::api::LoginRequest;
use momedo_protocol::id::DeviceId;
use momedo_protocol::login::Login;

use crate::harness::{Inside, refused, request};
use crate::raw::Raw;

/// Revokes a device as far as the database goes; that sessions end is what is not done yet.
async fn revoke(app: &App, device: DeviceId) {
    app.store
        .write(move |tx| Ok::<_, ServiceError>(tx.revoke_device(device, momedo_client::now())?))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_outlived_its_device_can_neither_submit_nor_stream() {
    let Inside { server, app, .. } = &Inside::start().await;
    let (ada, mut ben) = (server.register(0).await, server.register(1).await);
    let principal = Principal { participant: ada.id(), device: ada.session.device };
    revoke(app, principal.device).await;
    // Begun after the sessions were ended that revoking found.
    let token = app.sessions.begin(principal, app.clock.elapsed());
    let mut raw = Raw::new(server);
    let body = Payload::Json(serde_json::to_vec(&request(&ben.bundle, 512)).unwrap());
    assert_eq!(refused(raw.call("POST", "/messages", Some(&token), body).await), "device-revoked");
    assert!(ben.waiting().await.messages.is_empty());
    assert!(Stream::open(&server.server_address(), &token, None, 8).await.is_err());
    // Trying ended the session.
    assert_eq!(refused(raw.call("GET", "/devices", Some(&token), Payload::None).await), "not-logged-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_that_its_devices_revocation_overtakes_is_refused() {
    let Inside { server, app, clock, .. } = &Inside::start().await;
    let ada = server.register(0).await;
    let device = ada.session.device;
    // Not seen for days: the log-in notes that it is here again, and so waits for the writer.
    clock.advance(Duration::from_secs(3 * 86_400));
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let blocking = app.store.write(move |_| held.recv().map_err(|_| ServiceError::Busy));
    let mut blocking = std::pin::pin!(blocking);
    assert!(blocking.as_mut().now_or_never().is_none());
    let nonce = login::challenge(app, device).nonce;
    let login = Login { device, nonce, server: app.fingerprint }.sign(&ada.keys.device.login);
    let logging_in = login::log_in(app, LoginRequest { login, held: None });
    let mut logging_in = std::pin::pin!(logging_in);
    // It has read that the device is not revoked; were this too short, it would only be refused earlier.
    let waits = tokio::time::timeout(Duration::from_millis(500), logging_in.as_mut()).await;
    assert!(waits.is_err(), "{waits:?}");
    let revoking = revoke(app, device);
    let mut revoking = std::pin::pin!(revoking);
    assert!(revoking.as_mut().now_or_never().is_none());
    go_on.send(()).unwrap();
    blocking.await.unwrap();
    revoking.await;
    let result = logging_in.await;
    assert!(matches!(result, Err(ServiceError::DeviceRevoked)), "{result:?}");
}
