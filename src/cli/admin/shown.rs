//! How fields of a line are shown to people. In English the words of the protocol are plain enough.

use momedo_texts::{Language, fill};
use serde_json::Value;

use super::{text, time};
use crate::cli::{spoken, words};
use crate::service::audit;
use crate::texts;

/// Fields that hold an instant.
const INSTANTS: &[&str] = &["at", "seen_at", "until", "expires_at"];

/// Fields that hold one of a few words, and where those stand among the texts.
const WORDS: &[(&str, &[&str])] = &[
    ("state", &["state", "smoke-link"]),
    ("role", &["role"]),
    ("action", &["action"]),
    ("kind", &["smoke-kind"]),
    ("keys", &["smoke-keys"]),
    ("refusal", &["smoke-refusal"]),
    ("result", &["effect", "row"]),
    ("posting", &["posting"]),
    ("encryption", &["encryption"]),
];

/// A field of a line.
pub(super) fn field(line: &Value, name: &str) -> String {
    let language = spoken();
    if INSTANTS.contains(&name) {
        return time(&line[name]);
    }
    if name == "subject"
        && let (Some(action), Some(subject)) = (line["action"].as_str(), line["subject"].as_str())
    {
        return audit::subject(action, subject, language);
    }
    if language == Language::English {
        return text(&line[name]);
    }
    match &line[name] {
        Value::Bool(true) => texts::of(language).get("rules.yes").to_owned(),
        Value::Bool(false) => texts::of(language).get("rules.no").to_owned(),
        // Names are people's own; reasons are the server's.
        Value::String(reason) if name == "reason" => words::told(reason),
        Value::String(word) => german_word(name, word).unwrap_or_else(|| word.clone()),
        other => text(other),
    }
}

fn german_word(name: &str, word: &str) -> Option<String> {
    let (_, sections) = WORDS.iter().find(|(field, _)| *field == name)?;
    let found = |section: &&str| {
        let key = format!("{section}.{word}");
        let of = |text: &str| (text != key).then(|| text.to_owned());
        of(texts::of(Language::German).get(&key)).or_else(|| of(words::of(&key)))
    };
    sections.iter().find_map(found)
}

/// What needs doing, as the overview says it.
pub(in crate::cli) fn sentence(task: &Value) -> String {
    let about = task.as_object().into_iter().flatten().find(|(name, _)| *name != "what");
    let about = about.map(|(name, value)| match name.as_str() {
        "reason" => words::told(&text(value)),
        _ => text(value),
    });
    let key = format!("task.{}", task["what"].as_str().unwrap_or_default());
    fill(texts::of(spoken()).get(&key), &[("0", about.unwrap_or_default())])
}
