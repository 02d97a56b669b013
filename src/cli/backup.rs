//! `momedo admin backup` and `momedo admin restore`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::admin::Common;
use super::output;
use super::secret_file::{self, Secret};
use crate::domain::backup::BackupName;
use crate::service::administration::{AdminRequest, AdminResponse};
use crate::service::backup::{self, BackupRequest, Overwrite, Passphrase, Replace};
use crate::surroundings::clock::Clock;

/// Make, list, check and take away backups.
#[derive(Debug, Subcommand)]
pub(super) enum Backup {
    /// Make a backup now
    Now {
        #[command(flatten)]
        common: Common,
    },
    /// List the backups, oldest first
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Read a backup in full and compare it with what it was
    Verify {
        #[command(flatten)]
        common: Common,
        /// Which, as the list names it
        name: String,
    },
    /// Write a backup as one complete file, to be kept elsewhere
    Export {
        #[command(flatten)]
        common: Common,
        /// Which, as the list names it
        name: String,
        /// Where to; the file will belong to you
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseFile,
        /// Replace a file that is there already
        #[arg(long)]
        overwrite: bool,
    },
}

/// Make a backup this server's database again; the server must be stopped.
#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    common: Common,
    /// An exported file, or a backup in a backups folder
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseFile,
    /// Move a database that is there already aside, to replaced-TIME in the data folder
    #[arg(long)]
    replace: bool,
}

/// Where a backup's passphrase is.
#[derive(Debug, Args)]
pub(super) struct PassphraseFile {
    /// File with the passphrase the backup is sealed with
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseFile {
    fn read(&self) -> anyhow::Result<Option<Passphrase>> {
        self.passphrase_file.as_deref().map(|file| secret_file::read(file, Secret::Passphrase)).transpose()
    }
}

impl Backup {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Now { common } => ask(&common, BackupRequest::Now),
            Self::List { common } => ask(&common, BackupRequest::List),
            Self::Verify { common, name } => ask(&common, BackupRequest::Verify { name }),
            Self::Export { common, name, to, passphrase, overwrite } => {
                let overwrite = if overwrite { Overwrite::Allow } else { Overwrite::Refuse };
                // Not by the server, which may write to its own folder alone.
                let passphrase = passphrase.read()?;
                let directory = common.directory()?;
                let exported = backup::export_from(&directory, &name, &to, passphrase.as_ref(), overwrite)?;
                note(&common, &directory, exported.name.clone());
                if !exported.private && !exported.sealed {
                    note!("{}", words!("backups.readable"));
                }
                if common.json {
                    return output::json(&exported);
                }
                let (file, bytes) = (exported.file.display(), exported.bytes);
                if exported.sealed {
                    say!("{}", words!("backups.exported-sealed", file = file, bytes = bytes));
                } else {
                    say!("{}", words!("backups.exported-open", file = file, bytes = bytes));
                }
                Ok(())
            }
        }
    }
}

impl Restore {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let replace = if self.replace { Replace::MoveAside } else { Replace::Refuse };
        let passphrase = self.passphrase.read()?;
        let directory = self.common.data.path()?;
        let now = Clock::system().now();
        let restored = backup::restore(&self.file, &directory, passphrase.as_ref(), replace, now)?;
        if self.common.json {
            return output::json(&restored);
        }
        say!("{}", words!("backups.restored", folder = directory.display()));
        say!("{}", words!("backups.made", at = output::time(restored.made_at)));
        say!("{}", words!("backups.fingerprint", fingerprint = restored.fingerprint));
        if let Some(folder) = &restored.replaced {
            say!("{}", words!("backups.replaced", folder = folder.display()));
        }
        // What whoever restores has to know, and to do.
        say!("\n{}", words!("backups.what-follows"));
        Ok(())
    }
}

/// Has the log, and with it every admin, know of an export. Where the folder holds backups alone there is no log.
fn note(common: &Common, directory: &Path, name: BackupName) {
    if !directory.join("momedo.db").exists() {
        return;
    }
    if let Err(error) = common.ask(AdminRequest::Backup(BackupRequest::Exported { name })) {
        note!("{}", words!("backups.not-logged", reason = super::said(&error, super::spoken())));
    }
}

fn ask(common: &Common, request: BackupRequest) -> anyhow::Result<()> {
    let response = common.ask(AdminRequest::Backup(request))?;
    let AdminResponse::Backups { backups } = response else { anyhow::bail!(words!("answer.unexpected")) };
    for backup in &backups {
        if common.json {
            output::json(backup)?;
            continue;
        }
        let state = if backup.verified { words!("backups.verified") } else { words!("backups.damaged") };
        let bytes = words!("backups.bytes", number = backup.bytes);
        say!("{}  {}  {bytes}  {state}", backup.name, output::time(backup.made_at));
    }
    Ok(())
}
