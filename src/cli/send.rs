//! `momedo send`.

use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use momedo_client::sending::{self, Destination, Draft};

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
    /// How many seconds to try again while the server cannot be reached
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    wait: u64,
    /// The text; - reads it from standard input
    text: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Send {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let text = if self.text == "-" {
            let mut text = String::new();
            let mut input = std::io::stdin().lock().take(MAX_TEXT_BYTES + 1);
            input.read_to_string(&mut text).context("cannot read the text from standard input")?;
            text
        } else {
            self.text.clone()
        };
        let profile = self.profile.open()?;
        let wait = Duration::from_secs(self.wait);
        let sent = client_runtime()?.block_on(sending::send(
            &profile,
            self.to,
            &Draft::text(&text),
            wait,
            &language(),
            &output::progress,
        ))?;
        if self.json {
            let mut answer = serde_json::json!({ "id": sent.id, "status": "accepted" });
            if let Some(members) = sent.members {
                answer["members"] = members.into();
            }
            return output::json(&answer);
        }
        println!("accepted");
        Ok(())
    }
}
