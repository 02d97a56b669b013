//! Connecting to a neighbour directly or through a proxy, which sees addresses and sizes and no more: the link's own TLS
//! goes through it from end to end.

use std::io::{Error, ErrorKind};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_socks::tcp::Socks5Stream;
use zeroize::Zeroizing;

use crate::domain::proxy::{Proxy, ProxyKind};
use crate::surroundings::dialling::Dialling;

/// Connects to `host:port`, where that is `allowed`; through a proxy the proxy looks the host up, and has to know itself
/// what may be reached from where it is.
///
/// # Errors
/// What the operating system says, or what is wrong with the proxy, by its address.
pub(super) async fn connect(
    allowed: &Dialling,
    proxy: Option<&Proxy>,
    address: &str,
) -> Result<TcpStream, Error> {
    let Some(proxy) = proxy else { return allowed.connect(address).await };
    allowed.check(address).map_err(|reason| Error::new(ErrorKind::InvalidInput, reason))?;
    let named = |reason: String| Error::new(ErrorKind::NotConnected, format!("the proxy {proxy} {reason}"));
    let tcp = TcpStream::connect(&proxy.address).await;
    let tcp = tcp.map_err(|error| named(format!("cannot be reached: {error}")))?;
    let connected = match proxy.kind {
        ProxyKind::Socks5 => through_socks5(tcp, proxy, address).await,
        ProxyKind::Http => through_http(tcp, proxy, address).await,
    };
    connected.map_err(named)
}

async fn through_socks5(tcp: TcpStream, proxy: &Proxy, address: &str) -> Result<TcpStream, String> {
    let (host, port) = address.rsplit_once(':').ok_or("is not needed: the address has no port")?;
    let port: u16 = port.parse().map_err(|_| "is not needed: the address has no port")?;
    let target = (host.trim_matches(['[', ']']), port);
    let connected = match &proxy.credentials {
        None => Socks5Stream::connect_with_socket(tcp, target).await,
        Some(own) => {
            Socks5Stream::connect_with_password_and_socket(tcp, target, &own.user, &own.password).await
        }
    };
    connected.map(Socks5Stream::into_inner).map_err(|error| format!("does not connect: {error}"))
}

async fn through_http(tcp: TcpStream, proxy: &Proxy, address: &str) -> Result<TcpStream, String> {
    let broken = |error: hyper::Error| format!("does not connect: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.map_err(broken)?;
    // Ends with this function, however that ends.
    let mut tasks = JoinSet::new();
    tasks.spawn(connection.with_upgrades());
    let mut request = Request::builder().method(Method::CONNECT).uri(address).header(HOST, address);
    if let Some(own) = &proxy.credentials {
        let both = Zeroizing::new(format!("{}:{}", own.user, *own.password));
        let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(both.as_bytes())));
        let mut value = HeaderValue::from_str(&basic).map_err(|_| "takes no such password")?;
        value.set_sensitive(true);
        request = request.header(PROXY_AUTHORIZATION, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|_| "takes no such address")?;
    let response = sender.send_request(request).await.map_err(broken)?;
    if !response.status().is_success() {
        return Err(format!("refuses: {}", response.status()));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(broken)?;
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| "does not connect")?;
    // The neighbour says nothing before it was greeted.
    if parts.read_buf.is_empty() {
        Ok(parts.io.into_inner())
    } else {
        Err("says more than it was asked".into())
    }
}
