//! What the server says to people, in both languages: `web-admin/messages/{de,en}.toml`, built into the program.
//!
//! API, admin pages and command line say the same of a refusal, because all of them ask here.

use std::sync::LazyLock;

use momedo_texts::{Catalogue, Language, Refusal, Sentences, Texts};

/// Built in and never changed, so two servers in one process may share it.
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    Catalogue::read(
        include_str!("../web-admin/messages/de.toml"),
        include_str!("../web-admin/messages/en.toml"),
    )
});

/// The German of what is said in English where it arises: errors of the surroundings, settings, database, certificates.
static SENTENCES: LazyLock<Sentences> =
    LazyLock::new(|| Sentences::read(include_str!("../web-admin/messages/sentences.de.toml")));

/// What was said in English, in the reader's language; as it is where no other is known, as of the operating system.
pub(crate) fn told(english: &str, language: Language) -> String {
    match language {
        Language::German => SENTENCES.german(english),
        Language::English => english.to_owned(),
    }
}

/// The texts of a language.
pub(crate) fn of(language: Language) -> &'static Texts {
    CATALOGUE.of(language)
}

/// What is wrong and what to do, as people read it.
pub(crate) fn said(refusal: &dyn Refusal, language: Language) -> String {
    refusal.said_with(&CATALOGUE, language)
}

/// A sentence, with what is known besides.
pub(crate) fn with_detail(said: String, detail: Option<String>) -> String {
    match detail {
        Some(detail) => format!("{said} ({detail})"),
        None => said,
    }
}

/// Lets a refusal be an error that is shown in English, as logs are.
macro_rules! shown_in_english {
    ($refusal:ty) => {
        impl std::fmt::Display for $refusal {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::texts::said(self, momedo_texts::Language::English))
            }
        }

        impl std::error::Error for $refusal {}
    };
}
pub(crate) use shown_in_english;

#[cfg(test)]
pub(crate) fn faults<'a>(refusals: impl IntoIterator<Item = &'a dyn Refusal>) -> Vec<String> {
    CATALOGUE.faults(refusals)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use strum::IntoEnumIterator;

    use super::*;
    use crate::service::audit::Action;

    fn used(folder: &Path, sections: &BTreeSet<&str>, keys: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                used(&path, sections, keys);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for call in [".t(\"", ".with(\""] {
                keys.extend(text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
            // Keys that are chosen first and asked for later stand in the code as they are.
            let literals = text.split('"').skip(1).step_by(2);
            let is_key = |literal: &&str| {
                literal
                    .split_once('.')
                    .is_some_and(|(section, key)| sections.contains(section) && !key.is_empty())
                    && literal.bytes().all(|byte| byte.is_ascii_lowercase() || b".-".contains(&byte))
            };
            keys.extend(literals.filter(is_key).map(str::to_owned));
        }
    }

    #[test]
    fn every_sentence_is_still_said() {
        let folders = [Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        // Ranges are put together, and libraries say the rest.
        let elsewhere = [
            "{least} to",
            "{value} is not in",
            "integer",
            "invalid digit",
            "number too large",
            "socket address",
            "char",
        ];
        let faults = SENTENCES.faults(&folders, &elsewhere);
        assert!(faults.is_empty(), "{faults:#?}");
    }

    #[test]
    fn what_the_surroundings_say_is_told_in_german() {
        let told = |english: &str| told(english, Language::German);
        assert_eq!(
            told(
                "cannot listen on [::]:1: Address already in use (os error 98); is another server running there?"
            ),
            "[::]:1 nimmt keine Verbindungen an: Address already in use (os error 98); läuft dort schon ein Server?"
        );
        assert_eq!(
            told("/x/momedo.toml: line 3: mail.retention_days = 0 is out of its range, 1 to 3650 days"),
            "/x/momedo.toml: Zeile 3: mail.retention_days = 0 geht nicht, möglich ist 1 bis 3650 Tage"
        );
    }

    #[test]
    fn both_languages_have_every_text_that_is_used_and_no_other() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sections = of(Language::German).keys().filter_map(|key| Some(key.split_once('.')?.0)).collect();
        let mut keys = BTreeSet::new();
        used(&root.join("src/admin"), &sections, &mut keys);
        used(&root.join("src/cli"), &sections, &mut keys);
        used(&root.join("web-admin/templates/admin"), &sections, &mut keys);
        keys.extend(Action::iter().map(|action| format!("action.{}", action.word())));
        let have = |language| of(language).keys().map(str::to_owned).collect::<BTreeSet<String>>();
        let (german, english) = (have(Language::German), have(Language::English));
        assert_eq!(german, english, "German and English have different keys");
        let missing: Vec<_> = keys.difference(&german).collect();
        assert!(missing.is_empty(), "missing: {missing:?}");
        // Put together from a section and a word at run time.
        let composed = [
            "refusal.",
            "row.",
            "task.",
            "state.",
            "role.",
            "effect.",
            "why.",
            "smoke-keys.",
            "smoke-refusal.",
            "smoke-link.",
            "smoke-kind.",
            "column.",
            "encoding.",
            "separator.",
        ];
        let unused: Vec<_> =
            german.difference(&keys).filter(|key| !composed.iter().any(|p| key.starts_with(p))).collect();
        assert!(unused.is_empty(), "unused: {unused:?}");
    }
}
