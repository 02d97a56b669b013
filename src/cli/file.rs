//! `momedo file`: files that came or went along with messages.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use momedo_client::blobs::Metadata;
use momedo_client::commands::files;
use momedo_client::commands::send::{self, Attaching};
use momedo_client::profile::Profile;
use momedo_protocol::blob::{BlobId, FileReference};

use super::naming::printable;
use super::{ProfileArgs, client_runtime, language, naming, output, reader};

/// List files that came along with messages, and save them.
#[derive(Debug, Subcommand)]
pub(super) enum File {
    /// List the files this device knows of
    List {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch a file, check it, and save it under its own name; nothing is overwritten
    Save {
        #[command(flatten)]
        profile: ProfileArgs,
        /// The file's ID, as `receive` and `file list` show it
        id: BlobId,
        /// Folder to save it in
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        to: PathBuf,
        /// How many seconds nothing may move before it is given up
        #[arg(long, default_value_t = files::WAIT_SECONDS, value_name = "SECONDS")]
        wait: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl File {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List { profile, json } => list(&profile.open()?, json),
            Self::Save { profile, id, to, wait, json } => {
                save(&profile.open()?, id, &to, Duration::from_secs(wait), json)
            }
        }
    }
}

fn list(profile: &Profile, json: bool) -> anyhow::Result<()> {
    for file in files::list(profile)? {
        if json {
            output::json(&file)?;
            continue;
        }
        let saved = file
            .saved
            .as_ref()
            .map(|path| words!("file.saved-as", path = path.display()))
            .unwrap_or_default();
        let from = naming::person(profile, file.from)?;
        say!(
            "{}  {}{saved}",
            file.id,
            words!("file.listed", name = printable(&file.name), bytes = file.size, from = from)
        );
    }
    Ok(())
}

fn save(
    profile: &Profile,
    id: BlobId,
    to: &std::path::Path,
    wait: Duration,
    json: bool,
) -> anyhow::Result<()> {
    let language = language();
    let saved = client_runtime()?.block_on(files::save(profile, id, to, wait, reader(&language)));
    output::end_progress();
    let saved = saved?;
    output::answer(json, &saved, &saved.saved.display().to_string())
}

/// Files to go along with a message.
#[derive(Debug, clap::Args)]
pub(super) struct FileArgs {
    /// A file to send along; once for each, at most 16
    #[arg(long = "file", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Leave in images what they tell beside the picture: place, time, camera. Without it that is removed from
    /// JPEG, PNG and WebP, and other images and films are refused
    #[arg(long, requires = "files")]
    pub(super) keep_metadata: bool,
}

impl FileArgs {
    /// Uploads the files.
    pub(super) fn attach(&self, profile: &Profile, wait: Duration) -> anyhow::Result<Vec<FileReference>> {
        if self.files.is_empty() {
            return Ok(Vec::new());
        }
        let metadata = if self.keep_metadata { Metadata::Keep } else { Metadata::Strip };
        let attaching = Attaching { paths: self.files.clone(), metadata };
        let language = language();
        let attached = client_runtime()?.block_on(send::attach(profile, &attaching, wait, reader(&language)));
        output::end_progress();
        Ok(attached?)
    }
}
