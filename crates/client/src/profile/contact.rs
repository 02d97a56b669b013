//! What is remembered of a contact.

use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::jws::Jws;
use strum::{EnumString, IntoStaticStr};

/// How sure one is of a contact's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Trust {
    /// As the server gave it, and no log of key changes tells of it: the server may have made it up, and the home with it.
    Unvouched,
    /// It was taken as the server gave it the first time, and stands in the log of its home.
    FirstUse,
    /// Its fingerprint was compared with the person.
    Compared,
}

impl Trust {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What a word in JSON means; an unknown one is trusted least.
    pub fn of_name(name: &str) -> Self {
        name.parse().unwrap_or(Self::Unvouched)
    }
}

/// What is remembered of a contact.
#[derive(Debug, Clone)]
pub struct Contact {
    /// How sure one is.
    pub trust: Trust,
    /// The newest bundle followed.
    pub bundle: Jws,
    /// Signature keys (SPKI DER) that were pinned before the current one.
    pub earlier_keys: Vec<Base64Bytes>,
    /// A bundle after a reset, waiting for somebody to compare its fingerprint.
    pub reset: Option<Jws>,
}
