//! `momedo user block|unblock|blocked|export|erase`.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Subcommand;
use momedo_client::commands::manners;
use momedo_client::personal;
use momedo_protocol::id::ParticipantId;

use super::{ProfileArgs, language, output, reader};
use crate::surroundings::data_directory::create_private_file;

/// Whom you take messages from, and what the server holds about you.
#[derive(Debug, Subcommand)]
pub(super) enum Manners {
    /// Take no more messages from somebody, on any of your devices; they are told so when they write
    Block {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Whom, by ID
        id: ParticipantId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take messages from somebody again
    Unblock {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Whom, by ID
        id: ParticipantId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List whom you block
    Blocked {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Print JSON, one per line
        #[arg(long)]
        json: bool,
    },
    /// Fetch everything the server holds about you: a ZIP file with a readable page and JSON
    Export {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Where to; without it momedo-ID.zip in this folder
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Erase everything the server holds about you, for good
    ///
    /// Messages to you that wait, and messages from you that nobody fetched yet, are lost. Your ID is never given
    /// to anybody again. What others have received stays with them.
    Erase {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Your own ID, so that it does not happen by mistake
        #[arg(long, value_name = "ID")]
        confirm: ParticipantId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Manners {
    pub(super) async fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Block { profile, id, json } => {
                let blocked = manners::block(&profile.open()?, id, reader(&language())).await?;
                output::answer(json, &blocked, &words!("manners.blocked", id = id))
            }
            Self::Unblock { profile, id, json } => {
                let unblocked = manners::unblock(&profile.open()?, id, reader(&language())).await?;
                output::answer(json, &unblocked, &words!("manners.unblocked", id = id))
            }
            Self::Blocked { profile, json } => {
                for block in manners::blocked(&profile.open()?, reader(&language())).await? {
                    output::answer(json, &block, &block.id.to_string())?;
                }
                Ok(())
            }
            Self::Export { profile, to, json } => {
                let opened = profile.open()?;
                let mut session = opened.log_in(&language()).await?;
                let to = to.unwrap_or_else(|| PathBuf::from(format!("momedo-{}.zip", session.id)));
                ensure!(!to.exists(), words!("file.exists", path = to.display()));
                let mut file = create_private_file(&to)
                    .with_context(|| words!("file.unwritable", path = to.display()))?;
                let exported = async {
                    let bytes = personal::export(&mut session, &mut file).await?;
                    file.sync_all().with_context(|| words!("file.unwritable", path = to.display()))?;
                    anyhow::Ok(bytes)
                };
                let bytes = match exported.await {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        // Half a file is worth nothing, and in the way of the next try.
                        drop(std::fs::remove_file(&to));
                        return Err(error);
                    }
                };
                let line = serde_json::json!({ "file": to, "bytes": bytes });
                output::answer(json, &line, &words!("file.written", path = to.display(), bytes = bytes))
            }
            Self::Erase { profile, confirm, json } => {
                let erased = manners::erase(&profile.open()?, confirm, reader(&language())).await?;
                output::answer(json, &erased, &words!("manners.erased", id = erased.id))
            }
        }
    }
}
