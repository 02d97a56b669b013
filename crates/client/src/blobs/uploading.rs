//! Uploading sealed files, from where it was when the line broke.

use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use momedo_protocol::api::blobs::{BlobRequest, BlobUpload};
use momedo_protocol::blob::FileReference;
use web_time::Instant;

use super::patience::Patience;
use super::sealing::{Metadata, Sealed, SealedBytes, seal_file};
use crate::insisting::log_in;
use crate::platform::Platform;
use crate::profile::Profile;
use crate::progress::{Progress, Step};
use crate::session::Session;
use crate::{ClientError, session};

/// What is read of a sealed file at once, in bytes.
const READ_BYTES: u64 = 128 * 1024;

/// Seals and uploads files, in order; what they are referred to by goes into a message.
///
/// # Errors
/// As [`seal_file`] and [`upload`].
pub async fn attach(
    profile: &Profile,
    paths: &[PathBuf],
    metadata: Metadata,
    wait: Duration,
    language: &str,
    progress: Progress<'_>,
) -> Result<Vec<FileReference>, ClientError> {
    let wait = wait.max(Duration::from_secs(1));
    let mut session = log_in(profile, language, Instant::now() + wait).await?;
    let limit = session::server_information(session.connection()).await?.limits.max_blob_bytes;
    let mut references = Vec::with_capacity(paths.len());
    // All are sealed before the first is sent, so that a bad name costs no upload.
    let mut sealed = Vec::with_capacity(paths.len());
    for path in paths {
        sealed.push(seal_file(profile, path, metadata, limit).await?);
    }
    for sealed in sealed {
        upload(profile, &mut session, &sealed, wait, progress).await?;
        references.push(sealed.reference);
    }
    Ok(references)
}

/// Uploads a sealed file; goes on where it was when the line breaks, until nothing moves for `wait`.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn upload(
    profile: &Profile,
    session: &mut Session,
    sealed: &Sealed,
    wait: Duration,
    progress: Progress<'_>,
) -> Result<(), ClientError> {
    let (id, size) = (sealed.reference.blob, sealed.length);
    let mut patience = Patience::new(wait);
    let mut announced = false;
    loop {
        let tried = async {
            let upload = if announced {
                session.blob_upload(id).await?
            } else {
                let upload = session.announce_blob(&BlobRequest { id, size }).await?;
                announced = true;
                upload
            };
            if upload.offset == size {
                Ok(upload)
            } else {
                append(&profile.platform, session, sealed, upload.offset, wait, progress).await
            }
        };
        match tried.await {
            Ok(BlobUpload { offset, .. }) if offset == size => return Ok(()),
            Ok(upload) => patience.reached(upload.offset),
            Err(error) if error.problem() == Some("not-logged-in") => {
                *session = log_in(profile, "en", Instant::now() + wait).await?;
            }
            // Somebody asks where it goes on in the next round.
            Err(error) if error.problem() == Some("wrong-offset") => {}
            Err(error) => {
                // What arrived before the line broke counts as progress.
                if error.is_temporary()
                    && announced
                    && let Ok(upload) = session.blob_upload(id).await
                {
                    patience.reached(upload.offset);
                }
                patience.after(&profile.platform, error).await?;
            }
        }
    }
}

async fn append(
    platform: &Platform,
    session: &mut Session,
    sealed: &Sealed,
    offset: u64,
    stall: Duration,
    progress: Progress<'_>,
) -> Result<BlobUpload, ClientError> {
    let moved = Arc::new(AtomicU64::new(offset));
    let total = sealed.length;
    let count = (total - offset).min(session.connection().most_uploaded_at_once());
    let bytes = sealed_bytes(platform.clone(), sealed.file.clone(), offset..offset + count, moved.clone());
    let tell = |place: u64| progress(Step::Uploading { done: place, total });
    session.append_to_blob(sealed.reference.blob, offset, (bytes, count), stall, &moved, &tell).await
}

/// A part of the sealed file, read as it is sent.
fn sealed_bytes(
    platform: Platform,
    file: SealedBytes,
    part: Range<u64>,
    moved: Arc<AtomicU64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::try_unfold(part, move |Range { start, end }| {
        let (platform, file, moved) = (platform.clone(), file.clone(), moved.clone());
        async move {
            if start == end {
                return Ok(None);
            }
            let read = platform.compute(move || {
                let mut bytes = vec![0; usize::try_from((end - start).min(READ_BYTES)).unwrap_or(0)];
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(start))?;
                file.read_exact(&mut bytes).map(|()| bytes)
            });
            let bytes: Vec<u8> = read.await.map_err(io::Error::other)??;
            moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let start = start + bytes.len() as u64;
            Ok(Some((Bytes::from(bytes), start..end)))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Mutex;

    use futures_util::StreamExt;

    use super::*;
    use crate::testing::platform;

    #[tokio::test]
    async fn a_sealed_file_is_read_as_fast_as_it_is_sent() {
        const SIZE: u64 = 1_000_000;
        let file: SealedBytes = Arc::new(Mutex::new(Box::new(Cursor::new(vec![0; SIZE as usize]))));
        let moved = Arc::new(AtomicU64::new(0));
        let mut stream = std::pin::pin!(sealed_bytes(platform(), file, 0..SIZE, moved.clone()));
        let mut taken = 0;
        while let Some(piece) = stream.next().await {
            let piece = piece.unwrap().len() as u64;
            taken += piece;
            assert!(piece <= READ_BYTES && moved.load(Ordering::Relaxed) == taken);
        }
        assert_eq!(taken, SIZE);
    }
}
