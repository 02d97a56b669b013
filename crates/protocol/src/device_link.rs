//! Linking a new device: the old one shows a link (a QR code), both exchange three short messages over the
//! server, and a person compares a code of six digits before anything secret is handed over.
//!
//! The link's secret is unknown to the server. Whoever photographed the link knows it, too: that is what the
//! code is for. The new device commits to its nonce before it sees the other's, so nobody can try keys until
//! the codes agree; a race is noticed but with one chance in a million.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use strum::{Display, EnumString, IntoStaticStr};
use zeroize::Zeroizing;

use crate::committing::{CommittingKey, NONCE_BYTES};
use crate::copied::mended;
use crate::device_list::DeviceEntry;
use crate::digest::{Fingerprint, Sha512Digest};
use crate::encoding::{Base64Bytes, decode_base64, encode_base64, serde_as_text};
use crate::id::{ParticipantId, read_symbols, write_symbols};
use crate::invite::with_port;
use crate::random;

const KEY_LABEL: &[u8] = b"momedo device link v1";
const COMMITMENT_LABEL: &[u8] = b"momedo device link commitment v1";
const CODE_LABEL: &[u8] = b"momedo device link code v1";

/// Names one linking at the server: 60 random bits as 12 Crockford symbols.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, example = "7QK0M3ZD9XN4"))]
pub struct LinkId(u64);

impl LinkId {
    /// Draws a new one.
    pub fn random() -> Self {
        Self(u64::from_be_bytes(random::bytes()) >> 4)
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_symbols(self.0, 60, f)
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkId(***)")
    }
}

impl FromStr for LinkId {
    type Err = DeviceLinkError;
    fn from_str(text: &str) -> Result<Self, DeviceLinkError> {
        read_symbols(text, 60).map(Self).ok_or(DeviceLinkError)
    }
}

serde_as_text!(LinkId);

/// What both devices write, each once, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case", parse_err_ty = DeviceLinkError, parse_err_fn = not_a_step)]
pub enum LinkStep {
    /// The new device's keys, and its commitment.
    Offer,
    /// The old device's nonce.
    Challenge,
    /// The new device's nonce, which the commitment was to.
    Opening,
    /// The identity, sealed to the new device's keys.
    Handover,
}

impl LinkStep {
    /// The word in paths, and what its key is derived with.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

fn not_a_step(_: &str) -> DeviceLinkError {
    DeviceLinkError
}

serde_as_text!(LinkStep);

/// What the old device shows: where the server is and who it is, who the participant is, and the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceLink {
    /// `host:port`, with an IPv6 host in brackets.
    pub address: String,
    /// Names the linking at the server.
    pub link: LinkId,
    /// Known to both devices, not to the server.
    pub secret: Zeroizing<[u8; 32]>,
    /// The participant.
    pub id: ParticipantId,
    /// Fingerprint of the participant's signature key.
    pub participant: Fingerprint,
    /// Fingerprint of the server's identity key.
    pub server: Fingerprint,
}

/// The text is not a link for a new device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a link for a new device begins with https:// and has /d# in it; copy it whole")]
pub struct DeviceLinkError;

impl fmt::Display for DeviceLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = Zeroizing::new(encode_base64(&self.secret[..]));
        let Self { address, link, id, participant, server, .. } = self;
        write!(f, "https://{address}/d#{link}.{}.{id}.{participant}.{server}", *secret)
    }
}

impl fmt::Debug for DeviceLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceLink({}, ***)", self.address)
    }
}

impl FromStr for DeviceLink {
    type Err = DeviceLinkError;
    fn from_str(text: &str) -> Result<Self, DeviceLinkError> {
        let text = mended(text);
        let rest = text.strip_prefix("https://").ok_or(DeviceLinkError)?;
        let (address, fragment) = rest.split_once("/d#").ok_or(DeviceLinkError)?;
        let mut parts = fragment.split('.');
        let mut next = || parts.next().ok_or(DeviceLinkError);
        let link = next()?.parse()?;
        let secret = Zeroizing::new(decode_base64(next()?).ok_or(DeviceLinkError)?);
        let secret = Zeroizing::new(secret.as_slice().try_into().map_err(|_| DeviceLinkError)?);
        let id = next()?.parse().map_err(|_| DeviceLinkError)?;
        let participant = next()?.parse().map_err(|_| DeviceLinkError)?;
        let server = next()?.parse().map_err(|_| DeviceLinkError)?;
        if parts.next().is_some() {
            return Err(DeviceLinkError);
        }
        let address = with_port(address).ok_or(DeviceLinkError)?;
        Ok(Self { address, link, secret, id, participant, server })
    }
}

/// The new device's first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkOffer {
    /// The device as the list will name it.
    pub device: DeviceEntry,
    /// [`commitment`] to the new device's nonce.
    pub commitment: Sha512Digest,
}

/// A device's nonce, the old one's as challenge, the new one's as opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkNonce {
    /// 32 random bytes.
    pub nonce: Base64Bytes,
}

/// The commitment to a nonce.
pub fn commitment(nonce: &[u8]) -> Sha512Digest {
    Sha512Digest::of(&[COMMITMENT_LABEL, nonce].concat())
}

/// The code both devices show: six digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkCode(u32);

/// How many codes there are.
const CODES: u64 = 1_000_000;

impl fmt::Display for LinkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl FromStr for LinkCode {
    type Err = DeviceLinkError;
    fn from_str(text: &str) -> Result<Self, DeviceLinkError> {
        let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(DeviceLinkError);
        }
        digits.parse().map(Self).map_err(|_| DeviceLinkError)
    }
}

impl DeviceLink {
    /// Seals what a device writes in one step.
    pub fn seal(&self, step: LinkStep, message: &[u8]) -> Vec<u8> {
        let nonce = random::bytes::<NONCE_BYTES>();
        let sealed = self.key(step).seal_under(nonce, message, self.link.to_string().as_bytes());
        [&nonce[..], &sealed].concat()
    }

    /// Opens what the other device wrote; `None` for what was not sealed with this link's secret.
    pub fn open(&self, step: LinkStep, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        self.key(step).open_under(*nonce, sealed, self.link.to_string().as_bytes())
    }

    fn key(&self, step: LinkStep) -> CommittingKey {
        let info = [KEY_LABEL, step.word().as_bytes()];
        CommittingKey::derive(Some(self.link.to_string().as_bytes()), &self.secret[..], &info)
    }

    /// The code over everything both said: `offer` as it was sealed, the challenge's nonce, the opening's.
    pub fn code(&self, offer: &[u8], challenge: &[u8], opening: &[u8]) -> LinkCode {
        let digest = Sha512::new()
            .chain_update(CODE_LABEL)
            .chain_update(self.link.to_string())
            .chain_update(&self.secret[..])
            .chain_update(self.id.to_string())
            .chain_update(self.participant.0)
            .chain_update(self.server.0)
            .chain_update(Sha512::digest(offer))
            .chain_update(challenge)
            .chain_update(opening)
            .finalize();
        let first = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        LinkCode(u32::try_from(first % CODES).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link() -> DeviceLink {
        DeviceLink {
            address: "schule.local:4710".into(),
            link: LinkId::random(),
            secret: Zeroizing::new(random::bytes()),
            id: "M8N22HT6".parse().unwrap(),
            participant: Fingerprint([1; 32]),
            server: Fingerprint([2; 32]),
        }
    }

    proptest! {
        #[test]
        fn reading_a_link_never_panics(text in "(https://)?.*(/d#)?.*") {
            let _ = text.parse::<DeviceLink>();
        }

        #[test]
        fn a_code_is_read_as_it_is_shown(number in 0u32..1_000_000) {
            let code = LinkCode(number);
            prop_assert_eq!(code.to_string().parse(), Ok(code));
            prop_assert_eq!(code.to_string().replace(' ', "").parse(), Ok(code));
        }

        #[test]
        fn what_was_sealed_opens_in_its_step_alone(message: Vec<u8>) {
            let link = link();
            let sealed = link.seal(LinkStep::Offer, &message);
            prop_assert_eq!(link.open(LinkStep::Offer, &sealed).map(|opened| opened.to_vec()), Some(message));
            prop_assert!(link.open(LinkStep::Opening, &sealed).is_none());
            prop_assert!(super::tests::link().open(LinkStep::Offer, &sealed).is_none());
        }
    }

    #[test]
    fn links_come_back_as_they_went() {
        let link = link();
        assert_eq!(link.to_string().parse(), Ok(link));
    }

    #[test]
    fn what_is_no_link_is_refused() {
        let whole = link().to_string();
        for text in ["", "https://a/i#x", &whole[..whole.len() - 1], &format!("{whole}.x"), &whole[8..]] {
            assert_eq!(text.parse::<DeviceLink>(), Err(DeviceLinkError), "{text}");
        }
        for code in ["", "12345", "1234567", "12345a", "-1 234 56x"] {
            assert!(code.parse::<LinkCode>().is_err(), "{code}");
        }
    }

    #[test]
    fn the_code_depends_on_everything_that_was_said() {
        let link = link();
        let code = link.code(b"offer", &[1; 32], &[2; 32]);
        assert_eq!(code, link.clone().code(b"offer", &[1; 32], &[2; 32]));
        let mut others = vec![
            link.code(b"other", &[1; 32], &[2; 32]),
            link.code(b"offer", &[3; 32], &[2; 32]),
            link.code(b"offer", &[1; 32], &[3; 32]),
        ];
        let change = |change: &dyn Fn(&mut DeviceLink)| {
            let mut changed = link.clone();
            change(&mut changed);
            changed.code(b"offer", &[1; 32], &[2; 32])
        };
        others.push(change(&|link| link.secret[0] ^= 1));
        others.push(change(&|link| link.participant.0[0] ^= 1));
        others.push(change(&|link| link.server.0[0] ^= 1));
        // One of a million pairs is equal by chance; six of them are not.
        assert!(others.iter().filter(|other| **other != code).count() >= 5, "{code} {others:?}");
    }
}
