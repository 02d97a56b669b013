//! A certificate from elsewhere: exchanged while the server runs, and no obstacle to its identity.

use std::path::Path;
use std::time::Instant;

use momedo_client::ClientError;
use momedo_client::session::server_information;
use momedo_client_native::stream::Stream;
use momedo_protocol::stream::ServerFrame;

use crate::door::tls;
use crate::harness::{PATIENCE, Server};

/// The certificate that clients with ALPN get now.
fn served(server: &Server) -> Vec<u8> {
    let mut stream = tls(server);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

fn wait_until(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "{what}");
    }
}

#[test]
fn sighup_puts_an_exchanged_certificate_into_force_at_once() {
    let server = Server::start_with_own_certificate();
    let date = std::fs::metadata(server.own_certificate_files().0).unwrap().modified().unwrap();
    let before = served(&server);
    // With the date of the old files, only the signal can be why the new ones are read.
    let new = server.write_own_certificate_dated(date);
    assert_eq!(served(&server), before);
    server.signal("HUP");
    wait_until("the new certificate is not served", || served(&server) == new);
}

#[test]
fn a_broken_certificate_is_named_in_the_log_and_the_one_before_stays() {
    let mut server = Server::start_with_own_certificate();
    server.expects_errors = true;
    let (certificate, key) = server.own_certificate_files();
    let before = served(&server);
    std::fs::write(&certificate, "no certificate\n").unwrap();
    server.signal("HUP");
    let named = |server: &Server, file: &Path| {
        let file = file.display().to_string();
        server.log().lines().any(|line| line.contains("ERROR") && line.contains(&file))
    };
    wait_until("the broken certificate is not named", || named(&server, &certificate));
    assert_eq!(served(&server), before);
    // A key that is another certificate's: each file is fine, and they do not fit.
    server.write_own_certificate();
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    server.signal("HUP");
    wait_until("the key that does not fit is not named", || named(&server, &key));
    assert_eq!(served(&server), before);
    // What is put right counts.
    let new = server.write_own_certificate();
    server.signal("HUP");
    wait_until("the mended certificate is not served", || served(&server) == new);
}

#[test]
fn sighup_without_an_own_certificate_changes_nothing() {
    let mut server = Server::start();
    let before = served(&server);
    server.signal("HUP");
    wait_until("the signal was not heard", || server.log().contains("asked to read"));
    assert_eq!(served(&server), before);
    assert_eq!(server.terminate().0.code(), Some(0));
}

#[tokio::test]
async fn a_server_with_an_own_certificate_proves_its_identity_over_the_connection() {
    let server = Server::start_with_own_certificate();
    let ada = server.register(0).await;
    // The pinned client talks to it all the same, and a client that pins another does not.
    momedo_testing::people::log_in(server.connect(), ada.session.device, &ada.keys.device.login)
        .await
        .unwrap();
    let mut address = server.server_address();
    address.fingerprint.0[0] ^= 1;
    let error =
        server_information(&mut momedo_client_native::connection(address.clone(), "en")).await.unwrap_err();
    assert!(matches!(error, ClientError::WrongServer { .. }), "{error}");
    let error = Stream::open(&address, ada.session.token(), None, 8).await.err();
    assert!(matches!(error, Some(ClientError::WrongServer { .. })), "{error:?}");
}

#[tokio::test]
async fn a_stream_to_a_server_with_an_own_certificate_is_opened_after_the_proof() {
    let server = Server::start_with_own_certificate();
    let (mut ada, ben) = (server.register(0).await, server.register(1).await);
    let mut stream = Stream::open(&server.server_address(), ben.session.token(), None, 8).await.unwrap();
    ada.submit(&ben.bundle, 512).await.unwrap();
    let delivered = async {
        while !matches!(
            stream.next().await.unwrap().expect("the stream is open"),
            ServerFrame::Deliver { .. }
        ) {}
    };
    tokio::time::timeout(PATIENCE, delivered).await.unwrap();
}
