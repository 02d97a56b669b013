//! What two servers tell each other on a link about being neighbours, and what is noted of it.

use std::net::IpAddr;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::link::{Frame, Hello, MAX_ADDRESS_BYTES, MAX_ADDRESSES, Standing};
use momedo_protocol::name::is_acceptable_name;

use super::pairing::{MAX_NEIGHBOURS, new_row};
use crate::domain::neighbour::{Asking, Decision, MAX_NEARBY_REQUESTS, may_ask_without_code};
use crate::service::registration::code_hash;
use crate::service::{ServiceError, link_address};
use crate::state::App;
use crate::store::{CodeUse, NeighbourRow, StoreError, WriteTx};
use crate::surroundings::dialling::Dialling;

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
    let address = link_address::in_force(app).await?;
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
    tell_apart(&mut row, hello, &Dialling::of(app));
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
fn tell_apart(row: &mut NeighbourRow, hello: Hello, dialling: &Dialling) {
    if is_acceptable_name(&hello.name) {
        row.name = hello.name;
    }
    row.addresses.truncate(1);
    for address in hello.addresses {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        let acceptable = address.len() <= MAX_ADDRESS_BYTES
            && address.chars().all(is_plain)
            // Clients of this server's people are told of it, too.
            && dialling.check(&address).is_ok();
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
    let (now, dialling) = (app.clock.now(), Dialling::of(app));
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
            tell_apart(&mut row, hello, &dialling);
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
    if standing == Standing::Confirmed {
        // It is said again when the other side has raised its contract.
        app.links.takes_more(id, app.clock.elapsed());
    }
    Ok(())
}
