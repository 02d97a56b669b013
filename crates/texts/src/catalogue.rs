//! Reading a catalogue, and filling the placeholders of its texts.

use std::collections::{BTreeSet, HashMap};

use crate::{Language, Refusal};

/// Every text of one language, by its key such as `rules.title`.
#[derive(Debug)]
pub struct Texts(HashMap<String, String>);

impl Texts {
    fn read(source: &str) -> Self {
        let table: toml::Table =
            source.parse().expect("a catalogue that is built in is TOML, a test of its program reads it");
        let mut texts = HashMap::new();
        for (section, keys) in table {
            for (key, text) in keys.as_table().into_iter().flatten() {
                texts.insert(format!("{section}.{key}"), text.as_str().unwrap_or_default().to_owned());
            }
        }
        Self(texts)
    }

    /// The text of a key. One that is missing shows its key; a test finds it first.
    pub fn get<'a>(&'a self, key: &'a str) -> &'a str {
        self.0.get(key).map_or(key, String::as_str)
    }

    /// Every key.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The texts of both languages.
#[derive(Debug)]
pub struct Catalogue {
    german: Texts,
    english: Texts,
}

impl Catalogue {
    /// Reads two catalogues that are built into a program.
    ///
    /// # Panics
    /// When one is not TOML.
    pub fn read(german: &str, english: &str) -> Self {
        Self { german: Texts::read(german), english: Texts::read(english) }
    }

    /// The texts of a language.
    pub fn of(&self, language: Language) -> &Texts {
        match language {
            Language::German => &self.german,
            Language::English => &self.english,
        }
    }

    /// What is wrong with the rows of a section for these refusals, which are every kind there is: a word that two
    /// kinds share, a text that is missing or that nobody needs, a placeholder that nobody fills or that one language
    /// lacks. For the tests of a program.
    pub fn faults<'a>(&self, refusals: impl IntoIterator<Item = &'a dyn Refusal>) -> Vec<String> {
        let (mut faults, mut words) = (Vec::new(), BTreeSet::new());
        for refusal in refusals {
            let word = refusal.word();
            if !words.insert(word) {
                faults.push(format!("two kinds are called {word}"));
            }
            for language in Language::ALL {
                let (tag, key) = (language.tag(), key(word));
                let Some(text) = self.of(language).0.get(&key) else {
                    faults.push(format!("{word} has no text in {tag}"));
                    continue;
                };
                let filled = refusal.values(language).into_iter().map(|(name, _)| name.to_owned());
                let (filled, named) = (filled.collect::<BTreeSet<_>>(), placeholders(text));
                if text.is_empty() || filled != named {
                    faults.push(format!("{word} in {tag} names {named:?}, filled are {filled:?}"));
                }
            }
        }
        for language in Language::ALL {
            let unused = self.of(language).keys().filter_map(|key| key.strip_prefix(SECTION));
            let unused = unused.filter(|word| !words.contains(word));
            faults.extend(unused.map(|word| format!("no refusal is called {word} ({})", language.tag())));
        }
        faults
    }
}

/// What keys of refusals begin with.
const SECTION: &str = "refusal.";

/// The key of a refusal's text.
pub(crate) fn key(word: &str) -> String {
    format!("{SECTION}{word}")
}

/// Cuts a text into its parts; true: the name of a placeholder.
pub(crate) fn parts(text: &str) -> Vec<(bool, &str)> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('{') {
        let after = &rest[at + 1..];
        let name = after.split('}').next().filter(|name| name.len() < after.len() && is_name(name));
        let (before, end) = match name {
            Some(name) => (at, at + name.len() + 2),
            None => (at + 1, at + 1),
        };
        parts.push((false, &rest[..before]));
        parts.extend(name.map(|name| (true, name)));
        rest = &rest[end..];
    }
    parts.push((false, rest));
    parts
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The placeholders of a text.
pub fn placeholders(text: &str) -> BTreeSet<String> {
    parts(text).into_iter().filter(|(is_name, _)| *is_name).map(|(_, name)| name.to_owned()).collect()
}

/// A text with its placeholders filled. What a value holds stays as it is; a placeholder without a value does, too.
pub fn fill(text: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(text.len());
    for (is_name, part) in parts(text) {
        match values.iter().find(|(name, _)| is_name && *name == part) {
            Some((_, value)) => filled.push_str(value),
            None if is_name => filled.extend(["{", part, "}"]),
            None => filled.push_str(part),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once_and_nothing_else_is() {
        let values = [("limit", "{name}".to_owned()), ("name", "x".to_owned())];
        assert_eq!(fill("{limit}, {name}; {other} {} { {limit", &values), "{name}, x; {other} {} { {limit");
        assert_eq!(placeholders("{limit} and {Limit} {0}"), BTreeSet::from(["limit".into(), "0".into()]));
        assert_eq!(fill("", &[]), "");
    }

    struct Full(&'static str, &'static [&'static str]);

    impl Refusal for Full {
        fn word(&self) -> &'static str {
            self.0
        }

        fn values(&self, _: Language) -> Vec<(&'static str, String)> {
            self.1.iter().map(|name| (*name, String::new())).collect()
        }
    }

    #[test]
    fn rows_that_do_not_fit_are_found() {
        let catalogue = Catalogue::read(
            "[refusal]\nfull = \"{limit}\"\nempty = \"leer\"\n[other]\nkey = \"\"",
            "[refusal]\nfull = \"{limit}\"\nempty = \"empty\"\n",
        );
        let faults =
            |refusals: &[Full]| catalogue.faults(refusals.iter().map(|refusal| refusal as &dyn Refusal));
        assert!(faults(&[Full("full", &["limit"]), Full("empty", &[])]).is_empty());
        assert_eq!(faults(&[Full("full", &[]), Full("empty", &[])]).len(), 2, "a placeholder nobody fills");
        assert_eq!(faults(&[Full("full", &["limit"])]).len(), 2, "a text nobody needs");
        let twice = [Full("full", &["limit"]), Full("empty", &[]), Full("empty", &[])];
        assert_eq!(faults(&twice), ["two kinds are called empty"]);
        let more = [Full("full", &["limit"]), Full("empty", &[]), Full("gone", &[])];
        assert_eq!(faults(&more).len(), 2, "a text is missing in both");
        let one = Catalogue::read("[refusal]\nfull = \"{limit}\"", "[refusal]\nfull = \"limit\"");
        assert_eq!(one.faults([&Full("full", &["limit"]) as &dyn Refusal]).len(), 1, "one language lacks it");
    }
}
