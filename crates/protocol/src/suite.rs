//! Suites: which schemes one envelope's key depends on.

use serde::{Deserialize, Serialize};

/// How an envelope is sealed; the number stands in every envelope, so that schemes can be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Suite {
    /// 1: Classic McEliece 460896f, ML-KEM-768 and RSA-OAEP together; the default.
    Full,
    /// 2: ML-KEM-768 and RSA-OAEP, for devices or lines too small for McEliece keys.
    Small,
}

/// No suite has this number here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("suite {0} is unknown here")]
pub struct UnknownSuite(pub u8);

impl Suite {
    /// Every suite there is, strongest first.
    pub const ALL: [Suite; 2] = [Suite::Full, Suite::Small];

    /// The number that stands in envelopes.
    pub fn number(self) -> u8 {
        match self {
            Self::Full => 1,
            Self::Small => 2,
        }
    }
}

impl From<Suite> for u8 {
    fn from(suite: Suite) -> u8 {
        suite.number()
    }
}

impl TryFrom<u8> for Suite {
    type Error = UnknownSuite;
    fn try_from(number: u8) -> Result<Self, UnknownSuite> {
        Self::ALL.into_iter().find(|suite| suite.number() == number).ok_or(UnknownSuite(number))
    }
}

#[cfg(feature = "openapi")]
crate::encoding::schema_of!(Suite, Integer, 1);
