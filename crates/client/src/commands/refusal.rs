//! Why a command was refused that the core would not have refused.

use std::error::Error;
use std::fmt;
use std::sync::LazyLock;

use momedo_protocol::id::ParticipantId;
use momedo_texts::{Catalogue, Language, Refusal};
use strum::{IntoStaticStr, VariantNames};

use crate::ClientError;

/// Built in and never changed.
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    Catalogue::read(
        include_str!("../../messages/commands.de.toml"),
        include_str!("../../messages/commands.en.toml"),
    )
});

/// Why a command did not work. Each kind but the first is a row: what is said of it stands under its name, in kebab-case, in
/// this crate's `messages/commands.*`.
#[derive(Debug, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum CommandError {
    /// What the core says.
    #[strum(disabled)]
    Client(ClientError),
    /// A message's files could not be sent, and so it was not.
    NotSent(ClientError),
    /// More files than a message takes.
    TooManyFiles,
    /// A poll without two different answers, or with too many.
    NoPoll,
    /// A text that is no fingerprint.
    NotAFingerprint,
    /// A number that the log of key changes has not reached.
    BeyondLog,
    /// Somebody else's ID was given to be erased.
    NotErased {
        /// Whose profile it is.
        id: ParticipantId,
        /// Who was named.
        confirm: ParticipantId,
    },
    /// What was typed is not what the new device shows.
    CodesDiffer,
    /// The identity is back, and the other devices are, too.
    NotRevoked {
        /// Who is back.
        id: ParticipantId,
        /// Why.
        error: ClientError,
    },
}

impl CommandError {
    /// The same, as an error that says what the core says.
    pub fn client(&self) -> Option<&ClientError> {
        match self {
            Self::Client(error) | Self::NotSent(error) | Self::NotRevoked { error, .. } => Some(error),
            _ => None,
        }
    }

    /// What went wrong, as people read it; why, says its source.
    pub fn said(&self, language: Language) -> String {
        match self {
            Self::Client(error) => error.said(language),
            own => own.said_with(&CATALOGUE, language),
        }
    }

    /// The same with why.
    pub fn said_in_full(&self, language: Language) -> String {
        match self {
            Self::NotSent(error) | Self::NotRevoked { error, .. } => {
                format!("{}: {}", self.said(language), error.said(language))
            }
            _ => self.said(language),
        }
    }
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl Refusal for CommandError {
    fn word(&self) -> &'static str {
        match self {
            Self::Client(error) => error.word(),
            own => own.into(),
        }
    }

    fn values(&self, language: Language) -> Vec<(&'static str, String)> {
        match self {
            Self::Client(error) => error.values(language),
            Self::TooManyFiles => vec![("most", momedo_protocol::blob::MAX_MESSAGE_BLOBS.to_string())],
            Self::NotErased { id, confirm } => vec![("id", id.to_string()), ("confirm", confirm.to_string())],
            Self::NotRevoked { id, .. } => vec![("id", id.to_string())],
            Self::NotSent(_) | Self::NoPoll | Self::NotAFingerprint | Self::BeyondLog | Self::CodesDiffer => {
                Vec::new()
            }
        }
    }
}

/// In English, as programs and logs have it.
impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said(Language::English))
    }
}

impl Error for CommandError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotSent(error) | Self::NotRevoked { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_one_row_in_both_languages() {
        let id = ParticipantId::random();
        let kinds = [
            CommandError::NotSent(ClientError::TooLong),
            CommandError::TooManyFiles,
            CommandError::NoPoll,
            CommandError::NotAFingerprint,
            CommandError::BeyondLog,
            CommandError::NotErased { id, confirm: id },
            CommandError::CodesDiffer,
            CommandError::NotRevoked { id, error: ClientError::TooLong },
        ];
        let words: Vec<_> = kinds.iter().map(Refusal::word).collect();
        let expected = CommandError::VARIANTS.iter().copied().filter(|word| *word != "client");
        assert_eq!(words, expected.collect::<Vec<_>>(), "a kind is missing here");
        let faults = CATALOGUE.faults(kinds.iter().map(|error| error as &dyn Refusal));
        assert!(faults.is_empty(), "{faults:#?}");
    }
}
