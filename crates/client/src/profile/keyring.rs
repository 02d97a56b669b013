//! Private keys that are in use, as they are read once: reading them takes longer than opening with them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::seal::PrivateKeys;

/// Bundles whose keys are at hand at once; mail is mostly sealed to the newest, and to the one before it.
const MAX_BUNDLES: usize = 4;

/// The private keys used last, by the bundle or device that they belong to, the newest last.
#[derive(Default)]
pub(crate) struct Keyring(Mutex<VecDeque<(Sha512Digest, Arc<PrivateKeys>)>>);

impl Keyring {
    /// The keys, if they are at hand.
    pub(crate) fn get(&self, digest: &Sha512Digest) -> Option<Arc<PrivateKeys>> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().find(|(known, _)| known == digest).map(|(_, keys)| keys.clone())
    }

    /// Keeps keys at hand.
    pub(crate) fn keep(&self, digest: Sha512Digest, private: Arc<PrivateKeys>) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|(known, _)| *known != digest);
        if keys.len() >= MAX_BUNDLES {
            keys.pop_front();
        }
        keys.push_back((digest, private));
    }

    /// Forgets keys that were erased.
    pub(crate) fn forget(&self, digest: &Sha512Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| known != digest);
    }
}
