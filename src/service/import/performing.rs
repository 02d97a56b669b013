//! A list put into force.

use super::matching::{Match, Matching};
use super::{Changed, Effect, Imported, Memory, check, read};
use crate::domain::class_list::{Choices, Entry};
use crate::service::audit::{self, Action};
use crate::service::permission::Admin;
use crate::service::{AdminError, ServiceError};
use crate::state::App;
use crate::store::{ImportId, NewPerson, PersonId, WriteTx};
use momedo_protocol::time::UnixMillis;

/// Imports a list; rows that cannot be used are left out.
///
/// # Errors
/// [`AdminError::ListWithoutNames`] when no column holds names, [`AdminError::ListIsUncertain`] when what the columns mean is
/// guessed and nobody said that it is right; else as [`read`].
pub async fn import(
    app: &App,
    admin: &Admin,
    file_name: String,
    file: Vec<u8>,
    choices: Choices,
) -> Result<Imported, ServiceError> {
    let namesakes = choices.namesakes;
    let list = read(admin, file, choices).await?;
    if !list.has_names() {
        return Err(AdminError::ListWithoutNames.into());
    }
    if !list.is_certain {
        return Err(AdminError::ListIsUncertain.into());
    }
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let file_name: String = file_name.chars().filter(|c| !c.is_control()).take(100).collect();
    app.store
        .write(move |tx| {
            let id = tx.insert_import(now, &account, &file_name)?;
            let mut imported = Imported { id, added: 0, changed: 0, unchanged: 0, faulty: 0 };
            let (mut matching, mut memory) = (Matching::new(namesakes), Memory::default());
            for (_, row) in list.rows {
                let usable =
                    row.ok().filter(|entry| check(entry).and_then(|()| matching.note(entry)).is_ok());
                let Some(entry) = usable else {
                    imported.faulty += 1;
                    continue;
                };
                let found = matching.find(tx, &entry)?;
                match found.effect(tx, &entry)? {
                    Effect::Unchanged => imported.unchanged += 1,
                    Effect::Adds => {
                        let person = add(tx, &entry, id, now, &mut memory)?;
                        matching.take(person);
                        imported.added += 1;
                    }
                    Effect::Changes => {
                        alter(tx, found, &entry, now, &mut memory)?;
                        imported.changed += 1;
                    }
                }
            }
            let json =
                serde_json::to_string(&memory).map_err(|error| ServiceError::Internal(error.to_string()))?;
            tx.complete_import(id, imported.added, imported.changed, &json)?;
            let subject = format!("{file_name}: +{} ~{}", imported.added, imported.changed);
            audit::log(tx, now, &account, Action::ListImported, &subject)?;
            Ok(imported)
        })
        .await
}

fn class_id(
    tx: &WriteTx<'_>,
    name: &str,
    now: UnixMillis,
    memory: &mut Memory,
) -> Result<Option<i64>, ServiceError> {
    if name.is_empty() {
        return Ok(None);
    }
    Ok(Some(match tx.class_number(name)? {
        Some(class) => class,
        None => {
            let class = tx.insert_class(name, now)?;
            memory.classes.push(class);
            class
        }
    }))
}

fn add(
    tx: &WriteTx<'_>,
    entry: &Entry,
    import: ImportId,
    now: UnixMillis,
    memory: &mut Memory,
) -> Result<PersonId, ServiceError> {
    let person = tx.insert_person(&NewPerson {
        name: &entry.name,
        family_name: &entry.family_name,
        role: entry.role().unwrap_or_default(),
        external_key: Some(entry.key.as_str()).filter(|key| !key.is_empty()),
        created_at: now,
        participant: None,
        import: Some(import),
    })?;
    if let Some(class) = class_id(tx, &entry.class, now, memory)? {
        tx.add_to_class_by_list(class, person)?;
    }
    Ok(person)
}

fn alter(
    tx: &mut WriteTx<'_>,
    found: Match,
    entry: &Entry,
    now: UnixMillis,
    memory: &mut Memory,
) -> Result<(), ServiceError> {
    let Some(person) = found.0 else { return Ok(()) };
    let family_name = match entry.family_name.as_str() {
        "" => person.family_name.clone(),
        said => said.to_owned(),
    };
    if (&person.name, &person.family_name) != (&entry.name, &family_name) {
        tx.rename_person(person.id, &entry.name, &family_name)?;
    }
    let takes_key = !entry.key.is_empty() && person.external_key.is_none();
    if takes_key {
        tx.set_external_key(person.id, Some(&entry.key))?;
    }
    let role = entry.role().filter(|_| !entry.role.is_empty()).unwrap_or(person.role);
    if role != person.role {
        tx.set_role(person.id, role)?;
    }
    let (mut joined, mut left) = (None, Vec::new());
    if let Some(class) = class_id(tx, &entry.class, now, memory)? {
        // A list names one class for each person, so another one is a move. What admins did by hand stays.
        for other in tx.classes_by_list(person.id)?.into_iter().filter(|other| *other != class) {
            tx.remove_from_class(other, person.id)?;
            left.push(other);
        }
        if tx.add_to_class_by_list(class, person.id)? {
            joined = Some(class);
        }
    }
    memory.people.push(Changed {
        person: person.id,
        name: (person.name, entry.name.clone()),
        family_name: (person.family_name, family_name),
        role: (person.role, role),
        takes_key,
        joined,
        left,
    });
    Ok(())
}
