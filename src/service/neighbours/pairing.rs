//! How two servers become neighbours, and stop being it. Both admins confirm; pasting a link is one of the two.

use std::net::IpAddr;
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::limits::is_acceptable_name;
use momedo_protocol::link::{Frame, Hello, MAX_ADDRESS_BYTES, MAX_ADDRESSES, PairingLink, Standing};
use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{Neighbour, receipts};
use crate::domain::neighbour::{Asking, Contract, Decision, MAX_NEARBY_REQUESTS, may_ask_without_code};
use crate::domain::role::Role;
use crate::links::Trouble;
use crate::service::audit::{self, Action};
use crate::service::permission::Admin;
use crate::service::registration::code_hash;
use crate::service::{AdminError, ServiceError, administration, classes};
use crate::state::App;
use crate::store::{CodeUse, NeighbourRow, StoreError, WriteTx};

/// Most neighbours a server has: each is a connection and a few tasks.
const MAX_NEIGHBOURS: usize = 200;

/// How long a pairing link can be used, in days.
const LINK_DAYS: u64 = 7;

/// How long adding waits for the other server to record the request.
const ADDING: Duration = Duration::from_secs(10);

/// A new pairing link.
#[derive(Debug, Clone, Serialize)]
pub struct NewLink {
    /// The link.
    pub link: String,
    /// Until when it can be used.
    pub expires_at: UnixMillis,
}

/// What changes in a contract; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContractChange {
    /// Everybody, or not everybody any more.
    pub everybody: Option<bool>,
    /// The roles that may talk across.
    pub roles: Option<Vec<Role>>,
    /// Names of the classes that may, or `#` and their numbers.
    pub classes: Option<Vec<String>>,
    /// Whether what it brings may pass on.
    pub hop_through: Option<bool>,
    /// Envelopes it may bring per minute.
    pub per_minute: Option<u32>,
    /// MiB that may wait.
    pub queue_mib: Option<u64>,
    /// Whether each is a second home for the other's participants.
    pub second_home: Option<bool>,
}

fn unknown() -> ServiceError {
    AdminError::UnknownNeighbour.into()
}

/// Makes a link for the admin of another server.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn invite(app: &App, admin: &Admin) -> Result<NewLink, ServiceError> {
    let code = InviteCode::random();
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let address = administration::administration_address(app).await?;
    app.store
        .write(move |tx| {
            tx.insert_pairing_code(&code_hash(code), tx.tick().plus_days(LINK_DAYS))?;
            audit::log(tx, now, &account, Action::NeighbourInvited, "")
        })
        .await?;
    let link = PairingLink { address, code, server: app.fingerprint }.to_string();
    Ok(NewLink { link, expires_at: now.plus_days(LINK_DAYS) })
}

/// Follows another server's link, which confirms this side; returns once the other server has recorded it.
///
/// # Errors
/// [`AdminError::NotAPairingLink`], [`AdminError::OwnPairingLink`], [`AdminError::PairingRefused`],
/// [`AdminError::NeighbourSilent`] or [`AdminError::NotServing`]; nothing is kept then.
pub async fn add(app: &App, admin: &Admin, link: &str) -> Result<Neighbour, ServiceError> {
    let link: PairingLink = link.parse().map_err(|_| AdminError::NotAPairingLink)?;
    if link.server == app.fingerprint {
        return Err(AdminError::OwnPairingLink.into());
    }
    request(app, admin, link.server, vec![link.address], Asking::Code(link.code.to_string())).await
}

/// Asks another server, which confirms this side; returns once the other server has recorded it.
///
/// # Errors
/// As [`add`], or [`AdminError::RequestNotTaken`]; nothing is kept then.
pub(super) async fn request(
    app: &App,
    admin: &Admin,
    id: Fingerprint,
    addresses: Vec<String>,
    asking: Asking,
) -> Result<Neighbour, ServiceError> {
    if !app.links.is_serving() {
        return Err(AdminError::NotServing.into());
    }
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let mut changes = app.links.changes();
    let (before, recorded) = app
        .store
        .write(move |tx| {
            let known = tx.find_neighbour(id)?;
            let before = known.clone();
            if known.is_none() && tx.list_neighbours()?.len() >= MAX_NEIGHBOURS {
                return Err(AdminError::TooManyNeighbours.into());
            }
            let mut row = known.unwrap_or_else(|| new_row(id, now));
            row.ours = true;
            row.decision = Decision::Active;
            row.asked = None;
            row.addresses.retain(|address| !addresses.contains(address));
            row.addresses.splice(0..0, addresses);
            row.addresses.truncate(MAX_ADDRESSES);
            // Whoever asked us knows us already.
            row.asking = (!row.theirs).then_some(asking);
            tx.save_neighbour(&row)?;
            audit::log(tx, now, &account, Action::NeighbourAdded, &id.to_string())?;
            Ok::<_, ServiceError>((before, row.asking.is_none()))
        })
        .await?;
    announce(app, id).await?;
    if !recorded {
        let waiting = tokio::time::timeout(ADDING, async {
            loop {
                let row = find(app, id).await?;
                if row.asking.is_none() {
                    return Ok(());
                }
                match app.links.line(id).trouble {
                    Trouble::Refused(Standing::WrongCode) => return Err(AdminError::PairingRefused.into()),
                    Trouble::Refused(Standing::NotTaken) => return Err(AdminError::RequestNotTaken.into()),
                    _ => {}
                }
                if app.links.line(id).trouble == Trouble::WrongIdentity {
                    let reason = "another server answers at this address".into();
                    return Err(AdminError::NeighbourSilent(reason).into());
                }
                if changes.changed().await.is_err() {
                    return Err(AdminError::NotServing.into());
                }
            }
        });
        let result: Result<(), ServiceError> = waiting.await.unwrap_or_else(|_| {
            let reason = match app.links.line(id).trouble {
                Trouble::Unreachable(reason) => reason,
                _ => "no answer in ten seconds".into(),
            };
            Err(AdminError::NeighbourSilent(reason).into())
        });
        if let Err(error) = result {
            // As if nothing had been asked.
            let is_new = before.is_none();
            app.store
                .write(move |tx| match before {
                    Some(before) => tx.save_neighbour(&before),
                    None => tx.delete_neighbour(id).map(drop),
                })
                .await?;
            if is_new {
                app.links.close(id);
            }
            return Err(error);
        }
    }
    shown(app, id).await
}

fn new_row(id: Fingerprint, now: UnixMillis) -> NeighbourRow {
    NeighbourRow {
        id,
        name: id.to_string().chars().take(8).collect(),
        addresses: Vec::new(),
        ours: false,
        theirs: false,
        decision: Decision::Active,
        asking: None,
        contract: Contract::default(),
        added_at: now,
        asked: None,
    }
}

async fn find(app: &App, id: Fingerprint) -> Result<NeighbourRow, ServiceError> {
    app.store.read(move |tx| tx.find_neighbour(id)?.ok_or_else(unknown)).await
}

/// One neighbour as listed.
async fn shown(app: &App, id: Fingerprint) -> Result<Neighbour, ServiceError> {
    let known =
        app.store.read(move |tx| super::Known::read(tx, tx.find_neighbour(id)?.ok_or_else(unknown)?)).await?;
    Ok(super::neighbour(app, known))
}

/// Lets the link and whoever dials know what a row says now.
async fn announce(app: &App, id: Fingerprint) -> Result<(), ServiceError> {
    let row = find(app, id).await?;
    if let Some(link) = app.links.link(id) {
        link.try_send(&Frame::Standing(standing(&row)));
        if let Some(request) = request_frame(&row) {
            link.try_send(&request);
        }
    }
    app.links.set_paired(id, row.is_paired());
    app.links.forget_unknown();
    Ok(())
}

async fn change(
    app: &App,
    admin: &Admin,
    id: Fingerprint,
    action: Action,
    alter: impl FnOnce(&mut NeighbourRow) + Send + 'static,
) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let mut row = tx.find_neighbour(id)?.ok_or_else(unknown)?;
            alter(&mut row);
            tx.save_neighbour(&row)?;
            audit::log(tx, now, &account, action, &id.to_string())
        })
        .await
}

/// Confirms a neighbour whose admin followed this server's link; doing it again changes nothing.
///
/// # Errors
/// [`AdminError::UnknownNeighbour`].
pub async fn confirm(app: &App, admin: &Admin, id: Fingerprint) -> Result<Neighbour, ServiceError> {
    if !find(app, id).await?.ours {
        let confirm = |row: &mut NeighbourRow| {
            row.ours = true;
            row.asked = None;
        };
        change(app, admin, id, Action::NeighbourConfirmed, confirm).await?;
        announce(app, id).await?;
    }
    shown(app, id).await
}

/// Makes a pause: nothing passes, and what is queued waits.
///
/// # Errors
/// [`AdminError::UnknownNeighbour`].
pub async fn pause(app: &App, admin: &Admin, id: Fingerprint) -> Result<Neighbour, ServiceError> {
    change(app, admin, id, Action::NeighbourPaused, |row| row.decision = Decision::Paused).await?;
    announce(app, id).await?;
    shown(app, id).await
}

/// Ends a pause or a block.
///
/// # Errors
/// [`AdminError::UnknownNeighbour`].
pub async fn resume(app: &App, admin: &Admin, id: Fingerprint) -> Result<Neighbour, ServiceError> {
    change(app, admin, id, Action::NeighbourResumed, |row| row.decision = Decision::Active).await?;
    announce(app, id).await?;
    shown(app, id).await
}

/// Blocks a neighbour for good; what was queued for it goes back to its senders as undeliverable.
///
/// # Errors
/// [`AdminError::UnknownNeighbour`].
pub async fn block(app: &App, admin: &Admin, id: Fingerprint) -> Result<Neighbour, ServiceError> {
    change(app, admin, id, Action::NeighbourBlocked, |row| row.decision = Decision::Blocked).await?;
    announce(app, id).await?;
    receipts::return_queued(app, id).await?;
    shown(app, id).await
}

/// Forgets a neighbour; what was queued for it goes back to its senders as undeliverable.
///
/// # Errors
/// [`AdminError::UnknownNeighbour`], or [`AdminError::StandsIn`].
pub async fn remove(app: &App, admin: &Admin, id: Fingerprint) -> Result<(), ServiceError> {
    let row = find(app, id).await?;
    let stood_in_for = app.store.read(move |tx| Ok::<_, ServiceError>(tx.list_stood_in_for(id)?)).await?;
    // Their copies here may be all there is of them.
    if row.contract.second_home && !stood_in_for.is_empty() {
        return Err(AdminError::StandsIn.into());
    }
    if let Some(link) = app.links.link(id) {
        link.try_send(&Frame::Standing(Standing::Unknown));
    }
    app.links.set_paired(id, false);
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            for participant in stood_in_for {
                tx.forget_participant(participant)?;
            }
            tx.forget_second_homes_at(id)?;
            tx.delete_neighbour(id)?;
            audit::log(tx, now, &account, Action::NeighbourRemoved, &id.to_string())
        })
        .await?;
    receipts::return_queued(app, id).await?;
    app.links.note_change();
    Ok(())
}

/// Changes what may pass: with one neighbour, or with all there are.
///
/// # Errors
/// [`AdminError::UnknownNeighbour`], or [`AdminError::UnknownClass`].
pub async fn allow(
    app: &App,
    admin: &Admin,
    id: Option<Fingerprint>,
    change: ContractChange,
) -> Result<Vec<Neighbour>, ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let classes = change.classes.as_ref().map(|names| {
                names
                    .iter()
                    .map(|name| Ok(classes::find_class(tx, name)?.id))
                    .collect::<Result<Vec<_>, ServiceError>>()
            });
            let classes = classes.transpose()?;
            let rows = match id {
                Some(id) => vec![tx.find_neighbour(id)?.ok_or_else(unknown)?],
                None => tx.list_neighbours()?,
            };
            for mut row in rows {
                let contract = &mut row.contract;
                contract.everybody = change.everybody.unwrap_or(contract.everybody);
                contract.hop_through = change.hop_through.unwrap_or(contract.hop_through);
                contract.second_home = change.second_home.unwrap_or(contract.second_home);
                contract.per_minute = change.per_minute.unwrap_or(contract.per_minute).max(1);
                if let Some(mib) = change.queue_mib {
                    contract.queue_bytes = mib.clamp(1, 1024 * 1024) * 1024 * 1024;
                }
                if let Some(roles) = &change.roles {
                    contract.roles.clone_from(roles);
                }
                if let Some(classes) = &classes {
                    contract.classes.clone_from(classes);
                }
                tx.save_neighbour(&row)?;
                audit::log(tx, now, &account, Action::ContractChanged, &row.id.to_string())?;
            }
            Ok::<_, ServiceError>(())
        })
        .await?;
    app.links.forget_unknown();
    app.links.telling.notify_one();
    let all = super::list(app, admin).await?;
    Ok(all.into_iter().filter(|neighbour| id.is_none_or(|id| neighbour.id == id)).collect())
}

/// Decides which of two servers is home to an ID that both claim.
///
/// # Errors
/// [`AdminError::NotDisputed`].
pub async fn settle(
    app: &App,
    admin: &Admin,
    participant: ParticipantId,
    home: Fingerprint,
) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let not_disputed = || ServiceError::from(AdminError::NotDisputed);
            let mut row = tx.find_remote(participant)?.ok_or_else(not_disputed)?;
            let other = row.disputed_by.ok_or_else(not_disputed)?;
            if home == row.home {
                row.disputed_by = None;
                row.settled = true;
                tx.save_remote(&row)?;
            } else if home == other {
                // Learned anew when somebody asks; then the earlier claim is the one that comes too late.
                tx.delete_remote(participant)?;
            } else {
                return Err(not_disputed());
            }
            audit::log(tx, now, &account, Action::DisputeSettled, &participant.to_string())
        })
        .await
}

/// How this server sees a neighbour, as it tells it.
pub fn standing(row: &NeighbourRow) -> Standing {
    match row.decision {
        Decision::Blocked => Standing::Blocked,
        Decision::Paused => Standing::Paused,
        Decision::Active if row.ours => Standing::Confirmed,
        Decision::Active => Standing::Recorded,
    }
}

/// What a neighbour is asked with that has not recorded this server yet.
pub fn request_frame(row: &NeighbourRow) -> Option<Frame> {
    match row.asking.as_ref()? {
        Asking::Code(code) => Some(Frame::Pair { code: Some(code.parse().ok()?) }),
        Asking::Nearby => Some(Frame::Pair { code: None }),
    }
}

/// What this server says first on a link.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn hello(app: &App) -> Result<Hello, ServiceError> {
    let config = app.config();
    let address = administration::administration_address(app).await?;
    let addresses = if config.neighbours.announce { vec![address] } else { Vec::new() };
    Ok(Hello {
        versions: vec![momedo_protocol::link::VERSION],
        features: Vec::new(),
        name: config.server.name.clone(),
        addresses,
        max_envelope_bytes: config.mail.max_envelope_bytes as u64,
        heartbeat_seconds: config.neighbours.heartbeat_seconds,
    })
}

/// What is known of a server that connected, after its greeting was noted.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn greeted(app: &App, id: Fingerprint, hello: Hello) -> Result<Option<NeighbourRow>, ServiceError> {
    let known = app.store.read(move |tx| Ok::<_, ServiceError>(tx.find_neighbour(id)?)).await?;
    let Some(known) = known else { return Ok(None) };
    let mut row = known.clone();
    tell_apart(&mut row, hello);
    // Writing the same again would only wear the SD card.
    if row.name == known.name && row.addresses == known.addresses {
        return Ok(Some(row));
    }
    app.store
        .write(move |tx| {
            let Some(mut current) = tx.find_neighbour(id)? else { return Ok(None) };
            current.name = row.name;
            current.addresses = row.addresses;
            tx.save_neighbour(&current)?;
            Ok::<_, ServiceError>(Some(current))
        })
        .await
}

/// Takes over a neighbour's name and addresses; where it was reached first stays first.
fn tell_apart(row: &mut NeighbourRow, hello: Hello) {
    if is_acceptable_name(&hello.name) {
        row.name = hello.name;
    }
    row.addresses.truncate(1);
    for address in hello.addresses {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        let acceptable = address.len() <= MAX_ADDRESS_BYTES
            && address.chars().all(is_plain)
            && address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if acceptable && row.addresses.len() < MAX_ADDRESSES && !row.addresses.contains(&address) {
            row.addresses.push(address);
        }
    }
}

/// Whether a server that shows no code may ask from there. A new one is counted.
async fn may_ask_from(app: &App, id: Fingerprint, from: Option<IpAddr>) -> Result<bool, ServiceError> {
    let Some(from) = from.filter(|from| may_ask_without_code(*from)) else { return Ok(false) };
    if !app.config().neighbours.nearby {
        return Ok(false);
    }
    let is_known = app.store.read(move |tx| Ok::<_, ServiceError>(tx.find_neighbour(id)?.is_some())).await?;
    Ok(is_known || app.rates.nearby_request(from, app.clock.elapsed()).is_ok())
}

/// Records a server that shows the code of a pairing link, or that asks without one out of the local network; `from`
/// is where it dialled from, if it did.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn pair(
    app: &App,
    id: Fingerprint,
    hello: Hello,
    code: Option<InviteCode>,
    from: Option<IpAddr>,
) -> Result<Standing, ServiceError> {
    let now = app.clock.now();
    let may_ask = code.is_none() && may_ask_from(app, id, from).await?;
    let standing = app
        .store
        .write(move |tx| {
            let known = tx.find_neighbour(id)?;
            if let Some(row) = known.as_ref().filter(|row| row.decision != Decision::Active) {
                return Ok(standing(row));
            }
            let all = tx.list_neighbours()?;
            let is_full = known.is_none() && all.len() >= MAX_NEIGHBOURS;
            match code {
                Some(code) => {
                    if tx.use_pairing_code(&code_hash(code), id)? == CodeUse::Wrong || is_full {
                        return Ok(Standing::WrongCode);
                    }
                }
                // Our admin asked it, or confirmed it before.
                None if known.as_ref().is_some_and(|row| row.ours) => {}
                None => {
                    let waiting = all.iter().filter(|row| row.asks_from_nearby()).count();
                    let has_room = known.is_some() || (!is_full && waiting < MAX_NEARBY_REQUESTS);
                    if !may_ask || !has_room {
                        return Ok(Standing::NotTaken);
                    }
                }
            }
            let is_new = known.is_none();
            let mut row = known.unwrap_or_else(|| new_row(id, now));
            row.theirs = true;
            // Whoever follows our link is known here; if our admin followed theirs too, both have confirmed.
            row.asking = None;
            row.asked = match code {
                Some(_) => None,
                None if is_new => Some(tx.tick()),
                None => row.asked,
            };
            tell_apart(&mut row, hello);
            tx.save_neighbour(&row)?;
            Ok::<_, ServiceError>(standing(&row))
        })
        .await?;
    app.links.note_change();
    Ok(standing)
}

/// Notes how a neighbour sees this server now.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn note_standing(app: &App, id: Fingerprint, standing: Standing) -> Result<(), ServiceError> {
    let set = move |tx: &mut WriteTx<'_>| -> Result<Option<bool>, StoreError> {
        let Some(mut row) = tx.find_neighbour(id)? else { return Ok(None) };
        let before = (row.theirs, row.asking.clone());
        match standing {
            Standing::Confirmed | Standing::Paused => {
                row.theirs = true;
                row.asking = None;
            }
            Standing::Recorded => {
                row.theirs = false;
                row.asking = None;
            }
            Standing::Unknown => row.theirs = false,
            Standing::WrongCode | Standing::NotTaken | Standing::Blocked => {}
        }
        if before != (row.theirs, row.asking.clone()) {
            tx.save_neighbour(&row)?;
        }
        Ok(Some(row.is_paired()))
    };
    app.links.note_peer(id, standing);
    let known = app.store.read(move |tx| Ok::<_, ServiceError>(tx.find_neighbour(id)?)).await?;
    // Every link begins with this, and most say nothing new.
    let paired = match known {
        Some(row) if standing == Standing::Confirmed && row.theirs && row.asking.is_none() => {
            Some(row.is_paired())
        }
        _ => app.store.write(set).await?,
    };
    if let Some(paired) = paired {
        app.links.set_paired(id, paired);
    }
    Ok(())
}
