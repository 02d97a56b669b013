//! What both sides hold of a file in memory: next to nothing, however large it is and however slow the line. Each test
//! stops a line in the middle, and then looks at the disks: what has left one must have reached the other, but for what
//! the system keeps in the buffers of sockets.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use momedo_client::blobs::{self, Metadata};
use momedo_client::progress::Step;
use momedo_client::receiving;
use momedo_client::sending::{Destination, Draft, send};
use momedo_protocol::kind::{Attachments, Content};

use crate::blobs::{stored, upload};
use crate::door::tls;
use crate::harness::{PATIENCE, Server};
use crate::line::{Line, Way};

const MIB: usize = 1024 * 1024;

/// What passes before the line stops.
const PASSED: usize = 4 * MIB;

/// What a program may hold in memory.
const HELD: usize = MIB;

/// What two connections may have in the buffers of their sockets: 12 MiB on an untouched Linux.
const IN_SOCKETS: usize = 20 * MIB;

/// A file of which far less than all fits into what may be held.
const SIZE: usize = PASSED + IN_SOCKETS + 4 * MIB;

fn write_file(server: &Server, bytes: usize) -> PathBuf {
    let path = server.folder.path().join("film.bin");
    std::fs::write(&path, vec![7; bytes]).unwrap();
    path
}

/// Waits until a file of this folder has so many bytes, and something else is true.
fn wait_for(folder: &Path, bytes: usize, and: impl Fn() -> bool) {
    let begun = Instant::now();
    let largest = || {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|about| about.len()).max().unwrap_or(0)
    };
    while (largest() as usize) < bytes || !and() {
        assert!(begun.elapsed() < PATIENCE, "{} of {bytes} bytes are on the disk", largest());
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_left_the_senders_disk_is_on_the_servers_or_on_the_line() {
    let server = Server::start();
    let line = Line::to(&server.address);
    let ada = server.register_profile_over(&line, 0, "ada").await;
    let path = write_file(&server, SIZE);
    let sealed = blobs::seal_file(&ada, &path, Metadata::Strip, u64::MAX).await.unwrap();
    let mut session = ada.log_in("en").await.unwrap();
    line.hold_after(Way::Up, PASSED);
    let read = Arc::new(AtomicU64::new(0));
    let progress = |step| {
        if let Step::Uploading { done, .. } = step {
            read.store(done, Ordering::Relaxed);
        }
    };
    let (folder, told) = (server.data().join("blobs"), read.clone());
    let watching = tokio::task::spawn_blocking(move || {
        wait_for(&folder, PASSED - HELD, || told.load(Ordering::Relaxed) as usize > PASSED - HELD);
    });
    tokio::select! {
        ended = blobs::upload(&ada, &mut session, &sealed, PATIENCE, &progress) => panic!("{ended:?}"),
        watched = watching => watched.unwrap(),
    }
    let read = read.load(Ordering::Relaxed) as usize;
    assert!(read < PASSED + HELD + IN_SOCKETS, "the sender has read {read} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_left_the_server_is_on_the_recipients_disk_or_on_the_line() {
    let server = Server::start();
    let line = Line::to(&server.address);
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile_over(&line, 1, "ben").await;
    let paths = [write_file(&server, 3 * PASSED)];
    let wait = Duration::from_secs(30);
    let files = blobs::attach(&ada, &paths, Metadata::Strip, wait, "en", &|_| {}).await.unwrap();
    let id = files[0].blob;
    let draft = Draft::of(&Content::File(Attachments { text: String::new(), files, place: None }));
    let to = Destination::Participant(ben.id().unwrap());
    send(&ada, to, &draft, wait, "en", &|_| {}).await.unwrap();
    let mut session = ben.log_in("en").await.unwrap();
    receiving::receive(&ben, &mut session, Duration::ZERO, &mut |_| Ok(())).await.unwrap();
    line.hold_after(Way::Down, PASSED);
    let folder = server.folder.path().join("da");
    let saving = folder.clone();
    let watching = tokio::task::spawn_blocking(move || wait_for(&folder, PASSED - HELD, || true));
    tokio::select! {
        ended = blobs::save(&ben, &mut session, id, None, &saving, PATIENCE, &|_| {}) => panic!("{ended:?}"),
        watched = watching => watched.unwrap(),
    }
}

#[tokio::test]
async fn the_server_reads_a_file_as_fast_as_it_is_taken() {
    let server = Server::start();
    let mut ada = server.register(0).await;
    let id = upload(&mut ada.session, SIZE).await;
    let mut stream = tls(&server);
    let token = ada.session.token();
    write!(
        stream,
        "GET /api/v1/blobs/{id} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n"
    )
    .unwrap();
    stream.flush().unwrap();
    let mut start = [0; 4096];
    stream.read_exact(&mut start).unwrap();
    // Nobody takes more for now. What changes on the disk meanwhile shows what the server had not read.
    let mut file = std::fs::File::options().write(true).open(&stored(&server)[0]).unwrap();
    file.seek(SeekFrom::Start((SIZE - HELD) as u64)).unwrap();
    file.write_all(&vec![9; HELD]).unwrap();
    let mut rest = Vec::with_capacity(SIZE);
    // It may end without a farewell; the length says whether all is there.
    let _: std::io::Result<usize> = stream.read_to_end(&mut rest);
    let old = rest[rest.len() - HELD..].iter().filter(|byte| **byte != 9).count();
    assert_eq!(old, 0, "{old} bytes of the file's end were read before anybody wanted them");
    assert!(rest.len() > SIZE - start.len());
}
