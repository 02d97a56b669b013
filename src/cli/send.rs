//! `momedo send`.

use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use momedo_client::contacts::Trust;
use momedo_client::sending::{self, Destination, Draft};
use momedo_protocol::blob::FileReference;
use momedo_protocol::kind::{Announcement, Attachments, Content, Place, Poll, Task};

use super::file::FileArgs;
use super::{ProfileArgs, client_runtime, language, output};

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
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    wait: u64,
    /// The text; - reads it from standard input. Without it there must be a file
    #[arg(required_unless_present = "files", default_value = "", hide_default_value = true)]
    text: String,
    #[command(flatten)]
    files: FileArgs,
    /// Where it is about, in degrees north and east, such as 48.137,11.575; goes with files
    #[arg(long, requires = "files", value_name = "LAT,LON", value_parser = place, allow_hyphen_values = true, conflicts_with_all = ["announcement", "task", "poll"])]
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
        let wait = Duration::from_secs(self.wait);
        // What is misspelt shows before anything is uploaded.
        self.draft(text.clone(), Vec::new())?;
        let files = self.files.attach(&profile, wait)?;
        let draft = self.draft(text, files)?;
        let sent = client_runtime()?.block_on(sending::send(
            &profile,
            self.to,
            &draft,
            wait,
            &language(),
            &output::progress,
        ))?;
        if let Destination::Participant(to) = self.to
            && profile.contact(to)?.is_some_and(|contact| contact.trust == Trust::Unvouched)
        {
            note!("{}", words!("send.unvouched", to = to));
        }
        if !sent.left_out.is_empty() {
            let whom = sent.left_out.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            note!("{}", words!("send.left-out", whom = whom));
        }
        if self.json {
            let mut answer = serde_json::json!({ "id": sent.id, "status": "accepted" });
            if let Some(members) = sent.members {
                answer["members"] = members.into();
                answer["left_out"] = serde_json::json!(sent.left_out);
            }
            return output::json(&answer);
        }
        say!("{}", words!("send.accepted"));
        Ok(())
    }

    fn draft(&self, text: String, files: Vec<FileReference>) -> anyhow::Result<Draft> {
        let content = if self.announcement {
            Content::Announcement(Announcement { text, files })
        } else if self.task {
            Content::Task(Task { text, files })
        } else if !self.poll.is_empty() {
            let poll = Poll { question: text, options: self.poll.clone(), several: self.several };
            anyhow::ensure!(poll.is_acceptable(), words!("send.poll"));
            Content::Poll(poll)
        } else if !files.is_empty() {
            let is_image = files.iter().all(|file| file.media_type.starts_with("image/"));
            let body = Attachments { text, files, place: self.place };
            if is_image { Content::Image(body) } else { Content::File(body) }
        } else {
            Content::Text(text)
        };
        Ok(Draft::of(&content))
    }
}

fn place(text: &str) -> Result<Place, String> {
    let read = |text: &str| text.trim().parse::<f64>().ok();
    let place = text.split_once(',').and_then(|(latitude, longitude)| {
        Some(Place { latitude: read(latitude)?, longitude: read(longitude)? })
    });
    place.filter(Place::is_acceptable).ok_or_else(|| {
        "a place is two numbers of degrees, north (-90 to 90) and east (-180 to 180), such as 48.137,11.575".to_owned()
    })
}
