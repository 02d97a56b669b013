//! `momedo admin listener` and `account`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Common, password};
use crate::domain::role::AccountRole;
use crate::service::administration::{AccountRequest, AdminRequest, ListenerRequest, Password};

/// Addresses the server listens on.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Listener {
    /// List them
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Add one; port 0 takes a free one
    Add {
        #[command(flatten)]
        common: Common,
        /// Address and port, such as 0.0.0.0:4720
        address: String,
    },
    /// Start one that was stopped
    Start {
        #[command(flatten)]
        common: Common,
        /// Address and port
        address: String,
    },
    /// Stop one; connections it took go on
    Stop {
        #[command(flatten)]
        common: Common,
        /// Address and port
        address: String,
    },
    /// Remove one
    Remove {
        #[command(flatten)]
        common: Common,
        /// Address and port
        address: String,
    },
}

impl Listener {
    pub(super) fn run(self) -> anyhow::Result<()> {
        use ListenerRequest as R;
        let (common, request) = match self {
            Self::List { common } => (common, R::List),
            Self::Add { common, address } => (common, R::Add { address }),
            Self::Start { common, address } => (common, R::Start { address }),
            Self::Stop { common, address } => (common, R::Stop { address }),
            Self::Remove { common, address } => (common, R::Remove { address }),
        };
        common.print(AdminRequest::Listener(request), &["address", "state", "reason"])
    }
}

/// Accounts of the admin pages.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Account {
    /// List them
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Add one
    Add {
        #[command(flatten)]
        common: Common,
        /// Its name
        name: String,
        /// File with its password
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
        /// A lead of these classes instead of an admin; may be given more than once
        #[arg(long, value_name = "CLASS")]
        leads: Vec<String>,
    },
    /// Delete one
    Delete {
        #[command(flatten)]
        common: Common,
        /// Its name
        name: String,
    },
}

impl Account {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (common, request) = match self {
            Self::List { common } => (common, AccountRequest::List),
            Self::Add { common, name, password_file, leads } => {
                let (password, _) = password(Some(password_file))?;
                let role = if leads.is_empty() { AccountRole::Admin } else { AccountRole::ClassLead };
                let password = Password(password);
                (common, AccountRequest::Add { name, password, role, classes: leads })
            }
            Self::Delete { common, name } => (common, AccountRequest::Delete { name }),
        };
        common.print(AdminRequest::Account(request), &["name", "role"])
    }
}
