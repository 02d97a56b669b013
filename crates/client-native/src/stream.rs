//! The WebSocket `momedo.v1`, for programs that stay connected.

use futures_util::{SinkExt, StreamExt};
use momedo_client::ClientError;
use momedo_client::connection::ServerAddress;
use momedo_protocol::cursor::Cursor;
use momedo_protocol::stream::{ClientFrame, SUBPROTOCOL, ServerFrame};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::line::dial;

/// An open stream.
pub struct Stream(WebSocketStream<TlsStream<TcpStream>>);

fn broken(error: impl ToString) -> ClientError {
    ClientError::Unreachable { addresses: "the stream".into(), reason: error.to_string() }
}

impl Stream {
    /// Opens a stream with a session's token; deliveries start after `after`, at most `window` of them
    /// unacknowledged.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn open(
        server: &ServerAddress,
        token: &str,
        after: Option<Cursor>,
        window: usize,
    ) -> Result<Self, ClientError> {
        let dialled = dial(server).await?;
        let after = after.map(|cursor| format!("&after={cursor}")).unwrap_or_default();
        let uri = format!("wss://{}/api/v1/stream?window={window}{after}", dialled.address);
        let mut request = uri.into_client_request().map_err(broken)?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().map_err(broken)?);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL.parse().map_err(broken)?);
        let config = WebSocketConfig::default().read_buffer_size(8 * 1024).write_buffer_size(16 * 1024);
        let (stream, _) = tokio_tungstenite::client_async_with_config(request, dialled.stream, Some(config))
            .await
            .map_err(broken)?;
        Ok(Self(stream))
    }

    /// Queues a frame; [`Stream::flush`] sends what is queued.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the line broke.
    pub async fn feed(&mut self, frame: &ClientFrame) -> Result<(), ClientError> {
        let text = serde_json::to_string(frame).map_err(|error| ClientError::Protocol(error.to_string()))?;
        self.feed_text(text).await
    }

    /// Queues a frame that is JSON already.
    ///
    /// # Errors
    /// As [`Stream::feed`].
    pub async fn feed_text(&mut self, text: String) -> Result<(), ClientError> {
        self.0.feed(Message::text(text)).await.map_err(broken)
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// As [`Stream::feed`].
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        self.0.flush().await.map_err(broken)
    }

    /// The next frame; `None` when the server closed the stream.
    ///
    /// # Errors
    /// As [`Stream::feed`], or [`ClientError::Protocol`].
    pub async fn next(&mut self) -> Result<Option<ServerFrame>, ClientError> {
        Ok(match self.next_text().await? {
            Some(text) => {
                Some(serde_json::from_str(&text).map_err(|error| ClientError::Protocol(error.to_string()))?)
            }
            None => None,
        })
    }

    /// The next frame as JSON text; `None` when the server closed the stream.
    ///
    /// # Errors
    /// As [`Stream::feed`].
    pub async fn next_text(&mut self) -> Result<Option<Utf8Bytes>, ClientError> {
        loop {
            match self.0.next().await {
                None => return Ok(None),
                Some(Ok(Message::Close(_))) => {
                    // The answer goes out, so that the server need not wait for it; a line that broke needs none.
                    let _: Result<_, _> = self.0.flush().await;
                    return Ok(None);
                }
                Some(Ok(Message::Text(text))) => return Ok(Some(text)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(broken(error)),
            }
        }
    }
}
