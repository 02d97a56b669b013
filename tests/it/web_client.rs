//! The client for browsers as the server hands it out, and that it runs where it is meant to.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use sha2::{Digest, Sha256};

use crate::browser::Browser;
use crate::door::tls;
use crate::harness::{PATIENCE, Server};
use crate::visitor::Visitor;

/// Asks for a path with these header lines; the head's fields in lower case, and the bytes.
fn get(server: &Server, path: &str, lines: &str) -> (String, BTreeMap<String, String>, Vec<u8>) {
    let mut stream = tls(server);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let (first, fields) = head.split_once("\r\n").unwrap();
    let fields = fields.lines().filter_map(|line| line.split_once(": "));
    let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    (first.split(' ').nth(1).unwrap().to_owned(), fields, answer[end + 4..].to_vec())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder of this build's files, as the page names it.
fn folder(server: &Server) -> String {
    let page = Visitor::new(server).get("/client/");
    let script = page.body.split("<script type=\"module\" src=\"").nth(1).expect("the page loads a script");
    script.split("page.js").next().unwrap().to_owned()
}

#[test]
fn every_file_has_the_digest_it_is_named_by_packed_and_plain() {
    let server = Server::start();
    let folder = folder(&server);
    let (status, _, sums) = get(&server, &format!("{folder}SHA256SUMS"), "");
    assert_eq!((status.as_str(), format!("/client/{}/", hex(&sums))), ("200", folder.clone()));

    let sums = String::from_utf8(sums).unwrap();
    for line in sums.lines() {
        let (digest, name) = line.split_once("  ").unwrap();
        let path = format!("{folder}{name}");
        let (_, plain_head, plain) = get(&server, &path, "Accept-Encoding: br, gzip;q=0\r\n");
        let (_, packed_head, packed) = get(&server, &path, "Accept-Encoding: gzip, br\r\n");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!((hex(&plain).as_str(), hex(&unpacked).as_str()), (digest, digest), "{name}");
        assert_eq!(plain_head.get("content-encoding"), None);
        assert_eq!(packed_head["content-encoding"], "gzip");

        let kind =
            if name.ends_with(".wasm") { "application/wasm" } else { "text/javascript; charset=utf-8" };
        for head in [plain_head, packed_head] {
            assert_eq!(head["content-type"], kind, "{name}");
            assert_eq!(head["cache-control"], "public, max-age=31536000, immutable");
            assert_eq!(head["vary"], "accept-encoding");
            assert_eq!(head["x-content-type-options"], "nosniff");
            let policy = &head["content-security-policy"];
            assert!(policy.contains("script-src 'self' 'wasm-unsafe-eval';"), "{policy}");
            assert!(!policy.contains("'unsafe-"), "{policy}");
        }
    }
    assert!(sums.contains("  client_bg.wasm\n") && sums.contains("  worker.js\n"), "{sums}");
}

#[test]
fn another_versions_files_are_not_there_and_the_page_is_never_kept() {
    let server = Server::start();
    let folder = folder(&server);
    let other = format!("/client/{}/page.js", "0".repeat(64));
    for path in [other, format!("{folder}none.js"), format!("{folder}../page.js"), "/client/page.js".into()] {
        assert_eq!(get(&server, &path, "").0, "404", "{path}");
    }
    let (_, head, _) = get(&server, "/client/", "");
    assert_eq!(head["cache-control"], "no-store");
    let policy = &head["content-security-policy"];
    assert!(
        policy.contains("script-src 'self';") && policy.contains("require-trusted-types-for"),
        "{policy}"
    );
}

#[tokio::test]
async fn in_a_browser_the_worker_answers_with_what_the_core_read() {
    let server = Server::start();
    let browser = Browser::start("en", true).await;
    let answer = async |fragment: String| {
        // Another page in between: a new fragment alone would not load the page again.
        browser.open("about:blank").await;
        browser.open(&format!("https://{}/client/{fragment}", server.address)).await;
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let text = browser.text("#answer").await;
            if !text.starts_with("Starting") {
                break serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|_| panic!("{text}"));
            }
            assert!(std::time::Instant::now() < deadline, "the worker does not answer");
            tokio::task::yield_now().await;
        }
    };
    let fingerprint = "ab".repeat(32);
    let read = answer(format!("#7QK0M3ZD9XN4.{fingerprint}")).await;
    assert_eq!(read["address"], server.address, "{read}");
    assert_eq!(read["server"], fingerprint);
    let refused = answer(String::new()).await;
    assert!(refused["error"].as_str().unwrap().starts_with("an invite link looks like"), "{refused}");
    assert!(browser.violations().await.is_empty(), "{:?}", browser.violations().await);
}
