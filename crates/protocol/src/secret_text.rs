//! Secrets that people choose and type: passphrases and passwords.
//!
//! The same keys give other bytes on another machine: a Mac may write "ü" as two characters, an editor puts a byte
//! order mark before the text and a line end after it. None of that is part of a secret. So a key is made from the
//! composed form (Unicode normalization form C, as RFC 8265 asks for), and what may have been made before that, from
//! the bytes as they came, is tried after it.

use std::fmt;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use zeroize::Zeroizing;

/// What some editors put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A secret as somebody typed it, or as it stood in a file.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

/// A file that holds no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no text in UTF-8 or UTF-16: save it as UTF-8")]
pub struct NotText;

impl SecretText {
    /// What was typed.
    pub fn typed(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// What stands in a file, without the line end after it. UTF-16 is known by its byte order mark (PowerShell's `>`
    /// writes it).
    ///
    /// # Errors
    /// [`NotText`].
    pub fn from_file(bytes: &[u8]) -> Result<Self, NotText> {
        let text = match bytes {
            [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
            [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
            _ => Zeroizing::new(std::str::from_utf8(bytes).map_err(|_| NotText)?.to_owned()),
        };
        Ok(Self(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
    }

    /// As it came, for passing on to whoever asks for its forms.
    pub fn as_written(&self) -> &str {
        &self.0
    }

    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        self.without_mark().is_empty()
    }

    /// The form that keys are made of.
    pub fn composed(&self) -> Zeroizing<String> {
        let nfc = ComposingNormalizerBorrowed::new_nfc();
        Zeroizing::new(nfc.normalize(self.without_mark()).into_owned())
    }

    /// What to try one after the other, each once: the composed form; then, for what was made of the bytes as they
    /// came, these bytes and the decomposed form.
    pub fn forms(&self) -> Vec<Zeroizing<String>> {
        let nfd = DecomposingNormalizerBorrowed::new_nfd();
        let decomposed = Zeroizing::new(nfd.normalize(self.without_mark()).into_owned());
        distinct([self.composed(), self.0.clone(), decomposed])
    }

    /// As [`SecretText::forms`], and last what a file with a byte order mark gave: for what was made of a file.
    pub fn forms_of_files(&self) -> Vec<Zeroizing<String>> {
        let mut forms = self.forms();
        let marked = |form: &Zeroizing<String>| Zeroizing::new(format!("{BYTE_ORDER_MARK}{}", **form));
        let with_mark: Vec<_> =
            forms.iter().filter(|form| !form.starts_with(BYTE_ORDER_MARK)).map(marked).collect();
        forms.extend(with_mark);
        distinct(forms)
    }

    fn without_mark(&self) -> &str {
        self.0.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.0)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(***)")
    }
}

fn utf16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> Result<Zeroizing<String>, NotText> {
    let (pairs, []) = bytes.as_chunks::<2>() else { return Err(NotText) };
    let units = Zeroizing::new(pairs.iter().map(|pair| unit(*pair)).collect::<Vec<u16>>());
    String::from_utf16(&units).map(Zeroizing::new).map_err(|_| NotText)
}

fn distinct(forms: impl IntoIterator<Item = Zeroizing<String>>) -> Vec<Zeroizing<String>> {
    let mut kept: Vec<Zeroizing<String>> = Vec::new();
    for form in forms {
        if !kept.contains(&form) {
            kept.push(form);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMPOSED: &str = "Gr\u{fc}ne Bl\u{e4}tter";
    const DECOMPOSED: &str = "Gru\u{308}ne Bla\u{308}tter";

    fn forms(text: &str) -> Vec<String> {
        SecretText::typed(text).forms().iter().map(|form| form.to_string()).collect()
    }

    #[test]
    fn however_it_is_typed_the_composed_form_comes_first_and_older_ones_after_it() {
        assert_eq!(forms(COMPOSED), [COMPOSED, DECOMPOSED]);
        assert_eq!(forms(DECOMPOSED), [COMPOSED, DECOMPOSED]);
        assert_eq!(forms("plain"), ["plain"], "what has one form is tried once");
        assert_eq!(
            forms("\u{feff}plain"),
            ["plain", "\u{feff}plain"],
            "as it came may have been what a key was made of"
        );
        let of_files = SecretText::typed(COMPOSED).forms_of_files();
        assert_eq!(of_files.last().map(|form| form.starts_with('\u{feff}')), Some(true));
        assert_eq!(of_files.len(), 4);
    }

    #[test]
    fn what_an_editor_puts_around_a_secret_in_a_file_is_no_part_of_it() {
        let utf16 = |bytes: fn(u16) -> [u8; 2]| {
            "\u{feff}K\u{e4}se\r\n".encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
        };
        for file in [
            "K\u{e4}se".as_bytes(),
            "Ka\u{308}se\n".as_bytes(),
            "K\u{e4}se\r\n".as_bytes(),
            "\u{feff}K\u{e4}se\r\n".as_bytes(),
            &utf16(u16::to_le_bytes),
            &utf16(u16::to_be_bytes),
        ] {
            let read = SecretText::from_file(file).unwrap();
            assert_eq!(*read.composed(), "K\u{e4}se", "{file:02x?}");
        }
        assert_eq!(*SecretText::from_file(b" a b \n").unwrap().composed(), " a b ", "spaces are part of it");
        assert!(SecretText::from_file("\u{feff}\r\n".as_bytes()).unwrap().is_empty());
        for file in [&b"K\xe4se"[..], b"\xff\xfea", b"\xff\xfe\x00\xd8"] {
            assert_eq!(SecretText::from_file(file), Err(NotText));
        }
    }

    proptest! {
        #[test]
        fn every_way_to_type_a_text_gives_one_first_form(text: String) {
            let composed = SecretText::typed(&*text).composed();
            for form in SecretText::typed(&*text).forms_of_files() {
                // A text that itself begins with a mark is the one that loses it.
                if !text.starts_with('\u{feff}') {
                    prop_assert_eq!(&SecretText::typed(&**form).composed(), &composed);
                }
            }
        }
    }
}
