//! Invite links: `https://HOST:PORT/i#CODE.FINGERPRINT`.
//!
//! Code and server fingerprint stand in the fragment, so neither reaches a log or a link preview.

use std::fmt;
use std::str::FromStr;

use crate::copied::mended;
use crate::digest::Fingerprint;
use crate::encoding::serde_as_text;
use crate::id::{read_symbols, write_symbols};
use crate::random;

/// A one-time code that lets one person register: 60 random bits as 12 Crockford symbols.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, example = "7QK0M3ZD9XN4"))]
pub struct InviteCode(u64);

impl InviteCode {
    /// Draws a new code.
    pub fn random() -> Self {
        Self(u64::from_be_bytes(random::bytes()) >> 4)
    }
}

impl fmt::Display for InviteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_symbols(self.0, 60, f)
    }
}

impl fmt::Debug for InviteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteCode(***)")
    }
}

impl FromStr for InviteCode {
    type Err = InviteLinkError;
    fn from_str(text: &str) -> Result<Self, InviteLinkError> {
        read_symbols(text, 60).map(Self).ok_or(InviteLinkError)
    }
}

serde_as_text!(InviteCode);

/// Everything a newcomer needs: where the server is, who it is, and a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteLink {
    /// `host:port`, with an IPv6 host in brackets.
    pub address: String,
    /// The one-time code.
    pub code: InviteCode,
    /// Fingerprint of the server's identity key.
    pub server: Fingerprint,
}

/// The text is not an invite link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an invite link looks like https://HOST:4710/i#CODE.FINGERPRINT; copy it whole")]
pub struct InviteLinkError;

impl fmt::Display for InviteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}/i#{}.{}", self.address, self.code, self.server)
    }
}

impl FromStr for InviteLink {
    type Err = InviteLinkError;
    fn from_str(text: &str) -> Result<Self, InviteLinkError> {
        let text = mended(text);
        let rest = text.strip_prefix("https://").ok_or(InviteLinkError)?;
        let (address, fragment) = rest.split_once("/i#").ok_or(InviteLinkError)?;
        let (code, server) = fragment.split_once('.').ok_or(InviteLinkError)?;
        let address = with_port(address).ok_or(InviteLinkError)?;
        Ok(Self { address, code: code.parse()?, server: server.parse().map_err(|_| InviteLinkError)? })
    }
}

/// Where a server is and who it is, without a code: for somebody who has registered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLink {
    /// `host:port`, with an IPv6 host in brackets.
    pub address: String,
    /// Fingerprint of the server's identity key.
    pub server: Fingerprint,
}

/// The text is not a server's link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server's link looks like https://HOST:4710/#FINGERPRINT; any of its invite links does as well")]
pub struct ServerLinkError;

impl fmt::Display for ServerLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}/#{}", self.address, self.server)
    }
}

impl FromStr for ServerLink {
    type Err = ServerLinkError;

    /// Reads a server's link, or an invite link, whether or not its code was used.
    fn from_str(text: &str) -> Result<Self, ServerLinkError> {
        if let Ok(InviteLink { address, server, .. }) = text.parse() {
            return Ok(Self { address, server });
        }
        let text = mended(text);
        let rest = text.strip_prefix("https://").ok_or(ServerLinkError)?;
        let (address, server) = rest.split_once("/#").ok_or(ServerLinkError)?;
        let address = with_port(address).ok_or(ServerLinkError)?;
        Ok(Self { address, server: server.parse().map_err(|_| ServerLinkError)? })
    }
}

/// Adds HTTPS's port where the link names none.
pub(crate) fn with_port(address: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
    if address.is_empty() || !address.chars().all(is_plain) {
        return None;
    }
    let host_end = address.rfind(']').map_or(0, |end| end + 1);
    match address[host_end..].rsplit_once(':') {
        Some((_, port)) => port.parse::<u16>().ok().map(|_| address.to_owned()),
        None => Some(format!("{address}:443")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_come_back_as_they_went() {
        for address in ["127.0.0.1:4710", "schule.local:4710", "[fd00::1]:4710"] {
            let link = InviteLink {
                address: address.into(),
                code: InviteCode::random(),
                server: Fingerprint([0xab; 32]),
            };
            assert_eq!(link.to_string().parse(), Ok(link));
        }
    }

    #[test]
    fn a_link_without_a_port_means_the_port_of_https() {
        let fingerprint = Fingerprint([1; 32]);
        let link: InviteLink =
            format!("https://schule.example/i#7QK0M3ZD9XN4.{fingerprint}").parse().unwrap();
        assert_eq!(link.address, "schule.example:443");
        let link: InviteLink = format!("https://[::1]/i#7QK0M3ZD9XN4.{fingerprint}").parse().unwrap();
        assert_eq!(link.address, "[::1]:443");
    }

    #[test]
    fn a_servers_link_is_read_alone_and_out_of_an_invite() {
        let server = ServerLink { address: "schule.local:4710".into(), server: Fingerprint([0xab; 32]) };
        assert_eq!(server.to_string().parse(), Ok(server.clone()));
        let code = InviteCode::random();
        let invite = InviteLink { address: server.address.clone(), code, server: server.server };
        assert_eq!(invite.to_string().parse(), Ok(server));
        for text in ["", "https://a/", "https://a/#00", "https:///#00", "a"] {
            assert_eq!(text.parse::<ServerLink>(), Err(ServerLinkError), "{text}");
        }
    }

    #[test]
    fn what_is_no_link_is_refused() {
        for text in [
            "",
            "http://a/i#7QK0M3ZD9XN4.00",
            "https://a/i",
            "https:///i#7QK0M3ZD9XN4.00",
            "https://a b/i#x.y",
        ] {
            assert_eq!(text.parse::<InviteLink>(), Err(InviteLinkError), "{text}");
        }
    }
}
