//! Which language an answer is in: German or English, by `Accept-Language` (RFC 9110).

use axum::http::{HeaderMap, header};

/// A language momedo speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    German,
    English,
}

impl Language {
    /// The first of the request's languages that momedo speaks, by weight; English otherwise.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accepted =
            headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let mut best = (0.0, Self::English);
        for range in accepted.split(',').take(16) {
            let (tag, weight) = match range.split_once(";q=") {
                Some((tag, weight)) => (tag, weight.trim().parse().unwrap_or(0.0)),
                None => (range, 1.0f32),
            };
            let language = match tag.trim().split('-').next().unwrap_or("").to_ascii_lowercase().as_str() {
                "de" => Self::German,
                "en" => Self::English,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }

    /// The language of a tag such as `de`; English for any other.
    pub(crate) fn of_tag(tag: &str) -> Self {
        if tag == "de" { Self::German } else { Self::English }
    }

    /// The tag for `lang` and `Content-Language`.
    pub(crate) fn tag(self) -> &'static str {
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
    fn the_heaviest_language_we_speak_wins() {
        let language = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, value.parse().unwrap());
            Language::of(&headers)
        };
        assert_eq!(language("de-DE,de;q=0.9,en;q=0.8"), Language::German);
        assert_eq!(language("fr,en;q=0.5,de;q=0.7"), Language::German);
        assert_eq!(language("en,de"), Language::English);
        assert_eq!(language("*"), Language::English);
        assert_eq!(language(";q=;q=,,de;q=x"), Language::English);
    }
}
