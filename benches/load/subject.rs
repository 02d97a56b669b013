//! The server under load: started, watched from outside through `/proc`, stopped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use momedo_client::connection::ServerAddress;
use momedo_protocol::invite::InviteLink;
use momedo_testing::serving::{self, Serving, memory};
use tempfile::TempDir;

/// A load is not a pupil.
pub(crate) const SETTINGS: &str = "[rates]
messages = { per_minute = 100000000, burst = 100000000 }
requests = { per_minute = 100000000, burst = 100000000 }
unauthenticated = { per_minute = 100000000, burst = 100000000 }
failures = { per_minute = 100000000, burst = 100000000 }
handshakes = { per_minute = 100000000, burst = 100000000 }
[listen]
max_connections = 30000
max_connections_per_address = 30000
max_streams_per_device = 30000
[neighbours]
announce = false
dial_also = ['127.0.0.1']
[mail]
max_queue_bytes = 1000000000
sender_share_percent = 100
max_sender_bytes = 100000000000
";

/// A running server; killed when dropped.
pub(crate) struct Subject {
    process: Option<Serving>,
    folder: TempDir,
    pub(crate) address: ServerAddress,
    /// From the start of the process to its "ready" line.
    pub(crate) ready_after: Duration,
}

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_momedo"))
}

impl Subject {
    pub(crate) fn start() -> Self {
        Self::start_with(SETTINGS)
    }

    /// Starts with other settings.
    pub(crate) fn start_with(settings: &str) -> Self {
        // On a disk, not in memory: an fsync has to cost what it costs.
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let folder = tempfile::tempdir_in(target).unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        std::fs::write(folder.path().join("data/momedo.toml"), settings).unwrap();
        Self::launch(folder, "127.0.0.1:0")
    }

    fn launch(folder: TempDir, listen: &str) -> Self {
        let log = std::fs::File::create(folder.path().join("server.log")).unwrap();
        let start = Instant::now();
        // `--open` serves the admin pages on loopback too; the "browser" is a program that does nothing.
        let mut command = program();
        command
            .env("BROWSER", "true")
            .args(["serve", "--open", "--listen", listen, "--data-dir"])
            .arg(folder.path().join("data"))
            .env("MOMEDO_LOG", "warn,momedo::server::local_pages=info")
            .stderr(log);
        let process = Serving::start(&mut command).expect("the server starts");
        let ready_after = start.elapsed();
        let invite = invite(&folder);
        let address = ServerAddress { addresses: vec![process.address.clone()], fingerprint: invite.server };
        Self { process: Some(process), folder, address, ready_after }
    }

    /// Stops the server and starts it again on the same data and address.
    pub(crate) fn restart(mut self) -> Self {
        self.process.take().expect("it runs").terminate();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let address = self.address.addresses[0].clone();
        drop(self);
        Self::launch(folder, &address)
    }

    pub(crate) fn invite(&self) -> InviteLink {
        invite(&self.folder)
    }

    /// Runs `momedo admin` beside the server; its lines of JSON.
    pub(crate) fn admin(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let arguments = [&["admin"], arguments, &["--json", "--data-dir", "data"]].concat();
        serving::json(&serving::run(program(), self.folder.path(), &arguments))
    }

    /// Writes a file beside the data directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// The port of the admin pages on loopback.
    pub(crate) fn pages_port(&self) -> u16 {
        let log = std::fs::read_to_string(self.folder.path().join("server.log")).unwrap();
        log.split("pages on http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap()
    }

    /// Where commands run; the data directory stands in it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn process_id(&self) -> u32 {
        self.process.as_ref().expect("it runs").process_id()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process_id())).unwrap()
    }

    /// CPU time the server has used, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        // After the program's name, which may hold spaces; fields 14 and 15 in ticks of 10 ms.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        memory(self.process_id(), "VmRSS").unwrap()
    }

    /// The most resident memory it had since its start, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        memory(self.process_id(), PEAK).unwrap()
    }

    /// Bytes the server caused to be written to the disk.
    pub(crate) fn written(&self) -> u64 {
        let io = self.proc("io");
        let line = io.lines().find(|line| line.starts_with("write_bytes:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// What `/proc` calls the most resident memory a process ever had.
pub(crate) const PEAK: &str = "VmHWM";

fn invite(folder: &TempDir) -> InviteLink {
    let arguments = ["admin", "invite", "--json", "--data-dir", "data"];
    serving::invite_link(&serving::json(&serving::run(program(), folder.path(), &arguments))[0])
}
