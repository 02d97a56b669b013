//! An attachment of 100 MB over a line that is cut ten times each way: whether it arrives whole, and what memory that
//! takes at the server and at both clients, which are processes of their own.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use momedo_protocol::random;
use momedo_testing::serving::memory;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::figures::print;
use crate::line::Line;
use crate::subject::{PEAK, Subject, program};

/// The file: just below the default limit.
const BYTES: usize = 100_000_000;

/// How often the line is cut each way.
const CUTS: usize = 10;

/// A command that ran.
struct Ran {
    lines: Vec<Value>,
    time: Duration,
    /// The most memory it had at once, in bytes.
    peak: u64,
}

fn run(folder: &Path, arguments: &[&str]) -> Ran {
    let begun = Instant::now();
    let mut command = program();
    command.args(arguments).arg("--json").current_dir(folder).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut peak = 0;
    // The peak only grows, so the last look is the one that counts; a process that has ended has none.
    while process.try_wait().unwrap().is_none() {
        peak = peak.max(memory(process.id(), PEAK).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    let time = begun.elapsed();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?} failed");
    let text = String::from_utf8(output.stdout).unwrap();
    Ran { lines: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), time, peak }
}

/// Sends a file from Ada to Ben, who fetches it; the line is cut so often each way.
fn send_and_save(folder: &Path, line: &Line, to: &str, name: &str, cuts: usize) -> (Ran, Ran) {
    let bytes = std::fs::read(folder.join(name)).unwrap();
    let every = bytes.len() / (CUTS + 1);
    line.cut_every(every, cuts);
    let sent = run(folder, &["send", "--profile", "ada", "--to", to, "--file", name, "--wait", "60"]);
    assert_eq!(line.cuts_left(), 0, "the upload was to be cut");
    let got = run(folder, &["receive", "--profile", "ben"]);
    let id = got.lines[0]["files"][0]["id"].as_str().unwrap();
    line.cut_every(every, cuts);
    let saved = run(folder, &["file", "save", "--profile", "ben", id, "--to", "saved", "--wait", "60"]);
    assert_eq!(line.cuts_left(), 0, "the download was to be cut");
    let copy = std::fs::read(folder.join(saved.lines[0]["saved"].as_str().unwrap())).unwrap();
    assert!(copy == bytes, "what arrived is not what was sent");
    (sent, saved)
}

/// Prints by how much the peaks grow over those of a file of one byte.
pub(crate) fn attachment(_: &Runtime) {
    let subject = Subject::start();
    let line = Line::to(&subject.address.addresses[0]);
    let register = |name: &str| {
        let invite = line.lead(subject.invite());
        let made = run(subject.folder(), &["user", "register", "--profile", name, "--invite", &invite]);
        made.lines[0]["id"].as_str().unwrap().to_owned()
    };
    register("ada");
    let ben = register("ben");
    // Registering takes more memory than what is looked at here.
    let subject = subject.restart();
    let folder = subject.folder();
    std::fs::write(folder.join("small.bin"), b"7").unwrap();
    let (sent_small, saved_small) = send_and_save(folder, &line, &ben, "small.bin", 0);
    let mut bytes = vec![0; BYTES];
    random::fill(&mut bytes);
    std::fs::write(folder.join("large.bin"), &bytes).unwrap();
    drop(bytes);
    let server_small = subject.peak();
    let (sent, saved) = send_and_save(folder, &line, &ben, "large.bin", CUTS);
    let peaks = |small: u64, large: u64| {
        let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
        json!({ "one_byte_peak_mib": mib(small), "peak_mib": mib(large), "grew_mib": mib(large) - mib(small) })
    };
    print(
        "attachment",
        json!({
            "bytes": BYTES, "cuts_up": CUTS, "cuts_down": CUTS,
            "send_seconds": sent.time.as_secs_f64(), "save_seconds": saved.time.as_secs_f64(),
            "server": peaks(server_small, subject.peak()),
            "sender": peaks(sent_small.peak, sent.peak),
            "recipient": peaks(saved_small.peak, saved.peak),
        }),
    );
}
