//! What comes of a refusal, whichever door it leaves by: its word, its status, its sentence.

use std::fmt;
use std::time::Duration;

use momedo_protocol::limits::MAX_BLOCKS;
use momedo_texts::{Language, Refusal};
use strum::EnumProperty;

use super::ServiceError;
use crate::texts;

/// The status of what only admins ask for.
const UNPROCESSABLE: u16 = 422;

/// The status of what is not the caller's fault.
const INTERNAL: u16 = 500;

impl Refusal for ServiceError {
    fn word(&self) -> &'static str {
        match self {
            Self::Admin(error) => error.word(),
            Self::Backup(error) => error.word(),
            own => own.into(),
        }
    }

    fn values(&self, language: Language) -> Vec<(&'static str, String)> {
        let (name, value) = match self {
            Self::Admin(error) => return error.values(language),
            Self::Backup(error) => return error.values(language),
            Self::EnvelopeTooLarge { limit } | Self::BodyTooLarge { limit } => ("limit", limit.to_string()),
            Self::BlobTooLarge { limit } => ("limit", limit.to_string()),
            Self::TooManyBlocks => ("limit", MAX_BLOCKS.to_string()),
            Self::UnknownSuite(suite) => ("suite", suite.clone()),
            Self::WrongOffset { offset } => ("offset", offset.to_string()),
            Self::StaleGroup { number } => ("number", number.to_string()),
            _ => return Vec::new(),
        };
        vec![(name, value)]
    }
}

impl ServiceError {
    /// Its HTTP status.
    pub fn status(&self) -> u16 {
        let status = |properties: &dyn EnumProperty| properties.get_int("status");
        let status = match self {
            Self::Admin(_) => return UNPROCESSABLE,
            Self::Backup(error) => status(error),
            own => status(own),
        };
        status.and_then(|status| u16::try_from(status).ok()).unwrap_or(INTERNAL)
    }

    /// After how many seconds trying again makes sense.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooOften(after) => Some((*after + Duration::from_millis(999)).as_secs().max(1)),
            Self::Admin(_) | Self::Backup(_) => None,
            own => own.get_int("retry_after").and_then(|seconds| seconds.try_into().ok()),
        }
    }

    /// What is wrong and what to do, as people read it.
    pub fn said(&self, language: Language) -> String {
        texts::said(self, language)
    }

    /// More about this case, in English, for whoever writes a program that is refused.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::KeyRule(cause) | Self::ReportRefused(cause) => Some((*cause).to_owned()),
            Self::Bundle(cause)
            | Self::DeviceList(cause)
            | Self::Envelope(cause)
            | Self::GroupRefused(cause)
            | Self::Malformed(cause) => Some(cause.clone()),
            _ => None,
        }
    }

    /// All there is to say, to whoever is at the machine.
    pub fn said_in_full(&self, language: Language) -> String {
        let detail = match self {
            Self::Internal(cause) => Some(cause.clone()),
            Self::Backup(error) => return error.said_in_full(language),
            other => other.detail(),
        };
        texts::with_detail(self.said(language), detail)
    }
}

/// As logs have it: in English, with its cause.
impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said_in_full(Language::English))
    }
}

impl std::error::Error for ServiceError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use strum::IntoEnumIterator;

    use super::*;
    use crate::control::ControlError;
    use crate::service::AdminError;
    use crate::service::backup::{BackupError, SealedError};
    use crate::service::smoke::SmokeError;
    use crate::store::backup::CopyError;

    /// Every kind of refusal, with empty values.
    fn every_kind() -> Vec<Box<dyn Refusal>> {
        fn all<R: Refusal + IntoEnumIterator + 'static>() -> impl Iterator<Item = Box<dyn Refusal>> {
            R::iter().map(|refusal| Box::new(refusal) as Box<dyn Refusal>)
        }
        let own = all::<ServiceError>().chain(all::<AdminError>()).chain(all::<SmokeError>());
        let backups = all::<BackupError>().chain(all::<CopyError>()).chain(all::<SealedError>());
        own.chain(backups).chain(all::<ControlError>()).collect()
    }

    #[test]
    fn every_refusal_is_one_row_in_both_languages() {
        let kinds = every_kind();
        assert!(kinds.len() > 150, "{}", kinds.len());
        let faults = texts::faults(kinds.iter().map(AsRef::as_ref));
        assert!(faults.is_empty(), "{faults:#?}");
    }

    #[test]
    fn every_refusal_says_its_status() {
        for error in ServiceError::iter() {
            let own = error.get_int("status").is_some();
            assert!(own && (400..600).contains(&error.status()), "{error:?}");
        }
    }

    #[test]
    fn the_protocol_lists_the_words_and_no_others() {
        let rows: BTreeMap<_, _> =
            ServiceError::iter().map(|error| (error.word().to_owned(), error.status())).collect();
        let chapter = include_str!("../../docs/protocol.md");
        let list = chapter.split("### Every problem\n").nth(1).unwrap().split("\n## ").next().unwrap();
        let mut listed = BTreeMap::new();
        for line in list.lines() {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (Some(status), Some(words)) = (cells.next(), cells.next()) else { continue };
            let Ok(status) = status.parse::<u16>() else { continue };
            for word in words.split('`').skip(1).step_by(2) {
                assert_eq!(listed.insert(word.to_owned(), status), None, "{word} is listed twice");
            }
        }
        assert_eq!(listed, rows);
        // The tables of single calls name the same words with the same statuses.
        for line in chapter.lines().filter(|line| line.starts_with("| 4") || line.starts_with("| 5")) {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (Some(status), Some(words)) = (cells.next(), cells.next()) else { continue };
            for word in words.split('`').skip(1).step_by(2) {
                let known = rows.get(word).unwrap_or_else(|| panic!("no problem is called {word}"));
                assert!(status.contains(&known.to_string()), "{word} has {known}, not {status}");
            }
        }
    }
}
