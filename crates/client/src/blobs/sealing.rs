//! Sealing a file into one that nobody else sees, without what its picture tells beside itself.

use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use momedo_protocol::blob::{
    BlobId, CHUNK_BYTES, COMMITMENT_BYTES, ChunkSealer, FileKey, FileReference, is_acceptable_file_name,
};
use momedo_protocol::padding::rounded_length;
use zeroize::Zeroizing;

use super::unusable;
use crate::ClientError;
use crate::metadata::{self, Format, Found};
use crate::platform::folder::{Opened, Scratch};
use crate::profile::Profile;

/// What becomes of what an image tells beside the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// It goes; an image from which it cannot be removed is refused.
    Strip,
    /// It stays.
    Keep,
}

/// The sealed bytes of a file, read piece by piece as they go up.
pub(super) type SealedBytes = Arc<Mutex<Box<dyn Scratch>>>;

/// A file that is sealed and ready to be uploaded.
pub struct Sealed {
    /// What goes into the message.
    pub reference: FileReference,
    pub(super) file: SealedBytes,
    pub(super) length: u64,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({}, {} bytes)", self.reference.blob, self.length)
    }
}

/// Seals a file into an unnamed one in the profile's folder.
///
/// # Errors
/// [`ClientError::File`] for a file that cannot be read, or an image whose metadata cannot be removed.
pub async fn seal_file(
    profile: &Profile,
    path: &Path,
    metadata: Metadata,
    limit: u64,
) -> Result<Sealed, ClientError> {
    let opened = profile.platform.files.open(path).await?;
    let scratch = profile.folder.scratch().await?;
    let (folder, path) = (profile.path().to_owned(), path.to_owned());
    profile
        .platform
        .compute(move || seal_opened(opened, scratch, &folder, &path, metadata, limit))
        .await
        .unwrap_or_else(Err)
}

fn seal_opened(
    Opened { bytes: mut file, length }: Opened,
    sealed: Box<dyn Scratch>,
    folder: &Path,
    path: &Path,
    metadata: Metadata,
    limit: u64,
) -> Result<Sealed, ClientError> {
    let failed = |error: io::Error| unusable(path, error);
    if length > limit {
        return Err(unusable(path, format!("it is too large: this server takes files up to {limit} bytes")));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Found { format, lead } = Format::find(&name, &mut file).map_err(failed)?;
    if !is_acceptable_file_name(&name) {
        return Err(unusable(path, "its name has control characters or is too long; rename it"));
    }
    let (blob, key) = (BlobId::random(), FileKey::random());
    let mut sealing = Sealing::new(&key, blob, sealed).map_err(|error| unusable(folder, error))?;
    if metadata == Metadata::Strip {
        refuse_unclean(format).map_err(|reason| unusable(path, reason))?;
        // What stands before a picture is no part of it.
        file.seek(SeekFrom::Start(lead)).map_err(failed)?;
    }
    copy(&mut file, format, metadata, &mut sealing).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => unusable(
            path,
            format!("its metadata cannot be removed, {error}; --keep-metadata sends it as it is"),
        ),
        _ => unusable(path, error),
    })?;
    let (file, size, length) = sealing.finish(&key, blob).map_err(failed)?;
    if size > limit {
        // It grew while it was read.
        return Err(unusable(path, format!("it is too large: this server takes files up to {limit} bytes")));
    }
    let media_type = format.media_type().unwrap_or_else(|| media_type_of(&name)).to_owned();
    let file = Arc::new(Mutex::new(file));
    Ok(Sealed { reference: FileReference { name, media_type, size, blob, key }, file, length })
}

/// Refuses pictures and films that would go out with what they tell.
fn refuse_unclean(format: Format) -> Result<(), String> {
    let what = match format {
        Format::Opaque(opaque) => format!("cannot be removed from {}", opaque.media_type()),
        Format::Unknown => {
            "cannot be removed: it is called a picture or a film, and is built like none".into()
        }
        Format::Jpeg | Format::Png | Format::WebP | Format::Other => return Ok(()),
    };
    Err(format!(
        "what it tells beside the picture (place, time, camera) {what}; save it as JPEG, PNG or WebP, or send it as it \
         is with --keep-metadata"
    ))
}

/// Seals what is read, piece by piece.
fn copy(
    source: &mut (impl Read + Seek),
    format: Format,
    metadata: Metadata,
    sealing: &mut Sealing,
) -> io::Result<()> {
    match (format, metadata) {
        (Format::Other, _) | (_, Metadata::Keep) => io::copy(source, sealing).map(drop),
        (format, Metadata::Strip) => metadata::strip(format, &mut BufReader::new(source), sealing),
    }
}

/// The media type of a file that does not say it itself, by the ending of its name.
fn media_type_of(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "csv" => "text/csv",
        "zip" => "application/zip",
        "mp3" => "audio/mpeg",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "odt" => "application/vnd.oasis.opendocument.text",
        "ods" => "application/vnd.oasis.opendocument.spreadsheet",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "application/octet-stream",
    }
}

/// Seals what is written to it.
struct Sealing {
    sealer: ChunkSealer,
    chunk: Zeroizing<Vec<u8>>,
    out: Box<dyn Scratch>,
    size: u64,
    length: u64,
}

impl Sealing {
    fn new(key: &FileKey, blob: BlobId, mut out: Box<dyn Scratch>) -> io::Result<Self> {
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES));
        // What the blob commits to is known when all of it was read.
        out.write_all(&[0; COMMITMENT_BYTES])?;
        let length = COMMITMENT_BYTES as u64;
        Ok(Self { sealer: ChunkSealer::new(key, blob), chunk, out, size: 0, length })
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let sealed = self.sealer.seal(&self.chunk, is_last).map_err(io::Error::other)?;
        self.length += sealed.len() as u64;
        self.chunk.clear();
        self.out.write_all(&sealed)
    }

    fn finish(mut self, key: &FileKey, blob: BlobId) -> io::Result<(Box<dyn Scratch>, u64, u64)> {
        let size = self.size;
        self.pad(rounded_length(size) - size)?;
        self.seal(true)?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&key.commitment(blob, size))?;
        Ok((self.out, size, self.length))
    }
}

impl Sealing {
    /// Writes zeros behind the file, so that its sealed length says little.
    fn pad(&mut self, zeros: u64) -> io::Result<()> {
        let mut left = zeros;
        while left > 0 {
            let room = self.room()?;
            let count = usize::try_from(left).map_or(room, |left| left.min(room));
            let length = self.chunk.len() + count;
            self.chunk.resize(length, 0);
            left -= count as u64;
        }
        Ok(())
    }

    /// How much of a chunk is free. A full one waits for one byte more: it may be the last.
    fn room(&mut self) -> io::Result<usize> {
        if self.chunk.len() == CHUNK_BYTES {
            self.seal(false)?;
        }
        Ok(CHUNK_BYTES - self.chunk.len())
    }
}

impl Write for Sealing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let count = bytes.len().min(self.room()?);
        self.chunk.extend_from_slice(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seal(
        folder: &Path,
        name: &str,
        bytes: &[u8],
        metadata: Metadata,
    ) -> Result<Sealed, ClientError> {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        let profile = crate::testing::profile(Some("geheim"));
        seal_file(&profile, &path, metadata, 300_000).await
    }

    #[tokio::test]
    async fn a_file_larger_than_the_server_takes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let large = seal(folder.path(), "a.pdf", &[0; 300_001], Metadata::Strip).await.unwrap_err();
        assert!(large.to_string().contains("300000"), "{large}");
    }

    /// A large picture or file of zeros that checks, whenever it is read, how much of it is not sealed yet.
    struct Watched {
        start: Vec<u8>,
        size: u64,
        place: u64,
        sealed: std::fs::File,
        most_held: u64,
    }

    impl Read for Watched {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let held = self.place.saturating_sub(self.sealed.metadata()?.len());
            self.most_held = self.most_held.max(held);
            let count = usize::try_from(self.size - self.place).unwrap().min(buffer.len());
            buffer[..count].fill(0);
            let start = self.start.get(self.place as usize..).unwrap_or_default();
            let known = start.len().min(count);
            buffer[..known].copy_from_slice(&start[..known]);
            self.place += count as u64;
            Ok(count)
        }
    }

    impl Seek for Watched {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.place = match to {
                SeekFrom::Start(place) => place,
                SeekFrom::Current(by) => self.place.checked_add_signed(by).unwrap(),
                SeekFrom::End(by) => self.size.checked_add_signed(by).unwrap(),
            };
            Ok(self.place)
        }
    }

    #[test]
    fn a_file_is_sealed_while_it_is_read() {
        const SIZE: u64 = 1_500_000;
        // A PNG whose picture is one large piece, behind its header.
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.resize(33, 0);
        png.extend_from_slice(&(SIZE as u32 - 100).to_be_bytes());
        png.extend_from_slice(b"IDAT");
        for (format, metadata, start) in [
            (Format::Other, Metadata::Strip, Vec::new()),
            (Format::Png, Metadata::Keep, png.clone()),
            (Format::Png, Metadata::Strip, png),
        ] {
            let out = Box::new(tempfile::tempfile().unwrap());
            let sealed = out.try_clone().unwrap();
            let mut watched = Watched { start, size: SIZE, place: 0, sealed, most_held: 0 };
            let mut sealing = Sealing::new(&FileKey::random(), BlobId::random(), out).unwrap();
            // The picture has no end; what is before it counts here.
            let _: io::Result<()> = copy(&mut watched, format, metadata, &mut sealing);
            assert!(watched.place > SIZE / 2, "{format:?} is read to {}", watched.place);
            let most = 3 * CHUNK_BYTES as u64;
            assert!(watched.most_held < most, "{format:?}: {} bytes were held", watched.most_held);
        }
    }

    #[tokio::test]
    async fn an_image_that_cannot_be_cleaned_is_refused_unless_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let heic = b"\0\0\0\x18ftypheic\0\0\0\0";
        let refused = seal(folder.path(), "a.heic", heic, Metadata::Strip).await.unwrap_err();
        assert!(refused.to_string().contains("--keep-metadata"), "{refused}");
        let kept = seal(folder.path(), "a.heic", heic, Metadata::Keep).await.unwrap();
        assert_eq!((kept.reference.media_type.as_str(), kept.reference.size), ("image/heic", 16));
        // Called an image, and none.
        let broken =
            seal(folder.path(), "a.jpg", &[0xff, 0xd8, 0xff, 0xe0], Metadata::Strip).await.unwrap_err();
        assert!(broken.to_string().contains("not built as its format says"), "{broken}");
    }
}
