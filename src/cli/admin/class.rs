//! `momedo admin class`: classes and teams.

use clap::Subcommand;

use super::Common;
use crate::service::administration::{AdminRequest, ClassRequest};

/// Classes and teams. CLASS is a name, or # and the number in the list, such as '#3'.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Class {
    /// List classes and teams
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Add one
    Create {
        #[command(flatten)]
        common: Common,
        /// Its name
        name: String,
    },
    /// Rename one
    Rename {
        #[command(flatten)]
        common: Common,
        /// Which
        class: String,
        /// The new name
        name: String,
    },
    /// Delete one; its people stay
    Delete {
        #[command(flatten)]
        common: Common,
        /// Which
        class: String,
    },
    /// Put a person into one
    Add {
        #[command(flatten)]
        common: Common,
        /// Which
        class: String,
        /// Whom: an ID, or # and the number in the list
        who: String,
    },
    /// Take a person out of one
    Remove {
        #[command(flatten)]
        common: Common,
        /// Which
        class: String,
        /// Whom: an ID, or # and the number in the list
        who: String,
    },
}

impl Class {
    pub(super) fn run(self) -> anyhow::Result<()> {
        use ClassRequest as R;
        let (common, request, fields): (Common, R, &[&str]) = match self {
            Self::List { common } => (common, R::List, &["id", "name", "members", "registered"]),
            Self::Create { common, name } => (common, R::Add { name }, &["number", "name"]),
            Self::Rename { common, class, name } => (common, R::Rename { class, name }, &[]),
            Self::Delete { common, class } => (common, R::Delete { class }, &[]),
            Self::Add { common, class, who } => (common, R::Membership { class, who, is_member: true }, &[]),
            Self::Remove { common, class, who } => {
                (common, R::Membership { class, who, is_member: false }, &[])
            }
        };
        common.print(AdminRequest::Class(request), fields)
    }
}
