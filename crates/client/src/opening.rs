//! Opening what was sealed: one by one, or a whole page side by side.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use momedo_protocol::api::Delivery;
use momedo_protocol::envelope;
use momedo_protocol::group::envelope::is_group_envelope;
use momedo_protocol::suite::Suite;
use zeroize::Zeroizing;

use crate::ClientError;
use crate::profile::Profile;

/// The signed bytes of an opened envelope, and its suite.
pub(crate) type Opened = (Zeroizing<Vec<u8>>, u8);

/// Opens a direct message; `None` when no key here opens it.
///
/// # Errors
/// [`ClientError::Profile`] or [`ClientError::Protocol`] when the keys cannot be read.
pub(crate) async fn open(profile: &Profile, delivery: &Delivery) -> Result<Option<Opened>, ClientError> {
    let bytes = &delivery.envelope.0;
    let Ok(outside) = envelope::decode(bytes) else { return Ok(None) };
    let Some(keys) = profile.private_keys(&outside.header.recipient_digest).await? else { return Ok(None) };
    let suite = outside.header.suite;
    if suite == Suite::Small || keys.mceliece.is_some() {
        return Ok(keys.open(bytes).await.map(|inner| (inner, suite.number())));
    }
    // Carried by another own device: the McEliece key is one that both have; the commitment says which.
    for mceliece in profile.mceliece_private_keys()? {
        if let Some(inner) = keys.open_with(bytes, Some(&mceliece)).await {
            return Ok(Some((inner, suite.number())));
        }
    }
    Ok(None)
}

/// Opens the direct messages among `deliveries` side by side, each at its place; what is `None` is opened by itself
/// when its turn comes, since keys may come with the messages before it.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_side_by_side(
    profile: &Profile,
    deliveries: &[Delivery],
) -> Result<Vec<Option<Opened>>, ClientError> {
    let mut jobs: Vec<BoxFuture<'static, ()>> = Vec::new();
    let opened: Arc<Mutex<Vec<Option<Opened>>>> =
        Arc::new(Mutex::new(deliveries.iter().map(|_| None).collect()));
    for (index, delivery) in deliveries.iter().enumerate() {
        let bytes = &delivery.envelope.0[..];
        if is_group_envelope(bytes) {
            continue;
        }
        let Ok(outside) = envelope::decode(bytes) else { continue };
        let suite = outside.header.suite;
        if let Some(keys) = profile.private_keys(&outside.header.recipient_digest).await?
            && (suite == Suite::Small || keys.mceliece.is_some())
        {
            let (bytes, opened) = (bytes.to_vec(), opened.clone());
            let job = async move {
                let inner = keys.open(&bytes).await.map(|inner| (inner, suite.number()));
                opened.lock().unwrap_or_else(PoisonError::into_inner)[index] = inner;
            };
            jobs.push(job.boxed());
        }
    }
    // Alone it is opened as well when its turn comes.
    if jobs.len() > 1 {
        profile.platform.work.side_by_side(jobs).await;
    }
    Ok(std::mem::take(&mut *opened.lock().unwrap_or_else(PoisonError::into_inner)))
}
