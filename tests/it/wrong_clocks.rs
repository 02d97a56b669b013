//! Clocks that are wrong: nobody is taken for an attacker because of one, and it is said whose clock to look at.

use momedo::surroundings::clock::Clock;
use momedo_client::ClientError;
use momedo_protocol::time::UnixMillis;

use crate::harness::{Inside, Server, text};

const DAYS: u64 = 86_400_000;

fn year(at: u64) -> String {
    let seconds = i64::try_from(at / 1000).unwrap();
    time::OffsetDateTime::from_unix_timestamp(seconds).unwrap().year().to_string()
}

async fn ahead_by(days: u64) -> (Inside, String) {
    let clock = Clock::manual();
    let now = momedo_client::now().0 + days * DAYS;
    clock.set_wall(UnixMillis(now));
    (Inside::start_with_clock(clock).await, year(now))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_is_years_ahead_serves_its_people_and_they_hear_of_the_clocks() {
    let (inside, there) = ahead_by(1_200).await;
    let (server, here) = (&inside.server, year(momedo_client::now().0));
    let told = |arguments: &[&str]| {
        let output = server.run(arguments);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        for part in ["clock", &here, &there] {
            assert!(said.contains(part), "{part} in {said}");
        }
        text(&output.stdout)
    };
    for name in ["ada", "ben"] {
        let link = server.invite().to_string();
        told(&["user", "register", "--profile", name, "--name", name, "--invite", &link]);
    }
    let ben =
        momedo_client_native::profiles::open(&server.profile("ben"), None).unwrap().id().unwrap().to_string();
    told(&["send", "--profile", "ada", "--to", &ben, "trotzdem"]);
    let got = told(&["receive", "--profile", "ben", "--json"]);
    assert!(got.contains("trotzdem"), "{got}");
}

/// Shows a server's own certificates, without its identity key.
struct Impostor(std::net::SocketAddr);

impl Impostor {
    async fn start(of: &Server) -> Self {
        let database = rusqlite::Connection::open(of.data().join("momedo.db")).unwrap();
        let stored: Vec<u8> = database
            .query_row("SELECT value FROM settings WHERE name = 'identity'", [], |row| row.get(0))
            .unwrap();
        let identity: serde_json::Value = serde_json::from_slice(&stored).unwrap();
        let part =
            |name: &str| momedo_protocol::encoding::decode_base64(identity[name].as_str().unwrap()).unwrap();
        let chain = ["leaf_certificate", "authority_certificate"].map(|name| part(name).into()).to_vec();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(part("leaf_key")).into();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // The real server's proof, as it was given to the impostor on a connection of its own.
        let mut own = crate::raw::Raw::new(of);
        let proof = own
            .call("GET", "/identity", None, momedo_client::connection::Payload::None)
            .await
            .unwrap()
            .to_string();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, proof) = (acceptor.clone(), proof.clone());
                tokio::spawn(async move {
                    use tokio::io::{AsyncReadExt, AsyncWriteExt};
                    let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                    let mut asked = [0; 4096];
                    if stream.read(&mut asked).await.is_err() {
                        return;
                    }
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{proof}",
                        proof.len()
                    );
                    let _: Result<_, _> = stream.write_all(answer.as_bytes()).await;
                    let _: Result<_, _> = stream.flush().await;
                });
            }
        });
        Self(address)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_an_old_certificate_alone_is_not_taken_for_the_server() {
    let (inside, _) = ahead_by(1_200).await;
    let impostor = Impostor::start(&inside.server).await;
    let mut server = inside.server.server_address();
    server.addresses = vec![impostor.0.to_string()];
    let mut connection = momedo_client_native::connection(server, "en");
    let refused = momedo_client::session::server_information(&mut connection).await;
    assert!(matches!(refused, Err(ClientError::WrongServer { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_right_is_not_spoken_of() {
    let (inside, _) = ahead_by(1).await;
    let link = inside.server.invite().to_string();
    let output = inside.server.run(&["user", "register", "--profile", "ada", "--invite", &link]);
    assert!(output.status.success());
    assert!(!text(&output.stderr).contains("clock"), "{}", text(&output.stderr));
}

#[test]
fn the_doctor_shows_the_clock_and_finds_one_that_is_decades_off() {
    let server = Server::start();
    let line = server
        .json(&["doctor", "--data-dir", "data", "--json"])
        .into_iter()
        .find(|line| line["check"] == "clock")
        .unwrap();
    let shown = line["text"].as_str().unwrap();
    assert!(line["ok"] == true && shown.contains(&year(momedo_client::now().0)), "{shown}");
}
