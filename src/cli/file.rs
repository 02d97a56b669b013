//! `momedo file`: files that came or went along with messages.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Subcommand;
use momedo_client::blobs::{self, Metadata};
use momedo_client::profile::Profile;
use momedo_client::sending;
use momedo_protocol::blob::{BlobId, FileReference};

use super::naming::printable;
use super::{ProfileArgs, client_runtime, language, naming, output};

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
        #[arg(long, default_value_t = 30, value_name = "SECONDS")]
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
    for file in profile.files()? {
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
    let saved = client_runtime()?.block_on(async {
        let mut session = sending::log_in(profile, &language, Instant::now() + wait).await?;
        blobs::save(profile, &mut session, id, None, to, wait, &output::progress).await
    });
    output::end_progress();
    let saved = saved?;
    if json {
        return output::json(&serde_json::json!({ "id": id, "saved": saved }));
    }
    say!("{}", saved.display());
    Ok(())
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
        let most = momedo_protocol::blob::MAX_MESSAGE_BLOBS;
        anyhow::ensure!(self.files.len() <= most, words!("file.too-many", most = most));
        let metadata = if self.keep_metadata { Metadata::Keep } else { Metadata::Strip };
        let language = language();
        let attached = client_runtime()?.block_on(blobs::attach(
            profile,
            &self.files,
            metadata,
            wait,
            &language,
            &output::progress,
        ));
        output::end_progress();
        attached.context(words!("send.not-sent"))
    }
}
