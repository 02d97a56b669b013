//! Identifiers of participants and devices: 40 bits as 8 symbols of Crockford's base 32.
//!
//! Shown in upper case; read case-blind, with hyphens and spaces ignored, `O` as `0`, `I` and `L` as `1`.
//! Source: Douglas Crockford, "Base 32".

use std::fmt;
use std::str::FromStr;

use crate::encoding::serde_as_text;
use crate::random;

const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Bits in an identifier.
const BITS: u32 = 40;

/// The text is not an identifier of eight symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an ID has 8 letters and digits, such as M8N22HT6")]
pub struct IdError;

/// Writes `bits / 5` symbols, highest first.
pub(crate) fn write_symbols(value: u64, bits: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut shift = bits;
    while shift > 0 {
        shift -= 5;
        let index = usize::try_from(value >> shift & 31).map_err(|_| fmt::Error)?;
        fmt::Write::write_char(f, char::from(SYMBOLS[index]))?;
    }
    Ok(())
}

/// Reads exactly `bits / 5` symbols, as forgiving as the module says.
pub(crate) fn read_symbols(text: &str, bits: u32) -> Option<u64> {
    let mut value = 0u64;
    let mut read = 0;
    for symbol in text.chars().filter(|c| !matches!(c, '-' | ' ')) {
        let symbol = match symbol.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let digit = SYMBOLS.iter().position(|&s| char::from(s) == symbol)?;
        read += 5;
        if read > bits {
            return None;
        }
        value = value << 5 | digit as u64;
    }
    (read == bits).then_some(value)
}

macro_rules! crockford_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "M8N22HT6"))]
        pub struct $name(u64);

        impl $name {
            /// The identifier with this number; `None` from 2^40 on.
            pub fn from_number(number: u64) -> Option<Self> {
                (number >> BITS == 0).then_some(Self(number))
            }

            /// The identifier as a number below 2^40.
            pub fn number(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_symbols(self.0, BITS, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                read_symbols(text, BITS).map(Self).ok_or(IdError)
            }
        }

        serde_as_text!($name);
    };
}

crockford_id! {
    /// A participant's ID such as `M8N22HT6`: 40 random bits, given by the home, never reused.
    ParticipantId
}

crockford_id! {
    /// A device's ID: the first 40 bits of the SHA-256 of its log-in key's SPKI.
    DeviceId
}

impl ParticipantId {
    /// Draws a random ID; whether it is free is for the home to say.
    pub fn random() -> Self {
        let [a, b, c, d, e] = random::bytes();
        Self(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
    }
}

impl DeviceId {
    /// The ID of the device that logs in with the key whose SPKI DER this is.
    pub fn of_login_key(spki: &[u8]) -> Self {
        let digest = crate::digest::sha256(spki);
        Self(u64::from_be_bytes([0, 0, 0, digest[0], digest[1], digest[2], digest[3], digest[4]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reading_what_was_shown_gives_the_same_id(number in 0u64..1 << 40) {
            let id = ParticipantId::from_number(number).unwrap();
            prop_assert_eq!(id.to_string().len(), 8);
            prop_assert_eq!(id.to_string().parse::<ParticipantId>().unwrap(), id);
        }

        #[test]
        fn reading_never_panics(text in ".*") {
            let _ = text.parse::<ParticipantId>();
        }
    }

    #[test]
    fn ids_are_read_forgivingly() {
        let id: ParticipantId = "M8N22HT0".parse().unwrap();
        for text in ["m8n22hto", "M8N2-2HT0", " m8n2 2hto "] {
            assert_eq!(text.parse(), Ok(id), "{text}");
        }
        assert_eq!("1l1i1L1I".parse::<ParticipantId>().unwrap().to_string(), "11111111");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "M8N22HT", "M8N22HT66", "M8N22HTU", "M8N22HT\u{e4}"] {
            assert_eq!(text.parse::<ParticipantId>(), Err(IdError), "{text}");
        }
    }
}
