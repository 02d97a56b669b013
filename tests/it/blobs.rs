//! Attachments: lines that are cut, who may fetch and where it goes on, what a class gets, and backups.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Instant;

use momedo_client::session::Session;
use momedo_protocol::api::blobs::BlobRequest;
use momedo_protocol::blob::{BlobId, SEALED_CHUNK_BYTES};
use momedo_protocol::random;
use serde_json::{Value, json};

use crate::door::tls;
use crate::harness::{PATIENCE, Person, Server, refused, request};
use crate::line::Line;

/// Writes a file that cannot be compressed, into the folder where commands run.
pub(crate) fn write_file(server: &Server, name: &str, bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    random::fill(&mut content);
    std::fs::write(server.folder.path().join(name), &content).unwrap();
    content
}

fn register(server: &Server, invite: &str, profile: &str) -> String {
    server.join(invite, profile, None)
}

fn send(server: &Server, to: &str, file: &str) -> Value {
    server.json(&["send", "--profile", "ada", "--to", to, "--file", file, "--json"]).remove(0)
}

/// The files of blobs on the server's disk.
pub(crate) fn stored(server: &Server) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(server.data().join("blobs")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Files are removed by a thread of their own, a moment after their rows.
pub(crate) fn wait_until_gone(server: &Server) {
    let begun = Instant::now();
    while !stored(server).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the file is not removed");
        std::thread::yield_now();
    }
}

/// Uploads random bytes as if they were sealed.
pub(crate) async fn upload(session: &mut Session, bytes: usize) -> BlobId {
    let id = BlobId::random();
    let size = bytes as u64;
    assert_eq!(session.announce_blob(&BlobRequest { id, size }).await.unwrap().offset, 0);
    let upload = session.append_bytes(id, 0, &vec![7; bytes]).await.unwrap();
    assert_eq!((upload.offset, upload.size), (size, size));
    id
}

/// Sends a message without meaning that refers to blobs.
pub(crate) async fn refer(
    from: &mut Person,
    to: &Person,
    blobs: &[BlobId],
) -> Result<(), momedo_client::ClientError> {
    let mut request = request(&to.bundle, 512);
    request.blobs = blobs.to_vec();
    from.session.submit(&request).await.map(drop)
}

/// Somebody with a profile got a file of three chunks; returns the file on the server's disk and its ID.
pub(crate) fn sent_file(server: &Server) -> (PathBuf, String) {
    register(server, &server.invite().to_string(), "ada");
    let ben = register(server, &server.invite().to_string(), "ben");
    write_file(server, "plan.bin", 3 * SEALED_CHUNK_BYTES - 3 * 16);
    send(server, &ben, "plan.bin");
    let got = server.json(&["receive", "--profile", "ben", "--json"]).remove(0);
    (stored(server).remove(0), got["files"][0]["id"].as_str().unwrap().to_owned())
}

/// Fetches with header lines of the test's own; returns status, head and body.
fn fetch(server: &Server, token: &str, id: BlobId, headers: &str) -> (u16, String, Vec<u8>) {
    let mut stream = tls(server);
    write!(
        stream,
        "GET /api/v1/blobs/{id} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{headers}\
         Connection: close\r\n\r\n"
    )
    .unwrap();
    stream.flush().unwrap();
    let mut answer = Vec::new();
    // It may end without a farewell; the length says whether all is there.
    let _: std::io::Result<usize> = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
    (head[9..12].parse().unwrap(), head, answer[end + 4..].to_vec())
}

#[test]
fn a_file_arrives_whole_over_lines_that_are_cut_ten_times() {
    let server = Server::start();
    let line = Line::to(&server.address);
    register(&server, &line.lead(server.invite()), "ada");
    let ben = register(&server, &line.lead(server.invite()), "ben");
    let content = write_file(&server, "plan.pdf", 7_000_000);
    line.cut_every(600_000, 10);
    let sent = send(&server, &ben, "plan.pdf");
    assert_eq!(line.cuts_left(), 0, "the upload was to be cut ten times");
    assert_eq!(sent["status"], "accepted");
    line.cut_every(600_000, 10);
    let got = server.json(&["receive", "--profile", "ben", "--json"]).remove(0);
    let (id, kind) = (got["files"][0]["id"].as_str().unwrap(), got["kind"].as_str().unwrap());
    assert_eq!((kind, &got["files"][0]["size"]), ("file", &json!(7_000_000)));
    assert!(got["body"]["files"][0]["key"].is_null(), "keys are not to be shown");
    let saved = server.json(&["file", "save", "--profile", "ben", id, "--to", "dort", "--json"]).remove(0);
    assert_eq!(line.cuts_left(), 0, "the download was to be cut ten times");
    assert_eq!(std::fs::read(server.folder.path().join(saved["saved"].as_str().unwrap())).unwrap(), content);
    // Again, from where it was saved: the server has it no more.
    wait_until_gone(&server);
    let again =
        server.json(&["file", "save", "--profile", "ben", id, "--to", "anderswo", "--json"]).remove(0);
    assert_eq!(std::fs::read(server.folder.path().join(again["saved"].as_str().unwrap())).unwrap(), content);
    let listed = server.json(&["file", "list", "--profile", "ben", "--json"]).remove(0);
    assert_eq!((&listed["name"], &listed["saved"]), (&json!("plan.pdf"), &saved["saved"]));
}

#[test]
fn an_upload_goes_on_after_kill_9() {
    let mut server = Server::start();
    register(&server, &server.invite().to_string(), "ada");
    let ben = register(&server, &server.invite().to_string(), "ben");
    let content = write_file(&server, "film.bin", 24_000_000);
    let folder = server.folder.path().to_owned();
    let sending = std::thread::spawn(move || {
        let mut command = crate::harness::program();
        command.args([
            "send",
            "--profile",
            "ada",
            "--to",
            &ben,
            "--file",
            "film.bin",
            "--wait",
            "60",
            "--json",
        ]);
        command.current_dir(folder).output().unwrap()
    });
    let begun = Instant::now();
    while stored(&server).first().is_none_or(|file| file.metadata().is_ok_and(|file| file.len() < 6_000_000))
    {
        assert!(begun.elapsed() < PATIENCE, "nothing is uploaded");
        std::thread::yield_now();
    }
    server.kill();
    server.launch();
    let sent = sending.join().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let got = server.json(&["receive", "--profile", "ben", "--save-files", "da", "--json"]).remove(0);
    let saved = server.folder.path().join(got["files"][0]["saved"].as_str().unwrap());
    assert_eq!(std::fs::read(saved).unwrap(), content);
}

#[tokio::test]
async fn only_devices_that_got_it_may_fetch_it_and_the_last_one_erases_it() {
    let server = Server::start();
    let (mut ada, mut ben, mut carl) =
        (server.register(0).await, server.register(1).await, server.register(2).await);
    let id = upload(&mut ada.session, 1000).await;
    let status = |person: &Person| fetch(&server, person.session.token(), id, "").0;
    assert_eq!((status(&ada), status(&ben)), (200, 404));
    // Nobody refers to what is not theirs.
    assert_eq!(refused(refer(&mut ben, &carl, &[id]).await), "unknown-blob");
    refer(&mut ada, &ben, &[id]).await.unwrap();
    refer(&mut ada, &carl, &[id]).await.unwrap();
    assert_eq!((status(&ada), status(&ben), status(&carl)), (200, 200, 200));
    ben.session.release_blob(id).await.unwrap();
    assert_eq!((status(&ada), status(&ben), status(&carl)), (200, 404, 200));
    // Who has released it, and who never had it, hear the same.
    assert_eq!(refused(ben.session.release_blob(id).await), "unknown-blob");
    assert_eq!(refused(carl.session.release_blob(BlobId::random()).await), "unknown-blob");
    assert_eq!(stored(&server).len(), 1);
    carl.session.release_blob(id).await.unwrap();
    assert_eq!((status(&ada), status(&carl)), (404, 404));
    wait_until_gone(&server);
    // Its owner has no hold that could end, and erases it whoever has it.
    let id = upload(&mut ada.session, 1000).await;
    refer(&mut ada, &ben, &[id]).await.unwrap();
    assert_eq!(refused(ada.session.release_hold(id).await), "unknown-blob");
    assert_eq!(fetch(&server, ben.session.token(), id, "").0, 200);
    ada.session.release_blob(id).await.unwrap();
    assert_eq!(fetch(&server, ben.session.token(), id, "").0, 404);
    wait_until_gone(&server);
}

#[tokio::test]
async fn ranges_are_answered_as_the_standard_says() {
    let server = Server::start();
    let mut ada = server.register(0).await;
    let id = BlobId::random();
    let content: Vec<u8> = (0..=199).collect();
    ada.session.announce_blob(&BlobRequest { id, size: 200 }).await.unwrap();
    assert_eq!(fetch(&server, ada.session.token(), id, "").0, 409, "incomplete");
    ada.session.append_bytes(id, 0, &content).await.unwrap();
    let get = |headers: &str| fetch(&server, ada.session.token(), id, headers);
    let (status, head, body) = get("");
    assert_eq!((status, &body), (200, &content));
    for line in [
        "content-type: application/octet-stream",
        "x-content-type-options: nosniff",
        "content-disposition: attachment",
        "content-security-policy: sandbox",
        "accept-ranges: bytes",
        "content-length: 200",
        "cache-control: no-store",
    ] {
        assert!(head.contains(line), "{line} is missing: {head}");
    }
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    for (headers, status, from, until) in [
        ("Range: bytes=0-0\r\n".to_owned(), 206, 0, 1),
        ("Range: bytes=150-\r\n".to_owned(), 206, 150, 200),
        ("Range: bytes=-1\r\n".to_owned(), 206, 199, 200),
        ("Range: bytes=10-1000\r\n".to_owned(), 206, 10, 200),
        (format!("Range: bytes=10-19\r\nIf-Range: {tag}\r\n"), 206, 10, 20),
        ("Range: bytes=10-19\r\nIf-Range: \"other\"\r\n".to_owned(), 200, 0, 200),
        ("Range: bytes=0-1,5-6\r\n".to_owned(), 200, 0, 200),
        ("Range: bytes=nonsense\r\n".to_owned(), 200, 0, 200),
    ] {
        let (got, head, body) = get(&headers);
        assert_eq!((got, &body[..]), (status, &content[from..until]), "{headers}");
        let range = format!("content-range: bytes {from}-{}/200", until - 1);
        assert_eq!(head.contains(&range), status == 206, "{headers}{head}");
    }
    for headers in ["Range: bytes=200-\r\n", "Range: bytes=-0\r\n"] {
        let (status, head, _) = get(headers);
        assert_eq!(status, 416, "{headers}");
        assert!(head.contains("content-range: bytes */200"), "{head}");
    }
}

#[tokio::test]
async fn uploads_are_idempotent_and_say_where_they_go_on() {
    let server = Server::start();
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    let (id, size) = (BlobId::random(), 1000);
    for _ in 0..2 {
        let upload = ada.session.announce_blob(&BlobRequest { id, size }).await.unwrap();
        assert_eq!((upload.id, upload.offset, upload.size), (id, 0, size));
    }
    assert_eq!(refused(ada.session.announce_blob(&BlobRequest { id, size: 999 }).await), "blob-conflict");
    assert_eq!(refused(ben.session.announce_blob(&BlobRequest { id, size }).await), "blob-conflict");
    assert_eq!(ada.session.append_bytes(id, 0, &[1; 400]).await.unwrap().offset, 400);
    assert_eq!(refused(ada.session.append_bytes(id, 0, &[1; 400]).await), "wrong-offset");
    assert_eq!(refused(ada.session.append_bytes(id, 401, &[1; 1]).await), "wrong-offset");
    assert_eq!(refused(ben.session.append_bytes(id, 400, &[1; 1]).await), "unknown-blob");
    assert_eq!(refused(ben.session.blob_upload(id).await), "unknown-blob");
    assert_eq!(refused(refer(&mut ada, &ben, &[id]).await), "blob-incomplete");
    // More than was announced is refused, what was right stays.
    assert_eq!(refused(ada.session.append_bytes(id, 400, &[1; 601]).await), "malformed");
    assert_eq!(ada.session.blob_upload(id).await.unwrap().offset, 400);
    assert_eq!(ada.session.append_bytes(id, 400, &[1; 600]).await.unwrap().offset, 1000);
    assert_eq!(ada.session.append_bytes(id, 1000, &[]).await.unwrap().offset, 1000);
    // A message that was accepted stays accepted when its file has gone.
    let mut message = request(&ben.bundle, 512);
    message.blobs = vec![id];
    ada.session.submit(&message).await.unwrap();
    ben.session.release_blob(id).await.unwrap();
    ada.session.submit(&message).await.unwrap();
    let other = momedo_protocol::api::SubmitRequest { blobs: vec![], ..message };
    assert_eq!(refused(ada.session.submit(&other).await), "message-conflict");
}

/// The smallest JPEG with EXIF that says where it was taken.
fn photo() -> Vec<u8> {
    let mut photo = vec![0xff, 0xd8];
    for (marker, segment) in [
        (
            0xe1,
            &b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0GPS 48.137 11.575"[..],
        ),
        (0xda, b"\x01\x01\0\0\x3f\0"),
    ] {
        photo.extend_from_slice(&[0xff, marker, 0, segment.len() as u8 + 2]);
        photo.extend_from_slice(segment);
    }
    photo.extend_from_slice(b"picture\xff\xd9");
    photo
}

#[tokio::test]
async fn a_class_gets_a_photo_once_and_without_what_the_camera_tells() {
    let server = Server::start();
    for (number, name) in ["ada", "ben", "carl"].into_iter().enumerate() {
        server.register_profile(number, name).await;
    }
    let made = server.json(&["group", "create", "--profile", "ada", "--name", "4b", "--json"]);
    let group = made[0]["id"].as_str().unwrap().to_owned();
    let show = |name| {
        server.json(&["keys", "show", "--profile", name, "--json"])[0]["id"].as_str().unwrap().to_owned()
    };
    let (ben, carl) = (show("ben"), show("carl"));
    server.json(&["group", "add", "--profile", "ada", "--group", &group, &ben, &carl, "--json"]);
    std::fs::write(server.folder.path().join("Lampe.jpg"), photo()).unwrap();
    let post = |rest: &[&str]| {
        let begin = ["send", "--profile", "ada", "--to", &group, "--file", "Lampe.jpg", "--json"];
        server.json(&[&begin[..], rest].concat())
    };
    post(&["--place", "48.137,-11.575", "kaputt"]);
    assert_eq!(stored(&server).len(), 1, "kept once, however many receive it");
    for name in ["ben", "carl"] {
        let got =
            server.json(&["receive", "--profile", name, "--save-files", &format!("{name}-files"), "--json"]);
        let got = got.iter().find(|message| message["kind"] == "image").unwrap();
        assert_eq!(
            (&got["verified"], &got["text"], &got["group"]),
            (&json!(true), &json!("kaputt"), &json!(group))
        );
        assert_eq!(got["body"]["place"], json!({ "latitude": 48.137, "longitude": -11.575 }));
        let saved =
            std::fs::read(server.folder.path().join(got["files"][0]["saved"].as_str().unwrap())).unwrap();
        let has = |part: &[u8]| saved.windows(part.len()).any(|window| window == part);
        assert!(!has(b"GPS") && has(b"picture") && has(b"Exif"), "{saved:x?}");
    }
    wait_until_gone(&server);
    // On purpose it stays as it is; and files go along with other kinds too.
    let sent = post(&["--keep-metadata", "--announcement", "Schaut her"]);
    let got = server.json(&["receive", "--profile", "ben", "--save-files", "mehr", "--json"]).remove(0);
    assert_eq!((&got["kind"], &got["id"]), (&json!("announcement"), &sent[0]["id"]));
    let saved = got["files"][0]["saved"].as_str().unwrap();
    assert_eq!(std::fs::read(server.folder.path().join(saved)).unwrap(), photo());
    let reply = ["message", "reply", "--profile", "ben", got["id"].as_str().unwrap(), "--file", "Lampe.jpg"];
    server.json(&[&reply[..], &["gesehen", "--json"]].concat());
    let got = server.json(&["receive", "--profile", "ada", "--save-files", "zurück", "--json"]);
    let got = got.iter().find(|message| message["kind"] == "reply").unwrap();
    assert!(got["files"][0]["saved"].is_string(), "{got}");
}

#[test]
fn backups_hold_attachments_once_and_give_them_back() {
    let mut server = Server::start();
    let (path, id) = sent_file(&server);
    let sealed = std::fs::read(&path).unwrap();
    let backup = |rest: &[&str]| {
        server.json(&[&["admin", "backup"][..], rest, &["--data-dir", "data", "--json"]].concat())
    };
    let first = backup(&["now"])[0]["name"].as_str().unwrap().to_owned();
    backup(&["now"]);
    let beside = server.data().join("backups/blobs");
    assert_eq!(std::fs::read_dir(&beside).unwrap().count(), 1, "two backups, one file");
    backup(&["verify", &first]);
    backup(&["export", &first, "--to", "whole.db"]);
    // The server's own file goes; the backups keep theirs.
    server.json(&["file", "save", "--profile", "ben", &id, "--to", "da", "--json"]);
    wait_until_gone(&server);
    backup(&["verify", &first]);
    server.terminate();
    for from in [format!("data/backups/{first}.db"), "whole.db".to_owned()] {
        server.json(&["admin", "restore", &from, "--replace", "--data-dir", "data", "--json"]);
        assert_eq!(std::fs::read(&path).unwrap(), sealed, "{from}");
        std::fs::remove_file(&path).unwrap();
    }
    // A damaged attachment is noticed, beside a backup and inside an export.
    server.json(&["admin", "restore", "whole.db", "--replace", "--data-dir", "data", "--json"]);
    server.launch();
    assert!(path.exists(), "the row names it");
    let copy = std::fs::read_dir(&beside).unwrap().next().unwrap().unwrap().path();
    let mut damaged = sealed.clone();
    damaged[100] ^= 1;
    std::fs::remove_file(&copy).unwrap();
    std::fs::write(&copy, &damaged).unwrap();
    let verify = ["admin", "backup", "verify", &first, "--data-dir", "data"];
    assert!(server.failure(&verify).contains("attachment"));
    let whole = server.folder.path().join("whole.db");
    let mut bytes = std::fs::read(&whole).unwrap();
    let at = bytes.windows(64).position(|window| *window == sealed[100..164]).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&whole, bytes).unwrap();
    let restore = ["admin", "restore", "whole.db", "--data-dir", "other"];
    assert!(server.failure(&restore).contains("attachment"));
    // Whoever had fetched it may fetch it again.
    let saved = server.folder.path().join("da/plan.bin");
    std::fs::remove_file(&saved).unwrap();
    server.json(&["file", "save", "--profile", "ben", &id, "--to", "da", "--json"]);
    assert!(saved.exists());
}
