//! Dialling one neighbour for as long as it is wanted.

use std::sync::Arc;
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::random;
use momedo_protocol::time::UnixMillis;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::session::{self, End};
use super::{proxy, wants_dialling};
use crate::domain::neighbour::pause_before_retry;
use crate::links::{DialledBy, ENDED, Trouble};
use crate::live::shutdown::Shutdown;
use crate::service::neighbours;
use crate::state::{App, AppState};
use crate::surroundings::addresses;
use crate::surroundings::dialling::Dialling;
use crate::tls::is_wrong_identity;

/// How long an address may take to answer and shake hands.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Dials until the neighbour is not wanted any more, or `stop`.
pub(super) async fn keep(app: AppState, neighbour: Fingerprint, mut stop: Shutdown) {
    let mut failures = 0;
    let mut changes = app.links.changes();
    loop {
        // Whoever connected, one link is enough.
        while app.links.line(neighbour).connected {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = stop.requested() => return,
            }
        }
        let Ok(row) = neighbours::row(&app, neighbour).await else { return };
        let Some(row) = row.filter(wants_dialling) else { return };
        let dialled = tokio::select! {
            dialled = dial(&app, neighbour, &row.addresses) => dialled,
            () = stop.requested() => return,
        };
        let trouble = match dialled {
            Err(trouble) => {
                failures += 1;
                trouble
            }
            Ok(stream) => {
                match session::run(&app, stream, neighbour, DialledBy::Us, None, stop.clone()).await {
                    End::Refused(standing) => {
                        failures += 1;
                        Trouble::Refused(standing)
                    }
                    End::Broken(reason) => {
                        failures = 1;
                        Trouble::Unreachable(reason)
                    }
                    End::Closed | End::RefusedByUs => {
                        failures = 1;
                        Trouble::Unreachable(ENDED.into())
                    }
                }
            }
        };
        let [chance] = random::bytes();
        let pause = pause_before_retry(failures, chance);
        let now = app.clock.now();
        let next = UnixMillis(now.0 + u64::try_from(pause.as_millis()).unwrap_or(0));
        app.links.note_trouble(neighbour, trouble, Some(next));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.requested() => return,
        }
    }
}

/// The first address where the neighbour itself answers.
async fn dial(
    app: &App,
    neighbour: Fingerprint,
    addresses: &[String],
) -> Result<TlsStream<TcpStream>, Trouble> {
    let mut trouble = Trouble::NotTried;
    for address in addresses {
        match dial_one(app, neighbour, address).await {
            Ok(stream) => return Ok(stream),
            // Another server at one of its addresses says more than a dead line at the next.
            Err(_) if trouble == Trouble::WrongIdentity => {}
            Err(other) => trouble = other,
        }
    }
    Err(trouble)
}

async fn dial_one(app: &App, neighbour: Fingerprint, address: &str) -> Result<TlsStream<TcpStream>, Trouble> {
    let unreachable = |reason: String| Trouble::Unreachable(format!("{address}: {reason}"));
    let config = app.certificates.link.dialling(neighbour).map_err(|error| unreachable(error.to_string()))?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| unreachable("not a host name".into()))?;
    // A proxy leads out of the local network, and not to who is in it.
    let is_near = || host.parse().is_ok_and(addresses::is_in_own_network);
    let proxy = app.config().neighbours.proxy.get().filter(|_| !is_near());
    let allowed = Dialling::of(app);
    let dialling = async {
        let tcp = proxy::connect(&allowed, proxy.as_ref(), address).await?;
        tcp.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    };
    match tokio::time::timeout(CONNECT_TIME, dialling).await {
        Err(_) => Err(unreachable(match &proxy {
            Some(proxy) => format!("no answer in time through the proxy {proxy}"),
            None => "no answer in time".into(),
        })),
        Ok(Err(error)) if is_wrong_identity(&error) => Err(Trouble::WrongIdentity),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Ok(Ok(stream)) => Ok(stream),
    }
}
