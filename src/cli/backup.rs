//! `momedo admin backup` and `momedo admin restore`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::admin::Common;
use super::{output, secret_file};
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
        self.passphrase_file.as_deref().map(|file| secret_file::read(file, "passphrase")).transpose()
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
                    note!("{READABLE}");
                }
                if common.json {
                    return output::json(&exported);
                }
                let how = if exported.sealed { ", sealed with the passphrase" } else { ", NOT SEALED" };
                say!("{} ({} bytes{how})", exported.file.display(), exported.bytes);
                Ok(())
            }
        }
    }
}

/// What whoever exports to most sticks has to know.
const READABLE: &str = "the disk it was written to knows no permissions, as with FAT and exFAT: whoever gets hold of the file \
    has this server's keys; lock it away, or export it sealed, with --passphrase-file";

/// What whoever restores has to know, and to do.
const WHAT_FOLLOWS: &str = "
people's programs bring back by themselves what they have: newer keys, devices and which were revoked, groups
only an admin can do again what was done since the backup was made: invite whoever registered since; disable, delete
and lock out again, first of all, whoever was; change people, classes, roles, rules and neighbours
mail that nobody had fetched is lost";

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
        say!("restored to {}", directory.display());
        say!("made            {}", output::time(restored.made_at));
        say!("fingerprint     {}", restored.fingerprint);
        if let Some(folder) = &restored.replaced {
            say!("the database that was there is in {}", folder.display());
        }
        say!("{WHAT_FOLLOWS}");
        Ok(())
    }
}

/// Has the log, and with it every admin, know of an export. Where the folder holds backups alone there is no log.
fn note(common: &Common, directory: &Path, name: BackupName) {
    if !directory.join("momedo.db").exists() {
        return;
    }
    if let Err(error) = common.ask(AdminRequest::Backup(BackupRequest::Exported { name })) {
        note!("the server's log does not tell of this export: {error:#}");
    }
}

fn ask(common: &Common, request: BackupRequest) -> anyhow::Result<()> {
    let response = common.ask(AdminRequest::Backup(request))?;
    let AdminResponse::Backups { backups } = response else { anyhow::bail!("an unexpected answer") };
    for backup in &backups {
        if common.json {
            output::json(backup)?;
            continue;
        }
        let state = if backup.verified { "verified" } else { "DAMAGED" };
        say!("{}  {}  {} bytes  {state}", backup.name, output::time(backup.made_at), backup.bytes);
    }
    Ok(())
}
