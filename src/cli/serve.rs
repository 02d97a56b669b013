//! `momedo serve`.

#[cfg(unix)]
use std::io::IsTerminal;
use std::net::SocketAddr;

use clap::Args;

use super::{DataDir, SettingsArgs};
use crate::control;
use crate::live::{listening, shutdown};
use crate::server::running::{Ended, Opened, StartError};
use crate::server::{local_pages, running};
use crate::service::administration::{self, AdminRequest, AdminResponse};
use crate::service::certificates;
use crate::settings::config::Config;
use crate::surroundings::clock::Clock;
use crate::surroundings::data_directory::DataDirectoryError;
use crate::surroundings::logging::{self, LogFormat, LogPlace};
use crate::tls::Reload;

/// How long a restart waits for the data folder.
const RESTART_PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Run the server.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Open the admin pages in a browser; if a server runs on this data already, only do that
    #[arg(long)]
    open: bool,
    /// How log lines look
    #[arg(long, env = "MOMEDO_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// What a start that follows a restore takes over from the one before: people find the server where it was.
#[derive(Default)]
struct Before {
    addresses: Vec<SocketAddr>,
    local_port: Option<u16>,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let path = self.data.path()?;
        // Settings that cannot be read are told when they are needed.
        let always_file = self.settings.load(&path).is_ok_and(|config| config.log.file);
        let place = LogPlace::choose(&path, always_file);
        logging::start(self.log_format, &place);
        let result = self.live();
        if let Err(error) = &result
            && place.is_file()
        {
            // Who reads the log in a file sees nothing of what a command says as it fails.
            tracing::error!("the server cannot go on: {error:#}");
        }
        result
    }

    /// Serves until somebody stops it, over every restart.
    fn live(&self) -> anyhow::Result<()> {
        let mut before = None;
        loop {
            // One for each life: nothing of the one before goes on.
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let result = runtime.block_on(self.serve(before));
            // Whatever still runs has had its time.
            runtime.shutdown_timeout(std::time::Duration::from_millis(500));
            before = result?;
            if before.is_none() {
                return Ok(());
            }
            tracing::info!("starting again");
        }
    }

    /// Serves; what the next start takes over, if there is to be one.
    async fn serve(&self, before: Option<Before>) -> anyhow::Result<Option<Before>> {
        // The usual soft limit of 1,024 files is less than one school's connections.
        if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
        let path = self.data.path()?;
        let is_first = before.is_none();
        if is_first && self.open && open_running(&path).await {
            return Ok(None);
        }
        let config = self.settings.load(&path)?;
        let Before { addresses, local_port } = before.unwrap_or_default();
        let listen = if addresses.is_empty() { config.listen.addresses.clone() } else { addresses };
        // Before anything is made: a port in use is the commonest trouble.
        let listeners = listening::bind(&listen).await?;
        let opened = open(&path, config, is_first).await?;
        let (trigger, stop) = shutdown::channel();
        let (mut signals, app) = (Signals::new()?, opened.app.clone());
        tokio::spawn(async move {
            while signals.next().await == Asked::Reload {
                tracing::info!("asked to read the certificate files again");
                tokio::spawn(certificates::reload(app.clone(), Reload::Always));
            }
            tracing::info!("stopping");
            app.stay_down();
            trigger.raise();
        });
        let (mut page, mut port) = (None, None);
        if self.open {
            port = local_pages::start(&opened.app, local_port, &stop).await;
            if is_first && port.is_some() {
                page = Some(administration::page_address(&opened.app).await?);
            }
        }
        let ended = opened
            .serve(listeners, stop, |addresses| {
                use std::io::Write;
                let mut out = std::io::stdout().lock();
                for address in addresses {
                    // Nobody may be reading; the server is worth running all the same.
                    let _: Result<_, _> = writeln!(out, "momedo ready https://{address}");
                }
                let _: Result<_, _> = out.flush();
                tracing::info!(listeners = addresses.len(), "serving");
                notify_ready();
                if let Some(page) = page {
                    local_pages::open_browser(&path, &page);
                }
            })
            .await?;
        tracing::info!("stopped");
        Ok(match ended {
            Ended::Stopped => None,
            Ended::ToRestart(addresses) => Some(Before { addresses, local_port: port }),
        })
    }
}

/// Opens the data. A restart waits a while for a command that took it in between.
async fn open(path: &std::path::Path, config: Config, is_first: bool) -> Result<Opened, StartError> {
    let deadline = std::time::Instant::now() + RESTART_PATIENCE;
    loop {
        match running::open(path, config.clone(), Clock::system()).await {
            Err(StartError::Directory(DataDirectoryError::Locked(_)))
                if !is_first && std::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            opened => return opened,
        }
    }
}

/// A second double-click: opens the page of the server that runs already; false when none does.
async fn open_running(path: &std::path::Path) -> bool {
    let Ok(AdminResponse::Lines(lines)) = control::ask(path, super::spoken(), &AdminRequest::Page).await
    else {
        return false;
    };
    let Some(page) = lines.first().and_then(|line| line["address"].as_str()) else { return false };
    // The page opens all the same.
    let shown = page.split('?').next().unwrap_or(page);
    drop(super::output::line(format_args!("{}", words!("serve.runs-already", page = shown))));
    local_pages::open_browser(path, page);
    true
}

/// What a signal asks for.
#[derive(PartialEq, Eq)]
enum Asked {
    Stop,
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such signal"))]
    Reload,
}

/// SIGTERM and SIGINT ask to stop, SIGHUP to reload.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    /// Whether the server was started at a terminal.
    at_terminal: bool,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            at_terminal: std::io::stdin().is_terminal(),
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            // Whoever closes the terminal sends this too, and means the end.
            _ = self.hang_up.recv() => {
                if self.at_terminal && !std::io::stdin().is_terminal() { Asked::Stop } else { Asked::Reload }
            }
        }
    }
}

/// Ctrl-C asks to stop.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Asked {
        let _: Result<_, _> = tokio::signal::ctrl_c().await;
        Asked::Stop
    }
}

/// Tells systemd that the server serves, and keeps its watchdog content.
#[cfg(target_os = "linux")]
fn notify_ready() {
    // Outside systemd there is nobody to tell.
    tell_systemd(sd_notify::NotifyState::Ready);
    if let Some(period) = sd_notify::watchdog_enabled() {
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(period / 2);
            loop {
                ticks.tick().await;
                tell_systemd(sd_notify::NotifyState::Watchdog);
            }
        });
    }
}

/// Sends a state; the library knows no abstract socket, which containers use (`NOTIFY_SOCKET=@name`).
#[cfg(target_os = "linux")]
fn tell_systemd(state: sd_notify::NotifyState<'_>) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let socket = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
    let _: std::io::Result<()> = match socket.as_bytes().strip_prefix(b"@") {
        None => sd_notify::notify(&[state]),
        Some(name) => SocketAddr::from_abstract_name(name).and_then(|address| {
            let text = format!("{state}\n");
            UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address).map(drop)
        }),
    };
}

#[cfg(not(target_os = "linux"))]
fn notify_ready() {}
