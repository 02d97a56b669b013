//! Class lists as CSV: read, shown as a dry run, put into force, undone.
//!
//! People come with a key of the school's own software or, without one, by name and class. Importing the
//! same list twice changes nothing.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::AdminError;
use super::ServiceError;
use super::audit::{self, Action};
use super::people::MAX_KEY_CHARACTERS;
use super::permission::Admin;
use super::personal;
use crate::domain::class_list::{self, ClassListError, Entry};
use crate::domain::folding::folded;
use crate::domain::role::Role;
use crate::state::App;
use crate::store::{ImportId, NewPerson, PersonId, PersonRow, ReadTx, WriteTx};
use momedo_protocol::time::UnixMillis;

/// Largest file, in bytes: some ten thousand people.
pub const MAX_FILE_BYTES: usize = 2 * 1024 * 1024;

/// What a row would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Adds a person.
    Adds,
    /// Changes a person's name, role or classes.
    Changes,
    /// Nothing: everything is so already.
    Unchanged,
}

/// A row of the dry run.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedRow {
    /// Its line in the file, from 1.
    pub line: u64,
    /// The name in it.
    pub name: String,
    /// The class in it.
    pub class: String,
    /// What it would do, or why it cannot be used.
    #[serde(serialize_with = "in_words")]
    pub result: Result<Effect, RowError>,
}

/// `adds`, or `error: the name is missing …`.
fn in_words<S: serde::Serializer>(
    result: &Result<Effect, RowError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match result {
        Ok(effect) => effect.serialize(serializer),
        Err(error) => serializer.collect_str(&format_args!("error: {error}")),
    }
}

/// Why a row cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum RowError {
    /// No name, too long a name, or one with control characters.
    #[error("the name is missing, too long or has characters that cannot be shown")]
    Name,
    /// A class name that is too long or has control characters.
    #[error("the class is too long or has characters that cannot be shown")]
    Class,
    /// A key that is too long.
    #[error("the key is too long")]
    Key,
    /// The same key, or the same name in the same class, stands in an earlier row.
    #[error("the same person stands in an earlier row")]
    Repeated,
    /// An unknown role.
    #[error("the role is unknown")]
    Role,
    /// Fewer or more fields than the first line.
    #[error("the row has not as many fields as the first line")]
    Fields,
}

/// What an import did.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Imported {
    /// For undoing it.
    pub id: ImportId,
    /// People added.
    pub added: u64,
    /// People changed.
    pub changed: u64,
    /// Rows that changed nothing.
    pub unchanged: u64,
    /// Rows that could not be used.
    pub faulty: u64,
}

/// What undoing an import did.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Undone {
    /// People deleted again.
    pub deleted: u64,
    /// People put back to what they were.
    pub put_back: u64,
    /// People who had registered meanwhile and were kept.
    pub kept: u64,
}

/// What undoing needs to know.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    /// People who were changed.
    people: Vec<Changed>,
    /// Classes that were made.
    classes: Vec<i64>,
}

/// What a changed person was, and became: only what still is as it became is put back.
#[derive(Debug, Serialize, Deserialize)]
struct Changed {
    person: PersonId,
    name: (String, String),
    role: (Role, Role),
    /// Whether they got their key from the list.
    takes_key: bool,
    /// The class they were put into, and leave again by undoing.
    joined: Option<i64>,
    /// Classes of earlier lists that they left.
    #[serde(default)]
    left: Vec<i64>,
}

impl From<ClassListError> for ServiceError {
    fn from(error: ClassListError) -> Self {
        match error {
            ClassListError::NoNames => Self::Admin(AdminError::ListWithoutNames),
            ClassListError::Empty => Self::Admin(AdminError::EmptyList),
        }
    }
}

/// The dry run: what each row would do. Changes nothing.
///
/// # Errors
/// [`AdminError::ListWithoutNames`] when the first line names no columns, or [`AdminError::EmptyList`].
pub async fn plan(app: &App, _: &Admin, file: &[u8]) -> Result<Vec<PlannedRow>, ServiceError> {
    let rows = class_list::parse(file)?;
    app.store
        .read(move |tx| {
            let mut seen = HashSet::new();
            rows.into_iter().map(|row| plan_row(tx, row, &mut seen)).collect()
        })
        .await
}

fn plan_row(
    tx: &ReadTx<'_>,
    (line, entry): (u64, Option<Entry>),
    seen: &mut HashSet<String>,
) -> Result<PlannedRow, ServiceError> {
    let Some(entry) = entry else {
        let (name, class) = (String::new(), String::new());
        return Ok(PlannedRow { line, name, class, result: Err(RowError::Fields) });
    };
    let result = match check(&entry, seen) {
        Err(error) => Err(error),
        Ok(()) => Ok(effect(tx, &entry)?),
    };
    let shorten = |text: String| text.chars().take(100).collect();
    Ok(PlannedRow { line, name: shorten(entry.name), class: shorten(entry.class), result })
}

fn check(entry: &Entry, seen: &mut HashSet<String>) -> Result<(), RowError> {
    use momedo_protocol::name::is_acceptable_name;
    if !is_acceptable_name(&entry.name) {
        return Err(RowError::Name);
    }
    if !entry.class.is_empty() && !is_acceptable_name(&entry.class) {
        return Err(RowError::Class);
    }
    if entry.key.chars().count() > MAX_KEY_CHARACTERS || entry.key.chars().any(char::is_control) {
        return Err(RowError::Key);
    }
    if entry.role().is_none() {
        return Err(RowError::Role);
    }
    let identity = if entry.key.is_empty() {
        format!("name {}\n{}", folded(&entry.name), entry.class)
    } else {
        format!("key {}", entry.key)
    };
    if seen.insert(identity) { Ok(()) } else { Err(RowError::Repeated) }
}

fn existing(tx: &ReadTx<'_>, entry: &Entry) -> Result<Option<PersonRow>, ServiceError> {
    if !entry.key.is_empty()
        && let Some(known) = tx.find_person_by_key(&entry.key)?
    {
        return Ok(Some(known));
    }
    // Somebody entered by hand, without a key, is taken for the same person and gets it.
    if entry.class.is_empty() {
        return Ok(tx.find_person_by_name(&entry.name, None)?);
    }
    match tx.class_number(&entry.class)? {
        None => Ok(None),
        Some(class) => Ok(tx.find_person_by_name(&entry.name, Some(class))?),
    }
}

fn is_in_class(tx: &ReadTx<'_>, person: PersonId, class: &str) -> Result<bool, ServiceError> {
    if class.is_empty() {
        return Ok(true);
    }
    let Some(class) = tx.class_number(class)? else { return Ok(false) };
    // Still in a class of an earlier list, they have to leave that one.
    let others = tx.classes_by_list(person)?.iter().any(|other| *other != class);
    Ok(tx.classes_of(person)?.contains(&class) && !others)
}

fn effect(tx: &ReadTx<'_>, entry: &Entry) -> Result<Effect, ServiceError> {
    let Some(person) = existing(tx, entry)? else { return Ok(Effect::Adds) };
    let same_role = entry.role.is_empty() || entry.role() == Some(person.role);
    let same_key = entry.key.is_empty() || person.external_key.as_ref() == Some(&entry.key);
    let same =
        person.name == entry.name && same_key && same_role && is_in_class(tx, person.id, &entry.class)?;
    Ok(if same { Effect::Unchanged } else { Effect::Changes })
}

/// Imports a list; rows that cannot be used are left out.
///
/// # Errors
/// As [`plan`].
pub async fn import(
    app: &App,
    admin: &Admin,
    file_name: String,
    file: &[u8],
) -> Result<Imported, ServiceError> {
    let rows = class_list::parse(file)?;
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let file_name: String = file_name.chars().filter(|c| !c.is_control()).take(100).collect();
    app.store
        .write(move |tx| {
            let id = tx.insert_import(now, &account, &file_name)?;
            let mut imported = Imported { id, added: 0, changed: 0, unchanged: 0, faulty: 0 };
            let (mut seen, mut memory) = (HashSet::new(), Memory::default());
            for (_, entry) in rows {
                let Some(entry) = entry.filter(|entry| check(entry, &mut seen).is_ok()) else {
                    imported.faulty += 1;
                    continue;
                };
                match effect(tx, &entry)? {
                    Effect::Unchanged => imported.unchanged += 1,
                    Effect::Adds => {
                        add(tx, &entry, id, now, &mut memory)?;
                        imported.added += 1;
                    }
                    Effect::Changes => {
                        alter(tx, &entry, now, &mut memory)?;
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
) -> Result<(), ServiceError> {
    let person = tx.insert_person(&NewPerson {
        name: &entry.name,
        role: entry.role().unwrap_or_default(),
        external_key: Some(entry.key.as_str()).filter(|key| !key.is_empty()),
        created_at: now,
        participant: None,
        import: Some(import),
    })?;
    if let Some(class) = class_id(tx, &entry.class, now, memory)? {
        tx.add_to_class_by_list(class, person)?;
    }
    Ok(())
}

fn alter(
    tx: &mut WriteTx<'_>,
    entry: &Entry,
    now: UnixMillis,
    memory: &mut Memory,
) -> Result<(), ServiceError> {
    let Some(person) = existing(tx, entry)? else { return Ok(()) };
    if person.name != entry.name {
        tx.rename_person(person.id, &entry.name)?;
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
        role: (person.role, role),
        takes_key,
        joined,
        left,
    });
    Ok(())
}

/// Undoes an import: who came with it and has not registered goes; who was changed is put back.
///
/// # Errors
/// [`AdminError::UnknownImport`] or [`AdminError::AlreadyUndone`].
pub async fn undo(app: &App, admin: &Admin, id: ImportId) -> Result<Undone, ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let row = tx.find_import(id)?.ok_or(AdminError::UnknownImport)?;
            if row.undone {
                return Err(AdminError::AlreadyUndone.into());
            }
            let memory: Memory = serde_json::from_str(&row.before)
                .map_err(|error| ServiceError::Internal(error.to_string()))?;
            let mut undone = Undone { deleted: 0, put_back: 0, kept: 0 };
            for (person, has_registered) in tx.people_of_import(id)? {
                if has_registered {
                    undone.kept += 1;
                } else {
                    if let Some(row) = tx.find_person(person)? {
                        tx.erase(&personal::subject(&row))?;
                    }
                    undone.deleted += 1;
                }
            }
            for changed in memory.people {
                let Some(person) = tx.find_person(changed.person)? else { continue };
                if person.name == changed.name.1 {
                    tx.rename_person(person.id, &changed.name.0)?;
                }
                if person.role == changed.role.1 && changed.role.0 != changed.role.1 {
                    tx.set_role(person.id, changed.role.0)?;
                }
                if changed.takes_key {
                    tx.set_external_key(person.id, None)?;
                }
                if let Some(class) = changed.joined {
                    tx.remove_from_class(class, person.id)?;
                }
                for class in changed.left {
                    // It may have been deleted since.
                    if tx.find_class(class)?.is_some() {
                        tx.add_to_class_by_list(class, person.id)?;
                    }
                }
                undone.put_back += 1;
            }
            for class in memory.classes {
                tx.delete_class_if_empty(class)?;
            }
            tx.mark_import_undone(id, now)?;
            audit::log(tx, now, &account, Action::ImportUndone, &row.file_name)?;
            Ok(undone)
        })
        .await
}

/// The newest imports.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn recent(app: &App, _: &Admin) -> Result<Vec<crate::store::ImportRow>, ServiceError> {
    app.store.read(|tx| Ok(tx.list_imports(10)?)).await
}

#[cfg(test)]
mod tests;
