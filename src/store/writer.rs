//! The writer thread: group commit without a timer.
//!
//! Everything that waits is applied in one transaction, each job in its own savepoint unless it checks
//! before it writes; callers are answered, and the hub hears, only after the commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use momedo_protocol::cursor::StoreEpoch;

use super::blob_files::BlobFile;
use super::directory::Directory;
use super::ozones::Queues;
use super::{Delivered, DeliveryListener, ReadTx, StoreError, Ticks, WriteTx, settings};
use crate::data_directory::reserve_file;

/// Most jobs in one transaction: bounds how long the first waits for the last.
const MAX_BATCH: usize = 512;

/// Space kept for acknowledgements and deletions on a full disk.
pub(super) const RESERVE_BYTES: usize = 16 * 1024 * 1024;

/// What a job does to the space in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Grows,
    Frees,
    /// Nothing; the writer ends after it.
    Ends,
}

/// How a job that fails is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// By a savepoint around it.
    Savepoint,
    /// It wrote nothing before it failed. Should it have, the whole batch fails.
    NothingWritten,
}

type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Runs the job, unless it is told why it cannot; says whether its effects stay, and how to answer once
/// that is on disk.
type Work = Box<dyn FnOnce(Result<&mut WriteTx<'_>, StoreError>) -> (bool, Reply) + Send>;

pub(super) struct Job {
    effect: Effect,
    undo: Undo,
    work: Work,
}

impl Job {
    pub(super) fn new<T, E>(
        effect: Effect,
        undo: Undo,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, E>>)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |tx| {
            let result = tx.map_err(E::from).and_then(work);
            let keep = result.is_ok();
            let reply: Reply = Box::new(move |committed| {
                // A caller that went away does not want its answer.
                let _: Result<_, _> =
                    sender.send(result.and_then(|value| committed.map_err(E::from).map(|()| value)));
            });
            (keep, reply)
        });
        (Self { effect, undo, work }, receiver)
    }

    pub(super) fn last() -> (Self, oneshot::Receiver<Result<(), StoreError>>) {
        Self::new(Effect::Ends, Undo::Savepoint, |tx| settings::store_served_millis(tx))
    }
}

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) ticks: Ticks,
    pub(super) epoch: StoreEpoch,
    pub(super) full: Arc<AtomicBool>,
    pub(super) directory: PathBuf,
    pub(super) listener: DeliveryListener,
    pub(super) removed_files: std::sync::mpsc::Sender<BlobFile>,
}

/// What is to happen once a batch is on disk.
#[derive(Default)]
struct Effects {
    delivered: Vec<Delivered>,
    removed_files: Vec<BlobFile>,
}

/// What the writer keeps in memory of its own tables.
#[derive(Default)]
struct Memory {
    queues: Queues,
    directory: Directory,
}

pub(super) fn spawn(mut writer: Writer, mut jobs: mpsc::Receiver<Job>) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || {
            let mut memory = Memory::default();
            let mut batch = Vec::with_capacity(MAX_BATCH);
            while jobs.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
                if writer.commit(batch.drain(..), &mut memory) {
                    break;
                }
            }
            // A clean end leaves no log behind; a failure here loses nothing. A backup that is being made
            // is not waited for.
            let _: Result<_, _> = writer.connection.busy_timeout(Duration::from_millis(500));
            let _: Result<_, _> = writer.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE");
        })
        .map_err(|error| StoreError::Sqlite(format!("cannot start the writer thread: {error}")))
}

impl Writer {
    /// Applies one batch and answers its callers; true when the writer is to end.
    fn commit(&mut self, batch: impl Iterator<Item = Job>, memory: &mut Memory) -> bool {
        let mut replies = Vec::new();
        let mut effects = Effects::default();
        let mut ends = false;
        let result = self.apply(batch, memory, &mut replies, &mut effects, &mut ends);
        let result = result.and_then(|()| Ok(self.connection.execute_batch("COMMIT")?));
        if let Err(error) = &result {
            if !self.connection.is_autocommit() {
                let _: Result<_, _> = self.connection.execute_batch("ROLLBACK");
            }
            memory.queues.forget();
            memory.directory.forget();
            self.failed(error);
        } else {
            (self.listener)(effects.delivered);
            for file in effects.removed_files {
                // The remover ends with this thread; the next start removes what it missed.
                let _: Result<_, _> = self.removed_files.send(file);
            }
        }
        for reply in replies {
            reply(result.clone());
        }
        ends
    }

    fn apply(
        &self,
        batch: impl Iterator<Item = Job>,
        memory: &mut Memory,
        replies: &mut Vec<Reply>,
        effects: &mut Effects,
        ends: &mut bool,
    ) -> Result<(), StoreError> {
        let run = |sql: &str| -> Result<(), StoreError> {
            self.connection.prepare_cached(sql)?.execute([])?;
            Ok(())
        };
        let mut failed = run("BEGIN IMMEDIATE").err();
        for job in batch {
            let refused = failed.clone().or_else(|| {
                (job.effect == Effect::Grows && self.full.load(Ordering::Relaxed)).then_some(StoreError::Full)
            });
            *ends |= job.effect == Effect::Ends;
            if let Some(error) = refused {
                // The job does not run, but its caller is answered.
                replies.push((job.work)(Err(error)).1);
                continue;
            }
            let before = (effects.delivered.len(), effects.removed_files.len());
            let savepoint = job.undo == Undo::Savepoint;
            if savepoint && let Err(error) = run("SAVEPOINT job") {
                failed = Some(error.clone());
                replies.push((job.work)(Err(error)).1);
                continue;
            }
            let changes = self.connection.total_changes();
            let read = ReadTx { connection: &self.connection, ticks: &self.ticks, epoch: self.epoch };
            memory.queues.start_job();
            let Memory { queues, directory } = memory;
            let Effects { delivered, removed_files } = &mut *effects;
            let mut tx = WriteTx { read, queues, directory, delivered, removed_files };
            let (keep, reply) = (job.work)(Ok(&mut tx));
            replies.push(reply);
            if self.connection.is_autocommit() {
                // SQLite rolled the whole transaction back: a full disk, or worse.
                failed = Some(StoreError::Full);
                continue;
            }
            if !savepoint {
                if !keep && self.connection.total_changes() != changes {
                    failed = Some(self.half_written());
                }
                continue;
            }
            if !keep {
                effects.delivered.truncate(before.0);
                effects.removed_files.truncate(before.1);
                memory.queues.undo_job();
                memory.directory.forget();
                if let Err(error) = run("ROLLBACK TO job") {
                    failed = Some(error);
                    continue;
                }
            }
            failed = run("RELEASE job").err();
        }
        failed.map_or(Ok(()), Err)
    }

    fn half_written(&self) -> StoreError {
        let pragma = |name| super::open::pragma(&self.connection, name);
        match (pragma("page_count"), pragma("max_page_count")) {
            (Ok(pages), Ok(limit)) if pages >= limit => StoreError::Full,
            _ => StoreError::HalfWritten,
        }
    }

    fn failed(&self, error: &StoreError) {
        match error {
            StoreError::Full => {
                if !self.full.swap(true, Ordering::Relaxed) {
                    tracing::error!("the disk is full: new mail is refused until there is room again");
                    // Its space is what acknowledgements and deletions go on with.
                    let _: Result<_, _> = std::fs::remove_file(reserve_file(&self.directory));
                }
            }
            // Rolled back and told so; most likely the disk filled up under it, and the next batch will say.
            StoreError::HalfWritten => tracing::error!(%error, "a batch was rolled back"),
            error => {
                tracing::error!(%error, "a commit failed; stopping, so that nobody is told a lie");
                std::process::exit(1);
            }
        }
    }
}

/// Whether there is room for the reserve and as much again: a disk on which the reserve just fits is full
/// again with the next message.
#[cfg(unix)]
pub(super) fn has_room(directory: &Path) -> bool {
    // Where the system does not say, only trying tells.
    rustix::fs::statvfs(directory)
        .map_or(true, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= 2 * RESERVE_BYTES as u64)
}

/// Where nobody says what is free, only trying tells.
#[cfg(not(unix))]
pub(super) fn has_room(_: &Path) -> bool {
    true
}

/// Makes the reserve file if it is missing, and with it ends the disk's being full.
pub(super) fn ensure_reserve(directory: &Path, full: &AtomicBool) {
    use std::io::Write;
    let path = reserve_file(directory);
    if std::fs::metadata(&path).is_ok_and(|file| file.len() >= RESERVE_BYTES as u64) {
        full.store(false, Ordering::Relaxed);
        return;
    }
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&path)?;
        // Written, not only sized: a sparse file reserves nothing.
        let block = [0x5a; 64 * 1024];
        for _ in 0..RESERVE_BYTES / block.len() {
            file.write_all(&block)?;
        }
        file.sync_all()
    };
    match write() {
        Ok(()) => full.store(false, Ordering::Relaxed),
        Err(error) => {
            tracing::warn!(%error, "no room for the reserve file: new mail is refused");
            let _: Result<_, _> = std::fs::remove_file(&path);
            full.store(true, Ordering::Relaxed);
        }
    }
}
