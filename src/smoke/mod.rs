//! The Smoke gateway: connections of the Smoke app, of SmokeStack and of Spot-On-Lite.
//!
//! It reads and writes frames, finds out what they are, and asks `service::smoke` for everything that is kept.
//! What may not enter: SQL, and decisions an admin might want to change. Nobody is disconnected for what they
//! send; it is ignored, and floods slow themselves down.

mod connection;
mod incoming;
mod neighbours;
mod requests;
mod writer;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::live::shutdown::Shutdown;
use crate::state::AppState;
use connection::{Connection, Peer};

pub use neighbours::keep_connections;

/// Whom a listener lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Whoever proves to hold registered keys.
    Private,
}

/// Serves a client until it goes, or `stop` is raised.
///
/// # Errors
/// What the stream says.
pub async fn serve_client<S>(app: &AppState, stream: S, access: Access, stop: Shutdown) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send,
{
    Connection::new(app, Peer::Client, access).serve(stream, stop).await
}
