//! The federation link: dialling, accepting, frames. What may pass is decided in [`crate::service::neighbours`].
//!
//! Either side may dial, whoever knows an address. A link that was lost is dialled again after 1, 2, 4, 8 s and so on,
//! at most a minute apart.

mod dial;
mod fetching;
mod key_log;
pub(crate) mod nearby;
mod proxy;
mod pump;
mod second_home;
mod session;

use std::collections::HashMap;
use std::net::IpAddr;

use momedo_protocol::digest::Fingerprint;
use tokio::task::JoinHandle;

use crate::links::{DialledBy, Trouble};
use crate::live::shutdown::Shutdown;
use crate::service::neighbours;
use crate::state::AppState;
use crate::store::NeighbourRow;
use crate::tls::door::Socket;
use crate::tls::proved_key;
pub(crate) use nearby::run as look_nearby;
use session::End;

/// Serves a connection that a neighbour, or somebody who wants to be one, dialled.
pub(crate) async fn accept(
    app: &AppState,
    stream: tokio_rustls::server::TlsStream<Socket>,
    address: IpAddr,
    stop: Shutdown,
) {
    let Some(key) = proved_key(stream.get_ref().1.peer_certificates()) else { return };
    let peer = key.fingerprint();
    if peer == app.fingerprint {
        return;
    }
    // A neighbour that proved its key is not kept out by what others behind the same address do.
    let is_neighbour = matches!(neighbours::row(app, peer).await, Ok(Some(_)));
    if !is_neighbour && app.rates.may_fail(address, app.clock.elapsed()).is_err() {
        return;
    }
    match session::run(app, stream, peer, DialledBy::Them, Some(address), stop).await {
        End::Refused(standing) => {
            app.links.note_trouble(peer, Trouble::Refused(standing), None);
        }
        End::RefusedByUs => {
            // What is over the limit already needs no counting.
            let _: Result<_, _> = app.rates.failure(address, app.clock.elapsed());
        }
        End::Broken(reason) => tracing::debug!(%peer, %reason, "a link ended"),
        End::Closed => {}
    }
}

/// Keeps every neighbour connected that wants dialling, until `stop`.
pub(crate) async fn run(app: AppState, mut stop: Shutdown) {
    let mut dialling: HashMap<Fingerprint, JoinHandle<()>> = HashMap::new();
    let mut changes = app.links.changes();
    app.links.serve();
    let fetching = tokio::spawn(fetching::run(app.clone(), stop.clone()));
    let telling = tokio::spawn(second_home::run(app.clone(), stop.clone()));
    loop {
        changes.mark_unchanged();
        match neighbours::rows(&app).await {
            Ok(None) => return,
            Err(error) => tracing::error!(%error, "the neighbours cannot be read"),
            Ok(Some(rows)) => {
                dialling.retain(|id, task| {
                    let goes_on = rows.iter().any(|row| row.id == *id && wants_dialling(row));
                    if !goes_on {
                        task.abort();
                    }
                    goes_on && !task.is_finished()
                });
                for row in rows.iter().filter(|row| wants_dialling(row)) {
                    dialling
                        .entry(row.id)
                        .or_insert_with(|| tokio::spawn(dial::keep(app.clone(), row.id, stop.clone())));
                }
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { break },
            () = stop.requested() => break,
        }
    }
    for (_, task) in dialling {
        // They hear the same signal.
        let _: Result<_, _> = task.await;
    }
    let _: Result<_, _> = fetching.await;
    let _: Result<_, _> = telling.await;
}

/// Whether this side has a reason to dial, and somewhere to.
fn wants_dialling(row: &NeighbourRow) -> bool {
    row.ours && row.decision != crate::domain::neighbour::Decision::Blocked && !row.addresses.is_empty()
}
