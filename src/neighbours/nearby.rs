//! Announces this server in the local network, and listens for others: DNS-SD over multicast DNS.
//!
//! On while the settings allow it and somebody else can reach this server at all; otherwise no socket is open. What is
//! heard goes into [`crate::live::nearby`].

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link;

use crate::live::nearby::Found;
use crate::live::shutdown::Shutdown;
use crate::state::{App, AppState};

/// What servers are announced as.
const SERVICE: &str = "_momedo._tcp.local.";

/// How often it is looked whether the announcement still holds.
const ROUND: Duration = Duration::from_secs(15);

/// How often all that were found are asked whether they are still there, and how often at most when somebody looks.
const VERIFY: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(5));

/// How long an answer to that may take.
const ANSWER: Duration = Duration::from_secs(3);

/// Longest name of an instance, in bytes: one label of DNS.
const MAX_INSTANCE_BYTES: usize = 63;

/// What is said of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Announcement {
    name: String,
    port: u16,
    /// The addresses that are listened on; none: all that this machine has.
    addresses: Vec<IpAddr>,
}

impl Announcement {
    /// What to say of a server with these listeners; `None` while nobody else can reach it.
    fn of(name: &str, listeners: &[SocketAddr]) -> Option<Self> {
        let reachable = || listeners.iter().filter(|listener| !listener.ip().is_loopback());
        let everywhere = reachable().find(|listener| listener.ip().is_unspecified());
        let first = everywhere.or_else(|| reachable().next())?;
        let addresses = match everywhere {
            Some(_) => Vec::new(),
            None => {
                reachable().filter(|other| other.port() == first.port()).map(|other| other.ip()).collect()
            }
        };
        Some(Self { name: instance_name(name), port: first.port(), addresses })
    }

    /// What to say now.
    fn now(app: &App) -> Option<Self> {
        let config = app.config();
        if !config.neighbours.nearby {
            return None;
        }
        Self::of(&config.server.name, &app.listeners.running())
    }

    fn service(&self, app: &App) -> Result<ServiceInfo, mdns_sd::Error> {
        let id = app.fingerprint.to_string();
        let host = format!("momedo-{}.local.", &id[..16]);
        let version = link::VERSION.to_string();
        let properties = [("id", id.as_str()), ("v", version.as_str())];
        let info = ServiceInfo::new(
            SERVICE,
            &self.name,
            &host,
            self.addresses.as_slice(),
            self.port,
            properties.as_slice(),
        )?;
        Ok(if self.addresses.is_empty() { info.enable_addr_auto() } else { info })
    }
}

/// The server's name, cut to what fits into one label.
fn instance_name(name: &str) -> String {
    name[..name.floor_char_boundary(MAX_INSTANCE_BYTES)].to_owned()
}

/// The name in front of the service, without the backslashes that RFC 6763 puts before full stops.
fn name_of(instance: &str) -> String {
    let name = instance.strip_suffix(SERVICE).unwrap_or(instance);
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut plain = String::with_capacity(name.len());
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next().unwrap_or(letter) } else { letter });
    }
    plain
}

/// An announcement that is out, and what others say.
struct Running {
    said: Announcement,
    daemon: ServiceDaemon,
    heard: Receiver<ServiceEvent>,
    verified: Instant,
}

impl Running {
    fn start(app: &App, said: Announcement) -> Result<Self, mdns_sd::Error> {
        let service = said.service(app)?;
        let daemon = ServiceDaemon::new()?;
        let started = || {
            if said.addresses.is_empty() {
                // Whoever is on this machine needs no network.
                daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
            } else {
                daemon.disable_interface(IfKind::All)?;
                let listened: Vec<IfKind> = said.addresses.iter().copied().map(IfKind::Addr).collect();
                daemon.enable_interface(listened)?;
            }
            daemon.register(service)?;
            daemon.browse(SERVICE)
        };
        match started() {
            Ok(heard) => Ok(Self { said, heard, verified: Instant::now(), daemon }),
            Err(error) => {
                let _: Result<_, _> = daemon.shutdown();
                Err(error)
            }
        }
    }

    /// Asks those that were found whether they are still there; who does not answer is reported as gone.
    fn verify(&mut self, app: &App, at_most_every: Duration) {
        if self.verified.elapsed() < at_most_every {
            return;
        }
        self.verified = Instant::now();
        for instance in app.nearby.instances() {
            // A full channel empties itself: next time.
            let _: Result<_, _> = self.daemon.verify(instance, ANSWER);
        }
    }

    /// Says good-bye, so that nobody lists this server any longer.
    async fn stop(self) {
        if let Ok(stopped) = self.daemon.shutdown() {
            let _: Result<_, _> = tokio::time::timeout(Duration::from_secs(1), stopped.recv_async()).await;
        }
    }
}

/// Announces and listens whenever that makes sense, until `stop`.
pub(crate) async fn run(app: AppState, mut stop: Shutdown) {
    let mut changes = app.listeners.changes();
    let mut rounds = tokio::time::interval(ROUND);
    let mut running: Option<Running> = None;
    let mut has_failed = false;
    loop {
        changes.mark_unchanged();
        let wanted = Announcement::now(&app);
        if running.as_ref().map(|running| &running.said) != wanted.as_ref() {
            if let Some(old) = running.take() {
                app.nearby.set_looking(false);
                old.stop().await;
            }
            match wanted.map(|wanted| Running::start(&app, wanted)).transpose() {
                Ok(started) => {
                    app.nearby.set_looking(started.is_some());
                    running = started;
                    has_failed = false;
                }
                Err(error) if has_failed => {
                    tracing::debug!(%error, "servers nearby still cannot be looked for")
                }
                Err(error) => {
                    has_failed = true;
                    tracing::warn!(%error, "servers nearby cannot be looked for; it will be tried again");
                }
            }
        }
        let heard = async {
            match &running {
                Some(running) => running.heard.recv_async().await.ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = heard => match event {
                Some(event) => note(&app, event),
                // The daemon has ended by itself: another one is started with the next round.
                None => {
                    running = None;
                    app.nearby.set_looking(false);
                    tokio::select! {
                        _ = rounds.tick() => {}
                        () = stop.requested() => break,
                    }
                }
            },
            _ = rounds.tick() => {
                if let Some(running) = &mut running {
                    running.verify(&app, VERIFY.0);
                }
            }
            () = app.nearby.wanted_again() => {
                if let Some(running) = &mut running {
                    running.verify(&app, VERIFY.1);
                }
            }
            changed = changes.changed() => if changed.is_err() { break },
            () = stop.requested() => break,
        }
    }
    app.nearby.set_looking(false);
    if let Some(running) = running {
        running.stop().await;
    }
}

/// Addresses of servers in the local network that claim this fingerprint, as far as they answer in time.
pub(crate) async fn look_for(server: Fingerprint, time: Duration) -> Vec<String> {
    let daemon = match ServiceDaemon::new() {
        Ok(daemon) => daemon,
        Err(error) => {
            tracing::debug!(%error, "servers nearby cannot be looked for");
            return Vec::new();
        }
    };
    let looking = async {
        daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6]).ok()?;
        let heard = daemon.browse(SERVICE).ok()?;
        while let Ok(event) = heard.recv_async().await {
            if let ServiceEvent::ServiceResolved(service) = event
                && let Some(found) = found(&service).filter(|found| found.id == server)
            {
                return Some(found.addresses);
            }
        }
        None
    };
    let found = tokio::time::timeout(time, looking).await.ok().flatten();
    let _: Result<_, _> = daemon.shutdown();
    found.unwrap_or_default()
}

fn note(app: &App, event: ServiceEvent) {
    match event {
        ServiceEvent::ServiceResolved(service) => match found(&service) {
            Some(found) if found.id != app.fingerprint => app.nearby.note(&service.fullname, found),
            _ => app.nearby.forget(&service.fullname),
        },
        ServiceEvent::ServiceRemoved(_, instance) => app.nearby.forget(&instance),
        _ => {}
    }
}

fn found(service: &ResolvedService) -> Option<Found> {
    let version: u8 = service.get_property_val_str("v")?.parse().ok()?;
    if version < link::VERSION {
        return None;
    }
    let id = service.get_property_val_str("id")?;
    let addresses = service.addresses.iter().map(|address| address.to_ip_addr());
    Found::heard(id, &name_of(&service.fullname), service.port, addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(listeners: &[&str]) -> Option<(u16, Vec<String>)> {
        let listeners: Vec<SocketAddr> = listeners.iter().map(|text| text.parse().unwrap()).collect();
        let said = Announcement::of("Schule", &listeners)?;
        Some((said.port, said.addresses.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn a_server_that_only_this_machine_reaches_is_not_announced() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["127.0.0.1:4710", "[::1]:4710", "127.0.0.2:1"]), None);
        assert_eq!(of(&["127.0.0.1:1", "[::]:4710"]), Some((4710, vec![])));
        assert_eq!(of(&["10.0.0.7:1", "0.0.0.0:4710"]), Some((4710, vec![])));
        let two = of(&["10.0.0.7:4710", "127.0.0.1:4710", "[fd00::1]:4710", "10.0.0.8:9"]);
        assert_eq!(two, Some((4710, vec!["10.0.0.7".into(), "fd00::1".into()])));
    }

    #[test]
    fn names_are_cut_to_a_label_and_come_back_from_it() {
        assert_eq!(instance_name(&"ä".repeat(80)), "ä".repeat(31));
        assert_eq!(name_of("Schule am Wald._momedo._tcp.local."), "Schule am Wald");
        assert_eq!(name_of(r"St\. Anna \\ Nord._momedo._tcp.local."), r"St. Anna \ Nord");
        assert_eq!(name_of(r"x\"), r"x\");
    }
}
