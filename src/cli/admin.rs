//! `momedo admin`: beside a running server over its control socket, without one on the data itself.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use momedo_protocol::encoding::encode_base64;
use momedo_protocol::random;

use super::{DataDir, backup, output, serve};
use crate::clock::Clock;
use crate::control::{self, ControlError};
use crate::running::{self, StartError};
use crate::service::administration::{self, AdminRequest, AdminResponse};

/// Administer the server.
#[derive(Debug, Subcommand)]
pub(super) enum Admin {
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
    },
    /// Make, list, check and take away backups
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Make a backup this server's database again; the server must be stopped
    Restore(backup::Restore),
}

/// What all admin commands share.
#[derive(Debug, Args)]
pub(super) struct Common {
    #[command(flatten)]
    pub(super) data: DataDir,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Admin {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Backup(command) => command.run(),
            Self::Restore(command) => command.run(),
            Self::Invite { common, name } => {
                let response = common.ask(AdminRequest::Invite { name })?;
                let AdminResponse::Invite(invite) = response else { anyhow::bail!("an unexpected answer") };
                if common.json {
                    return output::json(&invite);
                }
                println!("{}", invite.link);
                Ok(())
            }
            Self::Status { common } => {
                let response = common.ask(AdminRequest::Status)?;
                let AdminResponse::Status(status) = response else { anyhow::bail!("an unexpected answer") };
                if common.json {
                    return output::json(&status);
                }
                println!("participants    {} ({} online)", status.participants, status.online);
                println!("devices         {}", status.devices);
                println!("waiting mail    {} ({} bytes)", status.ozone_envelopes, status.ozone_bytes);
                println!("version         {} (schema {})", status.version, status.schema);
                println!("fingerprint     {}", status.fingerprint);
                let backups = &status.backups;
                match backups.last_at {
                    Some(at) => {
                        let newest = backup::time(Some(at));
                        println!(
                            "backups         {} ({} bytes), the last {newest}",
                            backups.count, backups.bytes
                        );
                    }
                    None => println!("backups         none"),
                }
                if let Some(trouble) = &backups.trouble {
                    println!("BACKUPS FAIL: {trouble}");
                }
                if status.storage_full {
                    println!("THE DISK IS FULL: new mail is refused until there is room again");
                }
                Ok(())
            }
            Self::ResetPassword { common, account, password_file } => {
                let (password, made) = match &password_file {
                    Some(file) => {
                        let text = std::fs::read_to_string(file)
                            .with_context(|| format!("cannot read the password file {}", file.display()))?;
                        (text.trim_end_matches(['\r', '\n']).to_owned(), false)
                    }
                    None => (encode_base64(&random::bytes::<15>()), true),
                };
                common.ask(AdminRequest::ResetPassword {
                    account: account.clone(),
                    password: password.clone(),
                })?;
                let shown = made.then_some(password);
                if common.json {
                    return output::json(&serde_json::json!({ "account": account, "password": shown }));
                }
                match shown {
                    Some(password) => println!("{password}"),
                    None => println!("the password of {account} is set"),
                }
                Ok(())
            }
        }
    }
}

impl Common {
    /// The data folder, which must be there.
    pub(super) fn directory(&self) -> anyhow::Result<PathBuf> {
        let path = self.data.path()?;
        anyhow::ensure!(
            path.is_dir(),
            "there is no data folder {}: start the server once, or name another with --data-dir",
            path.display()
        );
        Ok(path)
    }

    pub(super) fn ask(&self, request: AdminRequest) -> anyhow::Result<AdminResponse> {
        let path = self.directory()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(async {
            match control::ask(&path, &request).await {
                Ok(response) => return Ok(response),
                Err(ControlError::Refused(reason)) => anyhow::bail!("{reason}"),
                Err(ControlError::NotRunning(_)) => {}
            }
            let config = serve::load_config(&path, None)?;
            match running::open(&path, config, Clock::system()).await {
                Ok(opened) => {
                    let response = administration::execute(&opened.app, request).await;
                    opened.app.store.close().await;
                    Ok(response?)
                }
                // It started or is just starting: its socket answers now or in a moment.
                Err(StartError::Directory(crate::data_directory::DataDirectoryError::Locked(_))) => {
                    for _ in 0..50 {
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                        match control::ask(&path, &request).await {
                            Err(ControlError::NotRunning(_)) => {}
                            answer => return Ok(answer?),
                        }
                    }
                    anyhow::bail!("the server on {} does not answer; is it stopping?", path.display())
                }
                Err(error) => Err(error.into()),
            }
        })
    }
}
