//! HTTPS to the authority: the machine's own trusted certificates, bounded in time and size.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::AcmeError;
use crate::surroundings::dialling::Dialling;

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);

/// Largest answer, in bytes: a chain has some thousand.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// How long the authority asked to wait, if it did.
pub(super) type AskedToWait = Arc<Mutex<Option<Duration>>>;

/// Sends the requests of one order, each over a connection of its own: there are about a dozen.
pub(super) struct Transport {
    tls: Arc<ClientConfig>,
    asked: AskedToWait,
    dialled: Arc<Dialled>,
}

/// Where an authority is reached.
pub(super) struct Dialled {
    /// `host:port` of the directory, as an admin typed it.
    pub(super) typed: String,
    /// What else is dialled that the authority names.
    pub(super) allowed: Dialling,
}

impl Dialled {
    async fn connect(&self, address: &str) -> std::io::Result<TcpStream> {
        if address == self.typed {
            self.allowed.connect_typed(address).await
        } else {
            self.allowed.connect(address).await
        }
    }
}

impl Transport {
    /// Reads the certificates this machine trusts; blocks on file I/O.
    pub(super) fn new(asked: AskedToWait, dialled: Dialled) -> Result<Self, AcmeError> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let reason = found.errors.first().map(ToString::to_string).unwrap_or_default();
            return Err(AcmeError::NoRoots(reason));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), asked, dialled: Arc::new(dialled) })
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let (tls, asked, dialled) = (self.tls.clone(), self.asked.clone(), self.dialled.clone());
        Box::pin(async move {
            let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
            let exchanged = tokio::time::timeout(REQUEST, exchange(tls, asked, &dialled, request)).await;
            exchanged
                .unwrap_or_else(|_| Err("no answer in time".into()))
                .map_err(|error| instant_acme::Error::Other(format!("{host}: {error}").into()))
        })
    }
}

async fn exchange(
    tls: Arc<ClientConfig>,
    asked: AskedToWait,
    dialled: &Dialled,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<BytesResponse, Failure> {
    let uri = request.uri().clone();
    let (host, authority) = match (uri.scheme_str(), uri.host(), uri.authority()) {
        (Some("https"), Some(host), Some(authority)) => (host, authority),
        _ => return Err("only https is spoken to an authority".into()),
    };
    let bare = host.trim_matches(['[', ']']);
    let tcp = dialled.connect(&format!("{host}:{}", uri.port_u16().unwrap_or(443))).await?;
    let name = ServerName::try_from(bare.to_owned())?;
    let stream = TlsConnector::from(tls).connect(name, tcp).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; why is the request's error.
    tokio::spawn(async move { drop(connection.await) });
    request.headers_mut().insert(HOST, authority.as_str().parse()?);
    *request.uri_mut() = uri.path_and_query().map_or("/", |path| path.as_str()).parse::<Uri>()?;
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(seconds) = header(RETRY_AFTER).and_then(|value| value.trim().parse().ok())
        && !parts.status.is_success()
    {
        *asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Duration::from_secs(seconds));
    }
    // Something in between answers in HTML; the authority's own words are problem details.
    let is_json = header(CONTENT_TYPE).is_some_and(|kind| kind.contains("json"));
    if !parts.status.is_success() && !is_json {
        return Err(format!("answers {}", parts.status).into());
    }
    Ok(BytesResponse { parts, body: Box::new(body) })
}
