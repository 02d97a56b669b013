//! What an admin asks for in one line: over the control socket beside a running server, or without one.
//!
//! Every request goes through the same use cases as the admin pages.

mod request;
mod smoke;

use momedo_protocol::id::DeviceId;
use momedo_protocol::invite::{InviteCode, InviteLink};
use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use request::{
    AccountRequest, AdminRequest, CertificateRequest, ClassRequest, GroupRequest, ListenerRequest,
    NeighbourRequest, ParticipantRequest, Password,
};
pub use smoke::SmokeRequest;

use super::accounts::Second;
use super::audit::Action;
use super::backup::{self, Backup};
use super::certificates::Upload;
use super::neighbours::{self, blocking, contracts, key_logs, nearby, pairing};
use super::people::Who;
use super::permission::{RecentlyConfirmed, Staff};
use super::registration::code_hash;
use super::second_home::taking_over;
use super::status::{self, Status};
use super::{
    ServiceError, accounts, acme, audit, certificates, classes, groups, import, link_address, listeners,
    metrics, overview, people, personal, rules, set_up,
};
use crate::settings;
use crate::state::App;
use crate::store::{EVERYTHING, PeopleFilter, PersonId, PersonRow};

/// Rows read at once for a list on the command line.
const PAGE: u64 = 500;

/// What an admin gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AdminResponse {
    /// A new invite.
    Invite(Invite),
    /// Counts.
    Status(Status),
    /// Backups.
    Backups {
        /// Those that were asked for.
        backups: Vec<Backup>,
    },
    /// One object per line.
    Lines(Vec<Value>),
}

/// A new invite.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// The link to hand out.
    pub link: String,
    /// The code in it.
    pub code: InviteCode,
    /// Until when it can be used.
    pub expires_at: UnixMillis,
}

/// Does what whoever is at the machine asks.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn execute(app: &App, request: AdminRequest) -> Result<AdminResponse, ServiceError> {
    let admin = &RecentlyConfirmed::at_the_machine();
    let line = |value: Value| Ok(AdminResponse::Lines(vec![value]));
    match request {
        AdminRequest::Invite { name } => invite(app, admin, name).await.map(AdminResponse::Invite),
        AdminRequest::Status => status::now(app).await.map(AdminResponse::Status),
        AdminRequest::ResetPassword { account, password, lost_one_time_passwords } => {
            let second = if lost_one_time_passwords { Second::SwitchOff } else { Second::Keep };
            accounts::reset_password(app, admin, &account, password.into(), second).await?;
            line(json!({ "account": account }))
        }
        AdminRequest::SetUp { name, password } => {
            set_up::at_the_machine(app, admin, name, password.into()).await?;
            line(json!({ "account": set_up::ACCOUNT, "name": app.config().server.name }))
        }
        AdminRequest::Page => line(json!({ "address": page_address(app).await? })),
        AdminRequest::Overview => {
            let overview = overview::overview(app, admin).await?;
            line(serde_json::to_value(overview).map_err(|error| ServiceError::Internal(error.to_string()))?)
        }
        AdminRequest::Rules { change } => {
            let change = *change;
            if change != rules::Rules::default() {
                rules::change(app, admin, change).await?;
            }
            line(rules::in_force(&app.config()))
        }
        AdminRequest::Metrics { new_token } => {
            let token = if new_token { Some(metrics::make_token(app, admin).await?) } else { None };
            let metrics::MetricsStatus { enabled, has_token } = metrics::status(app, admin).await?;
            line(json!({ "enabled": enabled, "has_token": has_token, "token": token }))
        }
        AdminRequest::Settings => Ok(AdminResponse::Lines(settings::lines(&app.config()))),
        AdminRequest::Participant(request) => participant(app, admin, request).await,
        AdminRequest::Class(request) => class(app, admin, request).await,
        AdminRequest::Group(GroupRequest::List { search }) => {
            lines(groups::list_all(app, admin, search, 0, EVERYTHING).await?.0)
        }
        AdminRequest::Group(GroupRequest::Delete { id }) => {
            groups::delete(app, admin, &id).await?;
            Ok(AdminResponse::Lines(vec![json!({ "done": true })]))
        }
        AdminRequest::Listener(request) => listener(app, admin, request).await,
        AdminRequest::Neighbour(request) => neighbour(app, admin, request).await,
        AdminRequest::Account(request) => account(app, admin, request).await,
        AdminRequest::Certificate(request) => certificate(app, admin, request).await,
        AdminRequest::Smoke(request) => smoke::execute(app, admin, request).await,
        AdminRequest::Backup(request) => {
            let backups = backup::execute(app, admin, request).await?;
            Ok(AdminResponse::Backups { backups })
        }
        AdminRequest::Log { search, limit } => {
            let rows = audit::list(app, admin, search, Vec::new(), None, limit.min(EVERYTHING)).await?;
            lines(rows)
        }
    }
}

fn lines<T: Serialize>(rows: Vec<T>) -> Result<AdminResponse, ServiceError> {
    let values: Result<_, _> = rows.into_iter().map(serde_json::to_value).collect();
    values.map(AdminResponse::Lines).map_err(|error| ServiceError::Internal(error.to_string()))
}

fn person_line(person: &PersonRow) -> Value {
    let state = match (person.state, person.invited_until) {
        (Some(state), _) => state.word(),
        (None, Some(_)) => "invited",
        (None, None) => "added",
    };
    json!({
        "number": person.id, "id": person.participant.map(|id| id.to_string()), "name": person.name,
        "role": person.role, "state": state, "classes": person.classes, "key": person.external_key,
        "devices": person.devices,
    })
}

async fn participant(
    app: &App,
    admin: &RecentlyConfirmed,
    request: ParticipantRequest,
) -> Result<AdminResponse, ServiceError> {
    let done = || AdminResponse::Lines(vec![json!({ "done": true })]);
    let staff = admin.staff();
    match request {
        ParticipantRequest::List { search, class } => {
            let class = match class {
                Some(name) => {
                    let found = app.store.read(move |tx| classes::find_class(tx, &name)).await?;
                    Some(found.id)
                }
                None => None,
            };
            let mut all = Vec::new();
            loop {
                let filter = PeopleFilter { search: search.clone(), class, ..PeopleFilter::default() };
                let (page, total) = people::list(app, &staff, filter, all.len() as u64, PAGE).await?;
                let ended = page.is_empty();
                all.extend(page.iter().map(person_line));
                if ended || all.len() as u64 >= total {
                    return Ok(AdminResponse::Lines(all));
                }
            }
        }
        ParticipantRequest::Add { name, role, class, key } => {
            let class = match class {
                Some(name) => Some(app.store.read(move |tx| classes::find_class(tx, &name)).await?.id),
                None => None,
            };
            let id = people::add(app, admin, name, role, class, key).await?;
            lines(people::invite(app, &staff, vec![id]).await?)
        }
        ParticipantRequest::Invite { who, class } => {
            let mut ids = people_named(app, &staff, who).await?;
            if let Some(class) = class {
                ids.extend(unregistered(app, admin, class).await?);
            }
            lines(people::invite(app, &staff, ids).await?)
        }
        ParticipantRequest::Rename { who, name } => {
            people::rename(app, admin, who.parse()?, name).await.map(|()| done())
        }
        ParticipantRequest::Role { who, role } => {
            people::set_role(app, admin, who.parse()?, role).await.map(|()| done())
        }
        ParticipantRequest::Enable { who, enabled } => {
            for person in people_named(app, &staff, who).await? {
                people::set_enabled(app, admin, Who::Person(person), enabled).await?;
            }
            Ok(done())
        }
        ParticipantRequest::Move { who, class } => {
            let people = people_named(app, &staff, who).await?;
            classes::move_people(app, admin, class, people).await.map(|()| done())
        }
        ParticipantRequest::Delete { who, preview } => {
            let named = people_named(app, &staff, who.clone()).await?;
            if preview {
                let mut previews = Vec::new();
                for (who, person) in who.into_iter().zip(named) {
                    let preview = people::preview_deletion(app, admin, Who::Person(person)).await?;
                    previews.push(json!({
                        "who": who,
                        "devices": preview.devices,
                        "waiting": preview.waiting,
                        "held": preview.held,
                    }));
                }
                return lines(previews);
            }
            for person in named {
                people::delete(app, admin, Who::Person(person)).await?;
            }
            Ok(done())
        }
        ParticipantRequest::Export { who } => {
            let mut line = Value::from(personal::of(app, admin, who.parse()?).await?);
            line["server"] = app.config().server.name.clone().into();
            Ok(AdminResponse::Lines(vec![line]))
        }
        ParticipantRequest::ResetKeys { who } => {
            let who = who.parse()?;
            people::reset_keys(app, admin, who).await?;
            let id = people::details(app, &staff, who).await?.person.id;
            lines(people::invite(app, &staff, vec![id]).await?)
        }
        ParticipantRequest::Devices { who } => {
            lines(people::details(app, &staff, who.parse()?).await?.devices)
        }
        ParticipantRequest::RevokeDevice { who, device } => {
            let device: DeviceId =
                device.parse().map_err(|_| ServiceError::Admin(super::AdminError::UnknownDevice))?;
            people::revoke_device(app, admin, who.parse()?, device).await.map(|()| done())
        }
        ParticipantRequest::ImportColumns { file, choices } => {
            lines(vec![import::read(admin, file.0, choices).await?])
        }
        ParticipantRequest::Import { file_name, file, dry_run, choices } => {
            if dry_run {
                return lines(import::plan(app, admin, file.0, choices).await?.rows);
            }
            lines(vec![import::import(app, admin, file_name, file.0, choices).await?])
        }
        ParticipantRequest::UndoImport { id } => lines(vec![import::undo(app, admin, id).await?]),
    }
}

/// All of these people, or nobody: one that is not there stops everything before it begins.
async fn people_named(app: &App, staff: &Staff, who: Vec<String>) -> Result<Vec<PersonId>, ServiceError> {
    let mut found = Vec::new();
    for who in who {
        let person = people::details(app, staff, who.parse()?).await?.person.id;
        if !found.contains(&person) {
            found.push(person);
        }
    }
    Ok(found)
}

async fn unregistered(
    app: &App,
    admin: &RecentlyConfirmed,
    class: String,
) -> Result<Vec<PersonId>, ServiceError> {
    let class = app.store.read(move |tx| classes::find_class(tx, &class)).await?.id;
    let filter = PeopleFilter { class: Some(class), unregistered: true, ..PeopleFilter::default() };
    let (rows, _) = people::list(app, &admin.staff(), filter, 0, EVERYTHING).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

async fn class(
    app: &App,
    admin: &RecentlyConfirmed,
    request: ClassRequest,
) -> Result<AdminResponse, ServiceError> {
    let done = || AdminResponse::Lines(vec![json!({ "done": true })]);
    match request {
        ClassRequest::List => {
            lines(classes::list(app, &admin.staff(), String::new(), 0, EVERYTHING).await?.0)
        }
        ClassRequest::Add { name } => {
            let id = classes::add(app, admin, name.clone()).await?;
            Ok(AdminResponse::Lines(vec![json!({ "number": id, "name": name })]))
        }
        ClassRequest::Rename { class, name } => {
            classes::rename(app, admin, class, name).await.map(|()| done())
        }
        ClassRequest::Delete { class } => classes::delete(app, admin, class).await.map(|()| done()),
        ClassRequest::Membership { class, who, is_member } => {
            classes::set_membership(app, admin, class, who.parse()?, is_member).await.map(|()| done())
        }
    }
}

async fn listener(
    app: &App,
    admin: &RecentlyConfirmed,
    request: ListenerRequest,
) -> Result<AdminResponse, ServiceError> {
    match request {
        ListenerRequest::List => {}
        ListenerRequest::Add { address } => drop(listeners::add(app, admin, &address).await?),
        ListenerRequest::Start { address } => {
            listeners::change(app, admin, &address, Action::ListenerStarted).await?;
        }
        ListenerRequest::Stop { address } => {
            listeners::change(app, admin, &address, Action::ListenerStopped).await?;
        }
        ListenerRequest::Remove { address } => {
            listeners::change(app, admin, &address, Action::ListenerRemoved).await?;
        }
    }
    lines(listeners::list(app, admin).await?)
}

async fn certificate(
    app: &App,
    admin: &RecentlyConfirmed,
    request: CertificateRequest,
) -> Result<AdminResponse, ServiceError> {
    use CertificateRequest as R;
    match request {
        R::Status => {}
        R::Use { chain, key } => {
            certificates::upload(app, admin, Upload { chain, key: key.0, acme: false }).await?;
        }
        R::Remove => certificates::remove(app, admin).await?,
        R::AcmeOn { choice, agrees_to_terms } => {
            acme::switch_on(app, admin, choice, agrees_to_terms).await?;
            // Whoever types wants to know; without a server the next start orders it.
            if !app.listeners.running().is_empty() {
                acme::obtain(app).await?;
            }
        }
        R::AcmeOff => acme::switch_off(app, admin).await?,
        R::AcmeRenew => acme::obtain(app).await?,
    }
    lines(vec![certificates::status(app, admin).await?])
}

async fn neighbour(
    app: &App,
    admin: &RecentlyConfirmed,
    request: NeighbourRequest,
) -> Result<AdminResponse, ServiceError> {
    use NeighbourRequest as R;
    let done = || AdminResponse::Lines(vec![json!({ "done": true })]);
    let one = match request {
        R::Invite => return lines(vec![pairing::invite(app, admin).await?]),
        R::List => return lines(neighbours::list(app, admin).await?),
        R::Nearby => {
            let found = nearby::list(app, admin).await?;
            return lines(found.ok_or(super::AdminError::NotLooking)?);
        }
        R::Allow { id, change } => {
            let id = match id {
                Some(id) => Some(neighbours::named(app, &id).await?),
                None => None,
            };
            return lines(contracts::allow(app, admin, id, change).await?);
        }
        R::Remove { id } => {
            let id = neighbours::named(app, &id).await?;
            return pairing::remove(app, admin, id).await.map(|()| done());
        }
        R::TakeOver { id } => {
            let id = neighbours::named(app, &id).await?;
            let participants = taking_over::take_over(app, admin, id).await?;
            return Ok(AdminResponse::Lines(vec![json!({ "participants": participants })]));
        }
        R::AcceptTakeOver { id } => {
            let id = neighbours::named(app, &id).await?;
            let participants = taking_over::accept(app, admin, id).await?;
            return Ok(AdminResponse::Lines(vec![json!({ "participants": participants })]));
        }
        R::AcceptLog { id } => {
            let id = neighbours::named(app, &id).await?;
            return key_logs::accept(app, admin, id).await.map(|()| done());
        }
        R::Settle { participant, home } => {
            let not_disputed = || ServiceError::Admin(super::AdminError::NotDisputed);
            let participant = participant.parse().map_err(|_| not_disputed())?;
            let home = home.parse().map_err(|_| not_disputed())?;
            return pairing::settle(app, admin, participant, home).await.map(|()| done());
        }
        R::BlockedParticipants => return lines(blocking::list(app, admin).await?),
        R::BlockParticipant { participant, blocked } => {
            let participant = participant.parse().map_err(|_| ServiceError::UnknownParticipant)?;
            return blocking::set(app, admin, participant, blocked).await.map(|()| done());
        }
        R::Add { link } => pairing::add(app, admin, &link).await?,
        R::Ask { id } => nearby::ask(app, admin, &id).await?,
        R::Confirm { id } => pairing::confirm(app, admin, neighbours::named(app, &id).await?).await?,
        R::Pause { id } => pairing::pause(app, admin, neighbours::named(app, &id).await?).await?,
        R::Resume { id } => pairing::resume(app, admin, neighbours::named(app, &id).await?).await?,
        R::Block { id } => pairing::block(app, admin, neighbours::named(app, &id).await?).await?,
    };
    lines(vec![one])
}

async fn account(
    app: &App,
    admin: &RecentlyConfirmed,
    request: AccountRequest,
) -> Result<AdminResponse, ServiceError> {
    match request {
        AccountRequest::List => {}
        AccountRequest::Add { name, password, role, classes } => {
            let mut numbers = Vec::new();
            for class in classes {
                numbers.push(app.store.read(move |tx| classes::find_class(tx, &class)).await?.id);
            }
            accounts::add(app, admin, name, password.into(), role, numbers).await?;
        }
        AccountRequest::Delete { name } => accounts::delete(app, admin, name).await?,
    }
    let rows = accounts::list(app, admin).await?;
    let line = |(row, classes): (crate::store::AccountRow, Vec<i64>)| {
        json!({
            "name": row.name, "role": row.role, "one_time_passwords": row.totp_secret.is_some(),
            "classes": classes,
        })
    };
    Ok(AdminResponse::Lines(rows.into_iter().map(line).collect()))
}

async fn invite(app: &App, admin: &RecentlyConfirmed, name: Option<String>) -> Result<Invite, ServiceError> {
    if let Some(name) = name {
        let role = crate::domain::role::Role::Member;
        let person = people::add(app, admin, name, role, None, None).await?;
        let card = people::invite(app, &admin.staff(), vec![person]).await?.pop();
        let card = card.ok_or_else(|| ServiceError::Internal("a new person cannot be invited".into()))?;
        let link: InviteLink =
            card.link.parse().map_err(|_| ServiceError::Internal("an own link cannot be read".into()))?;
        return Ok(Invite { link: card.link, code: link.code, expires_at: card.expires_at });
    }
    let code = InviteCode::random();
    let created_at = app.clock.now();
    let days = app.config().rules.invite_days;
    let expires_at = created_at.plus_days(days);
    let account = admin.account().to_owned();
    let address = app
        .store
        .write(move |tx| {
            let expires = tx.tick().plus_days(days);
            tx.insert_invite(&code_hash(code), None, None, created_at, expires_at, expires)?;
            audit::log(tx, created_at, &account, Action::InvitesMade, "1")?;
            link_address::remembered(tx)
        })
        .await?;
    let address = link_address::or_default(app, address);
    let link = InviteLink { address, code, server: app.fingerprint }.to_string();
    Ok(Invite { link, code, expires_at })
}

/// What a browser on this machine should open: with the set-up code in it while that is needed.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn page_address(app: &App) -> Result<String, ServiceError> {
    let local = app.local_pages.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let base = match local {
        Some(base) => base,
        None => format!("https://{}/admin", link_address::in_force(app).await?),
    };
    if set_up::is_needed(app).await? {
        return Ok(format!("{base}/setup?code={}", set_up::code(app)));
    }
    Ok(base)
}
