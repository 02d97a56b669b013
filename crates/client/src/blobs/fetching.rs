//! Fetching files: checked piece by piece, and saved.

use std::path::{Path, PathBuf};
use std::time::Duration;

use momedo_protocol::blob::{
    BlobId, CHUNK_BYTES, COMMITMENT_BYTES, ChunkOpener, FileReference, SEALED_CHUNK_BYTES, chunk_count,
    chunk_place,
};
use momedo_protocol::id::ParticipantId;
use web_time::Instant;

use super::patience::Patience;
use super::{KnownFile, unusable};
use crate::ClientError;
use crate::connection::Downloading;
use crate::file_name::safe_name;
use crate::insisting::log_in;
use crate::platform::Platform;
use crate::platform::folder::Part;
use crate::profile::Profile;
use crate::progress::{Progress, Step};
use crate::session::Session;

/// Fetches and saves the known file with this ID in `folder`, and tells the server that this device has it; one that
/// was saved before is copied from there.
///
/// # Errors
/// [`ClientError::UnknownFile`], [`ClientError::DamagedFile`], or what the server says.
pub async fn save(
    profile: &Profile,
    session: &mut Session,
    id: BlobId,
    from: Option<ParticipantId>,
    folder: &Path,
    wait: Duration,
    progress: Progress<'_>,
) -> Result<PathBuf, ClientError> {
    let mut last = ClientError::UnknownFile(id);
    // Whoever names somebody else's blob in a message has no key that opens it; the next one may have.
    for known in profile.files()?.into_iter().filter(|file| file.id == id) {
        if from.is_some_and(|from| from != known.from) {
            continue;
        }
        match save_known(profile, session, &known, folder, wait, progress).await {
            Err(error @ ClientError::DamagedFile { .. }) => last = error,
            result => return result,
        }
    }
    Err(last)
}

async fn save_known(
    profile: &Profile,
    session: &mut Session,
    known: &KnownFile,
    folder: &Path,
    wait: Duration,
    progress: Progress<'_>,
) -> Result<PathBuf, ClientError> {
    let files = &profile.platform.files;
    if let Some(saved) = &known.saved
        && files.has(saved).await
    {
        let is_there = saved.parent().is_some_and(|parent| files.is_same(parent, folder));
        return match is_there {
            true => Ok(saved.clone()),
            false => copy_saved(&profile.platform, saved, folder, &known.name).await,
        };
    }
    let reference = profile.file_reference(known)?;
    let path = download(profile, session, &reference, folder, wait, progress).await?;
    profile.set_saved_file(known.id, known.from, &path)?;
    // Never as its owner: others may still want it.
    if let Err(error) = session.release_hold(known.id).await
        && !error.is_temporary()
        && error.problem() != Some("unknown-blob")
    {
        return Err(error);
    }
    Ok(path)
}

/// Copies a file that was saved elsewhere.
async fn copy_saved(
    platform: &Platform,
    saved: &Path,
    folder: &Path,
    name: &str,
) -> Result<PathBuf, ClientError> {
    let (mut part, mut opened) = (platform.files.begin(folder).await?, platform.files.open(saved).await?);
    let (saved, name) = (saved.to_owned(), name.to_owned());
    let copying = move || {
        std::io::copy(&mut opened.bytes, &mut part).map_err(|error| unusable(&saved, error))?;
        part.keep(&name)
    };
    platform.compute(copying).await.unwrap_or_else(Err)
}

/// Fetches a file, checks every piece of it, and saves it in `folder` under its own name or one like it; what is
/// there is never overwritten. Goes on where it was when the line breaks, until nothing moves for `wait`.
///
/// # Errors
/// [`ClientError::DamagedFile`] when it is not what its sender sealed; nothing is left behind then.
pub async fn download(
    profile: &Profile,
    session: &mut Session,
    reference: &FileReference,
    folder: &Path,
    wait: Duration,
    progress: Progress<'_>,
) -> Result<PathBuf, ClientError> {
    let mut opening = Opening {
        reference,
        opener: None,
        count: chunk_count(reference.size),
        next: 0,
        gathered: Vec::with_capacity(SEALED_CHUNK_BYTES),
        part: profile.platform.files.begin(folder).await?,
    };
    let mut patience = Patience::new(wait.max(Duration::from_secs(1)));
    let mut tag = None;
    while opening.next < opening.count {
        // A part of a chunk that came before the line broke is fetched again.
        opening.gathered.clear();
        let from = opening.place_in_blob();
        let fetched = async {
            let mut coming = session.fetch_blob(reference.blob, from, tag.as_deref(), patience.wait).await?;
            opening.check(&mut coming, from, &mut tag)?;
            while let Some(bytes) = coming.next(patience.wait).await? {
                opening.take(&bytes)?;
                progress(Step::Downloading { done: opening.place(), total: reference.size });
            }
            Ok::<_, ClientError>(())
        };
        let result = fetched.await;
        patience.reached(opening.next);
        match result {
            Ok(()) if opening.next == opening.count => {}
            // Fewer bytes than were promised: a line that broke politely.
            Ok(()) => patience.after(&profile.platform, ClientError::cut()).await?,
            Err(error) if error.problem() == Some("not-logged-in") => {
                *session = log_in(profile, "en", Instant::now() + patience.wait).await?;
            }
            Err(error) => patience.after(&profile.platform, error).await?,
        }
    }
    opening.part.keep(&reference.name)
}

/// A file that is being fetched.
struct Opening<'a> {
    reference: &'a FileReference,
    /// There once the blob was seen to be the file that the reference names.
    opener: Option<ChunkOpener>,
    count: u64,
    next: u64,
    gathered: Vec<u8>,
    part: Box<dyn Part>,
}

impl Opening<'_> {
    fn damaged(&self) -> ClientError {
        ClientError::DamagedFile { name: safe_name(&self.reference.name) }
    }

    /// Where fetching goes on.
    fn place_in_blob(&self) -> u64 {
        if self.opener.is_some() { chunk_place(self.next) } else { 0 }
    }

    fn place(&self) -> u64 {
        self.next * CHUNK_BYTES as u64
    }

    /// Checks that what comes is the rest of what came before.
    fn check(
        &self,
        coming: &mut Downloading,
        from: u64,
        tag: &mut Option<String>,
    ) -> Result<(), ClientError> {
        let same = match (&tag, &coming.tag) {
            (Some(before), Some(now)) => before == now,
            _ => true,
        };
        let begins = if coming.is_partial { from } else { 0 };
        if begins != from || !same {
            return Err(self.damaged());
        }
        *tag = coming.tag.take();
        Ok(())
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            let wanted = match &self.opener {
                None => COMMITMENT_BYTES,
                Some(opener) => opener.sealed_chunk_length(self.next).ok_or_else(|| self.damaged())?,
            };
            let count = bytes.len().min(wanted - self.gathered.len());
            let (now, later) = bytes.split_at(count);
            self.gathered.extend_from_slice(now);
            bytes = later;
            if self.gathered.len() < wanted {
                return Ok(());
            }
            match &self.opener {
                None => {
                    let opener = ChunkOpener::new(self.reference, &self.gathered);
                    self.opener = Some(opener.map_err(|_| self.damaged())?);
                }
                Some(opener) => {
                    let plain = opener.open(self.next, &self.gathered).map_err(|_| self.damaged())?;
                    self.part.write_all(&plain).map_err(|error| unusable(self.part.path(), error))?;
                    self.next += 1;
                }
            }
            self.gathered.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::SeekFrom;

    use super::super::sealing::{Metadata, seal_file};
    use super::*;

    #[tokio::test]
    async fn files_are_sealed_in_chunks_and_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let profile = crate::testing::profile(Some("geheim"));
        let source = folder.path().join("a.pdf");
        for size in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 300_000] {
            let plain: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
            std::fs::write(&source, &plain).unwrap();
            let sealed = seal_file(&profile, &source, Metadata::Strip, 300_000).await.unwrap();
            assert_eq!(sealed.reference.media_type, "application/pdf");
            assert_eq!(sealed.length, momedo_protocol::blob::sealed_length(size as u64));
            let mut bytes = Vec::new();
            {
                let mut file = sealed.file.lock().unwrap();
                file.seek(SeekFrom::Start(0)).unwrap();
                file.read_to_end(&mut bytes).unwrap();
            }
            let mut opening = Opening {
                reference: &sealed.reference,
                opener: None,
                count: chunk_count(size as u64),
                next: 0,
                gathered: Vec::new(),
                part: profile.platform.files.begin(folder.path()).await.unwrap(),
            };
            for piece in bytes.chunks(10_007) {
                opening.take(piece).unwrap();
            }
            assert!(matches!(opening.take(&[0]), Err(ClientError::DamagedFile { .. })));
            let path = opening.part.keep(&format!("{size}")).unwrap();
            assert_eq!(std::fs::read(path).unwrap(), plain);
        }
    }
}
