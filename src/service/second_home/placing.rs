//! What the first home tells the second: who its participants are, by their own signatures, whenever that changes.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::calls::Request;
use momedo_protocol::link::second_home::Placement;

use crate::service::ServiceError;
use crate::service::documents::stored_jws;
use crate::service::neighbours::calls;
use crate::state::App;
use crate::store::{OtherHome, ParticipantState, ReadTx, WriteTx};

/// Participants looked at together.
const PAGE: u32 = 50;

/// How many a second home may refuse in one run; one that wants none refuses them all.
const MAX_REFUSED: u32 = 20;

/// Notes which homes a new bundle names.
///
/// # Errors
/// [`ServiceError::KeyRule`] for more than two, for a server that is no second home of this one's participants, or for
/// another one while the second home before has not heard that it is none any more.
pub(in crate::service) fn note_bundle(
    tx: &mut WriteTx<'_>,
    own: Fingerprint,
    id: ParticipantId,
    homes: &[Fingerprint],
) -> Result<(), ServiceError> {
    let mut others = homes.iter().copied().filter(|home| *home != own);
    let (wanted, more) = (others.next(), others.next());
    if more.is_some() {
        return Err(ServiceError::KeyRule("a key bundle names at most two homes"));
    }
    match (tx.find_other_home(id)?, wanted) {
        (None, None) => Ok(()),
        // The store notes by itself that there is a new bundle.
        (Some(known), Some(wanted)) if known.server == wanted && !known.ends => Ok(()),
        (Some(known), Some(wanted)) if known.server != wanted => {
            Err(ServiceError::KeyRule("the second home before has not heard yet that it is none any more"))
        }
        (_, Some(wanted)) => match super::partner(tx, wanted)? {
            Some(_) => Ok(tx.set_other_home(id, wanted, true)?),
            None => Err(ServiceError::KeyRule("the key bundle names a home that this server does not offer")),
        },
        (Some(_), None) => Ok(tx.end_other_home(id)?),
    }
}

/// Tells every second home that is connected what it has not heard.
///
/// # Errors
/// As [`ServiceError`] says; what another server refuses is tried again later.
pub async fn tell_all(app: &App) -> Result<(), ServiceError> {
    for server in app.links.connected() {
        tell(app, server).await?;
    }
    Ok(())
}

async fn tell(app: &App, server: Fingerprint) -> Result<(), ServiceError> {
    let (mut after, mut refused) = (app.links.told_up_to(server), 0);
    loop {
        let untold =
            app.store.read(move |tx| Ok::<_, ServiceError>(tx.list_untold(server, after, PAGE)?)).await?;
        let Some((last, _)) = untold.last() else {
            app.links.set_told_up_to(server, 0);
            return Ok(());
        };
        after = last.number();
        for (id, home) in untold {
            match tell_one(app, id, home).await {
                Ok(()) => {}
                // Not now, or it is the first home itself: for the others it would say the same.
                Err(ServiceError::HomeUnreachable | ServiceError::FirstHomeOnly) => return Ok(()),
                // Of this one somebody else may be the home there; what others have changed must not wait for that.
                Err(ServiceError::NotAllowedAcross) => {
                    refused += 1;
                    if refused == MAX_REFUSED {
                        // The next run goes on behind, so that nobody is never reached.
                        app.links.set_told_up_to(server, id.number());
                        return Ok(());
                    }
                }
                Err(error) => tracing::warn!(%error, %server, "a second home does not take a participant"),
            }
        }
    }
}

async fn tell_one(app: &App, id: ParticipantId, home: OtherHome) -> Result<(), ServiceError> {
    let request = app.store.read(move |tx| request(tx, id, home)).await?;
    calls::ask_for_response(app, home.server, &request).await?;
    app.store.write_freeing(move |tx| Ok(tx.note_told(id, home.changed)?)).await
}

/// Tells `server`, if it is a participant's second home, what it has not heard of that participant. Does nothing for
/// anybody else.
///
/// # Errors
/// As [`ServiceError`] says.
pub(in crate::service) async fn tell_of(
    app: &App,
    server: Fingerprint,
    id: ParticipantId,
) -> Result<(), ServiceError> {
    let home = app.store.read(move |tx| Ok::<_, ServiceError>(tx.find_other_home(id)?)).await?;
    match home.filter(|home| home.server == server && home.is_first && home.told < home.changed) {
        Some(home) => tell_one(app, id, home).await,
        None => Ok(()),
    }
}

fn request(tx: &ReadTx<'_>, id: ParticipantId, home: OtherHome) -> Result<Request, ServiceError> {
    let row = tx.find_participant(id)?.ok_or(ServiceError::UnknownParticipant)?;
    if home.ends {
        return Ok(Request::StandInEnds { id, erased: row.state == ParticipantState::Erased });
    }
    let bundle = tx.current_bundle(id)?.ok_or(ServiceError::UnknownParticipant)?;
    let (_, device_list) = tx.device_list(id)?.ok_or(ServiceError::UnknownParticipant)?;
    let changes = tx.signature_key_changes(id, 0)?;
    let placement = Placement {
        id,
        active: row.state == ParticipantState::Active,
        role: tx.belonging(id)?.role.to_string(),
        changes: changes.iter().map(|change| stored_jws(change)).collect::<Result<_, _>>()?,
        bundle: stored_jws(&bundle.bundle)?,
        countersignature: stored_jws(&bundle.countersignature)?,
        device_list: stored_jws(&device_list)?,
        // A device that an admin locked out still stands in the list.
        devices: tx.list_devices(id)?.into_iter().map(|device| device.id).collect(),
        blocks: tx.list_blocks(id)?.into_iter().map(|(blocked, _)| blocked).collect(),
    };
    Ok(Request::StandIn { placement: Box::new(placement) })
}
