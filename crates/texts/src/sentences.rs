//! Sentences that are written in English in many places, and what each is in German.
//!
//! For what knows no language where it is written: errors of deep layers, and events that are kept. A sentence may hold
//! placeholders; whatever stands there is carried over, and is itself translated where it is a sentence of the table.

use std::path::{Path, PathBuf};

use crate::catalogue::{fill, parts, placeholders};
use crate::{Catalogue, Language};

/// How deep sentences stand in each other.
const DEPTH: u8 = 4;

#[derive(Debug)]
struct Sentence {
    english: String,
    german: String,
}

/// English sentences with their German ones.
#[derive(Debug)]
pub struct Sentences(Vec<Sentence>);

impl Sentences {
    /// Reads a table `"English" = "German"` that is built into a program.
    ///
    /// # Panics
    /// When it is not TOML.
    pub fn read(source: &str) -> Self {
        let table: toml::Table =
            source.parse().expect("a table that is built in is TOML, a test of its program reads it");
        let mut sentences: Vec<_> = table
            .into_iter()
            .map(|(english, german)| Sentence {
                english,
                german: german.as_str().unwrap_or_default().to_owned(),
            })
            .collect();
        sort(&mut sentences);
        Self(sentences)
    }

    /// With every text of a catalogue that has placeholders with names in both languages.
    pub fn and(mut self, catalogue: &Catalogue) -> Self {
        let (english, german) = (catalogue.of(Language::English), catalogue.of(Language::German));
        let of = |text: &str| text.to_owned();
        self.0.extend(
            english.keys().map(|key| Sentence { english: of(english.get(key)), german: of(german.get(key)) }),
        );
        sort(&mut self.0);
        self
    }

    /// The German of what somebody said; as it is where no sentence fits.
    pub fn german(&self, said: &str) -> String {
        self.german_within(said, DEPTH)
    }

    fn german_within(&self, said: &str, depth: u8) -> String {
        if depth == 0 {
            return said.to_owned();
        }
        for Sentence { english, german } in &self.0 {
            if let Some(values) = values(english, said) {
                let told = |(name, value)| (name, self.german_within(value, depth - 1));
                return fill(german, &values.into_iter().map(told).collect::<Vec<_>>());
            }
        }
        said.to_owned()
    }

    /// What is wrong with the table: a sentence of which a part stands nowhere in the code of these folders, unless it holds
    /// one of `elsewhere`, and one whose German has other placeholders. For the tests of a program.
    pub fn faults(&self, folders: &[PathBuf], elsewhere: &[&str]) -> Vec<String> {
        let mut code = String::new();
        folders.iter().for_each(|folder| read_code(folder, &mut code));
        let mut faults = Vec::new();
        for Sentence { english, german } in &self.0 {
            if placeholders(english) != placeholders(german) {
                faults.push(format!("other placeholders: {english}"));
            }
            // Sentences that stand side by side are written apart.
            let told = parts(english).into_iter().filter(|(is_name, _)| !is_name);
            let told =
                told.flat_map(|(_, part)| part.split(". ")).map(|part| part.trim_end_matches('.').trim());
            let lost = told.filter(|part| !code.contains(part)).collect::<Vec<_>>();
            if !lost.is_empty() && !elsewhere.iter().any(|known| english.contains(known)) {
                faults.push(format!("nobody says {lost:?} of: {english}"));
            }
        }
        faults
    }
}

/// The one that leaves least open comes first.
fn sort(sentences: &mut [Sentence]) {
    sentences.sort_by_key(|sentence| std::cmp::Reverse(fixed(&sentence.english)));
}

/// How many bytes of a sentence are no placeholder.
fn fixed(sentence: &str) -> usize {
    parts(sentence).iter().filter(|(is_name, _)| !is_name).map(|(_, part)| part.len()).sum()
}

/// Reads the code below a folder, with its strings on one line.
fn read_code(folder: &Path, code: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_code(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let text = text.replace("\\\"", "\"");
            let mut lines = text.split("\\\n");
            code.push_str(lines.next().unwrap_or_default());
            lines.for_each(|line| code.push_str(line.trim_start()));
        }
    }
}

/// What stands where a sentence has its placeholders; `None` when it is another one.
fn values<'a>(sentence: &'a str, said: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let parts = parts(sentence);
    let (mut rest, mut values, mut open) = (said, Vec::new(), None);
    for (place, (is_name, part)) in parts.iter().enumerate() {
        if *is_name {
            open = Some(*part);
            continue;
        }
        let is_last = place + 1 == parts.len();
        let at = match (open, is_last) {
            (None, _) => rest.starts_with(part).then_some(0),
            (Some(_), true) => rest.ends_with(part).then(|| rest.len() - part.len()),
            (Some(_), false) => rest.find(part),
        }?;
        if let Some(name) = open.take() {
            values.push((name, &rest[..at]));
        }
        rest = &rest[at + part.len()..];
    }
    rest.is_empty().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_found_by_what_is_fixed_in_it_and_keeps_what_is_not() {
        let sentences = Sentences::read(
            "\"cannot read {path}: {reason}\" = \"{path} ist nicht zu lesen: {reason}\"\n\
             \"cannot read {path}: it is empty\" = \"{path} ist leer\"\n\
             \"it is full\" = \"es ist voll\"\n\"{name} joined, by {by}\" = \"durch {by} kam {name}\"",
        );
        for (english, german) in [
            ("it is full", "es ist voll"),
            ("it is full.", "it is full."),
            ("cannot read /x: it is full", "/x ist nicht zu lesen: es ist voll"),
            ("cannot read /x: it is empty", "/x ist leer"),
            ("cannot read /x: Permission denied", "/x ist nicht zu lesen: Permission denied"),
            ("{path} joined, by {name}", "durch {name} kam {path}"),
            ("ä joined, by ", "durch  kam ä"),
            ("", ""),
        ] {
            assert_eq!(sentences.german(english), german);
        }
    }
}
