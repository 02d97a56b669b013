//! What somebody may do.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// A participant's role.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Default,
    Display,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "kebab-case", parse_err_ty = RoleError, parse_err_fn = not_a_role)]
pub enum Role {
    /// Writes and reads.
    #[default]
    Member,
    /// Works here: a teacher, a clerk.
    Employee,
    /// Runs the server.
    Admin,
    /// A program.
    Bot,
}

/// The text is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is member, employee, admin or bot")]
pub struct RoleError;

fn not_a_role(_: &str) -> RoleError {
    RoleError
}

impl Role {
    /// The word for it in files and tables.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// What an account of the admin pages may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, EnumIter)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum AccountRole {
    /// Everything.
    Admin,
    /// See the people of some classes and print their invite sheets.
    ClassLead,
}

impl AccountRole {
    /// The word for it in tables.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn a_role_is_the_same_word_in_tables_files_and_json() {
        let words = Role::iter().map(|role| (role.word(), serde_json::to_value(role)));
        let of_accounts = AccountRole::iter().map(|role| (role.word(), serde_json::to_value(role)));
        for (word, json) in words.chain(of_accounts) {
            assert_eq!(json.unwrap(), word);
        }
    }
}
