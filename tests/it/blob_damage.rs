//! Attachments that are changed, gone or nobody's on the server's disk.

use std::path::Path;

use momedo_protocol::blob::{COMMITMENT_BYTES, SEALED_CHUNK_BYTES};

use crate::blobs::sent_file;
use crate::harness::Server;

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

#[test]
fn what_the_server_changes_is_refused_and_leaves_nothing_behind() {
    let server = Server::start();
    let (path, id) = sent_file(&server);
    let whole = std::fs::read(&path).unwrap();
    let save = ["file", "save", "--profile", "ben", &id, "--to", "da", "--wait", "2"];
    let (commitment, chunks) = whole.split_at(COMMITMENT_BYTES);
    let (first, rest) = chunks.split_at(SEALED_CHUNK_BYTES);
    let (second, third) = rest.split_at(SEALED_CHUNK_BYTES);
    let swapped = [commitment, second, first, third].concat();
    let repeated = [commitment, first, first, third].concat();
    let flipped = |place: usize| {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        flipped
    };
    for changed in [swapped, repeated, flipped(7), flipped(whole.len() - 7)] {
        std::fs::write(&path, changed).unwrap();
        let said = server.failure(&save);
        assert!(said.contains("not what its sender sealed"), "{said}");
        assert!(is_empty(&server.folder.path().join("da")));
    }
    // Longer than its row says: the rest is never handed out.
    std::fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    server.json(&[&save[..], &["--json"]].concat());
}

#[test]
fn a_file_that_is_missing_on_the_disk_is_unknown_to_everybody() {
    let server = Server::start();
    let (path, id) = sent_file(&server);
    let whole = std::fs::read(&path).unwrap();
    let save = ["file", "save", "--profile", "ben", &id, "--to", "da", "--wait", "2"];
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(server.failure(&save).contains("not here"));
    std::fs::remove_file(&path).unwrap();
    assert!(server.failure(&save).contains("not here"));
    assert!(is_empty(&server.folder.path().join("da")));
    assert!(server.log().contains("the file of an attachment is missing"));
}

#[test]
fn a_start_removes_files_that_no_row_names_and_no_others() {
    let mut server = Server::start();
    let (path, id) = sent_file(&server);
    server.kill();
    let stray = path.with_file_name("00112233445566778899aabbccddeeff");
    std::fs::write(&stray, b"left behind").unwrap();
    server.launch();
    assert!(path.exists() && !stray.exists());
    server.json(&["file", "save", "--profile", "ben", &id, "--to", "da", "--json"]);
}
