//! Connections to other servers of the Smoke world, made from here and kept.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use momedo_smoke::frame;

use super::Access;
use super::connection::{Connection, Peer};
use crate::live::shutdown::Shutdown;
use crate::service::smoke::neighbours::{self, NeighbourKind};
use crate::smoke_hub::LinkState;
use crate::state::AppState;
use crate::store::SmokeNeighbourRow;
use crate::surroundings::dialling::Dialling;
use crate::tls::{CertificateCheck, OwnVerifier};

/// Time to connect and shake hands.
const CONNECT: Duration = Duration::from_secs(20);

/// Pauses between two tries.
const FIRST_PAUSE: Duration = Duration::from_secs(4);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// A connection that stood this long was a good one.
const GOOD: Duration = Duration::from_secs(60);

/// Keeps a connection to every enabled neighbour until `stop` is raised.
pub async fn keep_connections(app: AppState, mut stop: Shutdown) {
    let mut links = HashMap::new();
    loop {
        match neighbours::kept(&app).await {
            Ok(rows) => settle(&app, &stop, &mut links, rows),
            Err(error) => tracing::warn!(%error, "the Smoke neighbours cannot be read"),
        }
        tokio::select! {
            () = app.smoke.neighbours_changed.notified() => {}
            () = stop.requested() => break,
        }
    }
    for (_, link) in links {
        // Each hears the signal, too, and ends by itself.
        let _: Result<_, _> = link.await;
    }
}

fn settle(
    app: &AppState,
    stop: &Shutdown,
    links: &mut HashMap<i64, JoinHandle<()>>,
    rows: Vec<SmokeNeighbourRow>,
) {
    let wanted: HashMap<i64, SmokeNeighbourRow> =
        rows.into_iter().filter(|row| row.is_enabled).map(|row| (row.number, row)).collect();
    let restarts = app.smoke.take_restarts();
    links.retain(|number, task| {
        let stays = wanted.contains_key(number) && !restarts.contains(number);
        if !stays {
            task.abort();
            app.smoke.set_link(*number, None);
        }
        stays
    });
    for (number, row) in wanted {
        links.entry(number).or_insert_with(|| tokio::spawn(keep_one(app.clone(), row, stop.clone())));
    }
}

/// Connects again and again.
async fn keep_one(app: AppState, mut row: SmokeNeighbourRow, mut stop: Shutdown) {
    let mut pause = FIRST_PAUSE;
    loop {
        app.smoke.set_link(row.number, Some(LinkState::Connecting));
        let begun = tokio::time::Instant::now();
        let ended = connect(&app, &mut row, stop.clone()).await;
        let state = match ended {
            Ok(()) => LinkState::Failed("the neighbour closed the connection".into()),
            Err(Failure::CertificateChanged) => LinkState::CertificateChanged,
            Err(Failure::Other(error)) => LinkState::Failed(error.to_string()),
        };
        tracing::debug!(?state, "a connection to a Smoke neighbour ended");
        app.smoke.set_link(row.number, Some(state));
        if begun.elapsed() >= GOOD {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.requested() => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

enum Failure {
    CertificateChanged,
    Other(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let changed =
            error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some_and(|inner| {
                *inner == rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
            });
        if changed { Self::CertificateChanged } else { Self::Other(error) }
    }
}

async fn connect(app: &AppState, row: &mut SmokeNeighbourRow, stop: Shutdown) -> Result<(), Failure> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let shaken = async {
        let stream = Dialling::of(app).connect_typed(&row.address).await?;
        stream.set_nodelay(true)?;
        let config = tls_config(row.certificate.clone()).map_err(io::Error::other)?;
        // Nobody looks at the name; an address is one that is never sent.
        let nobody = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
        TlsConnector::from(Arc::new(config)).connect(nobody, stream).await
    };
    let stream = tokio::time::timeout(CONNECT, shaken).await.map_err(late)??;
    if row.certificate.is_none() {
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.ok_or_else(|| io::Error::other("the neighbour shows no certificate"))?.to_vec();
        // Before anything is exchanged.
        neighbours::pin(app, row.number, shown.clone()).await.map_err(io::Error::other)?;
        row.certificate = Some(shown);
    }
    app.smoke.set_link(row.number, Some(LinkState::Connected));
    let kind = NeighbourKind::of(&row.kind);
    let connection = Connection::new(app, Peer::Neighbour(kind), Access::Public);
    if kind == NeighbourKind::SmokeStack {
        // "Send me everything"; a pure relay would only pass it on.
        connection.socket.outgoing().push_answer(Arc::from(frame::typed("0096", "dHJ1ZQ==")));
    }
    Ok(connection.serve(stream, stop).await?)
}

fn tls_config(pinned: Option<Vec<u8>>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = OwnVerifier::new(PinnedOnFirstUse { pinned }, &provider);
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// Takes exactly the pinned certificate, or any where none is pinned yet.
#[derive(Debug)]
struct PinnedOnFirstUse {
    pinned: Option<Vec<u8>>,
}

impl CertificateCheck for PinnedOnFirstUse {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        match &self.pinned {
            Some(pinned) if pinned[..] != certificate[..] => {
                Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(()),
        }
    }
}
