//! Accounts of the admin pages: passwords, one-time passwords (RFC 6238), log-in.

use std::net::IpAddr;
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use momedo_protocol::digest::sha256;
use momedo_protocol::name::tidied;
use momedo_protocol::random;
use momedo_protocol::secret_text::SecretText;
use momedo_protocol::time::UnixMillis;
use zeroize::Zeroizing;

use super::audit::{self, Action};
use super::error::compute;
use super::permission::{RecentlyConfirmed, Staff};
use super::{AdminError, ServiceError, device_cookie};
use crate::domain::password::{MAX_PASSWORD_CHARACTERS, is_acceptable};
use crate::domain::role::AccountRole;
use crate::live::staff_sessions::Stamp;
use crate::state::App;
use crate::store::AccountRow;

mod of_others;

pub use of_others::{Second, add, change_classes, delete, list, reset_password, set_password};

/// Seconds one one-time password holds.
const TOTP_PERIOD: u64 = 30;

/// Bytes of a one-time password's secret (RFC 4226: at least 16, better 20).
pub const TOTP_SECRET_BYTES: usize = 20;

/// Recovery codes that come with one-time passwords.
const RECOVERY_CODES: usize = 8;

/// Random bytes of one: 120 bits, so that a plain digest keeps it (OWASP ASVS 6.5.2 asks for 112), and a whole number of
/// characters in base 32.
const RECOVERY_CODE_BYTES: usize = 15;

/// How long a log-in waits for its turn at most.
const PASSWORD_QUEUE: Duration = Duration::from_secs(10);

/// What somebody types to log in.
#[derive(Debug)]
pub struct Credentials {
    /// The account, tidied: names are stored composed.
    pub account: String,
    /// The password.
    pub password: Zeroizing<String>,
    /// The one-time password or a recovery code; empty when none was typed.
    pub one_time: String,
}

/// Hashes an account's new password: Argon2id with the library's defaults (19 MiB, 2 passes), off the async threads.
pub(super) async fn hash(
    app: &App,
    account: &str,
    password: Zeroizing<String>,
) -> Result<String, ServiceError> {
    let server = app.config().server.name.clone();
    let password = SecretText::typed(&*password).composed();
    if !is_acceptable(&password, &[server.as_str(), account]) {
        return Err(AdminError::WeakPassword.into());
    }
    compute(move || {
        let internal = |error: argon2::password_hash::Error| ServiceError::Internal(error.to_string());
        let salt = SaltString::encode_b64(&random::bytes::<16>()).map_err(internal)?;
        let hash = argon2::Argon2::default().hash_password(password.as_bytes(), &salt);
        hash.map(|hash| hash.to_string()).map_err(internal)
    })
    .await
}

/// Somebody who has logged in.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The account.
    pub account: String,
    /// Stands for its password.
    pub stamp: Stamp,
    /// What the browser is known by the next time; `None`: it was known already.
    pub device_cookie: Option<String>,
}

/// Stands for a password hash.
pub(super) fn stamp(password_hash: &str) -> Stamp {
    sha256(password_hash.as_bytes())
}

/// Where a typed password comes from.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The address.
    pub address: IpAddr,
    /// The cookie that a browser which logged in before is known by, if it has one.
    pub device_cookie: Option<&'a str>,
}

/// Somebody who is logged in, as they are today.
#[derive(Debug, Clone)]
pub struct Rights {
    /// What they may do.
    pub staff: Staff,
    /// Lines that [`audit::unread`] would give them.
    pub unread: u64,
    /// Whether they have to switch one-time passwords on before anything else.
    pub must_enrol: bool,
}

/// What an account may do today; `None` when it is gone or its password is another by now. `begun_at` is when its
/// session began.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn rights(
    app: &App,
    account: &str,
    expected: &Stamp,
    begun_at: UnixMillis,
) -> Result<Option<Rights>, ServiceError> {
    let name = account.to_owned();
    let (row, classes, unread) = app
        .store
        .read(move |tx| {
            let row = tx.find_account(&name)?;
            let is_admin = row.as_ref().is_some_and(|row| row.role == AccountRole::Admin);
            let unread = if is_admin { tx.count_unread_grave(&name, begun_at)? } else { 0 };
            Ok::<_, ServiceError>((row, tx.classes_of_account(&name)?, unread))
        })
        .await?;
    let row = row.filter(|row| stamp(&row.password_hash) == *expected);
    Ok(row.map(|row| Rights {
        must_enrol: row.totp_secret.is_none() && app.config().rules.one_time_passwords,
        staff: Staff::authenticated(row.name, row.role, classes),
        unread,
    }))
}

/// A try that was counted before it is checked: many at once get no more tries than one by one.
struct Counted<'a> {
    app: &'a App,
    caller: Caller<'a>,
    /// As typed: nobody learns from a wait whether there is such an account.
    account: &'a str,
    browser: Option<String>,
}

impl<'a> Counted<'a> {
    fn take(
        app: &'a App,
        caller: Caller<'a>,
        account: &'a str,
        row: Option<&AccountRow>,
        key: Option<&[u8]>,
    ) -> Result<Self, ServiceError> {
        let browser = row.zip(key).zip(caller.device_cookie).and_then(|((row, key), cookie)| {
            device_cookie::known(key, cookie, &row.name, &stamp(&row.password_hash)).map(str::to_owned)
        });
        let now = app.clock.elapsed();
        match &browser {
            Some(browser) => app.rates.take_known_log_in(browser, now)?,
            None => app.rates.take_log_in(caller.address, account, now)?,
        }
        Ok(Self { app, caller, account, browser })
    }

    /// For a try that was right, or of which nobody learned anything.
    fn give_back(&self) {
        let now = self.app.clock.elapsed();
        match &self.browser {
            Some(browser) => self.app.rates.give_known_log_in_back(browser, now),
            None => self.app.rates.give_log_in_back(self.caller.address, self.account, now),
        }
    }
}

/// Checks what was typed, counted. Off this path, a wrong password for an account there is goes into the log.
async fn counted_check(
    app: &App,
    row: Option<&AccountRow>,
    key: Option<&[u8]>,
    credentials: &Credentials,
    caller: Caller<'_>,
) -> Result<IsKnownBrowser, ServiceError> {
    let counted = Counted::take(app, caller, &credentials.account, row, key)?;
    let result = check(app, row, credentials).await;
    let needs_more = matches!(result, Err(ServiceError::Admin(AdminError::NeedsOneTimePassword)));
    if needs_more || !matches!(result, Err(ServiceError::Admin(_))) {
        counted.give_back();
    }
    match result {
        Ok(()) => Ok(IsKnownBrowser(counted.browser.is_some())),
        Err(ServiceError::Admin(_)) if !needs_more => {
            // Off this path, so that the time it takes tells nothing.
            if let Some(row) = row {
                let from = caller.address.to_string();
                audit::note_later(app, row.name.clone(), Action::LogInFailed, from);
            }
            Err(AdminError::WrongPassword.into())
        }
        Err(error) => Err(error),
    }
}

/// Whether a browser was here before.
struct IsKnownBrowser(bool);

/// Reads an account, and the key that browsers are known by.
async fn read_account(app: &App, name: &str) -> Result<(Option<AccountRow>, Option<Vec<u8>>), ServiceError> {
    let name = name.to_owned();
    app.store.read(move |tx| Ok::<_, ServiceError>((tx.find_account(&name)?, device_cookie::key(tx)?))).await
}

/// Logs somebody in; an account that is not there takes the same time and gets the same answers, waits included.
///
/// # Errors
/// [`AdminError::WrongPassword`], [`AdminError::NeedsOneTimePassword`], or [`ServiceError::TooOften`].
pub async fn log_in(
    app: &App,
    mut credentials: Credentials,
    caller: Caller<'_>,
) -> Result<LoggedIn, ServiceError> {
    credentials.account = tidied(&credentials.account);
    let (row, key) = read_account(app, &credentials.account).await?;
    let IsKnownBrowser(is_known) =
        counted_check(app, row.as_ref(), key.as_deref(), &credentials, caller).await?;
    let row = row.ok_or(AdminError::WrongPassword)?;
    let device_cookie = if is_known { None } else { new_device_cookie(app, &row).await };
    // Off this path, as a failure.
    audit::note_later(app, row.name.clone(), Action::LoggedIn, caller.address.to_string());
    Ok(LoggedIn { stamp: stamp(&row.password_hash), account: row.name, device_cookie })
}

/// Proof that whoever uses a session typed the password in it in the last five minutes.
pub fn recently_confirmed(app: &App, staff: &Staff, session: &str) -> Option<RecentlyConfirmed<Staff>> {
    let is_recent = app.staff_sessions.is_recently_confirmed(session, staff.account(), app.clock.elapsed());
    is_recent.then(|| RecentlyConfirmed::proved(staff.clone()))
}

/// Somebody who typed the password again.
#[derive(Debug, Clone)]
pub struct Confirmed {
    /// What it proves.
    pub proof: RecentlyConfirmed<Staff>,
    /// The session's token from now on; the old one is worth nothing any more.
    pub token: String,
}

/// Asks somebody who is logged in for the password again, and for a one-time password if the account has them; counted
/// as a log-in. It holds for five minutes in this session.
///
/// # Errors
/// As [`log_in`].
pub async fn confirm(
    app: &App,
    staff: &Staff,
    session: &str,
    password: Zeroizing<String>,
    one_time: String,
    caller: Caller<'_>,
) -> Result<Confirmed, ServiceError> {
    let credentials = Credentials { account: staff.account().to_owned(), password, one_time };
    let (row, key) = read_account(app, staff.account()).await?;
    counted_check(app, row.as_ref(), key.as_deref(), &credentials, caller).await?;
    // Ended meanwhile, by a new password for example.
    let token = app.staff_sessions.confirm(session, app.clock.elapsed()).ok_or(AdminError::ForeignForm)?;
    Ok(Confirmed { proof: RecentlyConfirmed::proved(staff.clone()), token })
}

/// A cookie for a browser that is new here. Without one it is only counted like any other.
async fn new_device_cookie(app: &App, row: &AccountRow) -> Option<String> {
    let key = app.store.write_freeing(|tx| device_cookie::key_or_new(tx)).await;
    match key {
        Ok(key) => Some(device_cookie::make(&key, &row.name, &stamp(&row.password_hash))),
        Err(error) => {
            tracing::warn!(%error, "a browser cannot be remembered");
            None
        }
    }
}

async fn check(app: &App, row: Option<&AccountRow>, credentials: &Credentials) -> Result<(), ServiceError> {
    // Somebody who is not there costs as much time as somebody who is.
    let unknown =
        "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let hash = row.map_or_else(|| unknown.to_owned(), |row| row.password_hash.clone());
    // How many forms there are depends on what was typed alone.
    let mut forms = SecretText::typed(&*credentials.password).forms();
    forms.retain(|form| form.chars().count() <= MAX_PASSWORD_CHARACTERS);
    if forms.is_empty() {
        return Err(AdminError::WrongPassword.into());
    }
    // A short queue: nobody waits for minutes because somebody else tries thousands of passwords.
    let permit = tokio::time::timeout(PASSWORD_QUEUE, app.password_checks.acquire()).await;
    let permit = permit.map_err(|_| ServiceError::Busy)?.map_err(|_| ServiceError::Busy)?;
    let matches = compute(move || {
        let hash = PasswordHash::new(&hash).map_err(|error| ServiceError::Internal(error.to_string()))?;
        let fits = |form: &Zeroizing<String>| {
            argon2::Argon2::default().verify_password(form.as_bytes(), &hash).is_ok()
        };
        Ok(forms.iter().any(fits))
    })
    .await?;
    drop(permit);
    let (Some(row), true) = (row, matches) else { return Err(AdminError::WrongPassword.into()) };
    let Some(secret) = &row.totp_secret else { return Ok(()) };
    let typed: String = credentials.one_time.chars().filter(|c| c.is_alphanumeric()).collect();
    if typed.is_empty() {
        return Err(AdminError::NeedsOneTimePassword.into());
    }
    let name = row.name.clone();
    let used = if let Some(step) = matching_step(secret, &typed, app.clock.now().0 / 1000) {
        app.store.write_freeing(move |tx| Ok::<_, ServiceError>(tx.use_totp_step(&name, step)?)).await?
    } else {
        let code = sha256(typed.to_ascii_uppercase().as_bytes());
        app.store.write_freeing(move |tx| Ok::<_, ServiceError>(tx.use_recovery_code(&name, &code)?)).await?
    };
    if used { Ok(()) } else { Err(AdminError::WrongPassword.into()) }
}

/// The time step a one-time password fits: this one, the one before or the one after.
fn matching_step(secret: &[u8], typed: &str, seconds: u64) -> Option<u64> {
    let now = seconds / TOTP_PERIOD;
    (now.saturating_sub(1)..=now + 1)
        .find(|step| crate::live::staff_sessions::equal(&one_time_password(secret, *step), typed))
}

/// The six digits of a time step (RFC 6238 over RFC 4226, HMAC-SHA-1).
pub fn one_time_password(secret: &[u8], step: u64) -> String {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let offset = usize::from(digest[19] & 15);
    let bytes = digest.get(offset..offset + 4).and_then(|bytes| bytes.first_chunk()).copied();
    let number = u32::from_be_bytes(bytes.unwrap_or_default()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Switches one-time passwords on once one made from `secret` was typed; the recovery codes, shown once. Every other
/// session of the account ends.
///
/// # Errors
/// [`AdminError::WrongPassword`] for a wrong one-time password.
pub async fn enable_one_time_passwords(
    app: &App,
    staff: &RecentlyConfirmed<Staff>,
    secret: [u8; TOTP_SECRET_BYTES],
    typed: &str,
    session: &str,
) -> Result<Vec<String>, ServiceError> {
    let typed: String = typed.chars().filter(char::is_ascii_digit).collect();
    let now = app.clock.now();
    let step = matching_step(&secret, &typed, now.0 / 1000).ok_or(AdminError::WrongOneTimePassword)?;
    let codes: Vec<String> =
        (0..RECOVERY_CODES).map(|_| BASE32_NOPAD.encode(&random::bytes::<RECOVERY_CODE_BYTES>())).collect();
    let hashes: Vec<[u8; 32]> = codes.iter().map(|code| sha256(code.as_bytes())).collect();
    let account = staff.account().to_owned();
    app.store
        .write(move |tx| {
            // Whoever has them on switches them off first, with a log line.
            if tx.find_account(&account)?.is_none_or(|row| row.totp_secret.is_some()) {
                return Err(AdminError::ForeignForm.into());
            }
            tx.set_totp(&account, Some(&secret), &hashes)?;
            // The one just typed is used up.
            tx.use_totp_step(&account, step)?;
            audit::log(tx, now, &account, Action::OneTimePasswordsOn, &account)
        })
        .await?;
    app.staff_sessions.end_account(staff.account(), Some(session));
    Ok(codes)
}

/// Switches one-time passwords off; every other session of the account ends.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn disable_one_time_passwords(
    app: &App,
    staff: &RecentlyConfirmed<Staff>,
    session: &str,
) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), staff.account().to_owned());
    app.store
        .write(move |tx| {
            tx.set_totp(&account, None, &[])?;
            audit::log(tx, now, &account, Action::OneTimePasswordsOff, &account)
        })
        .await?;
    app.staff_sessions.end_account(staff.account(), Some(session));
    Ok(())
}

/// Changes one's own password; every other session of the account ends.
///
/// # Errors
/// [`AdminError::WrongPassword`], [`AdminError::WeakPassword`], or [`ServiceError::TooOften`].
pub async fn change_password(
    app: &App,
    staff: &RecentlyConfirmed<Staff>,
    old: Zeroizing<String>,
    new: Zeroizing<String>,
    caller: Caller<'_>,
    session: &str,
) -> Result<(), ServiceError> {
    let (row, key) = read_account(app, staff.account()).await?;
    let mut row = row.ok_or(AdminError::UnknownAccount)?;
    // It was asked for a moment ago, and each works once.
    row.totp_secret = None;
    let credentials = Credentials { account: row.name.clone(), password: old, one_time: String::new() };
    counted_check(app, Some(&row), key.as_deref(), &credentials, caller).await?;
    let hash = hash(app, staff.account(), new).await?;
    let new_stamp = stamp(&hash);
    let (now, account) = (app.clock.now(), staff.account().to_owned());
    app.store
        .write_freeing(move |tx| {
            tx.change_password(&account, &hash)?;
            audit::log(tx, now, &account, Action::PasswordChanged, &account)
        })
        .await?;
    app.staff_sessions.end_account(staff.account(), Some(session));
    app.staff_sessions.renew(session, new_stamp);
    Ok(())
}

/// Whether one's own account asks for one-time passwords.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn has_one_time_passwords(app: &App, staff: &Staff) -> Result<bool, ServiceError> {
    let name = staff.account().to_owned();
    app.store.read(move |tx| Ok(tx.find_account(&name)?.is_some_and(|row| row.totp_secret.is_some()))).await
}

#[cfg(test)]
mod tests;
