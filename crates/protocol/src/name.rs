//! What may stand as a name: of a person, a device, a group, a class, a server.
//!
//! Names are what people go by, and whoever chooses one may want to look like somebody else. So a name shows what it is
//! and nothing besides: composed characters (Unicode normalization form C, UAX #15), nothing that cannot be seen, that
//! turns other text around or that no two systems show alike, and single spaces between words. That two letters of
//! different scripts look the same is not judged here; comparing fingerprints tells people apart.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Longest name, in Unicode scalar values.
pub const MAX_NAME_CHARACTERS: usize = 80;

/// Longest name, in bytes of UTF-8; 80 characters of three bytes each.
pub const MAX_NAME_BYTES: usize = 240;

/// Most marks on one letter (UTS #39, section 5.4): more of them are a way to paint over other lines.
const MAX_MARKS: usize = 4;

/// Whether `name` may stand as a name, exactly as it is written.
pub fn is_acceptable_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.chars().count() <= MAX_NAME_CHARACTERS
        && name.split(' ').all(is_acceptable_word)
        && ComposingNormalizerBorrowed::new_nfc().is_normalized(name)
}

fn is_acceptable_word(word: &str) -> bool {
    let mut marks = MAX_MARKS;
    for c in word.chars() {
        let category = category(c);
        if !is_visible(c) || category == GeneralCategory::SpaceSeparator {
            return false;
        }
        let is_mark = matches!(category, GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark);
        marks = if is_mark { marks + 1 } else { 0 };
        if marks > MAX_MARKS {
            return false;
        }
    }
    !word.is_empty()
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Whether a character can be seen, or is a space, and leaves the direction of others alone: no control or format
/// character (direction marks, joiners), none that systems leave out (fillers, variation selectors, tags), none that
/// parts lines, is for private use or is not assigned.
pub fn is_visible(c: char) -> bool {
    use GeneralCategory::{
        Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, Surrogate, Unassigned,
    };
    // Shown as nothing, though it counts as a symbol.
    const EMPTY_BRAILLE: char = '\u{2800}';
    let is_hidden = matches!(
        category(c),
        Control | Format | LineSeparator | ParagraphSeparator | PrivateUse | Surrogate | Unassigned
    );
    !is_hidden && c != EMPTY_BRAILLE && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// What somebody typed or a list holds, as a name: composed, and with single spaces between words. It may still not be
/// acceptable.
pub fn tidied(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    ComposingNormalizerBorrowed::new_nfc().normalize(&words.join(" ")).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_typed_is_tidied() {
        assert_eq!(tidied("  Anna\u{a0} Mu\u{308}ller\t"), "Anna Müller");
        assert!(is_acceptable_name(&tidied("  Anna\u{a0} Mu\u{308}ller\t")));
        assert!(!is_acceptable_name(&tidied("An\u{200b}na")));
    }

    proptest! {
        #[test]
        fn an_acceptable_name_is_tidy(text in "\\PC{0,90}") {
            if is_acceptable_name(&text) {
                prop_assert_eq!(tidied(&text), text);
            }
        }

        #[test]
        fn judging_never_panics(text: String) {
            let _ = (is_acceptable_name(&text), is_acceptable_name(&tidied(&text)));
        }
    }
}
