//! `momedo admin listener`, `account` and `rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Common, password};
use crate::domain::role::AccountRole;
use crate::service::administration::{AccountRequest, AdminRequest, ListenerRequest, Password};
use crate::service::rules::Rules;

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
        /// A moderator of these classes instead of an admin; may be given more than once
        #[arg(long, value_name = "CLASS")]
        moderates: Vec<String>,
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
            Self::Add { common, name, password_file, moderates } => {
                let (password, _) = password(Some(password_file))?;
                let role = if moderates.is_empty() { AccountRole::Admin } else { AccountRole::Moderator };
                let password = Password(password);
                (common, AccountRequest::Add { name, password, role, classes: moderates })
            }
            Self::Delete { common, name } => (common, AccountRequest::Delete { name }),
        };
        common.print(AdminRequest::Account(request), &["name", "role"])
    }
}

/// Show the rules, or change some. What stands in momedo.toml is changed there.
#[derive(Debug, Args)]
pub(in crate::cli) struct ChangeRules {
    #[command(flatten)]
    common: Common,
    /// The server's name
    #[arg(long)]
    name: Option<String>,
    /// A host name or address people use, the first one for invite links; may be given more than once
    #[arg(long = "address", value_name = "HOST")]
    addresses: Vec<String>,
    /// The port invite links name, if a listener has it
    #[arg(long)]
    link_port: Option<u16>,
    /// How long an envelope waits, in days
    #[arg(long)]
    retention_days: Option<u64>,
    /// Largest queue of one device, in MiB
    #[arg(long)]
    queue_mib: Option<u64>,
    /// How much of a queue one sender may fill, in percent
    #[arg(long)]
    sender_share_percent: Option<u64>,
    /// How much of one sender may wait for everybody together, in MiB
    #[arg(long)]
    sender_mib: Option<u64>,
    /// Largest file that may go along with a message, in MiB
    #[arg(long)]
    file_mib: Option<u64>,
    /// How much of one person's files the server keeps at once, in MiB
    #[arg(long)]
    person_files_mib: Option<u64>,
    /// How much of everybody's files the server keeps at once, in MiB; 0: as much as the disk has
    #[arg(long)]
    server_files_mib: Option<u64>,
    /// How long the server keeps a file, in days
    #[arg(long)]
    file_days: Option<u64>,
    /// How long an invite can be used, in days
    #[arg(long)]
    invite_days: Option<u64>,
    /// Whether accounts of the admin pages have to use one-time passwords
    #[arg(long, value_name = "true|false")]
    one_time_passwords: Option<bool>,
    /// Whom to tell of a fault of this server: an e-mail address, https:// or tel:; empty: nobody
    #[arg(long)]
    security_contact: Option<String>,
    /// Where it is said what happens with reports, https://; empty: nowhere
    #[arg(long)]
    security_policy: Option<String>,
    /// A key to write reports with, https://; empty: none
    #[arg(long)]
    security_encryption: Option<String>,
    /// Messages one participant may send per minute
    #[arg(long)]
    messages_per_minute: Option<u32>,
    /// Time between two backups, in hours; 0: none by themselves
    #[arg(long)]
    backup_every_hours: Option<u64>,
    /// How many backups are kept
    #[arg(long)]
    backup_keep: Option<u64>,
    /// Whether Smoke clients are let in at the addresses everybody uses
    #[arg(long, value_name = "true|false")]
    smoke_shared_port: Option<bool>,
    /// Whether Smoke clients that know an ozone may register IDs by themselves
    #[arg(long, value_name = "true|false")]
    smoke_share_ids: Option<bool>,
}

impl ChangeRules {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let change = Rules {
            name: self.name,
            addresses: Some(self.addresses).filter(|addresses| !addresses.is_empty()),
            link_port: self.link_port,
            retention_days: self.retention_days,
            queue_mib: self.queue_mib,
            sender_share_percent: self.sender_share_percent,
            sender_mib: self.sender_mib,
            file_mib: self.file_mib,
            person_files_mib: self.person_files_mib,
            server_files_mib: self.server_files_mib,
            file_days: self.file_days,
            invite_days: self.invite_days,
            one_time_passwords: self.one_time_passwords,
            security_contact: self.security_contact,
            security_policy: self.security_policy,
            security_encryption: self.security_encryption,
            messages_per_minute: self.messages_per_minute,
            backup_every_hours: self.backup_every_hours,
            backup_keep: self.backup_keep,
            smoke_shared_port: self.smoke_shared_port,
            smoke_share_ids: self.smoke_share_ids,
        };
        let request = AdminRequest::Rules { change: Box::new(change) };
        if self.common.json {
            return self.common.print(request, &[]);
        }
        let lines = self.common.ask(request)?.lines()?;
        for (name, value) in lines.iter().filter_map(serde_json::Value::as_object).flatten() {
            say!("{name:<22}{}", super::text(value));
        }
        Ok(())
    }
}
