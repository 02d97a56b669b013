//! The languages momedo speaks.

use serde::{Deserialize, Serialize};

/// A language momedo speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// German.
    #[serde(rename = "de")]
    German,
    /// English, also for whoever speaks neither.
    #[serde(rename = "en")]
    English,
}

impl Language {
    /// Both languages.
    pub const ALL: [Self; 2] = [Self::German, Self::English];

    /// The language of a tag such as `de`, or of a locale such as `de_AT.UTF-8`; English for any other.
    pub fn of_tag(tag: &str) -> Self {
        match tag.split(['-', '_', '.', '@']).next() {
            Some(language) if language.eq_ignore_ascii_case("de") => Self::German,
            _ => Self::English,
        }
    }

    /// The tag for `lang` and `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::German => "de",
            Self::English => "en",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_names_its_language_first() {
        for german in ["de", "de_DE.UTF-8", "de_AT@euro", "DE-ch"] {
            assert_eq!(Language::of_tag(german), Language::German, "{german}");
        }
        for other in ["", "C", "en_GB.UTF-8", "POSIX", "dehati", "fr_FR"] {
            assert_eq!(Language::of_tag(other), Language::English, "{other}");
        }
    }
}
