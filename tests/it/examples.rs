//! The programs in `examples/`, run as their documentation says.
//!
//! `cargo test` builds them; `cargo test --test it` alone takes them as they were built last.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::harness::{PATIENCE, Server, text};

/// An example's program: Cargo builds it for `cargo test` beside the server's own.
fn example(server: &Server, name: &str) -> Command {
    let folder = Path::new(env!("CARGO_BIN_EXE_momedo")).parent().unwrap().join("examples");
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is missing: cargo build --examples", path.display());
    let mut command = Command::new(path);
    command.current_dir(server.folder.path()).stdin(Stdio::null());
    command
}

fn register(server: &Server, profile: &str) -> String {
    server.join(&server.invite().to_string(), profile, None)
}

#[test]
fn a_broken_bulb_is_reported_to_the_caretaker() {
    let server = Server::start();
    let (caretaker, building) = (register(&server, "caretaker"), register(&server, "building"));
    let report = example(&server, "bulb_notice")
        .args(["building", &caretaker, "room 12", "hall lamp 3"])
        .output()
        .unwrap();
    assert!(report.status.success(), "{}", text(&report.stderr));
    assert_eq!(text(&report.stdout), "reported\n");
    let got = server.json(&["receive", "--profile", "caretaker", "--json"]);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0]["text"], "Bitte Leuchtmittel tauschen: hall lamp 3, room 12");
    assert_eq!((&got[0]["from"], &got[0]["verified"]), (&Value::from(building), &Value::Bool(true)));
    assert_eq!(example(&server, "bulb_notice").output().unwrap().status.code(), Some(2));
    let nobody = example(&server, "bulb_notice").args(["building", "nobody", "a", "b"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
}

/// A running bot; killed when dropped.
struct Bot(Child);

impl Bot {
    fn start(server: &Server) -> Self {
        let mut bot = example(server, "echo_bot").arg("echo").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(bot.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("echoing as "), "{line:?}");
        Self(bot)
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _: Result<_, _> = self.0.kill();
        let _: Result<_, _> = self.0.wait();
    }
}

#[test]
fn the_echo_bot_answers_every_text_once() {
    let server = Server::start();
    let echo = register(&server, "echo");
    register(&server, "ada");
    let say = |text: &str| drop(server.json(&["send", "--profile", "ada", "--to", &echo, text, "--json"]));
    let answers = |count: usize| {
        let deadline = Instant::now() + PATIENCE;
        let mut got = Vec::new();
        while got.len() < count {
            assert!(Instant::now() < deadline, "only {got:?}");
            got.extend(server.json(&["receive", "--profile", "ada", "--json"]));
        }
        assert!(got.iter().all(|answer| answer["from"] == echo && answer["verified"] == true), "{got:?}");
        got.iter().map(|answer| answer["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // What came before it started, what comes while it runs, and its own words.
    say("eins");
    let bot = Bot::start(&server);
    assert_eq!(answers(1), ["eins"]);
    say("zwei");
    assert_eq!(answers(1), ["zwei"]);
    drop(bot);
    // Started again, it does not begin from the start.
    say("drei");
    let _bot = Bot::start(&server);
    assert_eq!(answers(1), ["drei"]);
    assert_eq!(server.status()["ozone_envelopes"], 0);
}
