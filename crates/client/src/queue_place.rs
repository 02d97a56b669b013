//! The place in a home's queue up to which this device has everything.

use momedo_protocol::digest::Fingerprint;

use crate::ClientError;
use crate::profile::Profile;
use crate::session::Session;

/// Setting with the server the participant registered at.
pub(crate) const REGISTERED_AT: &str = "registered-at";

/// The setting with the place in the queue of the home that a session is with.
pub(crate) fn cursor_name(profile: &Profile, session: &mut Session) -> Result<String, ClientError> {
    let server = session.connection().server().fingerprint;
    let registered_at: Option<Fingerprint> = profile.get(REGISTERED_AT)?;
    let is_first = registered_at.unwrap_or(profile.server()?.fingerprint) == server;
    Ok(if is_first { "cursor".into() } else { format!("cursor:{server}") })
}
