//! The WebSocket's handshake, and how one ends (RFC 6455, 4.2 and 7).
//!
//! The library cuts frames, puts fragments together and answers pings; what it leaves to whoever uses it is to let
//! its answer to a close out, to say why a connection fails, and to end the connection so that both arrive.

use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::HttpState;
use super::error::{ApiError, ApiResult};
use crate::service::ServiceError;

/// A WebSocket.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Bytes of a client's key before Base64.
const KEY_BYTES: usize = 16;

/// How long the other end may take to close, too.
const GOODBYE: Duration = Duration::from_secs(2);

/// A request that asks for a WebSocket rightly; anything else is refused as problem details.
pub(crate) struct Upgrade {
    on_upgrade: OnUpgrade,
    accept: HeaderValue,
    protocols: HeaderMap,
}

impl FromRequestParts<HttpState> for Upgrade {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &HttpState) -> ApiResult<Self> {
        let refused =
            |why: &str| Err(ServiceError::Malformed(format!("no WebSocket handshake: {why}")).into());
        let headers = &parts.headers;
        if parts.method != Method::GET {
            return refused("it is a GET");
        }
        if !lists(headers, header::CONNECTION, "upgrade") || !lists(headers, header::UPGRADE, "websocket") {
            return refused("Connection says Upgrade, and Upgrade says websocket");
        }
        if only(headers, header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return refused("the version is 13");
        }
        let key = only(headers, header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
        let Some(key) = key.filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == KEY_BYTES)) else {
            return refused("the key is 16 bytes in Base64");
        };
        let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key)) else { return refused("the key") };
        let protocols = headers.clone();
        let Some(on_upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            return refused("this connection can be nothing else");
        };
        Ok(Self { on_upgrade, accept, protocols })
    }
}

/// The only header of this name; `None` also where there are several.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether a word is in a list of words, without regard to case.
fn lists(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(word))
}

impl Upgrade {
    /// Answers that the connection is a WebSocket now, of this subprotocol where the client offers it, and hands it
    /// over as soon as it is.
    pub(crate) fn accept<F>(
        self,
        protocol: &'static str,
        config: WebSocketConfig,
        serve: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let on_upgrade = self.on_upgrade;
        tokio::spawn(async move {
            match on_upgrade.await {
                Ok(upgraded) => {
                    let stream = TokioIo::new(upgraded);
                    serve(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await).await;
                }
                Err(error) => tracing::debug!(%error, "a connection ended before it became a WebSocket"),
            }
        });
        let mut response = (StatusCode::SWITCHING_PROTOCOLS, Body::empty()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept);
        if lists(&self.protocols, header::SEC_WEBSOCKET_PROTOCOL, protocol) {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        response
    }
}

/// A goodbye for a reason.
pub(crate) fn goodbye(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame { code, reason: Utf8Bytes::from_static(reason) }
}

/// What the other end is told about what it did wrong; `None` where it did nothing, or is gone.
pub(crate) fn complaint(error: &Error) -> Option<CloseFrame> {
    match error {
        Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake
            | ProtocolError::ReceivedAfterClosing
            | ProtocolError::SendAfterClosing,
        ) => None,
        Error::Protocol(_) | Error::AttackAttempt => {
            Some(goodbye(CloseCode::Protocol, "not as RFC 6455 says"))
        }
        Error::Utf8(_) => Some(goodbye(CloseCode::Invalid, "not UTF-8")),
        Error::Capacity(_) => Some(goodbye(CloseCode::Size, "a message is too large")),
        _ => None,
    }
}

/// Ends a WebSocket: says goodbye, or lets out the answer to the other end's; then waits a moment until the other end
/// has closed, too, because whatever it wrote meanwhile would reset the line and take the goodbye with it.
pub(crate) async fn end(mut socket: Socket, goodbye: Option<CloseFrame>) {
    let ending = async {
        let said = match goodbye {
            Some(frame) => socket.send(Message::Close(Some(frame))).await,
            None => socket.flush().await,
        };
        if said.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
        let line = socket.get_mut();
        line.shutdown().await?;
        let mut unread = [0; 4096];
        while line.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Whoever is gone, or closes nothing, has had its time.
    let _: Result<_, _> = tokio::time::timeout(GOODBYE, ending).await;
}
