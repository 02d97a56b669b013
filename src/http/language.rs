//! Which language an answer is in: German or English, by `Accept-Language` (RFC 9110).

use axum::http::{HeaderMap, header};
use momedo_texts::Language;

/// The first of the request's languages that momedo speaks, by weight; English otherwise.
pub(crate) fn asked_for(headers: &HeaderMap) -> Language {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut best = (0.0, Language::English);
    for range in accepted.split(',').take(16) {
        let (tag, weight) = match range.split_once(";q=") {
            Some((tag, weight)) => (tag, weight.trim().parse().unwrap_or(0.0)),
            None => (range, 1.0f32),
        };
        let language = match tag.trim().split('-').next().unwrap_or("").to_ascii_lowercase().as_str() {
            "de" => Language::German,
            "en" => Language::English,
            _ => continue,
        };
        if weight > best.0 {
            best = (weight, language);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_language_we_speak_wins() {
        let language = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, value.parse().unwrap());
            asked_for(&headers)
        };
        assert_eq!(language("de-DE,de;q=0.9,en;q=0.8"), Language::German);
        assert_eq!(language("fr,en;q=0.5,de;q=0.7"), Language::German);
        assert_eq!(language("en,de"), Language::English);
        assert_eq!(language("*"), Language::English);
        assert_eq!(language(";q=;q=,,de;q=x"), Language::English);
    }
}
