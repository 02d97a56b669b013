//! Base64 as Android reads it: bytes outside the alphabet are skipped, padding at the end is optional.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

/// The alphabet without padding; the last character's spare bits do not matter.
const UNPADDED: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// What nearly every client sends: decoded without looking at each byte first.
const PLAIN: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// Standard alphabet, padded, in one line.
pub fn encode(bytes: &[u8]) -> String {
    general_purpose::STANDARD.encode(bytes)
}

/// The bytes, or `None` for data after the padding, half a padding, or an impossible length.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    PLAIN.decode(text).ok().or_else(|| decode_skipping(text))
}

fn is_in_alphabet(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

fn decode_skipping(text: &[u8]) -> Option<Vec<u8>> {
    let mut letters = Vec::with_capacity(text.len());
    let mut padding = 0;
    for byte in text.iter().copied() {
        if byte == b'=' {
            padding += 1;
        } else if is_in_alphabet(byte) {
            if padding > 0 {
                return None;
            }
            letters.push(byte);
        }
    }
    let fits = match letters.len() % 4 {
        0 => padding == 0,
        2 => padding == 0 || padding == 2,
        3 => padding <= 1,
        _ => false,
    };
    if fits { UNPADDED.decode(letters).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_android_takes_is_taken_and_what_it_refuses_is_refused() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("YQ==", b"a"),
            ("YQ", b"a"),
            ("YWI=", b"ab"),
            ("YWI", b"ab"),
            ("Y W\nI\x00=\n", b"ab"),
            ("YWJj;YQ==", b"abca"),
            // Bits that stand for nothing.
            ("YR==", b"a"),
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes), "{text:?}");
        }
        for text in ["Y", "YQ=", "YWI==", "YQ==YQ==", "=", "YWJj=", "YQ===", "YWJjZ"] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding_whatever_stands_in_between(bytes: Vec<u8>, at: prop::sample::Index) {
            let mut text = encode(&bytes).into_bytes();
            let plain = decode(&text);
            prop_assert_eq!(plain.as_ref(), Some(&bytes));
            let at = at.index(text.len() + 1);
            text.splice(at..at, *b"\r\n %\xff");
            prop_assert_eq!(decode(&text), Some(bytes));
        }

        #[test]
        fn decoding_never_panics(text: Vec<u8>) {
            decode(&text);
        }
    }
}
