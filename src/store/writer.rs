//! The writer thread: group commit without a timer.
//!
//! Everything that waits is applied in one transaction; callers are answered, and the hub hears, only after the
//! commit. Jobs that decide before they write stand together behind one savepoint, all others have one each. Whatever
//! fails fails alone: of jobs behind one savepoint those before it run once more, each behind its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use momedo_protocol::cursor::StoreEpoch;

use super::blob_files::BlobFile;
use super::directory::Directory;
use super::ozones::Queues;
use super::{Delivered, DeliveryListener, ReadTx, StoreError, Ticks, WriteTx, settings};
use crate::surroundings::data_directory::reserve_file;

/// Most jobs in one transaction: bounds how long the first waits for the last.
const MAX_BATCH: usize = 512;

/// A database with a largest size counts as full when a job fails and it can take less than this.
const FULL_BELOW_BYTES: i64 = 1024 * 1024;

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
    /// It wrote nothing before it failed. Should it have, what stands behind the same savepoint runs again without it.
    NothingWritten,
}

/// A job's work and its caller.
trait Work: Send {
    /// Runs it; says whether its effects stay. More than once only for [`Undo::NothingWritten`].
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool;
    /// Notes why it does not run.
    fn refuse(&mut self, error: StoreError);
    /// Answers the caller, once it is known what became of the transaction.
    fn answer(self: Box<Self>, committed: &Result<(), StoreError>);
}

struct Task<F, T, E> {
    work: F,
    result: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Work for Task<F, T, E>
where
    F: FnMut(&mut WriteTx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool {
        // What a job left half done is undone like any failure's; nobody else's mail depends on it.
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(tx)));
        let result = result.unwrap_or_else(|_| Err(StoreError::Panicked.into()));
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn refuse(&mut self, error: StoreError) {
        self.result = Some(Err(error.into()));
    }

    fn answer(self: Box<Self>, committed: &Result<(), StoreError>) {
        let result = match (self.result, committed) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error.clone().into()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Closed.into()),
        };
        // A caller that went away does not want its answer.
        let _: Result<_, _> = self.caller.send(result);
    }
}

pub(super) struct Job {
    effect: Effect,
    undo: Undo,
    work: Box<dyn Work>,
}

impl Job {
    /// One that has a savepoint of its own.
    pub(super) fn new<T, E>(
        effect: Effect,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, E>>)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let mut work = Some(work);
        let once = move |tx: &mut WriteTx<'_>| match work.take() {
            Some(work) => work(tx),
            None => Err(StoreError::Closed.into()),
        };
        Self::of(effect, Undo::Savepoint, once)
    }

    /// One that decides before it writes.
    pub(super) fn decided<T, E>(
        effect: Effect,
        work: impl Fn(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, E>>)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        Self::of(effect, Undo::NothingWritten, work)
    }

    fn of<T, E>(
        effect: Effect,
        undo: Undo,
        work: impl FnMut(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, E>>)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (caller, receiver) = oneshot::channel();
        (Self { effect, undo, work: Box::new(Task { work, result: None, caller }) }, receiver)
    }

    pub(super) fn last() -> (Self, oneshot::Receiver<Result<(), StoreError>>) {
        Self::new(Effect::Ends, |tx| settings::store_served_millis(tx))
    }
}

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) ticks: Ticks,
    pub(super) epoch: StoreEpoch,
    pub(super) full: Arc<AtomicBool>,
    /// Jobs that failed after they had written, though they decide before.
    pub(super) half_written: Arc<AtomicU64>,
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

/// A batch's transaction.
#[derive(Default)]
struct Batch {
    effects: Effects,
    /// Whether anything of it ran.
    begun: bool,
}

/// A point in a batch that can be gone back to.
struct Mark {
    /// Or else the beginning of the transaction, which costs nothing.
    savepoint: bool,
    delivered: usize,
    removed_files: usize,
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Its effects stay.
    Kept,
    /// It failed, and wrote nothing.
    Refused,
    /// It failed after it had written.
    HalfWritten,
    /// It failed, and the database has reached its largest size.
    Full,
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
    fn commit(&mut self, jobs: impl Iterator<Item = Job>, memory: &mut Memory) -> bool {
        let mut jobs: Vec<Job> = jobs.collect();
        let mut batch = Batch::default();
        let result = self.apply(&mut jobs, memory, &mut batch);
        let result = result.and_then(|()| Ok(self.connection.execute_batch("COMMIT")?));
        if let Err(error) = &result {
            if !self.connection.is_autocommit() {
                let _: Result<_, _> = self.connection.execute_batch("ROLLBACK");
            }
            memory.queues.forget();
            memory.directory.forget();
            self.failed(error);
        } else {
            (self.listener)(batch.effects.delivered);
            for file in batch.effects.removed_files {
                // The remover ends with this thread; the next start removes what it missed.
                let _: Result<_, _> = self.removed_files.send(file);
            }
        }
        let ends = jobs.iter().any(|job| job.effect == Effect::Ends);
        for job in jobs {
            job.work.answer(&result);
        }
        ends
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// Runs all jobs; an error means that the whole transaction is lost.
    fn apply(&self, jobs: &mut [Job], memory: &mut Memory, batch: &mut Batch) -> Result<(), StoreError> {
        self.execute("BEGIN IMMEDIATE")?;
        for run in jobs.chunk_by_mut(|a, b| a.undo == Undo::NothingWritten && b.undo == Undo::NothingWritten)
        {
            match run {
                [job] if job.undo == Undo::Savepoint => self.apply_alone(job, memory, batch)?,
                run => self.apply_decided(run, memory, batch)?,
            }
        }
        Ok(())
    }

    /// Runs jobs that decide before they write behind one savepoint. Of one that fails half-way nothing stays, and
    /// those before it run again, each alone: no job runs more than twice.
    fn apply_decided(
        &self,
        mut jobs: &mut [Job],
        memory: &mut Memory,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        while !jobs.is_empty() {
            let mark = self.mark(memory, batch)?;
            let mut broken = None;
            for (place, job) in jobs.iter_mut().enumerate() {
                let outcome = self.run(job, memory, batch)?;
                if matches!(outcome, Outcome::HalfWritten | Outcome::Full) {
                    broken = Some((place, outcome));
                    break;
                }
            }
            let Some((place, outcome)) = broken else { return self.release(&mark) };
            self.go_back(&mark, memory, batch)?;
            self.note(outcome, Undo::NothingWritten);
            let (again, rest) = jobs.split_at_mut(place);
            for job in again {
                self.apply_alone(job, memory, batch)?;
            }
            jobs = &mut rest[1..];
        }
        Ok(())
    }

    /// Runs a job behind a savepoint of its own.
    fn apply_alone(&self, job: &mut Job, memory: &mut Memory, batch: &mut Batch) -> Result<(), StoreError> {
        let mark = self.mark(memory, batch)?;
        match self.run(job, memory, batch)? {
            Outcome::Kept => self.release(&mark),
            outcome => {
                self.go_back(&mark, memory, batch)?;
                self.note(outcome, job.undo);
                Ok(())
            }
        }
    }

    fn run(&self, job: &mut Job, memory: &mut Memory, batch: &mut Batch) -> Result<Outcome, StoreError> {
        if job.effect == Effect::Grows && self.full.load(Ordering::Relaxed) {
            job.work.refuse(StoreError::Full);
            return Ok(Outcome::Refused);
        }
        let changes = self.connection.total_changes();
        let read = ReadTx { connection: &self.connection, ticks: &self.ticks, epoch: self.epoch };
        let Memory { queues, directory } = memory;
        let Effects { delivered, removed_files } = &mut batch.effects;
        let mut tx = WriteTx { read, queues, directory, delivered, removed_files };
        let keep = job.work.run(&mut tx);
        if self.connection.is_autocommit() {
            // SQLite rolled the whole transaction back: a full disk, or worse.
            return Err(StoreError::Full);
        }
        Ok(match keep {
            true => Outcome::Kept,
            // Asked before anything is undone, which gives pages back.
            false if self.is_full_inside() => Outcome::Full,
            false if self.connection.total_changes() == changes => Outcome::Refused,
            false => Outcome::HalfWritten,
        })
    }

    fn mark(&self, memory: &mut Memory, batch: &mut Batch) -> Result<Mark, StoreError> {
        let savepoint = std::mem::replace(&mut batch.begun, true);
        if savepoint {
            self.execute("SAVEPOINT job")?;
        }
        memory.queues.set_mark();
        let Effects { delivered, removed_files } = &batch.effects;
        Ok(Mark { savepoint, delivered: delivered.len(), removed_files: removed_files.len() })
    }

    fn release(&self, mark: &Mark) -> Result<(), StoreError> {
        if mark.savepoint { self.execute("RELEASE job") } else { Ok(()) }
    }

    fn go_back(&self, mark: &Mark, memory: &mut Memory, batch: &mut Batch) -> Result<(), StoreError> {
        batch.effects.delivered.truncate(mark.delivered);
        batch.effects.removed_files.truncate(mark.removed_files);
        memory.queues.go_back();
        memory.directory.forget();
        let [undo, go_on] = match mark.savepoint {
            true => ["ROLLBACK TO job", "RELEASE job"],
            false => ["ROLLBACK", "BEGIN IMMEDIATE"],
        };
        batch.begun = mark.savepoint;
        self.execute(undo)?;
        self.execute(go_on)
    }

    /// Counts a job that was undone half-way. The disk being full is nobody's fault; other reasons are bugs where jobs
    /// decide before they write, so they are logged, and more and more rarely: whoever found one may repeat it.
    fn note(&self, outcome: Outcome, undo: Undo) {
        if outcome == Outcome::Full {
            self.failed(&StoreError::Full);
        } else if outcome == Outcome::HalfWritten && undo == Undo::NothingWritten {
            let count = self.half_written.fetch_add(1, Ordering::Relaxed) + 1;
            if count.is_power_of_two() {
                tracing::error!(
                    count,
                    "a job failed after it had written, and was undone alone: report this"
                );
            }
        }
    }

    /// Whether the database has as good as reached its largest size: a statement that found no room was undone, so there
    /// may be some pages left.
    fn is_full_inside(&self) -> bool {
        let pragma = |name| super::open::pragma(&self.connection, name);
        let full = || -> Result<bool, StoreError> {
            let unused = pragma("max_page_count")?.saturating_sub(pragma("page_count")?);
            let free = pragma("freelist_count")?.saturating_add(unused);
            Ok(free.saturating_mul(pragma("page_size")?) < FULL_BELOW_BYTES)
        };
        full().unwrap_or(false)
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
            error => {
                tracing::error!(%error, "a commit failed; stopping, so that nobody is told a lie");
                std::process::exit(1);
            }
        }
    }
}

/// Whether there is room for the reserve and as much again: a disk on which the reserve just fits is full
/// again with the next message.
pub(super) fn has_room(directory: &Path) -> bool {
    // Where the system does not say, only trying tells.
    fs4::available_space(directory).map_or(true, |free| free >= 2 * RESERVE_BYTES as u64)
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
            tracing::warn!(%error, "the disk is full: the reserve file has no room, and new mail is refused until it has");
            let _: Result<_, _> = std::fs::remove_file(&path);
            full.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
