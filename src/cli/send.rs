//! `momedo send`.

use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use momedo_client::commands::send::{self, Meant};
use momedo_client::sending::Destination;
use momedo_protocol::kind::Place;

use super::file::FileArgs;
use super::{ProfileArgs, client_runtime, language, output, reader};

/// Longest text taken, in bytes: about what fits an envelope.
const MAX_TEXT_BYTES: u64 = 64 * 1024;

/// Send a message. Success means that it is on the server's disk.
#[derive(Debug, Args)]
pub(super) struct Send {
    #[command(flatten)]
    profile: ProfileArgs,
    /// The recipient's ID, such as M8N22HT6, or a group's, which has 12 letters and digits
    #[arg(long)]
    to: Destination,
    /// How many seconds to try again while the server cannot be reached; for files, and for the keys of a group's
    /// members, how long nothing may move
    #[arg(long, default_value_t = send::WAIT_SECONDS, value_name = "SECONDS")]
    wait: u64,
    /// The text; - reads it from standard input. Without it there must be a file
    #[arg(required_unless_present = "files", default_value = "", hide_default_value = true)]
    text: String,
    #[command(flatten)]
    files: FileArgs,
    /// Where it is about, in degrees north and east, such as 48.137,11.575; goes with files
    #[arg(long, requires = "files", value_name = "LAT,LON", value_parser = send::place, allow_hyphen_values = true, conflicts_with_all = ["announcement", "task", "poll"])]
    place: Option<Place>,
    /// An announcement: you can see who has read it
    #[arg(long, conflicts_with_all = ["task", "poll"])]
    announcement: bool,
    /// A task: somebody accepts it and says when it is done
    #[arg(long, conflicts_with = "poll")]
    task: bool,
    /// A poll with the text as its question; once for each answer
    #[arg(long, value_name = "ANSWER", conflicts_with = "files")]
    poll: Vec<String>,
    /// Several answers of the poll may be chosen
    #[arg(long, requires = "poll")]
    several: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Send {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let text = if self.text == "-" {
            let mut bytes = Vec::new();
            let mut input = std::io::stdin().lock().take(MAX_TEXT_BYTES + 1);
            input.read_to_end(&mut bytes).context(words!("send.unreadable"))?;
            // Before it is looked at: what is cut off may end in the middle of a letter.
            anyhow::ensure!(
                bytes.len() as u64 <= MAX_TEXT_BYTES,
                words!("send.too-long", most = MAX_TEXT_BYTES)
            );
            String::from_utf8(bytes).context(words!("send.not-text"))?
        } else {
            self.text.clone()
        };
        let profile = self.profile.open()?;
        let (wait, meant) = (Duration::from_secs(self.wait), self.meant());
        // What is misspelt shows before anything is uploaded.
        meant.draft(&text, Vec::new())?;
        let files = self.files.attach(&profile, wait)?;
        let draft = meant.draft(&text, files)?;
        let language = language();
        let sending = send::send(&profile, self.to, &draft, wait, reader(&language));
        let sent = client_runtime()?.block_on(sending)?;
        if let Some(to) = sent.unvouched {
            note!("{}", words!("send.unvouched", to = to));
        }
        let left_out = sent.left_out.as_deref().unwrap_or_default();
        if !left_out.is_empty() {
            let whom = left_out.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            note!("{}", words!("send.left-out", whom = whom));
        }
        output::answer(self.json, &sent, words!("send.accepted"))
    }

    fn meant(&self) -> Meant {
        if self.announcement {
            Meant::Announcement
        } else if self.task {
            Meant::Task
        } else if !self.poll.is_empty() {
            Meant::Poll { options: self.poll.clone(), several: self.several }
        } else {
            Meant::Message(self.place)
        }
    }
}
