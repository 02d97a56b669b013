//! Pairing links: `https://HOST:PORT/n#CODE.FINGERPRINT`. Like invite links, but for servers.

use std::fmt;
use std::str::FromStr;

use crate::copied::mended;
use crate::digest::Fingerprint;
use crate::invite::{InviteCode, with_port};

/// What one server's admin hands to another's: where the server is, who it is, and a code for one use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingLink {
    /// `host:port`, with an IPv6 host in brackets.
    pub address: String,
    /// The code.
    pub code: InviteCode,
    /// Fingerprint of the server's identity key: its server ID.
    pub server: Fingerprint,
}

/// The text is not a pairing link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pairing link looks like https://HOST:4710/n#CODE.FINGERPRINT; copy it whole")]
pub struct PairingLinkError;

impl fmt::Display for PairingLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}/n#{}.{}", self.address, self.code, self.server)
    }
}

impl FromStr for PairingLink {
    type Err = PairingLinkError;
    fn from_str(text: &str) -> Result<Self, PairingLinkError> {
        let text = mended(text);
        let rest = text.strip_prefix("https://").ok_or(PairingLinkError)?;
        let (address, fragment) = rest.split_once("/n#").ok_or(PairingLinkError)?;
        let (code, server) = fragment.split_once('.').ok_or(PairingLinkError)?;
        Ok(Self {
            address: with_port(address).ok_or(PairingLinkError)?,
            code: code.parse().map_err(|_| PairingLinkError)?,
            server: server.parse().map_err(|_| PairingLinkError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_come_back_as_they_went_and_invites_are_none() {
        let link = PairingLink {
            address: "[fd00::1]:4710".into(),
            code: InviteCode::random(),
            server: Fingerprint([0xab; 32]),
        };
        assert_eq!(link.to_string().parse(), Ok(link.clone()));
        assert_eq!(link.to_string().replace("/n#", "/i#").parse::<PairingLink>(), Err(PairingLinkError));
    }
}
