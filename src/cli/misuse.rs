//! What clap says of a line that it cannot read, in German.

use std::error::Error;
use std::fmt::Write;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use momedo_texts::Language;

use super::words;

/// What is wrong with the line, how it is meant, and where more stands; `None` when help was wanted, or nothing is known.
pub(super) fn in_german(error: &clap::Error) -> Option<String> {
    let mut text = format!("Fehler: {}", sentence(error)?);
    let suggested =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    for similar in suggested.into_iter().filter_map(|kind| all(error, kind)) {
        let _: std::fmt::Result = write!(text, "\n\n  Ähnlich: {}", quoted(&similar));
    }
    if let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) {
        let usage = usage.to_string();
        let usage = usage.trim_start_matches("Usage:").trim();
        let _: std::fmt::Result = write!(text, "\n\nAufruf: {usage}");
    }
    text.push_str("\n\nMehr dazu mit --help.");
    Some(text)
}

fn sentence(error: &clap::Error) -> Option<String> {
    let arg = || one(error, ContextKind::InvalidArg);
    let value = || one(error, ContextKind::InvalidValue);
    Some(match error.kind() {
        ErrorKind::UnknownArgument => format!("Die Angabe '{}' gibt es hier nicht", arg()?),
        ErrorKind::InvalidSubcommand => {
            format!("Den Befehl '{}' gibt es nicht", one(error, ContextKind::InvalidSubcommand)?)
        }
        ErrorKind::MissingSubcommand => {
            let commands = all(error, ContextKind::ValidSubcommand).unwrap_or_default();
            let command = one(error, ContextKind::InvalidSubcommand)?;
            format!("Hinter '{command}' fehlt ein Befehl\n  [Befehle: {}]", commands.join(", "))
        }
        ErrorKind::MissingRequiredArgument => {
            format!("Es fehlt:\n  {}", all(error, ContextKind::InvalidArg)?.join("\n  "))
        }
        ErrorKind::InvalidValue => {
            let values = all(error, ContextKind::ValidValue).unwrap_or_default();
            let values = match values.is_empty() {
                true => String::new(),
                false => format!("\n  [mögliche Werte: {}]", values.join(", ")),
            };
            match value()?.as_str() {
                "" => format!("Für '{}' fehlt ein Wert{values}", arg()?),
                value => format!("'{value}' geht nicht für '{}'{values}", arg()?),
            }
        }
        ErrorKind::ValueValidation => match (value(), arg()) {
            (Some(value), Some(arg)) => {
                let reason =
                    error.source().map(|reason| words::told_in(&reason.to_string(), Language::German));
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("'{value}' geht nicht für '{arg}'{reason}")
            }
            // Said by a command itself, in the right language.
            _ => error.to_string().trim_start_matches("error:").lines().next()?.trim().to_owned(),
        },
        ErrorKind::TooManyValues => format!("'{}' ist zu viel: '{}' nimmt nicht mehr", value()?, arg()?),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("'{}' hat nicht die richtige Zahl von Werten", arg()?)
        }
        ErrorKind::NoEquals => format!("Bei '{}' steht vor dem Wert ein Gleichheitszeichen", arg()?),
        ErrorKind::ArgumentConflict => conflict(error)?,
        ErrorKind::InvalidUtf8 => "Etwas auf der Befehlszeile ist kein UTF-8".to_owned(),
        _ => return None,
    })
}

fn conflict(error: &clap::Error) -> Option<String> {
    let invalid = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand];
    let invalid = invalid.into_iter().find_map(|kind| one(error, kind))?;
    Some(match all(error, ContextKind::PriorArg) {
        Some(prior) if prior == [invalid.as_str()] => format!("'{invalid}' darf nur einmal vorkommen"),
        Some(prior) => format!("'{invalid}' geht nicht zusammen mit {}", quoted(&prior)),
        None => format!("'{invalid}' geht nicht zusammen mit anderen Angaben"),
    })
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ")
}

fn one(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn all(error: &clap::Error, kind: ContextKind) -> Option<Vec<String>> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(vec![text.clone()]),
        ContextValue::Strings(texts) => Some(texts.clone()),
        _ => None,
    }
}
