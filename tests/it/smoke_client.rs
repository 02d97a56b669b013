//! A simulated Smoke client, written from the protocol's description: frames put together by hand, over TLS.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA512};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use momedo_smoke::key_stream::KeyStream;
use momedo_smoke::mac::MacKey;
use momedo_smoke::smoke_id::SmokeId;
use momedo_smoke::{random, sha512};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::harness::{PATIENCE, text};

/// A connection.
pub(crate) struct SmokeClient {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
    /// How far the end of a frame was looked for.
    searched: usize,
    /// The certificate the server showed.
    pub(crate) certificate: Vec<u8>,
}

/// Base64, padded.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A frame around a payload, as the app sends it.
pub(crate) fn untyped(payload: &[u8]) -> Vec<u8> {
    let section = format!("content={}\r\n\r\n\r\n", base64(payload));
    let etag: String = random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "POST HTTP/1.1\r\nContent-Length: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         ETag: {etag}\r\n\r\n{section}",
        section.len()
    )
    .into_bytes()
}

/// A typed frame.
pub(crate) fn typed(kind: &str, body: &str) -> Vec<u8> {
    let section = format!("type={kind}&content={body}\r\n\r\n\r\n");
    format!(
        "POST HTTP/1.1\r\nContent-Length: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n{section}",
        section.len()
    )
    .into_bytes()
}

/// What an untyped frame carries.
pub(crate) fn payload(frame: &[u8]) -> Vec<u8> {
    let text = text(frame);
    let body = text.split_once("content=").unwrap().1.trim();
    STANDARD.decode(body).unwrap_or_else(|_| panic!("no payload: {text}"))
}

/// A random payload that nobody recognises.
pub(crate) fn unknown_frame() -> Vec<u8> {
    untyped(&[random::<200>(), random::<200>()].concat())
}

impl SmokeClient {
    /// Connects and says hello, as the app does; the server knows the connection when this returns.
    pub(crate) async fn connect(address: &str) -> Self {
        Self::try_connect(address, &rustls::version::TLS13).await.unwrap().greeted().await
    }

    /// Exchanges the first signs of life.
    pub(crate) async fn greeted(mut self) -> Self {
        let hello = base64(b"e77989ed-2175-3e78-b31b-20e477fc5582\n8388608\nfull");
        self.send(&typed("0014", &format!("{hello}\n"))).await;
        let answer = text(&self.any().await.unwrap());
        assert!(answer.contains("type=0014&content="), "{answer}");
        self
    }

    /// A connection that stays silent, to a private listener.
    pub(crate) async fn connect_silently(address: &str) -> Self {
        Self::try_connect(address, &rustls::version::TLS13).await.unwrap()
    }

    /// Android up to 9 and from 14 on speaks TLS 1.2 to such servers.
    pub(crate) async fn try_connect(
        address: &str,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> std::io::Result<Self> {
        let config = momedo_testing::client_config(&[version], &[]).unwrap();
        let tcp = TcpStream::connect(address).await?;
        let nobody = std::net::IpAddr::from([127, 0, 0, 1]).into();
        let stream = TlsConnector::from(Arc::new(config)).connect(nobody, tcp).await?;
        let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        Ok(Self { stream: stream.into(), received: Vec::new(), searched: 0, certificate })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next frame, signs of life included; `None`: the server closed.
    pub(crate) async fn any(&mut self) -> Option<Vec<u8>> {
        loop {
            let from = self.searched.saturating_sub(5);
            if let Some(at) = self.received[from..].windows(6).position(|six| six == b"\r\n\r\n\r\n") {
                let rest = self.received.split_off(from + at + 6);
                self.searched = 0;
                return Some(std::mem::replace(&mut self.received, rest));
            }
            self.searched = self.received.len();
            let mut buffer = [0; 16 * 1024];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer)).await;
            match read.expect("the server sends something in time") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// The next frame that is not a sign of life.
    pub(crate) async fn next(&mut self) -> Vec<u8> {
        loop {
            let frame = self.any().await.expect("the server keeps the connection");
            if !text(&frame).contains("type=0014&") {
                return frame;
            }
        }
    }

    /// Everything up to the marker, without it.
    pub(crate) async fn until(&mut self, marker: &[u8]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await;
            if frame == marker {
                return frames;
            }
            frames.push(frame);
        }
    }

    pub(crate) async fn announce(&mut self, identity: &[u8; 64]) {
        self.send(&typed("0095a", &format!("{};sha-512", base64(identity)))).await;
    }
}

/// Another server of the Smoke world, to be entered as a neighbour.
pub(crate) struct SmokeServer {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl SmokeServer {
    pub(crate) async fn bind() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(Vec::<String>::new()).unwrap().self_signed(&key).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    pub(crate) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Takes the connection of the server under test; what it asks for at first is read.
    pub(crate) async fn accept(&self) -> SmokeClient {
        let (tcp, _) = self.listener.accept().await.unwrap();
        let stream = self.acceptor.accept(tcp).await.unwrap().into();
        let mut line = SmokeClient { stream, received: Vec::new(), searched: 0, certificate: Vec::new() };
        let first = line.next().await;
        assert!(text(&first).contains("type=0096&content="), "{}", text(&first));
        line
    }
}

/// A frame as Spot-On makes it: lines of random bytes, each in Base64 by itself.
pub(crate) fn spot_on(first_line: &str, kind: Option<&str>, sizes: &[usize]) -> Vec<u8> {
    let line = |size: &usize| base64(&noise(*size));
    let lines = sizes.iter().map(line).collect::<Vec<_>>().join("\n");
    let kind = kind.map_or(String::new(), |kind| format!("type={kind}&"));
    let section = format!("{kind}content={lines}\r\n\r\n\r\n");
    format!(
        "{first_line}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{section}",
        section.len()
    )
    .into_bytes()
}

/// So many random bytes.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

/// A frame nobody recognises that has exactly so many bytes.
pub(crate) fn large_frame(bytes: usize) -> Vec<u8> {
    let mut frame = untyped(&noise((bytes - 300) / 4 * 3));
    // Spare bytes go into a header that nobody reads.
    let spare = "x".repeat(bytes - frame.len());
    let at = frame.windows(6).position(|six| six == b"ETag: ").unwrap() + 6;
    frame.splice(at..at, spare.bytes());
    frame
}

/// Sends `frames` from one connection and returns what the watcher, who never announced anything, is passed of
/// them. Everything is done with when this returns.
pub(crate) async fn passed_on(
    sender: &mut SmokeClient,
    watcher: &mut SmokeClient,
    frames: &[&[u8]],
) -> Vec<Vec<u8>> {
    for frame in frames {
        sender.send(frame).await;
    }
    let there = unknown_frame();
    sender.send(&there).await;
    watcher.until(&there).await
}

/// The same, and before it what the sender is answered; it must not have announced anything either.
pub(crate) async fn exchange(
    sender: &mut SmokeClient,
    watcher: &mut SmokeClient,
    frames: &[&[u8]],
) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let passed = passed_on(sender, watcher, frames).await;
    let back = unknown_frame();
    watcher.send(&back).await;
    (sender.until(&back).await, passed)
}

/// A Smoke user with RSA keys.
pub(crate) struct SmokeUser {
    pub(crate) id: SmokeId,
    encryption: RsaKeyPair,
    signing: RsaKeyPair,
}

fn spki(key: &RsaKeyPair) -> Vec<u8> {
    use aws_lc_rs::encoding::AsDer;
    AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap().as_ref().to_vec()
}

impl SmokeUser {
    pub(crate) fn new(encryption: &[u8], signing: &[u8]) -> Self {
        let encryption = RsaKeyPair::from_pkcs8(encryption).unwrap();
        let signing = RsaKeyPair::from_pkcs8(signing).unwrap();
        Self { id: SmokeId::of_keys(&spki(&encryption), &spki(&signing)), encryption, signing }
    }

    /// Somebody with stored keys, by number.
    pub(crate) fn stored(number: usize) -> Self {
        let key = |index| crate::harness::rsa_key(index);
        Self::new(key(number * 2).pkcs8(), key(number * 2 + 1).pkcs8())
    }

    fn sign(key: &RsaKeyPair, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    pub(crate) fn encryption_key(&self) -> Vec<u8> {
        spki(&self.encryption)
    }

    /// The keys, addressed to `to`.
    pub(crate) fn key_bundle(&self, claimed: &SmokeId, to: &SmokeId, now: u64) -> Vec<u8> {
        let (encryption, signing) = (spki(&self.encryption), spki(&self.signing));
        let signed = [claimed.as_bytes(), &encryption[..], &signing].concat();
        let items: [&[u8]; 7] = [
            &now.to_be_bytes(),
            &[0],
            claimed.as_bytes(),
            &encryption,
            &Self::sign(&self.encryption, &signed),
            &signing,
            &Self::sign(&self.signing, &signed),
        ];
        let sealed = KeyStream::of_id(to).seal(items.map(base64).join("\n").as_bytes());
        addressed(&sealed, &to.routing_identity())
    }

    fn signed_request(&self, kind: u8, ozone: &str, field: &[u8; 64], now: u64) -> Vec<u8> {
        let mut plain = [&[kind][..], &now.to_be_bytes(), field, &sha512(&spki(&self.encryption))].concat();
        plain.extend(Self::sign(&self.signing, &plain));
        untyped(&KeyStream::of_ozone(ozone).seal(&plain))
    }

    pub(crate) fn retrieval(&self, ozone: &str, identity: &[u8; 64], now: u64) -> Vec<u8> {
        self.signed_request(0, ozone, identity, now)
    }

    pub(crate) fn read_notice(&self, ozone: &str, body: &[u8], now: u64) -> Vec<u8> {
        self.signed_request(4, ozone, &sha512(body), now)
    }

    /// The answer to a `0097a`.
    pub(crate) fn response(&self, challenge_frame: &[u8]) -> Vec<u8> {
        let frame = text(challenge_frame);
        let challenge = frame.split_once("type=0097a&content=").expect("a challenge").1.trim();
        assert_eq!(challenge.len(), 88);
        let mut bytes = [&random::<64>()[..], &sha512(&spki(&self.signing))].concat();
        let signature = Self::sign(&self.signing, &[&bytes[..], challenge.as_bytes()].concat());
        bytes.extend(signature);
        typed("0097b", &base64(&bytes))
    }
}

/// A frame that ends in its destination.
pub(crate) fn addressed(data: &[u8], identity: &[u8; 64]) -> Vec<u8> {
    untyped(&[data, &MacKey::new(identity).tag(data)].concat())
}

/// The offline copy of a message.
pub(crate) fn offline_copy(body: &[u8], ozone: &str, to: &SmokeId, now: u64) -> Vec<u8> {
    let minute = (now / 60_000).to_be_bytes();
    let tag = KeyStream::of_ozone(ozone).mac().tag(&[body, to.as_bytes(), &minute].concat());
    untyped(&[body, &tag].concat())
}

/// Somebody asks for somebody's keys.
pub(crate) fn key_request(ozone: &str, requester: &SmokeId, requested: &SmokeId, now: u64) -> Vec<u8> {
    let plain = [&[1][..], &now.to_be_bytes(), requester.as_bytes(), requested.as_bytes()].concat();
    untyped(&KeyStream::of_ozone(ozone).seal(&plain))
}

/// An ID is shared.
pub(crate) fn share_request(ozone: &str, id: &SmokeId, temporary: &[u8; 8], now: u64) -> Vec<u8> {
    let plain = [&[2][..], &now.to_be_bytes(), id.as_bytes(), temporary].concat();
    untyped(&KeyStream::of_ozone(ozone).seal(&plain))
}

/// A message's body as the server sees it: opaque.
pub(crate) fn body() -> Vec<u8> {
    [random::<512>(), random::<512>()].concat()
}
