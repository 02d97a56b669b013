//! A proxy as it is written in the settings.

use std::fmt;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::domain::proxy::Proxy;

/// A proxy as written; empty: none. Never shown, since a password may stand in it.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(transparent)]
pub struct ProxySetting(Zeroizing<String>);

impl ProxySetting {
    /// The proxy, if there is one.
    pub fn get(&self) -> Option<Proxy> {
        self.0.parse().ok()
    }

    /// Whether it is one, or none.
    pub fn is_acceptable(&self) -> bool {
        self.0.is_empty() || self.get().is_some()
    }
}

impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}
