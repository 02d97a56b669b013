//! What the pages say, in both languages: `web-admin/messages/{de,en}.toml`, built into the program.

use std::collections::HashMap;

use crate::http::language::Language;

/// Every text of one language, by its key such as `rules.title`.
#[derive(Debug)]
pub(super) struct Texts(HashMap<String, String>);

impl Texts {
    fn read(source: &str) -> Self {
        let table: toml::Table =
            toml::from_str(source).expect("the built-in messages are TOML, a test reads them");
        let mut texts = HashMap::new();
        for (section, keys) in table {
            for (key, text) in keys.as_table().into_iter().flatten() {
                texts.insert(format!("{section}.{key}"), text.as_str().unwrap_or_default().to_owned());
            }
        }
        Self(texts)
    }

    /// The text of a key. One that is missing shows its key; a test finds it first.
    pub(super) fn get<'a>(&'a self, key: &'a str) -> &'a str {
        self.0.get(key).map_or(key, String::as_str)
    }
}

/// The texts of both languages.
#[derive(Debug)]
pub(super) struct AllTexts {
    german: Texts,
    english: Texts,
}

impl AllTexts {
    pub(super) fn read() -> Self {
        Self {
            german: Texts::read(include_str!("../../web-admin/messages/de.toml")),
            english: Texts::read(include_str!("../../web-admin/messages/en.toml")),
        }
    }

    pub(super) fn of(&self, language: Language) -> &Texts {
        match language {
            Language::German => &self.german,
            Language::English => &self.english,
        }
    }
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
    fn both_languages_have_every_text_that_is_used_and_no_other() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let texts = AllTexts::read();
        let sections = texts.german.0.keys().filter_map(|key| Some(key.split_once('.')?.0)).collect();
        let mut keys = BTreeSet::new();
        used(&root.join("src/admin"), &sections, &mut keys);
        used(&root.join("web-admin/templates/admin"), &sections, &mut keys);
        keys.extend(Action::iter().map(|action| format!("action.{}", action.word())));
        let have = |texts: &Texts| texts.0.keys().cloned().collect::<BTreeSet<String>>();
        let (german, english) = (have(&texts.german), have(&texts.english));
        assert_eq!(german, english, "German and English have different keys");
        let missing: Vec<_> = keys.difference(&german).collect();
        assert!(missing.is_empty(), "missing: {missing:?}");
        // Put together from a section and a word at run time.
        let composed = [
            "error.",
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
        ];
        let unused: Vec<_> =
            german.difference(&keys).filter(|key| !composed.iter().any(|p| key.starts_with(p))).collect();
        assert!(unused.is_empty(), "unused: {unused:?}");
    }

    #[test]
    fn every_refusal_has_words_in_both_languages() {
        let sources = [include_str!("../service/admin_error.rs"), include_str!("../service/smoke/error.rs")];
        let words = sources.iter().flat_map(|source| source.split("=> \"").skip(1));
        let words = words.filter_map(|rest| rest.split('"').next());
        let texts = AllTexts::read();
        for word in words.filter(|word| !word.is_empty()) {
            let key = format!("error.{word}");
            assert!(texts.german.0.contains_key(&key) && texts.english.0.contains_key(&key), "{key}");
        }
    }
}
