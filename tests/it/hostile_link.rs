//! A neighbour that says whatever one wants, on the wire of a link. The load tool uses it, too.

use std::sync::Arc;
use std::time::Duration;

use momedo::tls::LinkIdentity;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::link::documents::{BatchBlob, BatchHeader, BatchItem};
use momedo_protocol::link::{Batch, Frame, HEADER_BYTES, Hello, MAX_HOPS, read_header};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a server may say nothing; far longer than it ever takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The other end of a link, with an identity of its own.
pub(crate) struct Hostile {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) identity: RsaPrivateKey,
    pub(crate) server: Fingerprint,
}

impl Hostile {
    /// Dials the server with this address and identity, without a word.
    pub(crate) async fn dial_with(address: &str, server: Fingerprint, identity: RsaPrivateKey) -> Self {
        let config = LinkIdentity::new(&identity).unwrap().dialling(server).unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        Self { stream, identity, server }
    }

    pub(crate) fn id(&self) -> Fingerprint {
        self.identity.public().fingerprint()
    }

    pub(crate) async fn greet(&mut self) {
        self.greet_from(Vec::new()).await;
    }

    /// Greets, and says where it may be dialled.
    pub(crate) async fn greet_from(&mut self, addresses: Vec<String>) {
        let hello = Hello {
            versions: vec![1, 200],
            features: vec!["whatever".into()],
            name: "Mallory".into(),
            addresses,
            max_envelope_bytes: 65_536,
            heartbeat_seconds: 600,
        };
        self.send(&Frame::Hello(hello)).await;
    }

    /// Greets, and asks to become a neighbour with the code of a pairing link.
    pub(crate) async fn ask(&mut self, code: InviteCode) {
        self.greet().await;
        self.send(&Frame::Pair { code: Some(code) }).await;
    }

    pub(crate) async fn send(&mut self, frame: &Frame) {
        self.stream.write_all(&frame.encode()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// A batch signed by this neighbour as the senders' home.
    pub(crate) fn batch(
        &self,
        home: Fingerprint,
        envelopes: Vec<(ParticipantId, ParticipantId, MessageId, Vec<u8>)>,
    ) -> Batch {
        self.batch_with_blobs(home, envelopes, &[])
    }

    /// A batch whose envelopes all name the same attachments.
    pub(crate) fn batch_with_blobs(
        &self,
        home: Fingerprint,
        envelopes: Vec<(ParticipantId, ParticipantId, MessageId, Vec<u8>)>,
        blobs: &[BatchBlob],
    ) -> Batch {
        let item = |(from, to, id, bytes): &(_, _, _, Vec<u8>)| BatchItem {
            from: *from,
            to: *to,
            id: *id,
            digest: Sha512Digest::of(bytes),
            group: None,
            slot: None,
            blobs: blobs.to_vec(),
            device: None,
            sender_device: None,
            copy: false,
        };
        let items = envelopes.iter().map(item).collect();
        // What several items have in common travels once.
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for (_, _, _, bytes) in &envelopes {
            if !parts.contains(bytes) {
                parts.push(bytes.clone());
            }
        }
        let header = BatchHeader { origin: self.id(), home, items }.sign(&self.identity);
        Batch {
            hops: MAX_HOPS,
            identity_key: self.identity.public().spki().to_vec(),
            header: serde_json::to_vec(&header).unwrap(),
            parts,
        }
    }
}

/// The next frame of a link that is not about the link itself; `None` when it was ended.
pub(crate) async fn next_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    loop {
        let mut header = [0; HEADER_BYTES];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut header)).await.unwrap();
        read.ok()?;
        let (kind, length) = read_header(header).unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        match Frame::decode(kind, &body).unwrap() {
            Frame::Heartbeat | Frame::Hello(_) | Frame::Standing(_) | Frame::KeyLogHead(_) => {}
            frame => return Some(frame),
        }
    }
}
