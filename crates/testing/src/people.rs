//! People who join with keys of the caller's choosing.

use momedo_client::ClientError;
use momedo_client::connection::Connection;
use momedo_client::registration::{self, ParticipantKeys};
use momedo_client::session::Session;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::key_bundle::KeyBundle;

/// Registers somebody over this connection; without a name under that of the invite.
///
/// # Errors
/// Those of the server and of the line.
pub async fn join(
    mut connection: Connection,
    code: InviteCode,
    name: Option<&str>,
    keys: &ParticipantKeys,
) -> Result<(Session, KeyBundle), ClientError> {
    let reservation = registration::reserve(&mut connection, code).await?;
    let offered = registration::offer(&mut connection, &reservation, name, "test", keys).await?;
    let bundle = offered.bundle.clone();
    let session = registration::prove(&mut connection, &reservation, offered).await?;
    Ok((Session::with_token(connection, session), bundle))
}
