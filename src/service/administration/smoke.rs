//! What an admin may ask for about Smoke, as it travels over the control socket, and doing it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::AdminResponse;
use crate::service::ServiceError;
use crate::service::audit::Action;
use crate::service::permission::RecentlyConfirmed;
use crate::service::smoke::neighbours::{NeighbourChange, NeighbourKind, SmokeNeighbour};
use crate::service::smoke::{keys, listeners, neighbours, ozones, participants};
use crate::state::App;
use crate::store::{EVERYTHING, SmokeParticipantRow};

/// About the Smoke gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the use cases say what each field means")]
pub enum SmokeRequest {
    Status,
    Participants { search: String },
    AddParticipant { id: String, name: String },
    ChangeParticipant { id: String, name: Option<String>, accepts_unsigned: Option<bool> },
    RemoveParticipant { id: String },
    ApproveKeys { id: String },
    ForgetKeys { id: String },
    Ozones,
    AddOzone { name: String },
    RemoveOzone { which: String },
    Listeners,
    AddListener { address: String, is_private: bool, max_clients: u64 },
    StartListener { address: String },
    StopListener { address: String },
    RemoveListener { address: String },
    Neighbours,
    AddNeighbour { address: String, kind: NeighbourKind },
    StartNeighbour { address: String },
    StopNeighbour { address: String },
    ForgetCertificate { address: String },
    RemoveNeighbour { address: String },
}

fn participant_line(row: &SmokeParticipantRow) -> Value {
    json!({
        "number": row.number, "id": row.id.as_str(), "name": row.name,
        "origin": if row.is_shared { "shared" } else { "added" },
        "keys": row.keys.map_or("none", |state| state.word()), "refusal": row.refusal,
        "accepts_unsigned": row.accepts_unsigned, "seen_at": row.seen_at,
        "waiting": row.depth, "waiting_bytes": row.bytes,
    })
}

fn neighbour_line(neighbour: &SmokeNeighbour) -> Value {
    let mut line = json!({
        "address": neighbour.row.address, "kind": neighbour.row.kind, "enabled": neighbour.row.is_enabled,
        "certificate": neighbour.fingerprint, "state": "stopped", "reason": null,
    });
    if let Some(link) = &neighbour.link
        && let Ok(Value::Object(state)) = serde_json::to_value(link)
    {
        for (name, value) in state {
            line[name] = value;
        }
    }
    line
}

/// Does it.
///
/// # Errors
/// As [`ServiceError`] says.
pub(super) async fn execute(
    app: &App,
    admin: &RecentlyConfirmed,
    request: SmokeRequest,
) -> Result<AdminResponse, ServiceError> {
    use SmokeRequest as R;
    let one = |line: Value| Ok(AdminResponse::Lines(vec![line]));
    match request {
        R::Status => {
            let (connected, locked) = app.smoke.count();
            let config = app.config();
            let count = app.store.read(|tx| Ok::<_, ServiceError>(tx.count_smoke_participants()?)).await?;
            one(json!({
                "connected": connected, "not_authenticated": locked, "participants": count,
                "shared_port": config.smoke.shared_port, "share_ids": config.smoke.share_ids,
            }))
        }
        R::Participants { search } => {
            let (rows, _) = participants::list(app, admin, search, 0, EVERYTHING).await?;
            Ok(AdminResponse::Lines(rows.iter().map(participant_line).collect()))
        }
        R::AddParticipant { id, name } => {
            one(participant_line(&participants::add(app, admin, &id, &name).await?))
        }
        R::ChangeParticipant { id, name, accepts_unsigned } => {
            let id = participants::parse_id(&id)?;
            participants::change(app, admin, id, name, accepts_unsigned).await?;
            one(json!({ "id": id.as_str() }))
        }
        R::RemoveParticipant { id } => {
            let id = participants::parse_id(&id)?;
            participants::remove(app, admin, id).await?;
            one(json!({ "id": id.as_str() }))
        }
        R::ApproveKeys { id } => {
            let id = participants::parse_id(&id)?;
            keys::approve(app, admin, id).await?;
            one(json!({ "id": id.as_str(), "keys": "bound" }))
        }
        R::ForgetKeys { id } => {
            let id = participants::parse_id(&id)?;
            keys::forget(app, admin, id).await?;
            one(json!({ "id": id.as_str(), "keys": "none" }))
        }
        R::Ozones => {
            let rows = ozones::list(app, admin).await?;
            let line = |row: &crate::store::SmokeOzoneRow| json!({ "number": row.number, "ozone": row.name });
            Ok(AdminResponse::Lines(rows.iter().map(line).collect()))
        }
        R::AddOzone { name } => {
            let row = ozones::add(app, admin, &name).await?;
            one(json!({ "number": row.number, "ozone": row.name }))
        }
        R::RemoveOzone { which } => {
            ozones::remove(app, admin, &which).await?;
            one(json!({ "done": true }))
        }
        R::AddListener { address, is_private, max_clients } => {
            super::lines(vec![listeners::add(app, admin, &address, is_private, max_clients).await?])
        }
        R::Listeners => super::lines(listeners::list(app, admin).await?),
        R::StartListener { address } => {
            listeners::change(app, admin, &address, Action::ListenerStarted).await?;
            super::lines(listeners::list(app, admin).await?)
        }
        R::StopListener { address } => {
            listeners::change(app, admin, &address, Action::ListenerStopped).await?;
            super::lines(listeners::list(app, admin).await?)
        }
        R::RemoveListener { address } => {
            listeners::change(app, admin, &address, Action::ListenerRemoved).await?;
            super::lines(listeners::list(app, admin).await?)
        }
        R::Neighbours => neighbour_lines(app, admin).await,
        R::AddNeighbour { address, kind } => {
            neighbours::add(app, admin, &address, kind).await?;
            neighbour_lines(app, admin).await
        }
        R::StartNeighbour { address } => change(app, admin, &address, NeighbourChange::Start).await,
        R::StopNeighbour { address } => change(app, admin, &address, NeighbourChange::Stop).await,
        R::ForgetCertificate { address } => {
            neighbours::forget_certificate(app, admin, &address).await?;
            neighbour_lines(app, admin).await
        }
        R::RemoveNeighbour { address } => change(app, admin, &address, NeighbourChange::Remove).await,
    }
}

async fn change(
    app: &App,
    admin: &RecentlyConfirmed,
    address: &str,
    change: NeighbourChange,
) -> Result<AdminResponse, ServiceError> {
    neighbours::change(app, admin, address, change).await?;
    neighbour_lines(app, admin).await
}

async fn neighbour_lines(app: &App, admin: &RecentlyConfirmed) -> Result<AdminResponse, ServiceError> {
    let rows = neighbours::list(app, admin).await?;
    Ok(AdminResponse::Lines(rows.iter().map(neighbour_line).collect()))
}
