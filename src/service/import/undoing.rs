//! An import undone.

use super::{Memory, Undone};
use crate::service::audit::{self, Action};
use crate::service::permission::Admin;
use crate::service::{AdminError, ServiceError, personal};
use crate::state::App;
use crate::store::ImportId;

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
                    tx.rename_person(person.id, &changed.name.0, &changed.family_name.0)?;
                }
                if person.role == changed.role.1 && changed.role.0 != changed.role.1 {
                    tx.set_role(person.id, changed.role.0)?;
                }
                if changed.takes_key {
                    tx.set_external_key(person.id, None)?;
                }
                // Whom admins have moved since stays where they are.
                let is_as_it_became = match changed.joined {
                    Some(class) => tx.remove_from_class(class, person.id)?,
                    None => true,
                };
                for class in changed.left {
                    // It may have been deleted since.
                    if is_as_it_became && tx.find_class(class)?.is_some() {
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
