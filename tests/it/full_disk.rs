//! A disk that is full when the server starts: it serves what waits, takes nothing new, and says so.
//!
//! The disk is a small one in memory, in a mount namespace of the test's own.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::harness::{PATIENCE, Server, text};
use crate::neighbours::until_async;
use crate::visitor::{Visitor, set_up};

const NEEDS: &str = "the tests of a full disk need a small disk of their own: unshare and mount (Debian: util-linux), and \
                     a kernel that lets this user make namespaces; set MOMEDO_TEST_WITHOUT_OWN_DISK=1 to leave them out";

/// Tells the test that it is inside.
const INSIDE: &str = "MOMEDO_TEST_IN_OWN_DISK";

/// Set by whoever knows that this machine lets nobody make namespaces, and says so.
const WITHOUT: &str = "MOMEDO_TEST_WITHOUT_OWN_DISK";

/// Whether this is inside. Outside, runs the test with this path inside, and fails if it does.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if std::env::var_os(WITHOUT).is_some() {
        eprintln!("NOT TESTED: {test}, because {WITHOUT} is set");
        return false;
    }
    let inside = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap_or_else(|error| panic!("{NEEDS}; unshare: {error}"));
    let said = [inside.stdout, inside.stderr].map(|bytes| text(&bytes)).concat();
    assert!(!said.contains("unshare: "), "{NEEDS}; {said}");
    assert!(inside.status.success() && said.contains("1 passed"), "{said}");
    false
}

fn mount_disk(at: &Path) {
    let mount = ["-t", "tmpfs", "-o", "size=96m,mode=700", "none"];
    let output = Command::new("mount").args(mount).arg(at).output().unwrap();
    assert!(output.status.success(), "{NEEDS}; mount: {}", text(&output.stderr));
}

fn free(at: &Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(at).output().unwrap();
    text(&output.stdout).lines().nth(1).unwrap().trim().parse().unwrap()
}

/// Fills the disk until `left` bytes are free.
fn fill(folder: &Path, left: u64) {
    let mut file = std::fs::File::options().create(true).append(true).open(folder.join("other")).unwrap();
    while free(folder) > left {
        let block = vec![0x5a; usize::try_from((free(folder) - left).min(1 << 20)).unwrap().max(1)];
        if file.write_all(&block).is_err() {
            return;
        }
    }
}

async fn starts_full(left: u64) {
    let mut server = Server::unstarted();
    server.expects_errors = true;
    mount_disk(&server.data());
    server.launch();
    set_up(&server);
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    ada.submit(&ben.bundle, 4096).await.unwrap();
    server.kill();
    // What a disk that has filled up costs first.
    std::fs::remove_file(server.data().join("momedo.reserve")).unwrap();
    fill(&server.data(), left);
    server.launch();
    // What waits is served, and nothing new is taken.
    ben.log_in(&server).await;
    assert_eq!(ben.waiting().await.messages.len(), 1);
    ada.log_in(&server).await;
    assert_eq!(ada.submit(&ben.bundle, 512).await.unwrap_err().problem(), Some("storage-full"));
    // It is said wherever somebody looks.
    assert!(server.log().contains("full"), "{}", server.log());
    assert_eq!(server.status()["storage_full"], true);
    let page = Visitor::admin(&server).get("/admin").body;
    assert!(page.contains("disk is full"), "{page}");
    let doctor = server.run(&["doctor", "--data-dir", "data"]);
    assert!(text(&doctor.stdout).contains("!!  disk"), "{}", text(&doctor.stdout));
    // Killed once more, it starts once more, and what was accepted is still there.
    server.kill();
    server.launch();
    ben.log_in(&server).await;
    let page = ben.waiting().await;
    assert_eq!(page.messages.len(), 1);
    // There is room again: it notices by itself.
    std::fs::remove_file(server.data().join("other")).unwrap();
    ada.log_in(&server).await;
    let begun = std::time::Instant::now();
    until_async("mail is taken again", async || {
        assert!(begun.elapsed() < PATIENCE);
        ada.submit(&ben.bundle, 512).await.is_ok()
    })
    .await;
    ben.session.acknowledge(page.cursor).await.unwrap();
}

#[tokio::test]
async fn killed_with_less_room_than_the_reserve_it_starts_and_serves_what_waits() {
    if is_inside("full_disk::killed_with_less_room_than_the_reserve_it_starts_and_serves_what_waits") {
        starts_full(15 * 1024 * 1024).await;
    }
}

#[tokio::test]
async fn killed_with_no_room_at_all_it_starts_and_serves_what_waits() {
    if is_inside("full_disk::killed_with_no_room_at_all_it_starts_and_serves_what_waits") {
        starts_full(0).await;
    }
}
