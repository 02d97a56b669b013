//! What the server holds about the participant: fetched, or erased.

use std::io::Write;

use crate::ClientError;
use crate::profile::Profile;
use crate::session::Session;

/// Writes everything the server holds about the participant to `out`, a ZIP file; returns its size.
///
/// # Errors
/// As [`ClientError`] says; what was written by then is of no use.
pub async fn export(session: &mut Session, out: &mut (dyn Write + Send)) -> Result<u64, ClientError> {
    session.export(out).await
}

/// Has the participant erased at the server: everything but the ID, which nobody gets again. The profile stays
/// as it is, and is of no more use there.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn erase(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    session.erase(&profile.login_key().await?).await
}
