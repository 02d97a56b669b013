//! Attachments: sealed once into a file that nobody else sees, uploaded from there however often the line breaks;
//! fetched, checked piece by piece and saved under a name that does no harm. Memory in use does not grow with the file.
//!
//! A file is sealed before anything is sent, and not while it is: it might change on the disk while an upload is
//! resumed, and two different pieces under one nonce would give both away.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::Stream;
use momedo_protocol::api::blobs::{BlobRequest, BlobUpload};
use momedo_protocol::blob::{
    BlobId, CHUNK_BYTES, ChunkOpener, ChunkSealer, FileKey, FileReference, SEALED_CHUNK_BYTES, chunk_count,
    is_acceptable_file_name,
};
use momedo_protocol::encoding::encode_hex;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::Content;
use momedo_protocol::message::Message;
use momedo_protocol::random;
use zeroize::Zeroizing;

use crate::connection::Downloading;
use crate::file_name::{numbered, safe_name};
use crate::metadata::{self, Format};
use crate::profile::Profile;
pub use crate::profile::files::KnownFile;
use crate::registration::{Progress, Step};
use crate::sending::log_in;
use crate::session::Session;
use crate::{ClientError, session};

/// What is read of a sealed file at once, in bytes.
const READ_BYTES: u64 = 128 * 1024;

/// Pauses between tries: they double from the first to the longest, and begin anew with every progress.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Most files of one name that are told apart by a number.
const MAX_SAME_NAMES: u32 = 1000;

/// What becomes of what an image tells beside the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// It goes; an image from which it cannot be removed is refused.
    Strip,
    /// It stays.
    Keep,
}

/// A file that is sealed and ready to be uploaded.
#[derive(Debug)]
pub struct Sealed {
    /// What goes into the message.
    pub reference: FileReference,
    file: File,
    length: u64,
}

fn unusable(path: &Path, reason: impl ToString) -> ClientError {
    ClientError::File { path: path.to_owned(), reason: reason.to_string() }
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
    let (folder, path) = (profile.path().to_owned(), path.to_owned());
    let sealing = tokio::task::spawn_blocking(move || seal_blocking(&folder, &path, metadata, limit));
    sealing.await.unwrap_or_else(|error| Err(ClientError::Protocol(format!("sealing ended early: {error}"))))
}

fn seal_blocking(folder: &Path, path: &Path, metadata: Metadata, limit: u64) -> Result<Sealed, ClientError> {
    let failed = |error: io::Error| unusable(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(unusable(path, "it is no file"));
    }
    if about.len() > limit {
        return Err(unusable(path, format!("it is too large: this server takes files up to {limit} bytes")));
    }
    let mut start = Vec::new();
    (&mut file).take(16).read_to_end(&mut start).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let format = Format::of(&start);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !is_acceptable_file_name(&name) {
        return Err(unusable(path, "its name has control characters or is too long; rename it"));
    }
    let (blob, key) = (BlobId::random(), FileKey::random());
    let sealed = tempfile::tempfile_in(folder).map_err(|error| unusable(folder, error))?;
    let mut sealing = Sealing::new(&key, blob, sealed);
    if let (Format::Opaque(media_type), Metadata::Strip) = (format, metadata) {
        let reason = format!(
            "what it tells beside the picture (place, time, camera) cannot be removed from {media_type}; \
             save it as JPEG, PNG or WebP, or send it as it is with --keep-metadata"
        );
        return Err(unusable(path, reason));
    }
    copy(&mut file, format, metadata, &mut sealing).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => unusable(
            path,
            format!("its metadata cannot be removed, {error}; --keep-metadata sends it as it is"),
        ),
        _ => unusable(path, error),
    })?;
    let (file, size, length) = sealing.finish().map_err(failed)?;
    if size > limit {
        // It grew while it was read.
        return Err(unusable(path, format!("it is too large: this server takes files up to {limit} bytes")));
    }
    let media_type = format.media_type().unwrap_or_else(|| media_type_of(&name)).to_owned();
    Ok(Sealed { reference: FileReference { name, media_type, size, blob, key }, file, length })
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
    out: File,
    size: u64,
    length: u64,
}

impl Sealing {
    fn new(key: &FileKey, blob: BlobId, out: File) -> Self {
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES));
        Self { sealer: ChunkSealer::new(key, blob), chunk, out, size: 0, length: 0 }
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let sealed = self.sealer.seal(&self.chunk, is_last).map_err(io::Error::other)?;
        self.size += self.chunk.len() as u64;
        self.length += sealed.len() as u64;
        self.chunk.clear();
        self.out.write_all(&sealed)
    }

    fn finish(mut self) -> io::Result<(File, u64, u64)> {
        self.seal(true)?;
        Ok((self.out, self.size, self.length))
    }
}

impl Write for Sealing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits for one byte more: it may be the last.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.seal(false)?;
        }
        let count = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

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

/// Waits between tries, and gives up when nothing moved for too long.
struct Patience {
    wait: Duration,
    moved_at: Instant,
    place: u64,
    pause: Duration,
}

impl Patience {
    fn new(wait: Duration) -> Self {
        Self { wait, moved_at: Instant::now(), place: 0, pause: PAUSES.0 }
    }

    fn reached(&mut self, place: u64) {
        if place > self.place {
            *self = Self { place, ..Self::new(self.wait) };
        }
    }

    /// Waits before the next try, unless `error` is final or the time is up.
    async fn after(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.is_temporary() || self.moved_at.elapsed() + self.pause > self.wait {
            return Err(error);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
        Ok(())
    }
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
                append(session, sealed, upload.offset, wait, progress).await
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
                patience.after(error).await?;
            }
        }
    }
}

async fn append(
    session: &mut Session,
    sealed: &Sealed,
    offset: u64,
    stall: Duration,
    progress: Progress<'_>,
) -> Result<BlobUpload, ClientError> {
    let failed = |error: io::Error| ClientError::Protocol(format!("the sealed file cannot be read: {error}"));
    let mut file = sealed.file.try_clone().map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let moved = Arc::new(AtomicU64::new(offset));
    let bytes = sealed_bytes(file, sealed.length - offset, moved.clone());
    let total = sealed.length;
    let tell = |place: u64| progress(Step::Uploading { done: place, total });
    session.append_to_blob(sealed.reference.blob, offset, (bytes, total - offset), stall, &moved, &tell).await
}

fn sealed_bytes(
    file: File,
    left: u64,
    moved: Arc<AtomicU64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::try_unfold((file, left), move |(file, left)| {
        let moved = moved.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = vec![0; usize::try_from(left.min(READ_BYTES)).unwrap_or(0)];
                (&file).read_exact(&mut bytes).map(|()| (bytes, file))
            });
            let (bytes, file) = read.await.map_err(io::Error::other)??;
            moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let left = left - bytes.len() as u64;
            Ok(Some((Bytes::from(bytes), (file, left))))
        }
    })
}

/// Remembers the files of a verified message.
pub(crate) fn note(profile: &Profile, message: &Message) -> Result<(), ClientError> {
    let content = Content::read(&message.kind, &message.body);
    for file in content.files() {
        profile.keep_file(file, message.from, message.id, message.sent_at)?;
    }
    Ok(())
}

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
    if let Some(saved) = known.saved.as_ref().filter(|saved| saved.is_file()) {
        let is_there = saved.parent().is_some_and(|parent| same_folder(parent, folder));
        return if is_there { Ok(saved.clone()) } else { copy_saved(saved, folder, &known.name) };
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

/// Tells the server which files of messages that were taken back it need not keep; what it cannot be told now it is told
/// another time.
pub(crate) async fn send_releases(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    for (blob, is_own) in profile.due_releases()? {
        let released = match is_own {
            true => session.release_blob(blob).await,
            false => session.release_hold(blob).await,
        };
        match released {
            Err(error) if error.is_temporary() || error.problem() == Some("not-logged-in") => return Ok(()),
            // Gone already, or never handed to this device.
            _ => profile.settle_release(blob)?,
        }
    }
    Ok(())
}

fn same_folder(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn copy_saved(saved: &Path, folder: &Path, name: &str) -> Result<PathBuf, ClientError> {
    let failed = |error: io::Error| unusable(saved, error);
    let mut part = Part::new(folder)?;
    io::copy(&mut File::open(saved).map_err(failed)?, &mut part.file).map_err(failed)?;
    part.keep(folder, name)
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
        opener: ChunkOpener::new(reference),
        count: chunk_count(reference.size),
        next: 0,
        gathered: Vec::with_capacity(SEALED_CHUNK_BYTES),
        part: Part::new(folder)?,
        name: &reference.name,
    };
    let mut patience = Patience::new(wait.max(Duration::from_secs(1)));
    let mut tag = None;
    while opening.next < opening.count {
        // A part of a chunk that came before the line broke is fetched again.
        opening.gathered.clear();
        let from = opening.next * SEALED_CHUNK_BYTES as u64;
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
            Ok(()) => patience.after(ClientError::cut()).await?,
            Err(error) if error.problem() == Some("not-logged-in") => {
                *session = log_in(profile, "en", Instant::now() + patience.wait).await?;
            }
            Err(error) => patience.after(error).await?,
        }
    }
    opening.part.keep(folder, &reference.name)
}

/// A file that is being fetched.
struct Opening<'a> {
    opener: ChunkOpener,
    count: u64,
    next: u64,
    gathered: Vec<u8>,
    part: Part,
    name: &'a str,
}

impl Opening<'_> {
    fn damaged(&self) -> ClientError {
        ClientError::DamagedFile { name: safe_name(self.name) }
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
            let wanted = self.opener.sealed_chunk_length(self.next).ok_or_else(|| self.damaged())?;
            let count = bytes.len().min(wanted - self.gathered.len());
            let (now, later) = bytes.split_at(count);
            self.gathered.extend_from_slice(now);
            bytes = later;
            if self.gathered.len() == wanted {
                let plain = self.opener.open(self.next, &self.gathered).map_err(|_| self.damaged())?;
                self.part.file.write_all(&plain).map_err(|error| unusable(&self.part.path, error))?;
                self.gathered.clear();
                self.next += 1;
            }
        }
        Ok(())
    }
}

/// A file that is not whole yet; it goes unless it gets its name.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn new(folder: &Path) -> Result<Self, ClientError> {
        std::fs::create_dir_all(folder).map_err(|error| unusable(folder, error))?;
        let path = folder.join(format!(".momedo-{}.part", encode_hex(&random::bytes::<8>())));
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| unusable(&path, error))?;
        Ok(Self { path, file })
    }

    /// Gives the whole file a name that nobody has yet.
    fn keep(self, folder: &Path, name: &str) -> Result<PathBuf, ClientError> {
        let failed = |error: io::Error| unusable(&self.path, error);
        self.file.sync_all().map_err(failed)?;
        let name = safe_name(name);
        for number in 1..=MAX_SAME_NAMES {
            let path = folder.join(numbered(&name, number));
            // A second name for the same file replaces nothing; some file systems know none, so they get a place
            // held by an empty file.
            match std::fs::hard_link(&self.path, &path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(_) => {}
            }
            match File::options().write(true).create_new(true).open(&path) {
                Ok(_) => return std::fs::rename(&self.path, &path).map(|()| path).map_err(failed),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unusable(&path, error)),
            }
        }
        Err(unusable(&folder.join(name), "there are too many files of this name"))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Once renamed there is nothing to remove.
        let _: Result<_, _> = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    fn profile(folder: &Path) -> Profile {
        Profile::create(&folder.join("profile"), Some("geheim")).unwrap()
    }

    async fn seal(
        folder: &Path,
        name: &str,
        bytes: &[u8],
        metadata: Metadata,
    ) -> Result<Sealed, ClientError> {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        let profile = Profile::open(&folder.join("profile"), Some("geheim")).unwrap();
        seal_file(&profile, &path, metadata, 300_000).await
    }

    #[tokio::test]
    async fn files_are_sealed_in_chunks_and_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        drop(profile(folder.path()));
        for size in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 300_000] {
            let plain: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
            let mut sealed = seal(folder.path(), "a.pdf", &plain, Metadata::Strip).await.unwrap();
            assert_eq!(sealed.reference.media_type, "application/pdf");
            assert_eq!(sealed.length, momedo_protocol::blob::sealed_length(size as u64));
            let mut bytes = Vec::new();
            sealed.file.seek(SeekFrom::Start(0)).unwrap();
            sealed.file.read_to_end(&mut bytes).unwrap();
            let mut opening = Opening {
                opener: ChunkOpener::new(&sealed.reference),
                count: chunk_count(size as u64),
                next: 0,
                gathered: Vec::new(),
                part: Part::new(folder.path()).unwrap(),
                name: "a",
            };
            for piece in bytes.chunks(10_007) {
                opening.take(piece).unwrap();
            }
            assert!(matches!(opening.take(&[0]), Err(ClientError::DamagedFile { .. })));
            let path = opening.part.keep(folder.path(), &format!("{size}")).unwrap();
            assert_eq!(std::fs::read(path).unwrap(), plain);
        }
        let large = seal(folder.path(), "a.pdf", &[0; 300_001], Metadata::Strip).await.unwrap_err();
        assert!(large.to_string().contains("300000"), "{large}");
    }

    /// A large picture or file of zeros that checks, whenever it is read, how much of it is not sealed yet.
    struct Watched {
        start: Vec<u8>,
        size: u64,
        place: u64,
        sealed: File,
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
            let out = tempfile::tempfile().unwrap();
            let sealed = out.try_clone().unwrap();
            let mut watched = Watched { start, size: SIZE, place: 0, sealed, most_held: 0 };
            let mut sealing = Sealing::new(&FileKey::random(), BlobId::random(), out);
            // The picture has no end; what is before it counts here.
            let _: io::Result<()> = copy(&mut watched, format, metadata, &mut sealing);
            assert!(watched.place > SIZE / 2, "{format:?} is read to {}", watched.place);
            let most = 3 * CHUNK_BYTES as u64;
            assert!(watched.most_held < most, "{format:?}: {} bytes were held", watched.most_held);
        }
    }

    #[tokio::test]
    async fn a_sealed_file_is_read_as_fast_as_it_is_sent() {
        const SIZE: u64 = 1_000_000;
        let file = tempfile::tempfile().unwrap();
        file.set_len(SIZE).unwrap();
        let moved = Arc::new(AtomicU64::new(0));
        let mut stream = std::pin::pin!(sealed_bytes(file, SIZE, moved.clone()));
        let mut taken = 0;
        while let Some(piece) = stream.next().await {
            let piece = piece.unwrap().len() as u64;
            taken += piece;
            assert!(piece <= READ_BYTES && moved.load(Ordering::Relaxed) == taken);
        }
        assert_eq!(taken, SIZE);
    }

    #[tokio::test]
    async fn an_image_that_cannot_be_cleaned_is_refused_unless_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        drop(profile(folder.path()));
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

    #[test]
    fn so_many_files_may_have_one_name() {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..MAX_SAME_NAMES {
            File::create(folder.path().join(numbered(&safe_name("a.txt"), number))).unwrap();
        }
        Part::new(folder.path()).unwrap().keep(folder.path(), "a.txt").unwrap();
        let one_more = Part::new(folder.path()).unwrap().keep(folder.path(), "a.txt").unwrap_err();
        assert!(one_more.to_string().contains("too many files"), "{one_more}");
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        for (expected, text) in [("a.txt", "eins"), ("a (2).txt", "zwei"), ("a (3).txt", "drei")] {
            let mut part = Part::new(folder.path()).unwrap();
            part.file.write_all(text.as_bytes()).unwrap();
            let path = part.keep(folder.path(), "../a.txt").unwrap();
            assert!(path.ends_with(format!("_{expected}")), "{}", path.display());
            assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        }
        drop(Part::new(folder.path()).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
