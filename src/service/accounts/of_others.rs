//! Accounts as an admin sees and changes them: everybody's, by somebody else.

use momedo_protocol::name::tidied;
use zeroize::Zeroizing;

use super::hash;
use crate::domain::role::AccountRole;
use crate::service::audit::{self, Action};
use crate::service::naming::check_name;
use crate::service::permission::{Admin, RecentlyConfirmed, is_reserved};
use crate::service::{AdminError, ServiceError};
use crate::state::App;
use crate::store::{AccountRow, WriteTx};

/// What a new password, set by somebody else, does to an account's one-time passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    /// They are asked for as before: only the password was lost.
    Keep,
    /// They are switched off: what makes them was lost, too.
    SwitchOff,
}

/// Sets an account's password from the machine itself, adding an admin's account if need be.
///
/// # Errors
/// [`AdminError::WeakPassword`], [`AdminError::UnacceptableName`], or [`AdminError::AccountExists`] for what the log calls
/// whoever is at the machine.
pub async fn reset_password(
    app: &App,
    admin: &RecentlyConfirmed,
    account: &str,
    password: Zeroizing<String>,
    second: Second,
) -> Result<(), ServiceError> {
    let account = &tidied(account);
    check_name(account)?;
    require_own_name(account)?;
    give_password(app, admin, account, password, second, |tx, name, hash| {
        Ok(tx.set_admin_password(name, hash)?)
    })
    .await
}

/// Sets the password of somebody else's account; whoever has it logs in anew.
///
/// # Errors
/// [`AdminError::UnknownAccount`], [`AdminError::WeakPassword`], or [`AdminError::OwnAccount`] for one's own.
pub async fn set_password(
    app: &App,
    admin: &RecentlyConfirmed,
    account: &str,
    password: Zeroizing<String>,
    second: Second,
) -> Result<(), ServiceError> {
    let account = &tidied(account);
    // One's own asks for the old one.
    if account == admin.account() {
        return Err(AdminError::OwnAccount.into());
    }
    give_password(app, admin, account, password, second, |tx, name, hash| {
        tx.find_account(name)?.ok_or(AdminError::UnknownAccount)?;
        Ok(tx.change_password(name, hash)?)
    })
    .await
}

/// Stores a new password as `store` does it, notes it, ends the account's sessions, and forgets that somebody tried its
/// password too often.
async fn give_password(
    app: &App,
    admin: &RecentlyConfirmed,
    account: &str,
    password: Zeroizing<String>,
    second: Second,
    store: impl FnOnce(&WriteTx<'_>, &str, &str) -> Result<(), ServiceError> + Send + 'static,
) -> Result<(), ServiceError> {
    let hash = hash(app, account, password).await?;
    let (now, by, name) = (app.clock.now(), admin.account().to_owned(), account.to_owned());
    app.store
        .write_freeing(move |tx| {
            store(tx, &name, &hash)?;
            if second == Second::SwitchOff
                && tx.find_account(&name)?.is_some_and(|row| row.totp_secret.is_some())
            {
                tx.set_totp(&name, None, &[])?;
                audit::log(tx, now, &by, Action::OneTimePasswordsOff, &name)?;
            }
            audit::log(tx, now, &by, Action::PasswordChanged, &name)
        })
        .await?;
    app.staff_sessions.end_account(account, None);
    app.rates.forget_log_ins(account);
    Ok(())
}

/// Every account.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(app: &App, _: &Admin) -> Result<Vec<(AccountRow, Vec<i64>)>, ServiceError> {
    app.store
        .read(|tx| {
            let mut all = Vec::new();
            for row in tx.list_accounts()? {
                let classes = tx.classes_of_account(&row.name)?;
                all.push((row, classes));
            }
            Ok(all)
        })
        .await
}

/// Adds an account; a class lead's looks after `classes`.
///
/// # Errors
/// [`AdminError::AccountExists`], [`AdminError::WeakPassword`] or [`AdminError::UnacceptableName`].
pub async fn add(
    app: &App,
    admin: &RecentlyConfirmed,
    name: String,
    password: Zeroizing<String>,
    role: AccountRole,
    classes: Vec<i64>,
) -> Result<(), ServiceError> {
    let name = tidied(&name);
    check_name(&name)?;
    require_own_name(&name)?;
    let hash = hash(app, &name, password).await?;
    let (now, by) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            if !tx.insert_account(&name, &hash, role, now)? {
                return Err(AdminError::AccountExists.into());
            }
            set_classes(tx, &name, &classes)?;
            audit::log(tx, now, &by, Action::AccountAdded, &name)
        })
        .await
}

/// Refuses what the log calls whoever is at the machine or sets the server up: an account of that name would not be shown
/// what is done there.
fn require_own_name(name: &str) -> Result<(), ServiceError> {
    if is_reserved(name) { Err(AdminError::AccountExists.into()) } else { Ok(()) }
}

fn set_classes(tx: &WriteTx<'_>, name: &str, classes: &[i64]) -> Result<(), ServiceError> {
    for class in classes {
        tx.find_class(*class)?.ok_or(AdminError::UnknownClass)?;
    }
    Ok(tx.set_classes_of_account(name, classes)?)
}

/// Has a class lead look after `classes` and no others, at once.
///
/// # Errors
/// [`AdminError::UnknownAccount`], [`AdminError::UnknownClass`], or [`AdminError::LooksAfterAll`] for an admin.
pub async fn change_classes(
    app: &App,
    admin: &RecentlyConfirmed,
    account: &str,
    classes: Vec<i64>,
) -> Result<(), ServiceError> {
    let (now, by, name) = (app.clock.now(), admin.account().to_owned(), tidied(account));
    app.store
        .write(move |tx| {
            let row = tx.find_account(&name)?.ok_or(AdminError::UnknownAccount)?;
            if row.role == AccountRole::Admin {
                return Err(AdminError::LooksAfterAll.into());
            }
            set_classes(tx, &name, &classes)?;
            audit::log(tx, now, &by, Action::AccountChanged, &name)
        })
        .await
}

/// Deletes an account and ends its sessions.
///
/// # Errors
/// [`AdminError::UnknownAccount`] or [`AdminError::LastAdmin`].
pub async fn delete(app: &App, admin: &RecentlyConfirmed, name: String) -> Result<(), ServiceError> {
    let name = tidied(&name);
    let (now, by, account) = (app.clock.now(), admin.account().to_owned(), name.clone());
    app.store
        .write(move |tx| {
            let row = tx.find_account(&name)?.ok_or(AdminError::UnknownAccount)?;
            let admins = tx.list_accounts()?.iter().filter(|row| row.role == AccountRole::Admin).count();
            if row.role == AccountRole::Admin && admins == 1 {
                return Err(AdminError::LastAdmin.into());
            }
            tx.delete_account(&name)?;
            audit::log(tx, now, &by, Action::AccountDeleted, &name)
        })
        .await?;
    app.staff_sessions.end_account(&account, None);
    Ok(())
}
