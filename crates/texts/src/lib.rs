//! What momedo says to people: catalogues of German and English texts, built into the programs, and what is refused.
//!
//! A catalogue is TOML: sections of keys with one text each. A text may hold named placeholders such as `{limit}`. This
//! crate knows no text itself: each program keeps its own catalogue, and a test of it asks [`Catalogue::faults`].

mod catalogue;
mod language;
mod refusal;
mod sentences;

pub use catalogue::{Catalogue, Texts, fill, placeholders};
pub use language::Language;
pub use refusal::Refusal;
pub use sentences::Sentences;
