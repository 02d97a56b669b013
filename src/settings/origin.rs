//! Where a value came from: what lies over what.

use std::collections::BTreeMap;

/// Where the value in force came from; each lies over those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Origin {
    /// Nobody said anything.
    #[default]
    Default,
    /// An admin, on a page or with `momedo admin rules`; kept in the database.
    Page,
    /// momedo.toml.
    File,
    /// A flag of `momedo serve`, or the environment.
    CommandLine,
}

impl Origin {
    /// Its word, in JSON and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Page => "page",
            Self::File => "momedo.toml",
            Self::CommandLine => "command line",
        }
    }

    /// Whether whoever started the server said it, so that no page changes it.
    pub fn is_fixed(self) -> bool {
        self > Self::Page
    }
}

/// Where the values of a [`Config`](super::Config) came from, by name; what is not in it is a default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(BTreeMap<&'static str, Origin>);

impl Origins {
    /// Where a setting's value came from.
    pub fn of(&self, setting: &str) -> Origin {
        self.0.get(setting).copied().unwrap_or_default()
    }

    /// Notes where a setting's value came from.
    pub fn note(&mut self, setting: &'static str, origin: Origin) {
        self.0.insert(setting, origin);
    }
}
