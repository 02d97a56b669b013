//! Starts the real program, and speaks to it as a participant with stored keys.

use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use momedo::live::shutdown;
use momedo::live::staff_sessions::{Client, Door};
use momedo::server::running;
use momedo::service::accounts::{self, LoggedIn};
use momedo::service::permission::RecentlyConfirmed;
use momedo::settings::config::Config;
use momedo::state::{App, AppState};
use momedo::surroundings::clock::Clock;
use momedo_client::connection::{Connection, ServerAddress};
use momedo_client::profile::Profile;
use momedo_client::registration;
use momedo_client::session::Session;
use momedo_protocol::api;
use momedo_protocol::invite::InviteLink;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::seal::PrivateKeys;
use momedo_testing::keys::{DeviceKeys, NewKeys, ParticipantKeys};
use momedo_testing::serving::{self, Serving};
pub(crate) use momedo_testing::stored_keys::{mceliece_key, rsa_key};
use momedo_testing::{envelopes, people};
use tempfile::TempDir;

use crate::line::Line;

/// How long anything may take before a test gives up; far more than it ever takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server with its data directory; killed when dropped.
pub(crate) struct Server {
    process: Option<Serving>,
    pub(crate) folder: TempDir,
    pub(crate) address: String,
    /// Error lines in the log are part of the test.
    pub(crate) expects_errors: bool,
    /// What the program finds in its environment besides.
    pub(crate) environment: Vec<(&'static str, PathBuf)>,
    /// Whether the first start makes the server's keys, as a real one does, and takes none that are stored.
    pub(crate) makes_identity: bool,
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_momedo"));
    // What the tester's own environment says must not matter.
    for name in
        ["MOMEDO_DATA_DIR", "MOMEDO_LISTEN", "MOMEDO_CONFIG", "MOMEDO_PROFILE", "MOMEDO_LOG", "BROWSER"]
    {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// Starts with these settings.
    pub(crate) fn start_with(settings: &str) -> Self {
        let mut server = Self::prepare(settings);
        server.launch();
        server
    }

    /// Starts with a certificate that is not from the server's own authority.
    pub(crate) fn start_with_own_certificate() -> Self {
        let mut server = Self::prepare("");
        server.write_own_certificate();
        let (certificate, key) = server.own_certificate_files();
        let settings =
            format!("[tls]\ncertificate = '{}'\nkey = '{}'\n", certificate.display(), key.display());
        std::fs::write(server.data().join("momedo.toml"), settings).unwrap();
        server.launch();
        server
    }

    fn prepare(settings: &str) -> Self {
        let server = Self::unstarted();
        std::fs::write(server.data().join("momedo.toml"), settings).unwrap();
        server
    }

    /// The files of an own certificate and of its key.
    pub(crate) fn own_certificate_files(&self) -> (PathBuf, PathBuf) {
        (self.profile("own.pem"), self.profile("own.key"))
    }

    /// Writes a new self-signed certificate with its key, and returns it (DER).
    pub(crate) fn write_own_certificate(&self) -> Vec<u8> {
        self.write_own_certificate_dated(std::time::SystemTime::now())
    }

    /// The same, with files of this date.
    pub(crate) fn write_own_certificate_dated(&self, modified: std::time::SystemTime) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let (certificate_file, key_file) = self.own_certificate_files();
        for (path, pem) in [(certificate_file, certificate.pem()), (key_file, key.serialize_pem())] {
            let new = path.with_extension("new");
            std::fs::write(&new, pem).unwrap();
            std::fs::File::options().write(true).open(&new).unwrap().set_modified(modified).unwrap();
            std::fs::rename(new, path).unwrap();
        }
        certificate.der().to_vec()
    }

    /// An empty data folder, to be launched when something is in it.
    pub(crate) fn unstarted() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        Self {
            process: None,
            folder,
            address: "127.0.0.1:0".into(),
            expects_errors: false,
            environment: Vec::new(),
            makes_identity: false,
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn profile(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Servers of a test are all on this machine, where nobody else's are dialled.
    fn let_this_machine_be_dialled(&self) {
        let path = self.data().join("momedo.toml");
        let settings = std::fs::read_to_string(&path).unwrap_or_default();
        if settings.contains("dial_also") {
            return;
        }
        let section = "[neighbours]\n";
        let line = format!("{section}dial_also = ['127.0.0.1']\n");
        let settings = match settings.contains(section) {
            true => settings.replacen(section, &line, 1),
            false => format!("{settings}\n{line}"),
        };
        std::fs::write(path, settings).unwrap();
    }

    /// Starts the program on the same data and, after the first time, the same port.
    pub(crate) fn launch(&mut self) {
        self.let_this_machine_be_dialled();
        if !self.makes_identity {
            crate::identity::put(&self.data(), Clock::system());
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("server.log"))
            .unwrap();
        let mut command = program();
        command
            .args(["serve", "--listen", &self.address, "--data-dir"])
            .arg(self.data())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stderr(log);
        let serving = Serving::start(&mut command)
            .unwrap_or_else(|line| panic!("the server did not start: {line:?}\n{}", self.log()));
        self.address = serving.address.clone();
        self.process = Some(serving);
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        (self.process.take().unwrap().terminate(), start.elapsed())
    }

    /// Sends a signal, by its short name.
    pub(crate) fn signal(&self, name: &str) {
        self.process.as_ref().unwrap().signal(name);
    }

    /// Resident memory of the program, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn resident(&self) -> u64 {
        serving::memory(self.process.as_ref().unwrap().process_id(), "VmRSS").unwrap()
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        serving::run(program(), self.folder.path(), arguments)
    }

    /// Runs a command that must succeed, and reads its lines of JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        serving::json(&self.run(arguments))
    }

    /// Runs a command that must fail with exit code 1, and returns what it says.
    pub(crate) fn failure(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }

    pub(crate) fn invite(&self) -> InviteLink {
        serving::invite_link(&self.json(&["admin", "invite", "--data-dir", "data", "--json"])[0])
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        self.json(&["admin", "status", "--data-dir", "data", "--json"]).remove(0)
    }

    /// Reads a number of the status whenever it is called, from any thread.
    pub(crate) fn counter(&self, name: &'static str) -> impl Fn() -> u64 + Send + 'static {
        let data = self.data();
        move || {
            let output =
                program().args(["admin", "status", "--json", "--data-dir"]).arg(&data).output().unwrap();
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            status[name].as_u64().unwrap()
        }
    }

    /// A connection without a session.
    pub(crate) fn connect(&self) -> Connection {
        momedo_client_native::connection(self.server_address(), "en")
    }

    pub(crate) fn server_address(&self) -> ServerAddress {
        let fingerprint = self.status()["fingerprint"].as_str().unwrap().parse().unwrap();
        ServerAddress { addresses: vec![self.address.clone()], fingerprint }
    }

    /// Registers somebody with stored keys; `number` tells people of one server apart.
    pub(crate) async fn register(&self, number: usize) -> Person {
        self.register_with(number, self.invite(), Some("Test")).await
    }

    /// The same with an invite; without a name under that of the invite.
    pub(crate) async fn register_with(
        &self,
        number: usize,
        invite: InviteLink,
        name: Option<&str>,
    ) -> Person {
        let server = ServerAddress { addresses: vec![invite.address.clone()], fingerprint: invite.server };
        let keys = stored_keys(number);
        let connection = momedo_client_native::connection(server, "en");
        let (session, bundle) = people::join(connection, invite.code, name, &keys).await.unwrap();
        Person { session, bundle, keys }
    }
}

impl Server {
    /// Registers somebody with stored keys and a profile in the folder `name`, for the command line and the
    /// client library; `number` tells people of one server apart.
    pub(crate) async fn register_profile(&self, number: usize, name: &str) -> Profile {
        self.register_profile_with(self.invite(), name, move || stored_keys(number)).await
    }

    /// The same over a line that fails.
    pub(crate) async fn register_profile_over(&self, line: &Line, number: usize, name: &str) -> Profile {
        let invite = line.lead(self.invite()).parse().unwrap();
        self.register_profile_with(invite, name, move || stored_keys(number)).await
    }

    /// The same with an invite and keys of the test's own.
    pub(crate) async fn register_profile_with(
        &self,
        invite: InviteLink,
        name: &str,
        keys: impl FnOnce() -> ParticipantKeys + Send + 'static,
    ) -> Profile {
        let joining = registration::Joining { invite, name: Some(name), device_name: "test", language: "en" };
        let path = self.profile(name);
        momedo_testing::people::register_with(&path, &joining, keys, &|_| {}).await.unwrap().0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process = None;
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("--- server log\n{log}---");
            return;
        }
        assert!(!log.contains("panicked"), "a task panicked:\n{log}");
        assert!(self.expects_errors || !log.contains("ERROR"), "an error was logged:\n{log}");
    }
}

/// A server inside the test's own process, for moments that no client can choose. Commands run beside it, so
/// the test needs a runtime with several threads.
pub(crate) struct Inside {
    pub(crate) server: Server,
    pub(crate) app: AppState,
    pub(crate) clock: Clock,
    /// Stops it when dropped.
    _running: shutdown::Trigger,
}

impl Inside {
    pub(crate) async fn start() -> Self {
        Self::start_with_clock(Clock::manual()).await
    }

    pub(crate) async fn start_with_clock(clock: Clock) -> Self {
        let mut server = Server::prepare("");
        let mut config = Config::default();
        config.neighbours.dial_also = vec![[127, 0, 0, 1].into()];
        let listeners = momedo::live::listening::bind(&[server.address.parse().unwrap()]).await.unwrap();
        crate::identity::put(&server.data(), clock.clone());
        let opened = running::open(&server.data(), config, clock.clone()).await.unwrap();
        let app = opened.app.clone();
        let (trigger, stop) = shutdown::channel();
        let (ready, bound) = tokio::sync::oneshot::channel();
        tokio::spawn(opened.serve(listeners, stop, |addresses| ready.send(addresses[0]).unwrap()));
        server.address = bound.await.unwrap().to_string();
        Self { server, app, clock, _running: trigger }
    }
}

/// What an admin has who has just logged in with the password.
pub(crate) async fn recently_confirmed(app: &App, who: LoggedIn) -> RecentlyConfirmed {
    let client = Client { address: [127, 0, 0, 1].into(), door: Door::Tls, browser: "" };
    let (elapsed, now) = (app.clock.elapsed(), app.clock.now());
    let token = app.staff_sessions.begin(who.account.clone(), who.stamp, elapsed, now, &client);
    let session = app.staff_sessions.find(&token, Door::Tls, true, elapsed).unwrap();
    let rights = accounts::rights(app, &who.account, &who.stamp, now).await.unwrap().unwrap();
    accounts::recently_confirmed(app, &rights.staff, &session.handle).unwrap().admin().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A registered participant with a session of its only device.
pub(crate) struct Person {
    pub(crate) session: Session,
    pub(crate) bundle: KeyBundle,
    pub(crate) keys: ParticipantKeys,
}

impl Person {
    pub(crate) fn id(&self) -> momedo_protocol::id::ParticipantId {
        self.bundle.payload.id
    }

    /// Logs the same device in anew, for example after a restart.
    pub(crate) async fn log_in(&mut self, server: &Server) {
        let device = self.session.device;
        self.session =
            momedo_testing::people::log_in(server.connect(), device, &self.keys.device.login).await.unwrap();
    }

    /// Submits an opaque envelope of about `size` bytes.
    pub(crate) async fn submit(
        &mut self,
        to: &KeyBundle,
        size: usize,
    ) -> Result<api::Receipt, momedo_client::ClientError> {
        let request = request(to, size);
        self.session.submit(&request).await
    }

    /// Everything that waits, without acknowledging.
    pub(crate) async fn waiting(&mut self) -> api::OzonePage {
        self.session.ozone(None, 500, Duration::ZERO).await.unwrap()
    }
}

/// A submission whose envelope is sealed to nobody: right outside, random inside.
pub(crate) fn request(to: &KeyBundle, size: usize) -> api::SubmitRequest {
    envelopes::request(to, size, momedo_client::now())
}

/// A participant's keys from the stored ones: key 0 encrypts for all, 1 to 3 sign, the rest log in.
pub(crate) fn stored_keys(number: usize) -> ParticipantKeys {
    let (private, mceliece) = mceliece_key();
    ParticipantKeys {
        signature_key: rsa_key(1 + number % 3),
        device: device_keys(number),
        encryption: NewKeys {
            private: PrivateKeys {
                rsa: rsa_key(0),
                ml_kem: MlKemPrivateKey::generate(),
                mceliece: Some(private),
            },
            mceliece,
        },
    }
}

/// A device's keys from the stored ones; `number` is below 8.
pub(crate) fn device_keys(number: usize) -> DeviceKeys {
    DeviceKeys {
        login: rsa_key(4 + number),
        private: PrivateKeys { rsa: rsa_key(0), ml_kem: MlKemPrivateKey::generate(), mceliece: None },
    }
}

/// The name of the problem a call was refused with.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, momedo_client::ClientError>) -> String {
    let error = result.expect_err("this must be refused");
    error.problem().map(str::to_owned).unwrap_or_else(|| panic!("no problem details: {error}"))
}
