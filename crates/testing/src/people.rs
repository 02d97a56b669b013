//! People who join with keys of the caller's choosing.

use std::path::Path;

use momedo_client::ClientError;
use momedo_client::connection::Connection;
use momedo_client::profile::Profile;
use momedo_client::progress::Progress;
use momedo_client::registration::{self, Joined, Joining};
use momedo_client::session::Session;
use momedo_client_native::keys::made;
use momedo_client_native::profiles::Place;
use momedo_protocol::id::DeviceId;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::rsa_private_key::RsaPrivateKey;

use crate::keys::ParticipantKeys;

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
    let offered = registration::offer(&mut connection, &reservation, name, "test", &keys.client()).await?;
    let bundle = offered.bundle.clone();
    let session = registration::prove(&mut connection, &reservation, offered).await?;
    Ok((Session::with_token(connection, session), bundle))
}

/// Registers with keys of the caller's choosing and makes the profile in `path`.
///
/// # Errors
/// As [`registration::register_with`].
pub async fn register_with(
    path: &Path,
    joining: &Joining<'_>,
    keys: impl FnOnce() -> ParticipantKeys,
    progress: Progress<'_>,
) -> Result<(Profile, Joined), ClientError> {
    let place = Place::new(path, None);
    registration::register_with(&place, joining, async { Ok(keys().client()) }, progress).await
}

/// Logs a device in with a key that is at hand.
///
/// # Errors
/// As [`Session::log_in`].
pub async fn log_in(
    connection: Connection,
    device: DeviceId,
    login_key: &RsaPrivateKey,
) -> Result<Session, ClientError> {
    let key = RsaPrivateKey::from_pkcs8(login_key.pkcs8()).expect("the bytes of a key are a key");
    Session::log_in(connection, device, &made(key).key).await
}

/// Adds a device, whose profile is made in `path`.
///
/// # Errors
/// As [`momedo_client::devices::add`].
pub async fn add_device(
    profile: &Profile,
    path: &Path,
    name: &str,
) -> Result<(Profile, DeviceId), ClientError> {
    momedo_client::devices::add(profile, &Place::new(path, None), name, "en", &|_| {}).await
}
