//! Where the bytes of attachments should stand: rows of the SQLite file, or files beside it.
//!
//! `cargo bench --bench blob_storage` writes 64 MiB both ways, beside one sender of messages and without, and prints
//! one line of JSON per way. It stands apart from the server, so that both ways can be measured whatever the server
//! does: a writer thread with group commit and the pragmas of `src/store/open.rs`, and the rows of one message.
#![allow(clippy::unwrap_used, reason = "a tool for developers: a failure is its result")]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;

/// Bytes of the attachment.
const BLOB_BYTES: usize = 64 * 1024 * 1024;

/// How much of a file is written between two syncs.
const STEP_BYTES: usize = 1024 * 1024;

/// The smallest envelope there is.
const ENVELOPE_BYTES: usize = 2_090;

/// How long messages are sent where no attachment says when to stop.
const QUIET: Duration = Duration::from_secs(4);

/// Most jobs in one transaction, as in `src/store/writer.rs`.
const MAX_BATCH: usize = 512;

const SCHEMA: &str = "
    CREATE TABLE bodies (id INTEGER PRIMARY KEY, sender INTEGER NOT NULL, envelope BLOB NOT NULL) STRICT;
    CREATE TABLE deliveries (device INTEGER NOT NULL, sequence INTEGER NOT NULL, body INTEGER NOT NULL,
                             PRIMARY KEY (device, sequence)) STRICT, WITHOUT ROWID;
    CREATE TABLE receipts (message_id INTEGER PRIMARY KEY, digest BLOB NOT NULL) STRICT;
    CREATE TABLE blobs (id INTEGER PRIMARY KEY, durable INTEGER NOT NULL) STRICT;
    CREATE TABLE chunks (blob INTEGER NOT NULL, number INTEGER NOT NULL, bytes BLOB NOT NULL,
                         PRIMARY KEY (blob, number)) STRICT;
    INSERT INTO blobs VALUES (1, 0);";

/// A way to keep an attachment.
#[derive(Clone, Copy)]
enum Way {
    /// None is kept: what messages take by themselves.
    None,
    /// Rows of so many bytes.
    Rows(usize),
    /// A file, whose row says how much of it is synced.
    File,
}

enum Work {
    Message(Box<[u8]>),
    Chunk(u64, Box<[u8]>),
    Offset(u64),
    Erase,
}

/// Work, and who waits for it to be on disk.
struct Job(Work, SyncSender<()>);

fn main() {
    let ways = [
        ("nothing", Way::None),
        ("rows of 256 KiB", Way::Rows(256 * 1024)),
        ("rows of 1 MiB", Way::Rows(1024 * 1024)),
        ("a file", Way::File),
    ];
    for (name, way) in ways {
        let alone = (!matches!(way, Way::None)).then(|| alone(way));
        let (time, latencies) = beside_messages(way);
        let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        let per_byte = |bytes: u64| rounded(bytes as f64 / BLOB_BYTES as f64);
        println!(
            "{}",
            json!({
                "kept": name,
                "alone": alone.map(|(time, written, erased)| json!({
                    "seconds": rounded(time.as_secs_f64()),
                    "written_per_byte": per_byte(written),
                    "written_to_erase_per_byte": per_byte(erased),
                })),
                "beside_messages": {
                    "seconds": rounded(time.as_secs_f64()),
                    "messages": latencies.len(),
                    "p50_ms": rounded(at(50)), "p99_ms": rounded(at(99)), "slowest_ms": rounded(at(100)),
                },
            })
        );
    }
}

/// Keeps an attachment and erases it: the time to keep it, and the bytes written for each.
fn alone(way: Way) -> (Duration, u64, u64) {
    let subject = Subject::new();
    let (before, begun) = (written(), Instant::now());
    keep(way, subject.folder.path(), &subject.jobs);
    let time = begun.elapsed();
    subject.checkpoint();
    let kept = written();
    finished(&subject.jobs, Work::Erase);
    if matches!(way, Way::File) {
        std::fs::remove_file(subject.folder.path().join("blob")).unwrap();
        File::open(subject.folder.path()).unwrap().sync_all().unwrap();
    }
    subject.checkpoint();
    (time, kept - before, written() - kept)
}

/// Keeps an attachment while somebody sends one message after the other: the time it takes, and theirs, sorted.
fn beside_messages(way: Way) -> (Duration, Vec<Duration>) {
    let subject = Subject::new();
    let stop = Arc::new(AtomicBool::new(false));
    let (jobs, stopped) = (subject.jobs.clone(), stop.clone());
    let sender = std::thread::spawn(move || {
        let mut latencies = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let begun = Instant::now();
            finished(&jobs, Work::Message(vec![7; ENVELOPE_BYTES].into()));
            latencies.push(begun.elapsed());
        }
        latencies
    });
    let begun = Instant::now();
    match way {
        Way::None => std::thread::sleep(QUIET),
        way => keep(way, subject.folder.path(), &subject.jobs),
    }
    let time = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let mut latencies = sender.join().unwrap();
    latencies.sort();
    (time, latencies)
}

/// Writes one piece after the other, each once the one before is on disk, as an upload does.
fn keep(way: Way, folder: &Path, jobs: &Sender<Job>) {
    match way {
        Way::None => {}
        Way::Rows(size) => {
            for number in 0..BLOB_BYTES / size {
                finished(jobs, Work::Chunk(number as u64, vec![number as u8; size].into()));
            }
        }
        Way::File => {
            let mut file = File::create_new(folder.join("blob")).unwrap();
            File::open(folder).unwrap().sync_all().unwrap();
            for number in 0..BLOB_BYTES / STEP_BYTES {
                file.write_all(&vec![number as u8; STEP_BYTES]).unwrap();
                file.sync_data().unwrap();
                finished(jobs, Work::Offset(((number + 1) * STEP_BYTES) as u64));
            }
        }
    }
}

fn finished(jobs: &Sender<Job>, work: Work) {
    let (reply, done) = sync_channel(1);
    jobs.send(Job(work, reply)).unwrap();
    done.recv().unwrap();
}

/// A database with its writer, in a folder of its own.
struct Subject {
    folder: tempfile::TempDir,
    jobs: Sender<Job>,
}

impl Subject {
    fn new() -> Self {
        // On a disk, not in memory: an fsync has to cost what it costs.
        let folder = tempfile::tempdir_in(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let connection = open(folder.path());
        connection.execute_batch(SCHEMA).unwrap();
        let (jobs, queue) = channel();
        std::thread::spawn(move || write(connection, &queue));
        Self { folder, jobs }
    }

    /// Brings the log into the file, so that all of what was written counts.
    fn checkpoint(&self) {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        open(self.folder.path()).query_row(sql, [], |_| Ok(())).unwrap();
    }
}

/// With the pragmas of `src/store/open.rs`.
fn open(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("momedo.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = 33554432;
             PRAGMA cache_size = -8192; PRAGMA secure_delete = FAST; PRAGMA temp_store = MEMORY;",
        )
        .unwrap();
    connection
}

/// Everything that waits goes into one transaction, and is answered after its commit.
fn write(connection: Connection, queue: &Receiver<Job>) {
    let mut sequence = 0u64;
    while let Ok(first) = queue.recv() {
        let mut replies = Vec::new();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        for Job(work, reply) in std::iter::once(first).chain(queue.try_iter().take(MAX_BATCH - 1)) {
            sequence += 1;
            apply(&connection, work, sequence);
            replies.push(reply);
        }
        connection.execute_batch("COMMIT").unwrap();
        for reply in replies {
            reply.send(()).unwrap();
        }
    }
}

fn apply(connection: &Connection, work: Work, sequence: u64) {
    let run = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| {
        connection.prepare_cached(sql).unwrap().execute(parameters).unwrap();
    };
    match work {
        Work::Message(envelope) => {
            run("INSERT INTO receipts VALUES (?1, zeroblob(16))", &[&sequence]);
            run("INSERT INTO bodies VALUES (?1, 1, ?2)", &[&sequence, &&envelope[..]]);
            run("INSERT INTO deliveries VALUES (1, ?1, ?1)", &[&sequence]);
        }
        Work::Chunk(number, bytes) => run("INSERT INTO chunks VALUES (1, ?1, ?2)", &[&number, &&bytes[..]]),
        Work::Offset(durable) => run("UPDATE blobs SET durable = ?1 WHERE id = 1", &[&durable]),
        Work::Erase => {
            run("DELETE FROM chunks", &[]);
            run("DELETE FROM blobs", &[]);
        }
    }
}

/// Bytes this process had the disk write so far.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("figures are taken on Linux");
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.unwrap().trim().parse().unwrap()
}
