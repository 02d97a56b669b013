//! Logs to standard error: an operator's story, never content, keys or names, and no IDs at info level.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs, one JSON object per line.
    Json,
}

/// Starts logging; `MOMEDO_LOG` chooses what (`debug`, `warn`, …), `info` by default.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("MOMEDO_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that cannot be written is no reason to panic, which telling so on standard error would be.
        .log_internal_errors(false)
        .with_target(false);
    // A second start in one process, in tests, keeps the first.
    let _: Result<(), _> = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
