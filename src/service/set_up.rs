//! The first account: only while there is none, and only with the code that the machine itself shows.

use std::net::IpAddr;

use momedo_protocol::invite::InviteCode;
use zeroize::Zeroizing;

use super::accounts::LoggedIn;
use super::audit::{self, Action};
use super::permission::{Admin, RecentlyConfirmed};
use super::rules::{self, Rules};
use super::{AdminError, ServiceError, accounts, backup};
use crate::domain::role::AccountRole;
use crate::state::App;

/// The account the set-up makes.
pub const ACCOUNT: &str = "admin";

/// Whether the first account is still to be made.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn is_needed(app: &App) -> Result<bool, ServiceError> {
    app.store.read(|tx| Ok(!tx.has_accounts()?)).await
}

/// The code as people read it: three groups of four.
pub fn code(app: &App) -> String {
    let code = app.set_up_code.to_string();
    [&code[..4], &code[4..8], &code[8..]].join("-")
}

/// Checks the code that the machine shows.
///
/// # Errors
/// [`AdminError::WrongSetUpCode`], or [`ServiceError::TooOften`].
pub fn check_code(app: &App, code: &str, address: IpAddr) -> Result<(), ServiceError> {
    let typed = code.parse::<InviteCode>().map(|code| code.to_string()).unwrap_or_default();
    if crate::live::staff_sessions::equal(&typed, &app.set_up_code.to_string()) {
        return Ok(());
    }
    // Only who is wrong pays: nobody keeps an admin out who reads the code, which has 60 bits.
    app.rates.wrong_set_up_code(address, app.clock.elapsed())?;
    Err(AdminError::WrongSetUpCode.into())
}

/// Proof for whoever has the code while nobody set the server up: they could make the first account, too.
///
/// # Errors
/// [`AdminError::AlreadySetUp`], [`AdminError::WrongSetUpCode`] or [`ServiceError::TooOften`].
pub async fn proof(app: &App, code: &str, address: IpAddr) -> Result<RecentlyConfirmed, ServiceError> {
    if !is_needed(app).await? {
        return Err(AdminError::AlreadySetUp.into());
    }
    check_code(app, code, address)?;
    Ok(RecentlyConfirmed::with_set_up_code())
}

/// Makes the first account, if it still is the first.
///
/// # Errors
/// [`AdminError::WrongSetUpCode`], [`AdminError::WeakPassword`] or [`AdminError::AlreadySetUp`].
pub async fn with_code(
    app: &App,
    code: &str,
    password: Zeroizing<String>,
    address: IpAddr,
) -> Result<LoggedIn, ServiceError> {
    check_code(app, code, address)?;
    first_account(app, password, &address.to_string()).await
}

async fn first_account(app: &App, password: Zeroizing<String>, from: &str) -> Result<LoggedIn, ServiceError> {
    let hash = accounts::hash(app, ACCOUNT, password).await?;
    let stamp = accounts::stamp(&hash);
    let (now, from) = (app.clock.now(), from.to_owned());
    app.store
        .write(move |tx| {
            // Of two at the same time, one is first.
            if tx.has_accounts()? {
                return Err(AdminError::AlreadySetUp.into());
            }
            tx.insert_account(ACCOUNT, &hash, AccountRole::Admin, now)?;
            audit::log(tx, now, ACCOUNT, Action::SetUp, &from)
        })
        .await?;
    // What somebody uploaded to restore instead holds a server's keys.
    backup::cancel(app, &Admin::at_the_machine());
    Ok(LoggedIn { account: ACCOUNT.into(), stamp, device_cookie: None })
}

/// Sets the server up from the machine itself.
///
/// # Errors
/// [`AdminError::AlreadySetUp`], [`AdminError::WeakPassword`] or [`AdminError::UnacceptableName`].
pub async fn at_the_machine(
    app: &App,
    admin: &RecentlyConfirmed,
    name: Option<String>,
    password: Zeroizing<String>,
) -> Result<(), ServiceError> {
    if let Some(name) = &name {
        super::naming::check_name(name)?;
    }
    first_account(app, password, admin.account()).await?;
    if name.is_some() {
        rules::change(app, admin, Rules { name, ..Rules::default() }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
