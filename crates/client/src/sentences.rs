//! The German of what this side says in English alone: reasons within errors, and events that are kept as they were said.

use std::sync::LazyLock;

use momedo_texts::{Language, Sentences};

use crate::error::CATALOGUE;

/// Built in and never changed. Errors are kept in English as well, as why mail waits.
static SENTENCES: LazyLock<Sentences> =
    LazyLock::new(|| Sentences::read(include_str!("../messages/sentences.de.toml")).and(&CATALOGUE));

/// What was said in English, in the reader's language; as it is where no other is known.
pub fn told(english: &str, language: Language) -> String {
    match language {
        Language::German => SENTENCES.german(english),
        Language::English => english.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_sentence_is_still_said_and_names_the_same_things() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sentences = Sentences::read(include_str!("../messages/sentences.de.toml"));
        let folders = ["src", "../protocol/src", "../client-native/src", "../client-browser/src"]
            .map(|name| root.join(name));
        // Put together where they are said.
        let composed = [
            "1 message waits",
            "1 message was lost",
            "messages were lost",
            " write",
            "that do not stand in",
            "Your server's log",
            "; that ended the link",
        ];
        let faults = sentences.faults(&folders, &composed);
        assert!(faults.is_empty(), "{faults:#?}");
    }

    #[test]
    fn a_kept_event_is_told_in_german_with_what_stands_in_it() {
        let told = |english: &str| told(english, Language::German);
        assert_eq!(
            told("2 messages wait: no server can be reached"),
            "2 Nachrichten warten: no server can be reached"
        );
        assert_eq!(
            told("1 message waits: its key has not come yet"),
            "1 Nachricht wartet: der Schlüssel dazu ist noch nicht da"
        );
        let added = "A device was added to yours: Ben's phone (D1), by this device (D2). It reads your mail and writes as you. If \
                     it is not yours, revoke it: momedo user revoke-device D1";
        let german = told(added);
        assert!(
            german.starts_with(
                "Ein Gerät kam zu den eigenen hinzu: Ben's phone (D1), durch dieses Gerät (D2)."
            ),
            "{german}"
        );
        assert_eq!(told("something else"), "something else");
    }
}
