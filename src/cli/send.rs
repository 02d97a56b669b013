//! `momedo send`.

use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use momedo_client::sending;
use momedo_protocol::id::ParticipantId;

use super::{ProfileArgs, client_runtime, language, output};

/// Longest text taken, in bytes: about what fits an envelope.
const MAX_TEXT_BYTES: u64 = 64 * 1024;

/// Send a message. Success means that it is on the server's disk.
#[derive(Debug, Args)]
pub(super) struct Send {
    #[command(flatten)]
    profile: ProfileArgs,
    /// The recipient's ID, such as M8N22HT6
    #[arg(long)]
    to: ParticipantId,
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
        let id = client_runtime()?.block_on(sending::send_text(
            &profile,
            self.to,
            &text,
            wait,
            &language(),
            &output::progress,
        ))?;
        if self.json {
            return output::json(&serde_json::json!({ "id": id, "status": "accepted" }));
        }
        println!("accepted");
        Ok(())
    }
}
