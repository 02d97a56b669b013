//! `file`: files that came or went along with messages.

use std::path::{Path, PathBuf};
use std::time::Duration;

use momedo_protocol::blob::BlobId;
use serde::Serialize;
use web_time::Instant;

use super::{CommandError, Reader};
use crate::blobs::{self, KnownFile};
use crate::profile::Profile;
use crate::sending;

/// How many seconds a file may stand still before it is given up, unless somebody says otherwise.
pub const WAIT_SECONDS: u64 = 30;

/// The files this device knows of; the answer has a line for each.
///
/// # Errors
/// As [`CommandError`] says.
pub fn list(profile: &Profile) -> Result<Vec<KnownFile>, CommandError> {
    Ok(profile.files()?)
}

/// A file that was saved.
#[derive(Debug, Clone, Serialize)]
pub struct Saved {
    /// The file.
    pub id: BlobId,
    /// Where it is.
    pub saved: PathBuf,
}

/// Fetches a file, checks it and saves it under its own name.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn save(
    profile: &Profile,
    id: BlobId,
    folder: &Path,
    wait: Duration,
    reader: Reader<'_>,
) -> Result<Saved, CommandError> {
    let mut session = sending::log_in(profile, reader.language, Instant::now() + wait).await?;
    let saved = blobs::save(profile, &mut session, id, None, folder, wait, reader.progress).await?;
    Ok(Saved { id, saved })
}
