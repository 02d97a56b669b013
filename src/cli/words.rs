//! What the command line says, in both languages: `words/{de,en}.toml`, built into the program.
//!
//! Refusals stand in `web-admin/messages`, with what deeper layers say in English alone, and help in the code and in
//! `words/help.de.toml`. What programs read (`--json`) is never translated.

use std::sync::LazyLock;

use momedo_texts::{Catalogue, Language, fill, placeholders};

use crate::texts;

/// Built in and never changed.
static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::read(include_str!("words/de.toml"), include_str!("words/en.toml")));

/// The text of a key, in the language of whoever reads this.
pub(super) fn of(key: &str) -> &str {
    CATALOGUE.of(super::spoken()).get(key)
}

/// The text of a key that is put together.
pub(super) fn of_owned(key: &str) -> String {
    of(key).to_owned()
}

/// The same, with its placeholders filled.
pub(super) fn with(key: &str, values: &[(&str, String)]) -> String {
    let text = of(key);
    debug_assert_eq!(
        placeholders(text),
        values.iter().map(|(name, _)| (*name).to_owned()).collect(),
        "{key} names other values than it is given"
    );
    fill(text, values)
}

/// The text for a number of things; one thing has a text of its own, under `KEY-one`.
pub(super) fn counted(key: &str, number: u64, values: &[(&str, String)]) -> String {
    let mut values = values.to_vec();
    values.push(("number", number.to_string()));
    if number == 1 { with(&format!("{key}-one"), &values) } else { with(key, &values) }
}

/// What somebody deeper said in English, in the language of whoever reads this; as it is where nothing else is known.
pub(super) fn told(english: &str) -> String {
    told_in(english, super::spoken())
}

/// The same, in a language.
pub(super) fn told_in(english: &str, language: Language) -> String {
    let told = texts::told(english, language);
    if told == english { momedo_client::sentences::told(english, language) } else { told }
}

/// A text with its placeholders filled: `words!("group.left", group = id)`.
macro_rules! words {
    ($key:literal) => { $crate::cli::words::of($key) };
    ($key:literal, $($name:ident = $value:expr),+ $(,)?) => {
        $crate::cli::words::with($key, &[$((stringify!($name), ($value).to_string())),+])
    };
}

/// The same for a number of things: `counted!("group.members", count)`.
macro_rules! counted {
    ($key:literal, $number:expr $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::cli::words::counted($key, $number as u64, &[$((stringify!($name), ($value).to_string())),*])
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli");

    fn literals(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                None => literals(&path, found),
                Some(extension) if extension == "rs" => {
                    let text = std::fs::read_to_string(&path).unwrap();
                    for call in ["words!(", "counted!("] {
                        let keys =
                            text.split(call).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
                        let keys = keys.map(|rest| rest.split('"').next().unwrap().to_owned());
                        found.extend(keys.clone());
                        if call == "counted!(" {
                            found.extend(keys.map(|key| format!("{key}-one")));
                        }
                    }
                    found.extend(
                        text.split("\"group.")
                            .skip(1)
                            .map(|rest| format!("group.{}", rest.split('"').next().unwrap())),
                    );
                }
                Some(_) => {}
            }
        }
    }

    #[test]
    fn both_languages_have_every_text_that_is_used_and_no_other() {
        let have = |language| CATALOGUE.of(language).keys().map(str::to_owned).collect::<BTreeSet<_>>();
        let (german, english) = (have(Language::German), have(Language::English));
        assert_eq!(german, english, "German and English have different keys");
        let mut used = BTreeSet::new();
        literals(Path::new(FOLDER), &mut used);
        used.retain(|key| {
            key.contains('.')
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte))
                && !key.ends_with('.')
        });
        let missing: Vec<_> = used.difference(&german).collect();
        // The names of checks are put together.
        let unused: Vec<_> = german.difference(&used).filter(|key| !key.starts_with("check.")).collect();
        assert!(missing.is_empty() && unused.is_empty(), "missing: {missing:#?}, unused: {unused:#?}");
        for key in &german {
            let [german, english] =
                Language::ALL.map(|language| placeholders(CATALOGUE.of(language).get(key)));
            assert_eq!(german, english, "{key}");
        }
    }

    #[test]
    fn german_is_said_neutrally() {
        let texts = CATALOGUE.of(Language::German);
        let said = texts.keys().map(|key| texts.get(key).to_owned());
        let help = include_str!("words/help.de.toml").lines().map(str::to_owned);
        for text in said.chain(help) {
            for word in ["Stelle ", "Fassung", " Sie ", "Ihren", "ae", "1 Personen"] {
                let is_other =
                    word == " Sie " && text.contains(": Sie ") || word == "ae" && text.contains("Michael");
                assert!(!text.contains(word) || is_other, "{word}: {text}");
            }
        }
    }
}
