//! What every refusal has, whoever refuses: a word, and a sentence in the reader's language.

use crate::{Catalogue, Language, catalogue, fill};

/// A refusal: its kind is a row of a catalogue.
pub trait Refusal {
    /// The word for its kind; programs decide by it, and its text stands in the catalogue under it.
    fn word(&self) -> &'static str;

    /// What the placeholders of its text stand for.
    fn values(&self, _: Language) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What is wrong and what to do, as people read it.
    fn said_with(&self, catalogue: &Catalogue, language: Language) -> String {
        fill(catalogue.of(language).get(&catalogue::key(self.word())), &self.values(language))
    }
}
