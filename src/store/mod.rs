//! The only place that knows SQLite: one file, one writer thread, a few readers.
//!
//! The rest of the server sees [`ReadTx`] and [`WriteTx`] functions named by meaning and never SQL.
//!
//! # The one invariant
//! A job's caller is answered only after the transaction that holds its effects is on disk and synced.
//!
//! # Failure
//! A job that fails, or panics, is undone alone, whatever it had written. A full disk fails the batch with [`StoreError::Full`]; from then on only jobs that free space run, on
//! the space of a reserve file given up for them, until there is room for it and as much again. Any other
//! failed commit ends the process: what the kernel lost of an fsync cannot be known, and a server that reads
//! but cannot store misleads its users.
//!
//! # Performance
//! While one commit syncs, the next batch gathers by itself. Queue totals are kept in memory by the
//! writer ([`ozones::Queues`]), so that a quota check costs no read.

mod admin_accounts;
mod audit;
pub mod backup;
mod blob_copies;
mod blob_files;
mod blobs;
mod blocks;
mod classes;
mod column;
mod content;
mod devices;
mod directory;
mod envelopes;
mod erasures;
mod folding;
mod groups;
mod invites;
mod key_backups;
mod key_files;
mod key_log;
mod keys;
mod migrations;
mod neighbour_logs;
mod neighbours;
mod open;
mod outbox;
mod overviews;
pub mod ozones;
mod participants;
mod people;
pub mod personal;
mod readers;
mod relayed;
mod remote_participants;
mod reports;
mod restored;
mod second_homes;
mod settings;
mod smoke_messages;
mod smoke_participants;
mod smoke_surroundings;
mod writer;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use momedo_protocol::cursor::StoreEpoch;

/// As many rows as there are, where a page is not what is wanted.
pub const EVERYTHING: u64 = i64::MAX as u64;

pub use admin_accounts::AccountRow;
pub use audit::{AuditRow, NewAuditRow};
pub use blob_files::{BlobFile, BlobFiles};
pub use blobs::{BlobRow, BlobSums, BlobTotals};
pub use classes::ClassRow;
pub use devices::DeviceRow;
pub use directory::DirectoryEntry;
pub use envelopes::{Charged, Conversation, Known, NewEnvelope, StoredEnvelope};
pub use erasures::{StoredDeparture, ToForget};
pub use groups::{Audience, Author, GroupRow};
pub use invites::{InviteRow, ReservationRow};
pub use key_backups::{KeyBackupRow, NewSlot};
pub use key_log::UnloggedBundle;
pub use keys::{BundleRow, BundleStanding};
pub use migrations::SCHEMA_VERSION;
pub use neighbour_logs::{LogStanding, NeighbourLogRow};
pub use neighbours::{CodeUse, NeighbourRow};
pub use open::examine;
pub use outbox::{
    CopyFor, OnItsWay, Outgoing, OutgoingKey, OutgoingPosting, OutgoingRow, Queued, RemoteRecipient,
};
pub use overviews::{KeysRow, OzoneRow};
pub use ozones::{QueueTotals, Recipient};
pub use participants::{ParticipantRow, ParticipantState};
pub use people::{ImportId, ImportRow, NewPerson, PeopleFilter, PersonId, PersonRow};
pub use relayed::RelayedRow;
pub use remote_participants::{RemoteKeys, RemoteRow};
pub use reports::{NewReport, ReportId, ReportRow};
pub use second_homes::{OtherHome, Shared};
pub use smoke_participants::{SmokeKeysRow, SmokeKeysState, SmokeParticipantRow};
pub use smoke_surroundings::{SmokeListenerRow, SmokeNeighbourRow, SmokeOzoneRow};

use crate::domain::receipt::ReceiptKey;
use crate::surroundings::clock::Clock;

/// Milliseconds the server itself saw pass, over all its runs; expiry goes by it, so that a clock that
/// jumps expires nobody's mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(pub u64);

impl Tick {
    /// This tick plus whole days.
    pub fn plus_days(self, days: u64) -> Self {
        Self(self.0.saturating_add(days.saturating_mul(86_400_000)))
    }

    /// This tick minus whole days, not below zero.
    pub fn minus_days(self, days: u64) -> Self {
        Self(self.0.saturating_sub(days.saturating_mul(86_400_000)))
    }
}

/// Something that is on disk now and that somebody may be waiting for.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Whose device it is for.
    pub participant: u64,
    /// The device.
    pub device: u64,
    /// Its place in the device's queue.
    pub sequence: u64,
    /// What was delivered.
    pub envelope: Arc<StoredEnvelope>,
    /// The content key of a group message, sealed to the participant.
    pub slot: Option<Arc<[u8]>>,
}

/// Hears of every committed delivery, in commit order, on the writer thread; must not block.
pub type DeliveryListener = Box<dyn Fn(Vec<Delivered>) + Send>;

/// Why the store cannot do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk, or the configured size is reached.
    #[error("the disk is full: make room, then try again")]
    Full,
    /// More jobs wait than the queue holds.
    #[error("the store is busy")]
    Busy,
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
    /// The database was made by a newer momedo.
    #[error(
        "{path} was written by a newer momedo (schema {found}, this one knows {known}): \
         install that version again, or restore an older backup; nothing was changed",
        path = .path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// The file is no momedo database.
    #[error("{} is not a momedo database: move it away, or restore a backup", .0.display())]
    Foreign(PathBuf),
    /// A job panicked; its effects were undone.
    #[error("a write ended early and was undone")]
    Panicked,
    /// SQLite reports damage.
    #[error("the database is damaged: restore a backup")]
    Corrupt,
    /// Anything else SQLite says.
    #[error("database: {0}")]
    Sqlite(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
        match error.sqlite_error_code() {
            Some(DiskFull) => Self::Full,
            Some(DatabaseCorrupt | NotADatabase) => Self::Corrupt,
            _ => Self::Sqlite(error.to_string()),
        }
    }
}

/// Jobs that may wait for the writer before callers are told to come back.
const WRITE_QUEUE: usize = 4096;

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Largest size of the database file, in bytes; reaching it is a full disk. `None`: the disk's.
    pub max_database_bytes: Option<u64>,
    /// Reader threads.
    pub readers: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { max_database_bytes: None, readers: 2 }
    }
}

/// The open store; cheap to clone, closed when the last clone is gone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    writer: tokio::sync::mpsc::Sender<writer::Job>,
    writer_thread: std::sync::Mutex<Option<std::thread::JoinHandle<()>>>,
    readers: readers::Readers,
    blob_files: BlobFiles,
    full: Arc<AtomicBool>,
    half_written: Arc<AtomicU64>,
    directory: PathBuf,
    /// The limit of momedo.toml, beside the disk's own.
    max_database_bytes: Option<u64>,
    epoch: StoreEpoch,
    receipt_key: Arc<ReceiptKey>,
    ticks: Ticks,
}

/// Served time: what was stored, plus what this run saw.
#[derive(Clone)]
struct Ticks {
    base: u64,
    clock: Clock,
}

impl Ticks {
    fn now(&self) -> Tick {
        let run = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        Tick(self.base.saturating_add(run))
    }
}

/// Reads one consistent snapshot.
pub struct ReadTx<'a> {
    connection: &'a rusqlite::Connection,
    ticks: &'a Ticks,
    epoch: StoreEpoch,
}

/// Reads and writes inside the batch's transaction.
pub struct WriteTx<'a> {
    read: ReadTx<'a>,
    queues: &'a mut ozones::Queues,
    directory: &'a mut directory::Directory,
    delivered: &'a mut Vec<Delivered>,
    /// Files of blobs that go once the removal of their rows is on disk.
    removed_files: &'a mut Vec<BlobFile>,
}

impl<'a> Deref for WriteTx<'a> {
    type Target = ReadTx<'a>;
    fn deref(&self) -> &ReadTx<'a> {
        &self.read
    }
}

impl ReadTx<'_> {
    /// Served time now.
    pub fn tick(&self) -> Tick {
        self.ticks.now()
    }

    /// The store's epoch.
    pub fn epoch(&self) -> StoreEpoch {
        self.epoch
    }
}

impl Store {
    /// Opens, and if need be creates or migrates, the database in `directory`.
    ///
    /// # Errors
    /// As [`StoreError`] says; a database of a newer version is left untouched.
    pub fn open(
        directory: &Path,
        clock: Clock,
        options: &StoreOptions,
        listener: DeliveryListener,
    ) -> Result<Self, StoreError> {
        let path = directory.join("momedo.db");
        let connection = open::writer(&path, options)?;
        let epoch = settings::epoch(&connection)?;
        let receipt_key = Arc::new(ReceiptKey::new(&settings::receipt_key(&connection)?));
        let ticks = Ticks { base: settings::served_millis(&connection)?, clock };
        let blob_files = BlobFiles::open(directory)?;
        blob_files
            .sweep(&blobs::files(&connection)?)
            .unwrap_or_else(|error| tracing::warn!(%error, "the folder of attachments cannot be tidied"));
        let full = Arc::new(AtomicBool::new(false));
        let half_written = Arc::new(AtomicU64::new(0));
        writer::ensure_reserve(directory, &full);
        let (sender, receiver) = tokio::sync::mpsc::channel(WRITE_QUEUE);
        let state = writer::Writer {
            connection,
            ticks: ticks.clone(),
            epoch,
            full: full.clone(),
            half_written: half_written.clone(),
            directory: directory.to_owned(),
            listener,
            removed_files: blob_files.spawn_remover()?,
        };
        let thread = writer::spawn(state, receiver)?;
        let readers = readers::Readers::spawn(&path, options.readers, &ticks, epoch)?;
        Ok(Self(Arc::new(Inner {
            writer: sender,
            writer_thread: std::sync::Mutex::new(Some(thread)),
            readers,
            blob_files,
            full,
            half_written,
            directory: directory.to_owned(),
            max_database_bytes: options.max_database_bytes,
            epoch,
            receipt_key,
            ticks,
        })))
    }

    /// The store's epoch.
    pub fn epoch(&self) -> StoreEpoch {
        self.0.epoch
    }

    /// The key that submissions are remembered under.
    pub fn receipt_key(&self) -> &Arc<ReceiptKey> {
        &self.0.receipt_key
    }

    /// Served time now.
    pub fn tick(&self) -> Tick {
        self.0.ticks.now()
    }

    /// The files with the bytes of blobs.
    pub fn blob_files(&self) -> &BlobFiles {
        &self.0.blob_files
    }

    /// Whether the disk is full, so that only jobs that free space run.
    pub fn is_full(&self) -> bool {
        self.0.full.load(Ordering::Relaxed)
    }

    /// How many jobs failed after they had written, though they decide before, since the start: each is a bug, and was
    /// undone alone.
    pub fn half_written(&self) -> u64 {
        self.0.half_written.load(Ordering::Relaxed)
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// Runs `work` in the next batch; the answer comes once it is on disk. When `work` fails, its own
    /// effects are undone and nobody else's.
    ///
    /// # Errors
    /// What `work` says, [`StoreError::Full`], [`StoreError::Busy`] or [`StoreError::Closed`].
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.refuse_growth()?;
        self.enqueue(writer::Job::new(writer::Effect::Grows, work)).await
    }

    /// Like [`Store::write`] for the hot path: without a savepoint of its own, which is a fifth of its cost.
    /// `work` makes every decision before its first write. Should it fail after one, it is undone alone and
    /// [counted](Store::half_written), and those before it run again; so `work` may run twice, and nothing outside
    /// the store may depend on how often it did.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_decided<T, E>(
        &self,
        work: impl Fn(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.refuse_growth()?;
        self.enqueue(writer::Job::decided(writer::Effect::Grows, work)).await
    }

    /// Like [`Store::write`], for jobs that free space: they run on a full disk too.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_freeing<T, E>(
        &self,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.enqueue(writer::Job::new(writer::Effect::Frees, work)).await
    }

    /// [`Store::write_freeing`] and [`Store::write_decided`] in one.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_freeing_decided<T, E>(
        &self,
        work: impl Fn(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.enqueue(writer::Job::decided(writer::Effect::Frees, work)).await
    }

    fn refuse_growth(&self) -> Result<(), StoreError> {
        if self.is_full() { Err(StoreError::Full) } else { Ok(()) }
    }

    async fn enqueue<T, E>(
        &self,
        (job, answer): (writer::Job, tokio::sync::oneshot::Receiver<Result<T, E>>),
    ) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        self.0.writer.try_send(job).map_err(|refused| match refused {
            tokio::sync::mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            tokio::sync::mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `work` on a reader; several queries in it see one snapshot.
    ///
    /// # Errors
    /// What `work` says, or [`StoreError::Closed`].
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&ReadTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.0.readers.run(work).await
    }

    /// Whether a database with a largest size has room inside again: an eighth of it, or twice the reserve if
    /// that is less. With a page or two it would be full again with the next message.
    fn has_room_inside(&self) -> bool {
        let Some(limit) = self.0.max_database_bytes else { return true };
        let free = || -> Result<u64, StoreError> {
            let connection = open::reader(&self.0.directory.join("momedo.db"))?;
            let read = |name| open::pragma(&connection, name);
            let used = (read("page_count")? - read("freelist_count")?) * read("page_size")?;
            Ok(limit.saturating_sub(u64::try_from(used).unwrap_or(0)))
        };
        let wanted = (limit / 8).min(2 * writer::RESERVE_BYTES as u64);
        match free() {
            Ok(free) => free >= wanted,
            Err(error) => {
                tracing::warn!(%error, "how full the database is cannot be read");
                false
            }
        }
    }

    /// Gets the reserve file back if there is room for it and as much again; with it, the disk no longer
    /// counts as full. Blocks on disk I/O.
    pub fn regain_reserve(&self) {
        if writer::has_room(&self.0.directory) && self.has_room_inside() {
            writer::ensure_reserve(&self.0.directory, &self.0.full);
        }
    }

    /// Finishes what is queued, stores the served time and closes the writer. Later calls get
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        let (job, answer) = writer::Job::last();
        if self.0.writer.send(job).await.is_ok() {
            let _: Result<_, _> = answer.await;
        }
        let thread = self.0.writer_thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            let _: Result<_, _> = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
