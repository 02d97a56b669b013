//! Keys that another own device made and published.

use momedo_protocol::key_bundle::KeyBundle;

use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, contacts, held};

/// Puts keys into force that another own device made and has published meanwhile. Every command that signs
/// or verifies for the participant begins with it.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn adopt_published_keys(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    // The second home may not have heard of them yet.
    if session.is_second || !profile.has_carried_keys()? {
        return Ok(());
    }
    let own = profile.own_bundle()?;
    let published = session.keys(session.id, own.payload.version).await?;
    let bundle = KeyBundle::verify(&published.bundle).map_err(ClientError::protocol)?;
    let Some(key) = profile.carried_signature_key(&bundle.digest)? else { return Ok(()) };
    if bundle.payload.id != session.id || bundle.payload.version <= own.payload.version {
        return Ok(());
    }
    profile.atomically(|| {
        held::note_changes(profile, &published.changes)?;
        profile.store_signature_key(&key)?;
        profile.set_own_bundle(&bundle, &published.bundle)?;
        // Whoever made the keys may not know what the key backup is renewed with.
        held::mark_due(profile)?;
        profile.forget_carried_keys()
    })?;
    // Every own device has all of the newest keys, so that each can give them back to a server that loses them; what does
    // not come now comes when something is sealed.
    drop(Box::pin(contacts::mceliece_key(profile, session, &bundle, &|_| {})).await);
    Ok(())
}
