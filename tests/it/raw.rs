//! Calls that no well-behaved client makes.

use std::io::Write;
use std::time::Duration;

use momedo_client::ClientError;
use momedo_client::connection::{Connection, Payload};
use momedo_protocol::api;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::id::ParticipantId;

use crate::door::{Tls, tls};
use crate::harness::Server;

/// Opens a stream by hand, as a client does that speaks no WebSocket afterwards.
pub(crate) fn mute_stream(server: &Server, token: &str) -> Tls {
    let mut stream = tls(server);
    write!(
        stream,
        "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: momedo.v1\r\n\r\n"
    )
    .unwrap();
    stream.flush().unwrap();
    stream
}

/// A connection for requests with any token and any body.
pub(crate) struct Raw {
    pub(crate) connection: Connection,
}

impl Raw {
    pub(crate) fn new(server: &Server) -> Self {
        Self { connection: server.connect() }
    }

    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        payload: Payload,
    ) -> Result<serde_json::Value, ClientError> {
        let method = method.parse().unwrap();
        let answer = self.connection.request(method, path, token, payload, Duration::ZERO).await?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    pub(crate) async fn put_mceliece(
        &mut self,
        token: &str,
        digest: &Sha512Digest,
        key: &[u8],
    ) -> Result<(), ClientError> {
        let path = format!("/keys/mceliece/{digest}");
        self.call("PUT", &path, Some(token), Payload::Binary(key.to_vec())).await.map(drop)
    }

    pub(crate) async fn publish(
        &mut self,
        token: &str,
        id: ParticipantId,
        request: &api::PublishRequest,
    ) -> Result<api::PublishChallenge, ClientError> {
        let body = Payload::Json(serde_json::to_vec(request).unwrap());
        let answer = self.call("PUT", &format!("/keys/{id}"), Some(token), body).await?;
        Ok(serde_json::from_value(answer).unwrap())
    }
}
