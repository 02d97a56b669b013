//! Classes: lists of people kept by admins, a class, a team, an office. What people say to each other in
//! groups is not here: members sign that among themselves.

use momedo_protocol::name::tidied;
use serde::Serialize;

use super::AdminError;
use super::ServiceError;
use super::audit::{self, Action};
use super::naming::check_name;
use super::people::{self, Who};
use super::permission::{Admin, Staff};
use crate::domain::folding::sort_key;
use crate::state::App;
use crate::store::{ClassRow, PersonId, ReadTx};

/// A class as shown.
#[derive(Debug, Clone, Serialize)]
pub struct Class {
    /// Names it.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// People in it.
    pub members: u64,
    /// People in it who have registered.
    pub registered: u64,
}

impl From<ClassRow> for Class {
    fn from(row: ClassRow) -> Self {
        Self { id: row.id, name: row.name, members: row.members, registered: row.registered }
    }
}

/// The class of this name or, with `#` before it, of this number.
pub(super) fn find_class(tx: &ReadTx<'_>, name: &str) -> Result<ClassRow, ServiceError> {
    let found = match name.strip_prefix('#').and_then(|number| number.parse().ok()) {
        Some(number) => tx.find_class(number)?,
        None => tx.find_class_by_name(&tidied(name))?,
    };
    Ok(found.ok_or(AdminError::UnknownClass)?)
}

/// One page of classes, and how many there are in all; a class lead sees their own.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(
    app: &App,
    staff: &Staff,
    search: String,
    offset: u64,
    limit: u64,
) -> Result<(Vec<Class>, u64), ServiceError> {
    if let Some(classes) = staff.classes().map(<[i64]>::to_vec) {
        return app
            .store
            .read(move |tx| {
                let mut own = Vec::new();
                for class in classes {
                    own.extend(tx.find_class(class)?.map(Class::from));
                }
                own.sort_by_cached_key(|class| sort_key(&class.name));
                let total = own.len() as u64;
                Ok((own, total))
            })
            .await;
    }
    app.store
        .read(move |tx| {
            let (rows, total) = tx.list_classes(&search, offset, limit)?;
            Ok((rows.into_iter().map(Class::from).collect(), total))
        })
        .await
}

/// The class of this name.
///
/// # Errors
/// [`AdminError::UnknownClass`].
pub async fn find(app: &App, _: &Admin, name: String) -> Result<Class, ServiceError> {
    app.store.read(move |tx| Ok(find_class(tx, &name)?.into())).await
}

/// The class of this number, if the staff looks after it.
///
/// # Errors
/// [`AdminError::UnknownClass`].
pub async fn one(app: &App, staff: &Staff, number: i64) -> Result<Class, ServiceError> {
    if staff.classes().is_some_and(|classes| !classes.contains(&number)) {
        return Err(AdminError::UnknownClass.into());
    }
    app.store.read(move |tx| Ok(tx.find_class(number)?.ok_or(AdminError::UnknownClass)?.into())).await
}

/// Adds a class; its number.
///
/// # Errors
/// [`AdminError::UnacceptableName`] or [`AdminError::ClassExists`].
pub async fn add(app: &App, admin: &Admin, name: String) -> Result<i64, ServiceError> {
    let name = tidied(&name);
    check_name(&name)?;
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            if tx.find_class_by_name(&name)?.is_some() {
                return Err(AdminError::ClassExists.into());
            }
            let id = tx.insert_class(&name, now)?;
            audit::log(tx, now, &account, Action::ClassAdded, &name)?;
            Ok(id)
        })
        .await
}

/// Renames a class.
///
/// # Errors
/// [`AdminError::UnknownClass`], [`AdminError::UnacceptableName`] or [`AdminError::ClassExists`].
pub async fn rename(app: &App, admin: &Admin, class: String, name: String) -> Result<(), ServiceError> {
    let name = tidied(&name);
    check_name(&name)?;
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let row = find_class(tx, &class)?;
            if tx.find_class_by_name(&name)?.is_some_and(|other| other.id != row.id) {
                return Err(AdminError::ClassExists.into());
            }
            tx.rename_class(row.id, &name)?;
            audit::log(tx, now, &account, Action::ClassRenamed, &format!("{} → {name}", row.name))
        })
        .await
}

/// Deletes a class; its people stay.
///
/// # Errors
/// [`AdminError::UnknownClass`].
pub async fn delete(app: &App, admin: &Admin, class: String) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let row = find_class(tx, &class)?;
            tx.delete_class(row.id)?;
            audit::log(tx, now, &account, Action::ClassDeleted, &row.name)
        })
        .await
}

/// Puts a person into a class, or takes them out; nothing changes when they are already where they should be.
///
/// # Errors
/// [`AdminError::UnknownClass`] or [`AdminError::UnknownPerson`].
pub async fn set_membership(
    app: &App,
    admin: &Admin,
    class: String,
    who: Who,
    is_member: bool,
) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let row = find_class(tx, &class)?;
            let person = people::find(tx, who)?;
            let (changed, action) = if is_member {
                (tx.add_to_class(row.id, person.id)?, Action::ClassJoined)
            } else {
                (tx.remove_from_class(row.id, person.id)?, Action::ClassLeft)
            };
            if !changed {
                return Ok(());
            }
            let subject = format!("{}: {}", row.name, person.name);
            audit::log_about(tx, now, &account, action, &subject, person.id)
        })
        .await
}

/// Moves people into a class: they leave the one they are in, or those that a class list put them into; others, such as a
/// choir, stay. Who they are now in is a matter of the list no more.
///
/// # Errors
/// [`AdminError::UnknownClass`] or [`AdminError::UnknownPerson`]; then nobody was moved.
pub async fn move_people(
    app: &App,
    admin: &Admin,
    class: String,
    people: Vec<PersonId>,
) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let row = find_class(tx, &class)?;
            for person in &people {
                let person = people::find(tx, Who::Person(*person))?;
                let own = tx.classes_of(person.id)?;
                let left = if own.len() == 1 { own } else { tx.classes_by_list(person.id)? };
                for other in left.into_iter().filter(|other| *other != row.id) {
                    let name = tx.find_class(other)?.map(|class| class.name).unwrap_or_default();
                    tx.remove_from_class(other, person.id)?;
                    let subject = format!("{name}: {}", person.name);
                    audit::log_about(tx, now, &account, Action::ClassLeft, &subject, person.id)?;
                }
                if tx.add_to_class(row.id, person.id)? {
                    let subject = format!("{}: {}", row.name, person.name);
                    audit::log_about(tx, now, &account, Action::ClassJoined, &subject, person.id)?;
                }
            }
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests;
