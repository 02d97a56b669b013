//! The tour of the README, on the command line alone: three messages to somebody offline, over a kill -9.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{Server, program, text};

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn register(server: &Server, name: &str) -> Value {
    let invite = server.json(&["admin", "invite", "--data-dir", "data", "--name", name, "--json"]).remove(0);
    let link = field(&invite, "link");
    assert!(link.starts_with(&format!("https://{}/i#", server.address)), "{link}");
    assert!(link.contains(field(&invite, "code")));
    let profile = name.to_lowercase();
    server.json(&["user", "register", "--invite", link, "--profile", &profile, "--json"]).remove(0)
}

fn files_with(folder: &std::path::Path, needle: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn three_messages_survive_a_kill_and_arrive_once_in_order_and_verified() {
    let mut server = Server::start();
    let ada = register(&server, "Ada");
    let ben = register(&server, "Ben");
    assert_eq!((field(&ada, "name"), field(&ben, "name")), ("Ada", "Ben"));
    let ben_id = field(&ben, "id");
    server.json(&["user", "add-device", "--profile", "ada", "--new-profile", "ada-tablet", "--json"]);

    let texts = ["Lampe in Raum 12 kaputt-7f3a", "und im Flur auch-7f3a", "Danke! \u{1f4a1}-7f3a"];
    for text in texts {
        let sent = server.json(&["send", "--profile", "ada", "--to", ben_id, text, "--json"]).remove(0);
        assert_eq!(field(&sent, "status"), "accepted");
    }
    let status = server.status();
    assert_eq!(status["participants"], 2);
    assert_eq!(status["devices"], 3);
    assert_eq!(status["ozone_envelopes"], 6);
    server.kill();
    // Status is answered without a running server, too.
    assert_eq!(server.status()["ozone_envelopes"], 6);
    server.launch();

    let received = server.json(&["receive", "--profile", "ben", "--json"]);
    let got: Vec<&str> = received.iter().map(|message| field(message, "text")).collect();
    assert_eq!(got, texts);
    for message in &received {
        assert_eq!(field(message, "from"), field(&ada, "id"));
        assert_eq!(field(message, "kind"), "text");
        assert_eq!(field(message, "trust"), "first-use");
        assert_eq!(message["verified"], true);
        assert_eq!(message["suite"], 1);
    }
    assert_eq!(server.json(&["receive", "--profile", "ben", "--json"]), Vec::<Value>::new());

    let copies = server.json(&["receive", "--profile", "ada-tablet", "--json"]);
    let got: Vec<&str> = copies.iter().map(|message| field(message, "text")).collect();
    assert_eq!(got, texts);
    assert!(copies.iter().all(|copy| field(copy, "to") == ben_id && copy["verified"] == true));
    assert_eq!(server.status()["ozone_envelopes"], 0);

    assert_eq!(files_with(&server.data(), b"-7f3a"), Vec::<std::path::PathBuf>::new());
    let (ended, time) = server.terminate();
    assert_eq!(ended.code(), Some(0));
    assert!(time.as_secs() < 5, "stopping took {time:?}");
    assert_eq!(files_with(&server.data(), b"-7f3a"), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_lost_device_is_revoked_and_the_others_go_on_with_new_keys() {
    let server = Server::start();
    let ada = register(&server, "Ada");
    let ben_id = field(&register(&server, "Ben"), "id").to_owned();
    let lost = server.json(&["user", "add-device", "--profile", "ada", "--new-profile", "lost", "--json"]);
    server.json(&["user", "add-device", "--profile", "ada", "--new-profile", "tablet", "--json"]);
    server.json(&["send", "--profile", "ada", "--to", &ben_id, "vorher", "--json"]);
    assert_eq!(field(&server.json(&["receive", "--profile", "ben", "--json"])[0], "text"), "vorher");

    server.json(&["user", "revoke-device", "--profile", "ada", field(&lost[0], "device"), "--json"]);
    let refused = server.failure(&["receive", "--profile", "lost", "--json"]);
    assert!(refused.contains("removed from its owner's list"), "{refused}");

    // The tablet takes the new keys over by itself: it can send, and Ben follows the signed change.
    server.json(&["send", "--profile", "tablet", "--to", &ben_id, "nachher", "--json"]);
    let got = server.json(&["receive", "--profile", "ben", "--json"]);
    assert_eq!((field(&got[0], "text"), &got[0]["verified"]), ("nachher", &Value::Bool(true)));
    server.json(&["send", "--profile", "ben", "--to", field(&ada, "id"), "Antwort", "--json"]);
    for profile in ["ada", "tablet"] {
        let got = server.json(&["receive", "--profile", profile, "--json"]);
        assert!(
            got.iter().any(|message| message["text"] == "Antwort" && message["verified"] == true),
            "{got:?}"
        );
    }
}

#[test]
fn new_encryption_keys_reach_the_other_devices_and_old_mail_still_opens() {
    let server = Server::start();
    let ada = register(&server, "Ada");
    let ben = register(&server, "Ben");
    server.json(&["user", "add-device", "--profile", "ben", "--new-profile", "tablet", "--json"]);
    let send = |text| server.json(&["send", "--profile", "ada", "--to", field(&ben, "id"), text, "--json"]);
    send("vor dem Wechsel");
    for version in [2, 3] {
        // Twice, while the tablet is away.
        let rotated = server.json(&["keys", "rotate", "--profile", "ben", "--json"]).remove(0);
        assert_eq!(rotated["version"], version);
        assert_eq!(rotated["fingerprint"], ben["fingerprint"]);
    }
    send("nach dem Wechsel");
    for profile in ["ben", "tablet"] {
        let got = server.json(&["receive", "--profile", profile, "--json"]);
        let texts: Vec<&str> = got.iter().map(|message| field(message, "text")).collect();
        assert_eq!(texts, ["vor dem Wechsel", "nach dem Wechsel"], "{profile}");
        assert!(got.iter().all(|message| message["verified"] == true && message["suite"] == 1));
    }
    // The tablet signs with what it was given.
    server.json(&["send", "--profile", "tablet", "--to", field(&ada, "id"), "vom Tablet", "--json"]);
    assert_eq!(server.json(&["receive", "--profile", "ada", "--json"])[0]["verified"], true);
}

#[test]
fn a_profile_with_a_passphrase_opens_only_with_it() {
    let server = Server::start();
    std::fs::write(server.profile("right"), "correct horse battery\n").unwrap();
    std::fs::write(server.profile("wrong"), "incorrect horse\n").unwrap();
    let link = server.invite().to_string();
    let registering =
        ["user", "register", "--profile", "ada", "--passphrase-file", "right", "--invite", &link];
    assert!(server.run(&registering).status.success());
    assert!(server.run(&["receive", "--profile", "ada", "--passphrase-file", "right"]).status.success());
    assert!(server.failure(&["receive", "--profile", "ada"]).contains("--passphrase-file"));
    let wrong = server.failure(&["receive", "--profile", "ada", "--passphrase-file", "wrong"]);
    assert!(wrong.contains("not the profile's passphrase"), "{wrong}");
    assert!(!wrong.contains("--passphrase-file"), "one was given: {wrong}");
}

#[test]
fn comparing_fingerprints_is_remembered() {
    let server = Server::start();
    let ada = register(&server, "Ada");
    let ben = register(&server, "Ben");
    let (ada_id, ben_id) = (field(&ada, "id"), field(&ben, "id"));
    let wrong = "0".repeat(64);
    let differs = server.failure(&["keys", "verify", "--profile", "ben", ada_id, &wrong]);
    assert!(differs.contains("not the fingerprint"), "{differs}");
    let shown = server.json(&["keys", "show", "--profile", "ada", "--json"]).remove(0);
    assert_eq!(field(&shown, "fingerprint"), field(&ada, "fingerprint"));
    server.json(&["keys", "verify", "--profile", "ben", ada_id, field(&ada, "fingerprint"), "--json"]);
    server.json(&["send", "--profile", "ada", "--to", ben_id, "hallo", "--json"]);
    let got = server.json(&["receive", "--profile", "ben", "--json"]).remove(0);
    assert_eq!((field(&got, "trust"), &got["verified"]), ("compared", &Value::Bool(true)));
}

#[test]
fn a_message_that_cannot_be_sent_leaves_nothing_queued() {
    let mut server = Server::start();
    let ada = register(&server, "Ada");
    server.kill();
    let send = ["send", "--profile", "ada", "--to", field(&ada, "id"), "--wait", "1", "hallo", "--json"];
    assert!(server.failure(&send).contains("Cannot reach the server"));
    server.launch();
    assert_eq!(server.status()["ozone_envelopes"], 0);
    assert_eq!(server.json(&["receive", "--profile", "ada", "--json"]), Vec::<Value>::new());
    assert_eq!(server.status()["ozone_envelopes"], 0);
}

#[test]
fn a_server_that_takes_connections_and_never_answers_holds_nobody_longer_than_asked() {
    let mut server = Server::start();
    let ada = register(&server, "Ada");
    server.kill();
    let _silent = std::net::TcpListener::bind(&server.address).unwrap();
    let send = ["send", "--profile", "ada", "--to", field(&ada, "id"), "--wait", "1", "hallo", "--json"];
    let said = server.failure(&send);
    assert!(said.contains("no answer in the time to wait"), "{said}");
}

#[test]
fn misuse_exits_with_two_and_says_how_it_is_done() {
    let server = Server::start();
    for arguments in
        [&["send", "--to", "nonsense"][..], &["frobnicate"], &["user", "register", "--invite", "x"]]
    {
        let output = server.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("Usage") || text(&output.stderr).contains("--help"));
    }
    assert!(text(&server.run(&["completions", "bash"]).stdout).contains("momedo"));
    assert!(text(&server.run(&["man"]).stdout).starts_with(".ie"));
}

#[tokio::test]
async fn a_text_that_is_too_long_says_so_and_names_the_limit() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await.id().unwrap().to_string();
    let send = |text: &[u8]| {
        let mut command = program();
        command.args(["send", "--profile", "ada", "--to", &ada, "-"]).current_dir(server.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may not want all of it.
        drop(child.stdin.take().unwrap().write_all(text));
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (text, said) in [
        ("ü".repeat(32_769).into_bytes(), "more than 65536 bytes"),
        ("ü".repeat(20_000).into_bytes(), "too long"),
        (vec![0xff; 10], "not UTF-8"),
    ] {
        let (sent, words) = send(&text);
        assert!(!sent && words.contains(said), "{said}: {words}");
        assert!(said == "not UTF-8" || words.contains("file"), "what to do instead: {words}");
    }
    assert!(send("ü".repeat(10_000).as_bytes()).0);
}
