//! A server in a process of its own: started until it says that it is ready, watched through `/proc`, ended in every way a
//! process can end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use momedo_protocol::invite::InviteLink;
use serde_json::Value;

/// A process that serves; killed when dropped.
pub struct Serving {
    process: Child,
    /// Where it listens: address and port.
    pub address: String,
}

impl Serving {
    /// Runs a `momedo serve` until it is ready.
    ///
    /// # Errors
    /// The line that it wrote instead; its process has ended then.
    ///
    /// # Panics
    /// The program is not there.
    pub fn start(command: &mut Command) -> Result<Self, String> {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the program is there");
        let mut line = String::new();
        let out = process.stdout.take().expect("it is piped");
        let _: Result<_, _> = BufReader::new(out).read_line(&mut line);
        match line.trim().strip_prefix("momedo ready https://") {
            Some(address) => Ok(Self { address: address.to_owned(), process }),
            None => {
                let _: Result<_, _> = process.wait();
                Err(line)
            }
        }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _: Result<_, _> = self.process.kill();
        let _: Result<_, _> = self.process.wait();
    }

    /// Sends SIGTERM, and says how it ended.
    ///
    /// # Panics
    /// As [`Self::signal`].
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        self.process.wait().expect("a child can be waited for")
    }

    /// Sends a signal, by its short name.
    ///
    /// # Panics
    /// It has ended already.
    pub fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status();
        assert!(sent.expect("kill is there").success(), "the process has ended");
    }

    /// What the process is called by the system.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}

/// A field of `/proc/…/status` that is an amount of memory, in bytes; `None` when the process has ended.
pub fn memory(process: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line =
        status.lines().find(|line| line.strip_prefix(field).is_some_and(|rest| rest.starts_with(':')))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Runs a command to its end in this folder.
///
/// # Panics
/// The program is not there.
pub fn run(mut program: Command, folder: &Path, arguments: &[&str]) -> Output {
    program.args(arguments).current_dir(folder).output().expect("the program is there")
}

/// The lines of JSON of a command that succeeded.
///
/// # Panics
/// It failed, or wrote something else.
pub fn json(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "it failed: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().map(|line| serde_json::from_str(line).expect("lines of JSON")).collect()
}

/// The link of an invite from `momedo admin invite --json`.
///
/// # Panics
/// The line has none.
pub fn invite_link(line: &Value) -> InviteLink {
    line["link"].as_str().and_then(|link| link.parse().ok()).expect("an invite has a link")
}
