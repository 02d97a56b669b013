//! Changes of settings as the log keeps them, and as people read them.
//!
//! The log keeps `retention_days=7 name="Schule"`: the names of rules with their values as JSON, whatever language is read.

use momedo_texts::Language;
use serde_json::Value;

use super::{Words, changeable};

/// The rule that is no setting: which port links name.
const LINK_PORT: (&str, Words) =
    ("link_port", Words { english: "Port in invites", german: "Port in Einladungen" });

/// What is said before a rule's value; `None` when there is no such rule.
fn label(name: &str, language: Language) -> Option<&'static str> {
    let words = match changeable().find(|(_, rule)| rule.name == name) {
        Some((setting, rule)) => rule.label.unwrap_or(setting.help),
        None if name == LINK_PORT.0 => LINK_PORT.1,
        None => return None,
    };
    let text = match language {
        Language::German => words.german,
        Language::English => words.english,
    };
    Some(text.trim_end_matches('.'))
}

fn shown(value: &Value, language: Language) -> String {
    match (value, language) {
        (Value::Bool(true), Language::German) => "ja".into(),
        (Value::Bool(false), Language::German) => "nein".into(),
        (Value::Bool(true), Language::English) => "yes".into(),
        (Value::Bool(false), Language::English) => "no".into(),
        (Value::String(text), _) => text.clone(),
        (Value::Array(values), _) => {
            values.iter().map(|value| shown(value, language)).collect::<Vec<_>>().join(", ")
        }
        (other, _) => other.to_string(),
    }
}

/// Cuts off the first `name=value`; what is left follows it.
fn first(kept: &str) -> Option<(&str, Value, &str)> {
    let (name, rest) = kept.split_once('=')?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let value = values.next()?.ok()?;
    let rest = &rest[values.byte_offset()..];
    Some((name, value, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// What was changed, by the labels of the page Rules; as it is kept where it is not understood.
pub fn changes(kept: &str, language: Language) -> String {
    let (mut rest, mut told) = (kept, Vec::new());
    while !rest.is_empty() {
        let Some((name, value, after)) = first(rest) else { return kept.to_owned() };
        let Some(label) = label(name, language) else { return kept.to_owned() };
        told.push(format!("{label}: {}", shown(&value, language)));
        rest = after;
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_their_labels_and_what_is_not_understood_stays() {
        let told = |kept: &str| Language::ALL.map(|language| changes(kept, language));
        assert_eq!(told("link_port=4710"), ["Port in Einladungen: 4710", "Port in invites: 4710"]);
        assert_eq!(
            told(r#"addresses=["a.example","::1"] name="Schule am = Wald" retention_days=7"#),
            [
                "Adressen: a.example, ::1; Name des Servers: Schule am = Wald; Nachrichten aufheben, Tage: 7",
                "Addresses: a.example, ::1; The server's name: Schule am = Wald; Keep messages, days: 7",
            ]
        );
        for kept in ["", "7b", "retention_days=7 and more", "unknown=1", "retention_days="] {
            assert_eq!(changes(kept, Language::German), kept);
        }
        for (setting, rule) in changeable() {
            let said = changes(&format!("{}=true", rule.name), Language::German);
            assert!(!said.contains('='), "{}: {said}", setting.name);
        }
    }
}
