//! `momedo admin`: beside a running server over its control socket, without one on the data itself.

mod ask;
mod autostart;
mod certificate;
mod class;
mod class_list;
mod group;
mod metrics;
mod neighbour;
mod participant;
mod rules;
mod shown;
mod smoke;
mod status;
mod surroundings;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use momedo_protocol::encoding::encode_base64;
use momedo_protocol::random;
use momedo_protocol::time::UnixMillis;
use serde_json::Value;

pub(super) use rules::flag_help;
pub(super) use shown::sentence;

use super::secret_file::{self, Secret};
use super::{DataDir, backup, output};
use crate::service::administration::{AdminRequest, AdminResponse, Password};

/// Administer the server.
#[derive(Debug, Subcommand)]
pub(super) enum Admin {
    /// Set the server up: its name and the admin's password
    Setup {
        #[command(flatten)]
        common: Common,
        /// The server's name, as people see it
        #[arg(long)]
        name: Option<String>,
        /// File with the password of the account "admin"; without it one is made and printed
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Make an invite link for one person
    Invite {
        #[command(flatten)]
        common: Common,
        /// The person's name; they can choose another
        #[arg(long)]
        name: Option<String>,
    },
    /// Show the server in numbers
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Say whether everything is well, and what needs doing
    Overview {
        #[command(flatten)]
        common: Common,
    },
    /// People: list, add, invite, rename, disable, delete, import, and their devices
    #[command(subcommand)]
    Participant(participant::Participant),
    /// Classes and teams
    #[command(subcommand)]
    Class(class::Class),
    /// Groups that participants made
    #[command(subcommand)]
    Group(group::Group),
    /// Addresses the server listens on
    #[command(subcommand)]
    Listener(surroundings::Listener),
    /// Start the server when you log in to this computer
    #[command(subcommand)]
    Autostart(autostart::Autostart),
    /// The certificate browsers see: show, exchange, or have a public authority issue it
    #[command(subcommand)]
    Certificate(certificate::Certificate),
    /// Other servers this one exchanges mail with
    #[command(subcommand)]
    Neighbour(neighbour::Neighbour),
    /// Accounts of the admin pages
    #[command(subcommand)]
    Account(surroundings::Account),
    /// The gateway for the Smoke app: participants, ozones, listeners and neighbours
    #[command(subcommand)]
    Smoke(smoke::Smoke),
    /// Show the rules, or change some
    Rules(Box<rules::ChangeRules>),
    /// Say whether figures can be fetched from /metrics, or make the token for it
    Metrics(metrics::Metrics),
    /// Show what admins did, newest first
    Log {
        #[command(flatten)]
        common: Common,
        /// Only lines with this in them
        #[arg(long, default_value = "")]
        search: String,
        /// Most lines
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Make, list, check and take away backups
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Make a backup this server's database again; the server must be stopped
    Restore(backup::Restore),
    /// Set the password of an admin account, adding the account if need be
    ResetPassword {
        #[command(flatten)]
        common: Common,
        /// The account
        #[arg(long, default_value = "admin")]
        account: String,
        /// File with the new password; without it one is made and printed
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Switch the account's one-time passwords off, too: what makes them is lost, and every recovery code
        #[arg(long)]
        lost_one_time_passwords: bool,
    },
}

/// What all admin commands share.
#[derive(Debug, Args)]
pub(in crate::cli) struct Common {
    #[command(flatten)]
    pub(in crate::cli) data: DataDir,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Admin {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Setup { common, name, password_file } => {
                let (password, made) = password(password_file)?;
                let request = AdminRequest::SetUp { name, password: Password(password.clone()) };
                let line = common.ask(request)?.lines()?.into_iter().next().unwrap_or_default();
                if common.json {
                    let mut line = line;
                    line["password"] = made.then_some(password).into();
                    return output::json(&line);
                }
                say!("{}", words!("admin.set-up", name = text(&line["name"])));
                if made {
                    say!("{}", words!("admin.password", password = password));
                }
                Ok(())
            }
            Self::Invite { common, name } => {
                let response = common.ask(AdminRequest::Invite { name })?;
                let AdminResponse::Invite(invite) = response else {
                    anyhow::bail!(words!("answer.unexpected"))
                };
                if common.json {
                    return output::json(&invite);
                }
                say!("{}", invite.link);
                Ok(())
            }
            Self::Status { common } => {
                let response = common.ask(AdminRequest::Status)?;
                let AdminResponse::Status(status) = response else {
                    anyhow::bail!(words!("answer.unexpected"))
                };
                if common.json {
                    return output::json(&status);
                }
                status::print(&status)
            }
            Self::Overview { common } => {
                let line =
                    common.ask(AdminRequest::Overview)?.lines()?.into_iter().next().unwrap_or_default();
                if common.json {
                    return output::json(&line);
                }
                let tasks = line["tasks"].as_array().cloned().unwrap_or_default();
                if tasks.is_empty() {
                    say!("{}", words!("admin.well"));
                }
                for task in tasks {
                    say!("{}", sentence(&task));
                }
                Ok(())
            }
            Self::Backup(command) => command.run(),
            Self::Restore(command) => command.run(),
            Self::Participant(command) => command.run(),
            Self::Class(command) => command.run(),
            Self::Group(command) => command.run(),
            Self::Listener(command) => command.run(),
            Self::Autostart(command) => command.run(),
            Self::Certificate(command) => command.run(),
            Self::Neighbour(command) => command.run(),
            Self::Account(command) => command.run(),
            Self::Smoke(command) => command.run(),
            Self::Rules(command) => command.run(),
            Self::Metrics(command) => command.run(),
            Self::Log { common, search, limit } => {
                common.print(AdminRequest::Log { search, limit }, &["at", "account", "action", "subject"])
            }
            Self::ResetPassword { common, account, password_file, lost_one_time_passwords } => {
                let (password, made) = password(password_file)?;
                common.ask(AdminRequest::ResetPassword {
                    account: account.clone(),
                    password: Password(password.clone()),
                    lost_one_time_passwords,
                })?;
                let shown = made.then_some(password);
                if common.json {
                    return output::json(&serde_json::json!({ "account": account, "password": shown }));
                }
                match shown {
                    Some(password) => say!("{password}"),
                    None => say!("{}", words!("admin.password-set", account = account)),
                }
                Ok(())
            }
        }
    }
}

/// The password in a file, or one that is made; true for the latter.
fn password(file: Option<PathBuf>) -> anyhow::Result<(String, bool)> {
    let Some(file) = file else { return Ok((encode_base64(&random::bytes::<15>()), true)) };
    Ok((secret_file::read(&file, Secret::Password)?.as_written().to_owned(), false))
}

/// An instant of a line.
fn time(value: &Value) -> String {
    output::time(value.as_u64().map(UnixMillis))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".into(),
        other => other.to_string(),
    }
}

impl AdminResponse {
    fn lines(self) -> anyhow::Result<Vec<Value>> {
        match self {
            Self::Lines(lines) => Ok(lines),
            _ => anyhow::bail!(words!("answer.unexpected")),
        }
    }
}

impl Common {
    /// Asks, and prints one line per object: JSON, or these of its fields.
    fn print(&self, request: AdminRequest, fields: &[&str]) -> anyhow::Result<()> {
        let lines = self.ask(request)?.lines()?;
        for line in &lines {
            if self.json {
                output::json(line)?;
            } else if fields.is_empty() {
                say!("{}", words!("admin.done"));
            } else {
                let shown = |field: &&str| shown::field(line, field);
                say!("{}", fields.iter().map(shown).collect::<Vec<_>>().join("\t"));
            }
        }
        Ok(())
    }
}
