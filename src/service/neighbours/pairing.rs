//! How two servers become neighbours, and stop being it. Both admins confirm; pasting a link is one of the two.

use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::link::{Frame, MAX_ADDRESSES, PairingLink, Standing};
use momedo_protocol::time::UnixMillis;
use serde::Serialize;

use super::greeting::{request_frame, standing};
use super::{Neighbour, receipts};
use crate::domain::neighbour::{Asking, Contract, Decision};
use crate::links::Trouble;
use crate::service::audit::{self, Action};
use crate::service::permission::{Admin, RecentlyConfirmed};
use crate::service::registration::code_hash;
use crate::service::{AdminError, ServiceError, link_address};
use crate::state::App;
use crate::store::NeighbourRow;
use crate::surroundings::dialling::Dialling;

/// Most neighbours a server has: each is a connection and a few tasks.
pub(super) const MAX_NEIGHBOURS: usize = 200;

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

pub(super) fn unknown() -> ServiceError {
    AdminError::UnknownNeighbour.into()
}

/// Makes a link for the admin of another server.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn invite(app: &App, admin: &Admin) -> Result<NewLink, ServiceError> {
    let code = InviteCode::random();
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let address = link_address::in_force(app).await?;
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
/// [`AdminError::NotAPairingLink`], [`AdminError::OwnPairingLink`], [`AdminError::NotDialled`],
/// [`AdminError::PairingRefused`], [`AdminError::NeighbourSilent`] or [`AdminError::NotServing`]; nothing is kept then.
pub async fn add(app: &App, admin: &Admin, link: &str) -> Result<Neighbour, ServiceError> {
    let link: PairingLink = link.parse().map_err(|_| AdminError::NotAPairingLink)?;
    if link.server == app.fingerprint {
        return Err(AdminError::OwnPairingLink.into());
    }
    if let Err(reason) = Dialling::of(app).check(&link.address) {
        return Err(AdminError::NotDialled(format!("{}: {reason}", link.address)).into());
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

pub(super) fn new_row(id: Fingerprint, now: UnixMillis) -> NeighbourRow {
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
    // What would go there as copies would only fill the disk.
    app.store.write(move |tx| Ok::<_, ServiceError>(tx.forget_second_homes_at(id)?)).await?;
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

/// Decides which of two servers is home to an ID that both claim.
///
/// # Errors
/// [`AdminError::NotDisputed`].
pub async fn settle(
    app: &App,
    admin: &RecentlyConfirmed,
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
