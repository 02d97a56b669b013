//! Opening what was sealed: one by one, or a whole page on all processors side by side.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use momedo_protocol::api::Delivery;
use momedo_protocol::envelope;
use momedo_protocol::group::envelope::is_group_envelope;
use momedo_protocol::seal::{self, PrivateKeys};
use momedo_protocol::suite::Suite;
use zeroize::Zeroizing;

use crate::ClientError;
use crate::profile::Profile;

/// Most threads that open at once; a school's computer has work of its own.
const MAX_THREADS: usize = 8;

/// The signed bytes of an opened envelope, and its suite.
pub(super) type Opened = (Zeroizing<Vec<u8>>, u8);

/// Opens a direct message; `None` when no key here opens it.
///
/// # Errors
/// [`ClientError::Profile`] or [`ClientError::Protocol`] when the keys cannot be read.
pub(super) fn open(profile: &Profile, delivery: &Delivery) -> Result<Option<Opened>, ClientError> {
    let bytes = &delivery.envelope.0;
    let Ok(outside) = envelope::decode(bytes) else { return Ok(None) };
    let Some(keys) = profile.private_keys(&outside.header.recipient_digest)? else { return Ok(None) };
    let suite = outside.header.suite;
    if suite == Suite::Small || keys.mceliece.is_some() {
        return Ok(seal::open(bytes, &keys).ok().map(|inner| (inner, suite.number())));
    }
    // Carried by another own device: the McEliece key is one that both have; the commitment says which.
    for mceliece in profile.mceliece_private_keys()? {
        if let Ok(inner) = seal::open_with_mceliece(bytes, &keys, &mceliece) {
            return Ok(Some((inner, suite.number())));
        }
    }
    Ok(None)
}

/// What is opened with keys that are known to fit.
struct Job<'a> {
    index: usize,
    bytes: &'a [u8],
    keys: Arc<PrivateKeys>,
    suite: Suite,
}

/// Opens the direct messages among `deliveries` side by side, each at its place; what is `None` is opened by itself
/// when its turn comes, since keys may come with the messages before it.
///
/// # Errors
/// As [`open`].
pub(super) fn open_side_by_side(
    profile: &Profile,
    deliveries: &[Delivery],
) -> Result<Vec<Option<Opened>>, ClientError> {
    let mut jobs = Vec::new();
    for (index, delivery) in deliveries.iter().enumerate() {
        let bytes = &delivery.envelope.0[..];
        if is_group_envelope(bytes) {
            continue;
        }
        let Ok(outside) = envelope::decode(bytes) else { continue };
        let suite = outside.header.suite;
        if let Some(keys) = profile.private_keys(&outside.header.recipient_digest)?
            && (suite == Suite::Small || keys.mceliece.is_some())
        {
            jobs.push(Job { index, bytes, keys, suite });
        }
    }
    let mut opened: Vec<Option<Opened>> = deliveries.iter().map(|_| None).collect();
    let threads =
        std::thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS).min(jobs.len());
    if threads < 2 {
        return Ok(opened);
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let inner = seal::open(job.bytes, &job.keys).ok();
            done.push((job.index, inner.map(|inner| (inner, job.suite.number()))));
        }
        done
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            // A thread that ended early has opened nothing: that is done one by one.
            for (index, inner) in thread.join().unwrap_or_default() {
                opened[index] = inner;
            }
        }
    });
    Ok(opened)
}
