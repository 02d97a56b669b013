//! The log: an operator's story, never content, keys or names, and no IDs at info level. It goes to standard error, or to a
//! file where nobody can read that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::log_file::LogFile;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs, one JSON object per line.
    Json,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPlace {
    /// To whoever started the program.
    StandardError,
    /// Into a file of this data directory.
    File(PathBuf),
}

impl LogPlace {
    /// Standard error, unless nobody can read it or the settings say otherwise.
    pub fn choose(directory: &Path, always_file: bool) -> Self {
        if always_file || !is_read() { Self::File(directory.to_owned()) } else { Self::StandardError }
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

/// Whether somebody may read standard error. A terminal, a pipe, a file, the journal (which is a socket): somebody chose
/// them. Nobody reads the null device: launchd and many desktops start programs so, and where there is no standard error at
/// all Rust puts it in its place. `JOURNAL_STREAM` alone says little: it is handed on to all that a desktop starts.
#[cfg(unix)]
fn is_read() -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    let standard_error = std::io::stderr().as_fd().try_clone_to_owned().map(std::fs::File::from);
    match (standard_error.and_then(|file| file.metadata()), std::fs::metadata("/dev/null")) {
        (Ok(standard_error), Ok(null)) => standard_error.rdev() != null.rdev(),
        (Err(_), _) => false,
        (_, Err(_)) => true,
    }
}

/// Whether there is a standard error; without a console Windows gives a program none.
#[cfg(windows)]
fn is_read() -> bool {
    use std::os::windows::io::AsRawHandle;

    !std::io::stderr().as_raw_handle().is_null()
}

#[cfg(not(any(unix, windows)))]
fn is_read() -> bool {
    true
}

/// Starts logging; `MOMEDO_LOG` chooses what (`debug`, `warn`, …), `info` by default.
pub fn start(format: LogFormat, place: &LogPlace) {
    let filter = EnvFilter::try_from_env("MOMEDO_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let writer = match place {
        LogPlace::StandardError => BoxMakeWriter::new(std::io::stderr),
        LogPlace::File(directory) => {
            tell_of_panics();
            BoxMakeWriter::new(Arc::new(LogFile::new(directory)))
        }
    };
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // A log that cannot be written is no reason to panic, which telling so on standard error would be.
        .log_internal_errors(false)
        .with_target(false);
    // A second start in one process, in tests, keeps the first.
    let _: Result<(), _> = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Has the log say where the program panicked, which else only standard error hears; not why, which may quote anything.
fn tell_of_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(place) = panic.location() {
            tracing::error!(file = place.file(), line = place.line(), "a part of the program failed");
        }
        before(panic);
    }));
}
