//! Private keys that are in use, as they are read once: reading them takes longer than opening with them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use momedo_protocol::digest::Sha512Digest;

use crate::platform::keys::PrivateKey;
use crate::private_keys::PrivateKeys;

/// Bundles whose keys are at hand at once; mail is mostly sealed to the newest, and to the one before it.
const MAX_BUNDLES: usize = 4;

/// RSA keys at hand at once besides: to log in, to sign, and what other own devices carried.
const MAX_RSA_KEYS: usize = 4;

/// What was used last, by name, the newest last.
struct Recent<T> {
    most: usize,
    kept: Mutex<VecDeque<(Sha512Digest, T)>>,
}

impl<T: Clone> Recent<T> {
    fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    fn get(&self, name: &Sha512Digest) -> Option<T> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn keep(&self, name: Sha512Digest, value: T) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != name);
        if kept.len() >= self.most {
            kept.pop_front();
        }
        kept.push_back((name, value));
    }

    fn forget(&self, name: &Sha512Digest) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| known != name);
    }
}

/// The private keys used last: by the bundle or device that they belong to, and RSA keys by the digest of their bytes.
pub(crate) struct Keyring {
    bundles: Recent<Arc<PrivateKeys>>,
    rsa: Recent<PrivateKey>,
}

impl Default for Keyring {
    fn default() -> Self {
        Self { bundles: Recent::new(MAX_BUNDLES), rsa: Recent::new(MAX_RSA_KEYS) }
    }
}

impl Keyring {
    /// The keys, if they are at hand.
    pub(crate) fn get(&self, digest: &Sha512Digest) -> Option<Arc<PrivateKeys>> {
        self.bundles.get(digest)
    }

    /// Keeps keys at hand.
    pub(crate) fn keep(&self, digest: Sha512Digest, private: Arc<PrivateKeys>) {
        self.bundles.keep(digest, private);
    }

    /// Forgets keys that were erased.
    pub(crate) fn forget(&self, digest: &Sha512Digest) {
        self.bundles.forget(digest);
    }

    /// An RSA key, if it is at hand.
    pub(crate) fn rsa(&self, name: &Sha512Digest) -> Option<PrivateKey> {
        self.rsa.get(name)
    }

    /// Keeps an RSA key at hand.
    pub(crate) fn keep_rsa(&self, name: Sha512Digest, key: PrivateKey) {
        self.rsa.keep(name, key);
    }
}
