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
                note!("figures are switched off: momedo admin rules --metrics true");
            }
            return Ok(());
        }
        match (enabled, line["has_token"] == true) {
            (false, _) => say!("off: momedo admin rules --metrics true"),
            (true, false) => say!("on, for nobody yet: momedo admin metrics --new-token"),
            (true, true) => say!("on, for whoever has the token"),
        }
        Ok(())
    }
}
