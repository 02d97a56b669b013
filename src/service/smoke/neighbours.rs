//! Servers of the Smoke world this one connects to: SmokeStack and Spot-On-Lite.
//!
//! The first certificate one shows is pinned; any other ends the connection until an admin forgets it.

use momedo_protocol::digest::{Fingerprint, sha256};
use strum::{EnumString, IntoStaticStr};

use super::SmokeError;
use crate::domain::host::TypedHost;
use crate::service::ServiceError;
use crate::service::audit::{self, Action};
use crate::service::permission::{Admin, RecentlyConfirmed};
use crate::smoke_hub::LinkState;
use crate::state::App;
use crate::store::SmokeNeighbourRow;

/// Most neighbours.
const MAX_NEIGHBOURS: usize = 32;

/// What kind of server it is; they differ in what they take at the beginning.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum NeighbourKind {
    /// SmokeStack, or another momedo's Smoke door.
    #[value(name = "smokestack")]
    #[serde(rename = "smokestack")]
    #[strum(serialize = "smokestack")]
    SmokeStack,
    /// Spot-On-Lite, which only relays.
    SpotOnLite,
}

impl NeighbourKind {
    /// The word in tables and JSON.
    pub fn word(self) -> &'static str {
        self.into()
    }

    /// The kind a word stands for.
    pub fn of(word: &str) -> Self {
        word.parse().unwrap_or(Self::SmokeStack)
    }
}

/// A neighbour, as listed.
#[derive(Debug, Clone)]
pub struct SmokeNeighbour {
    /// As kept.
    pub row: SmokeNeighbourRow,
    /// How the connection fares; `None`: there is none.
    pub link: Option<LinkState>,
    /// SHA-256 of the pinned certificate.
    pub fingerprint: Option<Fingerprint>,
}

/// Every neighbour.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(app: &App, _: &Admin) -> Result<Vec<SmokeNeighbour>, ServiceError> {
    let listed = |row: SmokeNeighbourRow| SmokeNeighbour {
        link: app.smoke.link(row.number),
        fingerprint: row.certificate.as_ref().map(|certificate| Fingerprint(sha256(certificate))),
        row,
    };
    Ok(kept(app).await?.into_iter().map(listed).collect())
}

/// Neighbours as kept, for whoever keeps the connections.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn kept(app: &App) -> Result<Vec<SmokeNeighbourRow>, ServiceError> {
    app.store.read(|tx| Ok(tx.smoke_neighbours()?)).await
}

/// A host with a port that can be connected to, as it is kept.
fn read_address(text: &str) -> Option<String> {
    text.parse().ok().filter(|typed: &TypedHost| typed.port.is_some()).map(|typed| typed.to_string())
}

/// Adds a neighbour and connects to it.
///
/// # Errors
/// [`SmokeError::NotANeighbour`], [`SmokeError::NeighbourExists`] or [`SmokeError::TooManyNeighbours`].
pub async fn add(app: &App, admin: &Admin, address: &str, kind: NeighbourKind) -> Result<(), ServiceError> {
    let address = read_address(address).ok_or(SmokeError::NotANeighbour)?;
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let rows = tx.smoke_neighbours()?;
            if rows.iter().any(|row| row.address == address) {
                return Err(SmokeError::NeighbourExists.into());
            }
            if rows.len() >= MAX_NEIGHBOURS {
                return Err(SmokeError::TooManyNeighbours.into());
            }
            tx.insert_smoke_neighbour(&address, kind.word())?;
            audit::log(tx, now, &account, Action::SmokeNeighbourAdded, &address)
        })
        .await?;
    app.smoke.neighbours_changed.notify_one();
    Ok(())
}

/// What an admin does about a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeighbourChange {
    /// Connect from now on.
    Start,
    /// Do not.
    Stop,
    /// Forget it.
    Remove,
}

/// Changes a neighbour, by its address.
///
/// # Errors
/// [`SmokeError::UnknownNeighbour`].
pub async fn change(
    app: &App,
    admin: &Admin,
    address: &str,
    change: NeighbourChange,
) -> Result<(), ServiceError> {
    let address = address.trim().to_ascii_lowercase();
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let number = app
        .store
        .write_freeing(move |tx| {
            let rows = tx.smoke_neighbours()?;
            let row = rows.iter().find(|row| row.address == address).ok_or(SmokeError::UnknownNeighbour)?;
            let action = match change {
                NeighbourChange::Start | NeighbourChange::Stop => {
                    tx.enable_smoke_neighbour(row.number, change == NeighbourChange::Start)?;
                    Action::SmokeNeighbourChanged
                }
                NeighbourChange::Remove => {
                    tx.delete_smoke_neighbour(row.number)?;
                    Action::SmokeNeighbourRemoved
                }
            };
            audit::log(tx, now, &account, action, &row.address)?;
            Ok::<_, ServiceError>(row.number)
        })
        .await?;
    app.smoke.restart_link(number);
    Ok(())
}

/// Forgets a neighbour's certificate: whatever it shows next is the right one.
///
/// # Errors
/// [`SmokeError::UnknownNeighbour`].
pub async fn forget_certificate(
    app: &App,
    admin: &RecentlyConfirmed,
    address: &str,
) -> Result<(), ServiceError> {
    let address = address.trim().to_ascii_lowercase();
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let number = app
        .store
        .write_freeing(move |tx| {
            let rows = tx.smoke_neighbours()?;
            let row = rows.iter().find(|row| row.address == address).ok_or(SmokeError::UnknownNeighbour)?;
            tx.pin_smoke_neighbour(row.number, None)?;
            audit::log(tx, now, &account, Action::SmokeCertificateForgotten, &row.address)?;
            Ok::<_, ServiceError>(row.number)
        })
        .await?;
    app.smoke.restart_link(number);
    Ok(())
}

/// Pins the certificate a neighbour showed first; durable when answered.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn pin(app: &App, number: i64, certificate: Vec<u8>) -> Result<(), ServiceError> {
    app.store.write(move |tx| Ok(tx.pin_smoke_neighbour(number, Some(&certificate))?)).await
}

#[cfg(test)]
mod tests {
    use super::read_address;

    #[test]
    fn a_neighbour_is_a_host_with_a_port() {
        for text in ["smoke.example.org:4710", "10.0.0.1:1", "[::1]:4710", "pi:65535"] {
            assert_eq!(read_address(text).as_deref(), Some(text));
        }
        assert_eq!(read_address("Möhne.example:1").as_deref(), Some("xn--mhne-5qa.example:1"));
        for text in ["", "host", "host:", "host:0", "host:65536", ":1", "a b:1", "a/b:1", "a..b:1"] {
            assert_eq!(read_address(text), None, "{text}");
        }
    }
}
