//! People: who is invited, who has registered, and what an admin may do about them.

use momedo_protocol::api::DeviceJoined;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::invite::{InviteCode, InviteLink};
use momedo_protocol::name::tidied;
use momedo_protocol::time::UnixMillis;
use serde::Serialize;

use super::AdminError;
use super::audit::{self, Action};
use super::naming::check_name;
use super::permission::{Admin, RecentlyConfirmed, Staff};
use super::registration::code_hash;
use super::{ServiceError, devices, link_address, personal};
use crate::domain::role::Role;
use crate::state::App;
use crate::store::{NewPerson, ParticipantState, PeopleFilter, PersonId, PersonRow, ReadTx, Tick, WriteTx};

/// Longest number of other software, in characters.
pub const MAX_KEY_CHARACTERS: usize = 64;

pub use crate::live::printed::Card;

/// A device as the admin sees it.
#[derive(Debug, Clone, Serialize)]
pub struct Device {
    /// Its ID.
    pub id: DeviceId,
    /// When it was last seen, to the day.
    pub seen_at: UnixMillis,
    /// Whether it is connected.
    pub online: bool,
    /// Whether its queue was dropped because it was not seen for a month.
    pub parked: bool,
    /// Envelopes that wait for it.
    pub waiting: u64,
    /// How it joined, as far as that is known: through another one that is to be locked out, perhaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined: Option<DeviceJoined>,
}

/// One person with everything the admin may see of them.
#[derive(Debug, Clone)]
pub struct Details {
    /// As listed.
    pub person: PersonRow,
    /// Numbers of their classes.
    pub classes: Vec<i64>,
    /// Their devices.
    pub devices: Vec<Device>,
    /// Fingerprint of the signature key, grouped; empty before registration.
    pub fingerprint: String,
    /// Version of the key bundle.
    pub bundle_version: u64,
    /// Whether keys were reset and no new ones published yet.
    pub awaits_keys: bool,
}

/// What deleting somebody deletes.
#[derive(Debug, Clone, Serialize)]
pub struct DeletionPreview {
    /// Devices that are locked out.
    pub devices: u64,
    /// Envelopes that wait for them.
    pub waiting: u64,
    /// Everything by table, as an export shows it.
    pub held: Vec<Held>,
}

/// How much one table holds about somebody.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Held {
    /// The table.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
}

/// Whom a use case is about, as people type it.
#[derive(Debug, Clone, Copy)]
pub enum Who {
    /// By the number of the list.
    Person(PersonId),
    /// By the ID.
    Participant(ParticipantId),
}

impl std::str::FromStr for Who {
    type Err = ServiceError;
    fn from_str(text: &str) -> Result<Self, ServiceError> {
        if let Some(number) = text.strip_prefix('#') {
            let number = number.parse().map_err(|_| AdminError::UnknownPerson)?;
            return Ok(Self::Person(PersonId(number)));
        }
        Ok(Self::Participant(text.parse().map_err(|_| AdminError::UnknownPerson)?))
    }
}

pub(super) fn find(tx: &ReadTx<'_>, who: Who) -> Result<PersonRow, ServiceError> {
    let found = match who {
        Who::Person(id) => tx.find_person(id)?,
        Who::Participant(id) => tx.find_person_of(id)?,
    };
    Ok(found.ok_or(AdminError::UnknownPerson)?)
}

/// As [`find`], and only within the classes the staff looks after.
fn find_for(tx: &ReadTx<'_>, staff: &Staff, who: Who) -> Result<PersonRow, ServiceError> {
    let person = find(tx, who)?;
    if let Some(classes) = staff.classes() {
        let own = tx.classes_of(person.id)?;
        if !own.iter().any(|class| classes.contains(class)) {
            return Err(AdminError::UnknownPerson.into());
        }
    }
    Ok(person)
}

/// How a person is named in the log.
pub(super) fn subject(person: &PersonRow) -> String {
    match person.participant {
        Some(id) => format!("{} ({id})", person.name),
        None => person.name.clone(),
    }
}

/// One page of people, and how many there are in all.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(
    app: &App,
    staff: &Staff,
    mut filter: PeopleFilter,
    offset: u64,
    limit: u64,
) -> Result<(Vec<PersonRow>, u64), ServiceError> {
    filter.within = staff.classes().map(<[i64]>::to_vec);
    app.store.read(move |tx| Ok(tx.list_people(&filter, offset, limit)?)).await
}

/// Adds a person, who can then be invited.
///
/// # Errors
/// [`AdminError::UnacceptableName`], [`AdminError::UnknownClass`] or [`AdminError::KeyTaken`].
pub async fn add(
    app: &App,
    admin: &Admin,
    name: String,
    role: Role,
    class: Option<i64>,
    external_key: Option<String>,
) -> Result<PersonId, ServiceError> {
    let name = tidied(&name);
    check_name(&name)?;
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            if let Some(key) = &external_key
                && tx.find_person_by_key(key)?.is_some()
            {
                return Err(AdminError::KeyTaken.into());
            }
            let person = NewPerson {
                name: &name,
                family_name: "",
                role,
                external_key: external_key.as_deref(),
                created_at: now,
                participant: None,
                import: None,
            };
            let id = tx.insert_person(&person)?;
            if let Some(class) = class {
                tx.find_class(class)?.ok_or(AdminError::UnknownClass)?;
                tx.add_to_class(class, id)?;
            }
            audit::log_about(tx, now, &account, Action::PersonAdded, &name, id)?;
            Ok(id)
        })
        .await
}

/// How many of these people have a card that could still be used; making new ones ends those.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn open_cards(app: &App, staff: &Staff, people: Vec<PersonId>) -> Result<u64, ServiceError> {
    let staff = staff.clone();
    app.store
        .read(move |tx| {
            let mut open = 0;
            for id in people {
                open += u64::from(find_for(tx, &staff, Who::Person(id))?.invited_until.is_some());
            }
            Ok(open)
        })
        .await
}

/// Makes fresh invites for people who have not registered or whose keys were reset; older ones of theirs
/// end. People with neither are left out.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn invite(app: &App, staff: &Staff, people: Vec<PersonId>) -> Result<Vec<Card>, ServiceError> {
    let (now, staff) = (app.clock.now(), staff.clone());
    let days = app.config().rules.invite_days;
    let (cards, address) = app
        .store
        .write(move |tx| {
            let mut cards = Vec::new();
            for id in people {
                let person = find_for(tx, &staff, Who::Person(id))?;
                if let Some(card) = invite_person(tx, &person, now, days)? {
                    cards.push(card);
                }
            }
            let count = cards.len().to_string();
            if let [(card, _)] = cards.as_slice() {
                let (account, action) = (staff.account(), Action::InvitesMade);
                audit::log_about(tx, now, account, action, &card.name, card.person)?;
            } else if !cards.is_empty() {
                audit::log(tx, now, staff.account(), Action::InvitesMade, &count)?;
            }
            Ok::<_, ServiceError>((cards, link_address::remembered(tx)?))
        })
        .await?;
    let address = link_address::or_default(app, address);
    let link = |code| InviteLink { address: address.clone(), code, server: app.fingerprint }.to_string();
    Ok(cards.into_iter().map(|(card, code)| Card { link: link(code), ..card }).collect())
}

fn invite_person(
    tx: &WriteTx<'_>,
    person: &PersonRow,
    now: UnixMillis,
    days: u64,
) -> Result<Option<(Card, InviteCode)>, ServiceError> {
    if let Some(participant) = person.participant
        && !tx.find_participant(participant)?.is_some_and(|row| row.key_reset_allowed)
    {
        return Ok(None);
    }
    let code = InviteCode::random();
    let expires_at = now.plus_days(days);
    tx.end_invites(person.id)?;
    tx.insert_invite(
        &code_hash(code),
        Some(&person.name),
        Some(person.id),
        now,
        expires_at,
        tx.tick().plus_days(days),
    )?;
    let card = Card {
        person: person.id,
        name: person.name.clone(),
        classes: person.classes.clone(),
        link: String::new(),
        expires_at,
    };
    Ok(Some((card, code)))
}

/// Everything about one person.
///
/// # Errors
/// [`AdminError::UnknownPerson`].
pub async fn details(app: &App, staff: &Staff, who: Who) -> Result<Details, ServiceError> {
    let staff = staff.clone();
    let now = app.clock.now();
    let (person, classes, rows, bundle, awaits_keys, tick) = app
        .store
        .read(move |tx| {
            let person = find_for(tx, &staff, who)?;
            let classes = tx.classes_of(person.id)?;
            let mut rows = Vec::new();
            let mut awaits_keys = false;
            let mut bundle = None;
            if let Some(participant) = person.participant {
                for device in tx.list_devices(participant)? {
                    let waiting = tx.count_waiting(device.id)?;
                    rows.push((device, waiting));
                }
                awaits_keys = tx.find_participant(participant)?.is_some_and(|row| row.key_reset_allowed);
                bundle = tx.current_bundle(participant)?;
            }
            Ok::<_, ServiceError>((person, classes, rows, bundle, awaits_keys, tx.tick()))
        })
        .await?;
    let seen_at = |seen: Tick| UnixMillis(now.0.saturating_sub(tick.0.saturating_sub(seen.0)));
    let devices = rows
        .into_iter()
        .map(|(row, waiting)| Device {
            id: row.id,
            seen_at: seen_at(row.seen),
            online: app.hub.is_online(row.participant, row.id),
            parked: row.parked,
            waiting,
            joined: row.joined,
        })
        .collect();
    let bundle_version = bundle.as_ref().map_or(0, |row| row.version);
    let fingerprint = match bundle {
        None => String::new(),
        Some(row) => super::documents::fingerprint_of(&row.bundle)?.grouped(),
    };
    Ok(Details { person, classes, devices, fingerprint, bundle_version, awaits_keys })
}

/// Renames a person. What a registered participant is called by others stands in their own signed bundle.
///
/// # Errors
/// [`AdminError::UnknownPerson`] or [`AdminError::UnacceptableName`].
pub async fn rename(app: &App, admin: &Admin, who: Who, name: String) -> Result<(), ServiceError> {
    let name = tidied(&name);
    check_name(&name)?;
    change(app, admin, who, Action::PersonRenamed, move |tx, person| {
        tx.rename_person(person.id, &name, &person.family_name)?;
        Ok(format!("{} → {name}", person.name))
    })
    .await
    .map(drop)
}

/// Sets a person's role.
///
/// # Errors
/// [`AdminError::UnknownPerson`].
pub async fn set_role(app: &App, admin: &Admin, who: Who, role: Role) -> Result<(), ServiceError> {
    change(app, admin, who, Action::RoleChanged, move |tx, person| {
        tx.set_role(person.id, role)?;
        Ok(format!("{}: {role}", subject(person)))
    })
    .await
    .map(drop)
}

/// Locks a participant out, or lets them in again; mail goes on waiting.
///
/// # Errors
/// [`AdminError::UnknownPerson`] or [`AdminError::NotRegistered`].
pub async fn set_enabled(app: &App, admin: &Admin, who: Who, enabled: bool) -> Result<(), ServiceError> {
    let (action, state) = if enabled {
        (Action::ParticipantEnabled, ParticipantState::Active)
    } else {
        (Action::ParticipantDisabled, ParticipantState::Disabled)
    };
    let person = change(app, admin, who, action, move |tx, person| {
        let participant = person.participant.ok_or(AdminError::NotRegistered)?;
        tx.set_participant_state(participant, state)?;
        Ok(subject(person))
    })
    .await?;
    if !enabled {
        disconnect(app, person).await?;
    }
    Ok(())
}

/// What deleting a person would delete.
///
/// # Errors
/// [`AdminError::UnknownPerson`].
pub async fn preview_deletion(app: &App, _: &Admin, who: Who) -> Result<DeletionPreview, ServiceError> {
    app.store
        .read(move |tx| {
            let person = find(tx, who)?;
            let held = tx.count_personal(&personal::subject(&person))?;
            let held = held.into_iter().map(|(table, rows)| Held { table, rows }).collect();
            let mut preview = DeletionPreview { devices: 0, waiting: 0, held };
            if let Some(participant) = person.participant {
                for device in tx.list_devices(participant)? {
                    preview.devices += 1;
                    preview.waiting += tx.count_waiting(device.id)?;
                }
            }
            Ok(preview)
        })
        .await
}

/// Erases everything about a person: invites and memberships, and of a participant also devices, waiting mail,
/// keys, key backup and reports. The ID is never given again; the log keeps the number alone.
///
/// # Errors
/// [`AdminError::UnknownPerson`].
pub async fn delete(app: &App, admin: &RecentlyConfirmed, who: Who) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let participant = app
        .store
        // On a full disk too: whoever fills it must be stoppable.
        .write_freeing(move |tx| {
            let person = find(tx, who)?;
            personal::erase(tx, now, &account, &personal::subject(&person))?;
            Ok::<_, ServiceError>(person.participant)
        })
        .await?;
    personal::after_erasure(app, participant).await;
    Ok(())
}

/// Lets a participant who lost every device begin anew under the same ID: devices are locked out, and the
/// next invite gives new keys. Contacts are told, and stop sending until they confirm.
///
/// # Errors
/// [`AdminError::UnknownPerson`] or [`AdminError::NotRegistered`].
pub async fn reset_keys(app: &App, admin: &RecentlyConfirmed, who: Who) -> Result<(), ServiceError> {
    let now = app.clock.now();
    let person = change(app, admin, who, Action::KeysReset, move |tx, person| {
        let participant = person.participant.ok_or(AdminError::NotRegistered)?;
        for device in tx.list_devices(participant)? {
            tx.drop_queue(device.id)?;
            tx.revoke_device(device.id, now)?;
        }
        // Also of somebody who has no device any more.
        tx.end_key_backup(participant, now, None)?;
        tx.allow_key_reset(participant)?;
        Ok(subject(person))
    })
    .await?;
    disconnect(app, person).await
}

/// Locks one device out: a lost phone, say. The key backup ends with it, and whichever of the participant's other
/// devices comes first makes every key anew.
///
/// # Errors
/// [`AdminError::UnknownPerson`] or [`AdminError::UnknownDevice`].
pub async fn revoke_device(app: &App, admin: &Admin, who: Who, device: DeviceId) -> Result<(), ServiceError> {
    let now = app.clock.now();
    let person = change(app, admin, who, Action::DeviceRevoked, move |tx, person| {
        let participant = person.participant.ok_or(AdminError::UnknownDevice)?;
        let row = tx.find_device(device)?.filter(|row| row.participant == participant && !row.revoked);
        row.ok_or(AdminError::UnknownDevice)?;
        tx.drop_queue(device)?;
        tx.revoke_device(device, now)?;
        Ok(format!("{}: {device}", subject(person)))
    })
    .await?;
    if let Some(participant) = person.participant {
        devices::end(app, participant, &[device]);
    }
    Ok(())
}

async fn change(
    app: &App,
    admin: &Admin,
    who: Who,
    action: Action,
    work: impl FnOnce(&mut WriteTx<'_>, &PersonRow) -> Result<String, ServiceError> + Send + 'static,
) -> Result<PersonRow, ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    // On a full disk too: whoever fills it must be stoppable.
    app.store.write_freeing(move |tx| changed(tx, now, &account, who, action, work)).await
}

fn changed(
    tx: &mut WriteTx<'_>,
    now: UnixMillis,
    account: &str,
    who: Who,
    action: Action,
    work: impl FnOnce(&mut WriteTx<'_>, &PersonRow) -> Result<String, ServiceError>,
) -> Result<PersonRow, ServiceError> {
    let person = find(tx, who)?;
    let subject = work(tx, &person)?;
    audit::log_about(tx, now, account, action, &subject, person.id)?;
    Ok(person)
}

/// Ends sessions and streams of everything a participant has.
async fn disconnect(app: &App, person: PersonRow) -> Result<(), ServiceError> {
    if let Some(participant) = person.participant {
        app.hub.disconnect_participant(participant);
        app.sessions.end_participant(participant);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
