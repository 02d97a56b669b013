//! HTTPS to the pinned server: TLS 1.3, HTTP/1.1, one connection at a time, addresses tried a little after each other.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{
    ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST, IF_RANGE, RANGE,
};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use momedo_client::ClientError;
use momedo_client::clocks::Clocks;
use momedo_client::platform::line::{
    ANSWER_TIME, Answer, Asked, Download, Line, Lines, MAX_ANSWER_BYTES, Pieces, ServerAddress, Upload,
    Wanted,
};
use momedo_protocol::api;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::time::UnixMillis;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::pin::{Chain, PinVerifier};

/// How long an address may take to answer.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How long an address is ahead of the next.
const HEAD_START: Duration = Duration::from_secs(1);

/// How often it is looked whether an upload moves.
const LOOK: Duration = Duration::from_millis(200);

const EXPORTER_LABEL: &[u8] = b"EXPORTER-momedo-identity";
const IDENTITY_LABEL: &[u8] = b"momedo identity proof v1";

/// Makes lines over TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsLines;

impl Lines for TlsLines {
    fn line(&self, server: &ServerAddress, language: &str) -> Box<dyn Line> {
        Box::new(TlsLine { server: server.clone(), language: language.to_owned(), open: None, clocks: None })
    }
}

/// A line to one server.
struct TlsLine {
    server: ServerAddress,
    language: String,
    open: Option<Open>,
    clocks: Option<Clocks>,
}

struct Open {
    address: String,
    clocks: Option<Clocks>,
    sender: SendRequest<Sent>,
}

/// What goes out: a whole body, or one that is read as it is sent.
type Sent = UnsyncBoxBody<Bytes, std::io::Error>;

fn whole(body: Bytes) -> Sent {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// A TLS stream to the server, whose identity is proved.
pub(crate) struct Dialled {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) address: String,
    /// What the clocks show, if the certificate's dates do not fit this device's.
    pub(crate) clocks: Option<Clocks>,
}

fn tls_config(server: Fingerprint) -> (ClientConfig, Arc<OnceLock<Chain>>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (verifier, chain) = PinVerifier::new(server, provider.clone());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider knows TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would skip the certificate check that `chain` stands for.
    config.resumption = rustls::client::Resumption::disabled();
    (config, chain)
}

async fn dial_one(address: &str, server: Fingerprint) -> Result<Dialled, ClientError> {
    let unreachable = |reason: String| ClientError::Unreachable { addresses: address.to_owned(), reason };
    let (config, chain) = tls_config(server);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| unreachable("not a host name".into()))?;
    let dialling = async {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    };
    let stream = tokio::time::timeout(CONNECT_TIME, dialling)
        .await
        .map_err(|_| unreachable("no answer in time".into()))?
        .map_err(|error| {
            let is_certificate = error.get_ref().is_some_and(|cause| {
                matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
            });
            if is_certificate {
                ClientError::WrongServer { address: address.to_owned() }
            } else {
                unreachable(error.to_string())
            }
        })?;
    let dialled = Dialled { stream, address: address.to_owned(), clocks: None };
    match chain.get() {
        Some(Chain::Fits) => Ok(dialled),
        chain => prove(dialled, server, chain.copied()).await,
    }
}

/// Asks for a proof where the certificate is from elsewhere or of another time: before it, nothing secret may be sent.
/// The connection goes on with whatever it was dialled for.
async fn prove(dialled: Dialled, server: Fingerprint, chain: Option<Chain>) -> Result<Dialled, ClientError> {
    let Dialled { stream, address, .. } = dialled;
    let unreachable = |reason: String| ClientError::Unreachable { addresses: address.clone(), reason };
    let exporter = stream
        .get_ref()
        .1
        .export_keying_material([0; 32], EXPORTER_LABEL, Some(&[]))
        .map_err(|error| unreachable(error.to_string()))?;
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(error.to_string()))?;
    let request = Request::get("/api/v1/identity").header(HOST, &address).body(whole(Bytes::new()));
    let request = request.map_err(|error| ClientError::Protocol(error.to_string()))?;
    let asking = async {
        // It ends with the sender, and the connection with it.
        let mut open = Open { address: address.clone(), clocks: None, sender };
        open.exchange(request, ANSWER_TIME).await
    };
    let (answer, connection) = tokio::join!(asking, connection.without_shutdown());
    let answer = answer?;
    let proved = Some(&answer.body).filter(|_| answer.status == StatusCode::OK);
    let Some(server_now) = proved.and_then(|body| check_proof(server, &exporter, body)) else {
        return Err(ClientError::WrongServer { address });
    };
    let clocks = chain.and_then(|chain| match chain {
        Chain::Fits => None,
        Chain::AtAnotherTime { from, until } => {
            let device = momedo_client::now();
            Some(Clocks { device, server: server_now, valid_from: from, valid_until: until })
        }
    });
    let parts = connection.map_err(|error| unreachable(error.to_string()))?;
    if !parts.read_buf.is_empty() {
        return Err(ClientError::Protocol("more than one answer to one request".into()));
    }
    Ok(Dialled { stream: parts.io.into_inner(), address, clocks })
}

/// Dials the server's addresses until one answers and proves that it is the server: each a little after the one before
/// it, or at once when that has failed (as RFC 8305 has it), so that an address nobody answers at costs a moment.
pub(crate) async fn dial(server: &ServerAddress) -> Result<Dialled, ClientError> {
    let nowhere = ClientError::Unreachable { addresses: String::new(), reason: "no address is known".into() };
    let mut failed: Option<(usize, ClientError)> = None;
    let mut left = server.addresses.iter().enumerate();
    let mut dialling = FuturesUnordered::new();
    loop {
        if let Some((place, address)) = left.next() {
            dialling.push(async move { (place, dial_one(address, server.fingerprint).await) });
        }
        let has_more = left.len() > 0;
        tokio::select! {
            dialled = dialling.next() => match dialled {
                Some((_, Ok(dialled))) => return Ok(dialled),
                // Of all that failed the last address says why.
                Some((place, Err(error))) => {
                    if failed.as_ref().is_none_or(|(last, _)| *last < place) {
                        failed = Some((place, error));
                    }
                }
                None => return Err(failed.map_or(nowhere, |(_, error)| error)),
            },
            () = tokio::time::sleep(HEAD_START), if has_more => {}
        }
    }
}

/// Checks a proof over a connection's exporter; what the server's clock shows if it is right.
fn check_proof(server: Fingerprint, exporter: &[u8; 32], body: &[u8]) -> Option<UnixMillis> {
    let proof = serde_json::from_slice::<api::IdentityProof>(body).ok()?;
    let key = RsaPublicKey::from_spki(&proof.identity_key.0).ok()?;
    let fits = key.fingerprint() == server
        && key.verify(&[IDENTITY_LABEL, exporter].concat(), &proof.signature.0).is_ok();
    fits.then_some(proof.now)
}

impl Open {
    async fn new(server: &ServerAddress) -> Result<Self, ClientError> {
        // Apart, for it is large and would be part of every request, and of whatever a request is part of.
        let Dialled { stream, address, clocks } = Box::pin(dial(server)).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| {
            ClientError::Unreachable { addresses: address.clone(), reason: error.to_string() }
        })?;
        // It ends when the sender is dropped; why is the next request's error.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { address, clocks, sender })
    }

    async fn exchange(&mut self, request: Request<Sent>, time: Duration) -> Result<Answer, ClientError> {
        let unreachable =
            |reason: String| ClientError::Unreachable { addresses: self.address.clone(), reason };
        let exchange = async {
            self.sender.ready().await.map_err(|error| error.to_string())?;
            let answer = self.sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
            Ok(Answer { status, body: body.map_err(|error| error.to_string())?.to_bytes() })
        };
        match tokio::time::timeout(time, exchange).await {
            Ok(answer) => answer.map_err(unreachable),
            Err(_) => Err(unreachable("no answer in time".into())),
        }
    }
}

/// The line ended before everything had come.
fn cut() -> ClientError {
    ClientError::cut()
}

/// What comes piece by piece, with the connection it comes over.
struct Body {
    _open: Open,
    body: Incoming,
}

impl Pieces for Body {
    fn next(&mut self, stall: Duration) -> BoxFuture<'_, Result<Option<Bytes>, ClientError>> {
        Box::pin(async move {
            loop {
                let frame = tokio::time::timeout(stall, self.body.frame()).await.map_err(|_| cut())?;
                match frame {
                    None => return Ok(None),
                    Some(Err(_)) => return Err(cut()),
                    Some(Ok(frame)) => {
                        if let Ok(bytes) = frame.into_data() {
                            return Ok(Some(bytes));
                        }
                    }
                }
            }
        })
    }
}

impl TlsLine {
    /// A connection that is open, or a new one. A line that broke while it was idle shows with the request; whoever
    /// streams tries again anyway.
    async fn ready(&mut self) -> Result<Open, ClientError> {
        match self.open.take() {
            Some(open) if !open.sender.is_closed() => Ok(open),
            _ => Open::new(&self.server).await,
        }
    }

    fn request(
        &self,
        open: &Open,
        method: Method,
        path: &str,
        token: Option<&str>,
    ) -> hyper::http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(HOST, &open.address)
            .header(ACCEPT_LANGUAGE, &self.language);
        match token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    async fn ask_anew(&mut self, asked: &Asked<'_>) -> Result<Answer, ClientError> {
        let mut open = Open::new(&self.server).await?;
        self.clocks = open.clocks;
        let answer = self.exchange(&mut open, asked).await?;
        self.open = Some(open);
        Ok(answer)
    }

    async fn exchange(&self, open: &mut Open, asked: &Asked<'_>) -> Result<Answer, ClientError> {
        let mut request = self.request(open, asked.method.clone(), asked.path, asked.token);
        if let Some(kind) = asked.payload.media_type() {
            request = request.header(CONTENT_TYPE, kind);
        }
        let request = request
            .body(whole(Bytes::copy_from_slice(asked.payload.bytes())))
            .map_err(|error| ClientError::Protocol(error.to_string()))?;
        open.exchange(request, ANSWER_TIME + asked.wait).await
    }
}

impl Line for TlsLine {
    fn ask<'a>(&'a mut self, asked: Asked<'a>) -> BoxFuture<'a, Result<Answer, ClientError>> {
        Box::pin(async move {
            match self.open.take() {
                Some(mut open) if !open.sender.is_closed() => match self.exchange(&mut open, &asked).await {
                    Ok(answer) => {
                        self.open = Some(open);
                        Ok(answer)
                    }
                    // A line that broke while it was idle; every call but a proof may be made twice.
                    Err(ClientError::Unreachable { .. }) if !asked.path.ends_with("/proof") => {
                        self.ask_anew(&asked).await
                    }
                    Err(error) => Err(error),
                },
                _ => self.ask_anew(&asked).await,
            }
        })
    }

    fn upload<'a>(&'a mut self, upload: Upload<'a>) -> BoxFuture<'a, Result<Answer, ClientError>> {
        let Upload { path, token, bytes, length, stall, moved, tell } = upload;
        Box::pin(async move {
            let mut open = self.ready().await?;
            let body = StreamBody::new(bytes.map(|bytes| bytes.map(Frame::data))).boxed_unsync();
            let request = self
                .request(&open, Method::PATCH, path, Some(token))
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, length)
                .body(body)
                .map_err(|error| ClientError::Protocol(error.to_string()))?;
            let watch = async {
                let (mut place, mut since) = (moved.load(Ordering::Relaxed), Instant::now());
                while since.elapsed() < stall {
                    tokio::time::sleep(LOOK.min(stall)).await;
                    let now = moved.load(Ordering::Relaxed);
                    if now != place {
                        (place, since) = (now, Instant::now());
                        tell(now);
                    }
                }
            };
            // The server's answer comes after the last byte, so there is no end to wait for but standing still.
            let answer = tokio::select! {
                answer = open.exchange(request, Duration::MAX) => answer?,
                () = watch => return Err(cut()),
            };
            self.open = Some(open);
            Ok(answer)
        })
    }

    fn download<'a>(&'a mut self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Download, ClientError>> {
        let Wanted { path, token, from, tag, stall } = wanted;
        Box::pin(async move {
            let mut open = self.ready().await?;
            let mut request = self.request(&open, Method::GET, path, Some(token));
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
                if let Some(tag) = tag {
                    request = request.header(IF_RANGE, tag);
                }
            }
            let request = request.body(whole(Bytes::new()));
            let request = request.map_err(|error| ClientError::Protocol(error.to_string()))?;
            let unreachable =
                |reason: String| ClientError::Unreachable { addresses: open.address.clone(), reason };
            let asking = async {
                open.sender.ready().await?;
                open.sender.send_request(request).await
            };
            let answer = tokio::time::timeout(stall, asking).await;
            let answer = answer
                .map_err(|_| unreachable("no answer in time".into()))?
                .map_err(|error| unreachable(error.to_string()))?;
            let (status, tag) = (answer.status(), answer.headers().get(ETAG).cloned());
            let body = answer.into_body();
            let tag = tag.and_then(|tag| tag.to_str().ok().map(str::to_owned));
            if status.is_success() {
                return Ok(Download { status, tag, pieces: Box::new(Body { _open: open, body }) });
            }
            // A refusal is short, and the line goes on.
            let body = tokio::time::timeout(stall, Limited::new(body, MAX_ANSWER_BYTES).collect()).await;
            let body = body.map_err(|_| cut())?.map_err(|_| cut())?.to_bytes();
            self.open = Some(open);
            Ok(Download { status, tag, pieces: Box::new(Refusal(Some(body))) })
        })
    }

    fn address(&self) -> Option<&str> {
        self.open.as_ref().map(|open| open.address.as_str())
    }

    fn clocks(&self) -> Option<Clocks> {
        self.clocks
    }
}

/// A refusal that was read whole.
struct Refusal(Option<Bytes>);

impl Pieces for Refusal {
    fn next(&mut self, _: Duration) -> BoxFuture<'_, Result<Option<Bytes>, ClientError>> {
        Box::pin(async move { Ok(self.0.take()) })
    }
}
