//! Neighbours: peering with other servers, and what travels between them.
//!
//! | module | holds |
//! |---|---|
//! | [`attachments`] | attachments that are fetched from other homes |
//! | [`blocking`] | participants of other servers from whom nothing is taken |
//! | [`calls`] | what homes ask each other in the name of their participants |
//! | [`groups`] | groups with members of several servers |
//! | [`pairing`] | how two servers become neighbours and stop being it, as admins see it |
//! | [`greeting`] | the same on the link |
//! | [`contracts`] | what may pass, as admins say |
//! | [`nearby`] | servers found in the local network |
//! | [`finding`] | who is home to an ID, and their keys |
//! | `claims` | what neighbours tell of that, verified again here |
//! | `waiting` | how long participants wait for neighbours |
//! | [`finding_groups`], [`finding_mceliece`] | who keeps a group, and McEliece keys |
//! | [`absent`] | why nobody is found who has an ID |
//! | [`forgetting`] | erasure of people that others were told of |
//! | [`key_logs`] | what they show of their logs of key changes, and whether it continues |
//! | [`sending`] | what goes out: batches of this server's envelopes, and what passes through |
//! | [`receiving`] | what comes in: batches for this server's participants |
//! | `origins` | who may say what in them |
//! | `relaying` | batches for others |
//! | [`receipts`] | what became of it, and telling the sender |
//!
//! What a neighbour says is believed as far as a signature or its own contract goes, and no further. Sockets are in
//! [`crate::neighbours`].

pub mod absent;
pub mod answers;
pub mod attachments;
pub mod blocking;
pub mod calls;
mod claims;
pub mod contracts;
mod delivering;
pub mod finding;
pub mod finding_groups;
pub mod finding_mceliece;
pub mod forgetting;
pub mod greeting;
pub mod groups;
pub mod key_logs;
pub mod nearby;
mod origins;
pub mod pairing;
pub mod receipts;
pub mod receiving;
mod relaying;
pub mod sending;
mod waiting;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link::Standing;
use momedo_protocol::time::UnixMillis;
use serde::Serialize;
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

use super::permission::Admin;
use super::{AdminError, ServiceError};
use crate::domain::neighbour::{Contract, Decision};
use crate::links::{Line, Trouble};
use crate::state::App;
use crate::store::{NeighbourLogRow, NeighbourRow, Queued, ReadTx, Shared, StoreError};

/// How a neighbour stands, as people expect it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, EnumIter, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum NeighbourState {
    /// An admin here has to confirm.
    WaitingForUs,
    /// An admin there has to confirm.
    WaitingForThem,
    /// All is well.
    Connected,
    /// It does not answer.
    Unreachable,
    /// Another server answers at its address.
    WrongIdentity,
    /// An admin here made a pause.
    Paused,
    /// An admin here blocked it.
    Blocked,
}

impl NeighbourState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// Why a neighbour is unreachable, as one word, with what the operating system says where it says something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case", tag = "what", content = "detail")]
#[strum(serialize_all = "kebab-case")]
pub enum Why {
    /// It is being tried for the first time.
    Trying,
    /// Nothing answers.
    Silent(String),
    /// Its admin made a pause.
    TheyPaused,
    /// Its admin blocked this server.
    TheyBlocked,
    /// This server is not running.
    NotServing,
    /// Neither side knows where to dial the other.
    NoAddress,
}

impl Why {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        self.into()
    }
}

/// A neighbour as listed.
#[derive(Debug, Clone, Serialize)]
pub struct Neighbour {
    /// Its server ID.
    pub id: Fingerprint,
    /// The words of its ID.
    pub words: String,
    /// The name its admin gave it.
    pub name: String,
    /// Where it is dialled first, if that is known.
    pub address: Option<String>,
    /// Whether it asked out of the local network, without a pairing link, and waits for an admin here.
    pub nearby: bool,
    /// How it stands.
    pub state: NeighbourState,
    /// Since when the line is as it is.
    pub since: Option<UnixMillis>,
    /// When it is tried again.
    pub next_try: Option<UnixMillis>,
    /// Why it is unreachable.
    pub why: Option<Why>,
    /// Envelopes that wait for it.
    pub waiting: u64,
    /// Batches of others that wait for it.
    pub passing: u64,
    /// Bytes of both.
    pub waiting_bytes: u64,
    /// What may pass.
    pub contract: Contract,
    /// Participants whose mail and keys both keep.
    pub shared: Shared,
    /// Whether it says that it took this server's participants over.
    pub says_first: bool,
    /// How far its key log was followed, once it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<key_logs::FollowedLog>,
}

/// The neighbour with this server ID, or the only one whose ID begins so.
///
/// # Errors
/// [`AdminError::UnknownNeighbour`].
pub async fn named(app: &App, id: &str) -> Result<Fingerprint, ServiceError> {
    let beginning = id.replace([' ', ':'], "").to_ascii_lowercase();
    let rows = app.store.read(|tx| tx.list_neighbours()).await?;
    let mut fitting = rows.iter().filter(|row| row.id.to_string().starts_with(&beginning));
    match (fitting.next(), fitting.next()) {
        (Some(row), None) if !beginning.is_empty() => Ok(row.id),
        _ => Err(AdminError::UnknownNeighbour.into()),
    }
}

/// What the store knows of a neighbour.
struct Known {
    row: NeighbourRow,
    queued: Queued,
    log: Option<NeighbourLogRow>,
    shared: Shared,
}

impl Known {
    fn read(tx: &ReadTx<'_>, row: NeighbourRow) -> Result<Self, ServiceError> {
        Ok(Self {
            queued: tx.queued_for(row.id)?,
            log: tx.find_neighbour_log(row.id)?,
            shared: tx.count_shared(row.id)?,
            row,
        })
    }
}

/// The row of one neighbour, for the room that keeps the links.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn row(app: &App, id: Fingerprint) -> Result<Option<NeighbourRow>, ServiceError> {
    app.store.read(move |tx| Ok(tx.find_neighbour(id)?)).await
}

/// The rows of all neighbours; `None` when the store is closed.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn rows(app: &App) -> Result<Option<Vec<NeighbourRow>>, ServiceError> {
    match app.store.read(|tx| tx.list_neighbours()).await {
        Ok(rows) => Ok(Some(rows)),
        Err(StoreError::Closed) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn neighbour(app: &App, known: Known) -> Neighbour {
    let Known { row, queued, log, shared } = known;
    let line = app.links.line(row.id);
    let state = state_of(&row, &line);
    let is_down = matches!(state, NeighbourState::Unreachable | NeighbourState::WrongIdentity);
    Neighbour {
        log: log.map(|log| key_logs::FollowedLog::of(row.id, &log)),
        says_first: app.links.says_first(row.id),
        why: (state == NeighbourState::Unreachable).then(|| why(app, &row, &line)),
        words: row.id.words(),
        nearby: row.asks_from_nearby(),
        address: row.addresses.first().cloned(),
        id: row.id,
        name: row.name,
        state,
        since: line.since,
        next_try: line.next_try.filter(|_| is_down),
        waiting: queued.envelopes,
        passing: queued.batches,
        waiting_bytes: queued.bytes,
        contract: row.contract,
        shared,
    }
}

fn state_of(row: &NeighbourRow, line: &Line) -> NeighbourState {
    match row.decision {
        Decision::Blocked => NeighbourState::Blocked,
        Decision::Paused => NeighbourState::Paused,
        Decision::Active if !row.ours => NeighbourState::WaitingForUs,
        Decision::Active if line.trouble == Trouble::WrongIdentity => NeighbourState::WrongIdentity,
        Decision::Active if !row.theirs => NeighbourState::WaitingForThem,
        Decision::Active if line.connected && line.peer == Some(Standing::Confirmed) => {
            NeighbourState::Connected
        }
        Decision::Active => NeighbourState::Unreachable,
    }
}

fn why(app: &App, row: &NeighbourRow, line: &Line) -> Why {
    match &line.trouble {
        _ if !app.links.is_serving() => Why::NotServing,
        _ if line.peer == Some(Standing::Paused) => Why::TheyPaused,
        Trouble::Refused(Standing::Blocked) => Why::TheyBlocked,
        Trouble::Unreachable(reason) => Why::Silent(reason.clone()),
        Trouble::NotTried if row.addresses.is_empty() => Why::NoAddress,
        Trouble::NotTried | Trouble::WrongIdentity | Trouble::Refused(_) => Why::Trying,
    }
}

/// Every neighbour, by name.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(app: &App, _: &Admin) -> Result<Vec<Neighbour>, ServiceError> {
    let rows = app
        .store
        .read(|tx| {
            let rows = tx.list_neighbours()?;
            rows.into_iter().map(|row| Known::read(tx, row)).collect::<Result<Vec<_>, _>>()
        })
        .await?;
    Ok(rows.into_iter().map(|known| neighbour(app, known)).collect())
}

/// How many neighbours stand each way; all ways are named, also those that none stands.
///
/// # Errors
/// As [`ServiceError`] says.
pub(super) async fn count(app: &App) -> Result<Vec<(NeighbourState, u64)>, ServiceError> {
    let rows = app.store.read(|tx| tx.list_neighbours()).await?;
    let states: Vec<_> = rows.iter().map(|row| state_of(row, &app.links.line(row.id))).collect();
    let how_many = |state| states.iter().filter(|one| **one == state).count() as u64;
    Ok(NeighbourState::iter().map(|state| (state, how_many(state))).collect())
}
