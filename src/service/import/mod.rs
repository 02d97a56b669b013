//! Class lists: read, shown as a dry run, put into force, undone.
//!
//! People come with a key of the school's own software or, without one, by name and class. Importing the
//! same list twice changes nothing.

mod matching;
mod performing;
mod undoing;

use serde::{Deserialize, Serialize};

use super::AdminError;
use super::ServiceError;
use super::people::MAX_KEY_CHARACTERS;
use super::permission::Admin;
use crate::domain::class_list::{self, Choices, ClassList, ClassListError, Entry, RowFault};
use crate::domain::role::Role;
use crate::state::App;
use crate::store::{ImportId, PersonId, ReadTx};
use matching::Matching;

pub use crate::domain::class_list::MAX_FILE_BYTES;
pub use performing::import;
pub use undoing::undo;

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
    /// No name, too long a name, or one with characters that cannot be seen.
    #[error("the name is missing, too long or has characters that cannot be shown")]
    Name,
    /// A class name that is too long or has characters that cannot be seen.
    #[error("the class is too long or has characters that cannot be shown")]
    Class,
    /// A key that is too long.
    #[error("the key is too long")]
    Key,
    /// The same key stands in an earlier row.
    #[error("the same key stands in an earlier row")]
    Repeated,
    /// The same name in the same class stands in an earlier row, and nobody said whether these are two people.
    #[error("the same name stands in the same class in an earlier row: one person or two?")]
    Namesake,
    /// An unknown role.
    #[error("the role is unknown")]
    Role,
    /// It is no person at all.
    #[error(transparent)]
    #[serde(untagged)]
    Unread(#[from] RowFault),
}

/// The dry run of a list.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The list as it is understood, without its rows.
    pub list: ClassList,
    /// What each row would do.
    pub rows: Vec<PlannedRow>,
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
    /// The family name as a list said it.
    #[serde(default)]
    family_name: (String, String),
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
        Self::Admin(match error {
            ClassListError::Empty => AdminError::EmptyList,
            ClassListError::DamagedWorkbook => AdminError::ListIsDamagedWorkbook,
            ClassListError::OldWorkbook => AdminError::ListIsOldWorkbook,
            ClassListError::OpenDocument => AdminError::ListIsOpenDocument,
            ClassListError::Document => AdminError::ListIsDocument,
            ClassListError::Markup => AdminError::ListIsMarkup,
            ClassListError::NoText => AdminError::ListIsNoText,
            ClassListError::TooLarge => AdminError::ListIsTooLarge,
        })
    }
}

/// Reads a list and nothing else.
///
/// # Errors
/// What [`AdminError`] says of files that are no lists.
pub async fn read(_: &Admin, file: Vec<u8>, choices: Choices) -> Result<ClassList, ServiceError> {
    // Unpacking a workbook takes its time.
    let read = tokio::task::spawn_blocking(move || class_list::read(&file, &choices)).await;
    Ok(read.map_err(|error| ServiceError::Internal(error.to_string()))??)
}

/// The dry run: what each row would do. Changes nothing.
///
/// # Errors
/// As [`read`].
pub async fn plan(app: &App, admin: &Admin, file: Vec<u8>, choices: Choices) -> Result<Plan, ServiceError> {
    let namesakes = choices.namesakes;
    let mut list = read(admin, file, choices).await?;
    let rows = std::mem::take(&mut list.rows);
    // Without names every row would be a fault; what is missing is a column.
    let rows = if list.has_names() { rows } else { Vec::new() };
    let rows = app
        .store
        .read(move |tx| {
            let mut matching = Matching::new(namesakes);
            rows.into_iter().map(|(line, row)| plan_row(tx, line, row, &mut matching)).collect()
        })
        .await?;
    Ok(Plan { list, rows })
}

fn plan_row(
    tx: &ReadTx<'_>,
    line: u64,
    row: Result<Entry, RowFault>,
    matching: &mut Matching,
) -> Result<PlannedRow, ServiceError> {
    let (entry, result) = match row {
        Err(fault) => (Entry::default(), Err(fault.into())),
        Ok(entry) => {
            let result = match check(&entry).and_then(|()| matching.note(&entry)) {
                Err(error) => Err(error),
                Ok(()) => Ok(matching.find(tx, &entry)?.effect(tx, &entry)?),
            };
            (entry, result)
        }
    };
    let (name, class) = (class_list::shown(&entry.name, 100), class_list::shown(&entry.class, 100));
    Ok(PlannedRow { line, name, class, result })
}

fn check(entry: &Entry) -> Result<(), RowError> {
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
    Ok(())
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
