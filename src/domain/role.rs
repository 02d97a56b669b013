//! What somebody may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A participant's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Writes and reads.
    #[default]
    Member,
    /// May also look after groups.
    Moderator,
    /// May also look after everything that admins may from a client.
    Admin,
    /// A program.
    Bot,
}

/// The text is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is member, moderator, admin or bot")]
pub struct RoleError;

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Member, Self::Moderator, Self::Admin, Self::Bot];

    /// The word for it in files and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Moderator => "moderator",
            Self::Admin => "admin",
            Self::Bot => "bot",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL.into_iter().find(|role| role.word() == text).ok_or(RoleError)
    }
}

/// What an account of the admin pages may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountRole {
    /// Everything.
    Admin,
    /// See the people of some classes and print their invite sheets.
    Moderator,
}

impl AccountRole {
    /// The word for it in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Moderator => "moderator",
        }
    }
}
