//! `momedo admin metrics`.

use clap::Args;

use super::{Common, output};
use crate::service::administration::AdminRequest;

/// Say whether figures can be fetched from /metrics, or make the token they are fetched with.
#[derive(Debug, Args)]
pub(in crate::cli) struct Metrics {
    #[command(flatten)]
    common: Common,
    /// Make a token and print it; the one before ends. It is shown this once
    #[arg(long)]
    new_token: bool,
}

impl Metrics {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let lines = self.common.ask(AdminRequest::Metrics { new_token: self.new_token })?.lines()?;
        let line = lines.into_iter().next().unwrap_or_default();
        if self.common.json {
            return output::json(&line);
        }
        let enabled = line["enabled"] == true;
        if let Some(token) = line["token"].as_str() {
            // Alone on standard output: it goes into a file that Prometheus reads.
            say!("{token}");
            if !enabled {
                note!("{}", words!("metrics.switched-off"));
            }
            return Ok(());
        }
        match (enabled, line["has_token"] == true) {
            (false, _) => say!("{}", words!("metrics.off")),
            (true, false) => say!("{}", words!("metrics.for-nobody")),
            (true, true) => say!("{}", words!("metrics.on")),
        }
        Ok(())
    }
}
