//! The log of what admins did. A line is written in the transaction that does it, so neither comes alone.

use momedo_protocol::time::UnixMillis;
use momedo_texts::Language;
use strum::{EnumIter, IntoStaticStr};

use super::ServiceError;
use super::permission::Admin;
use crate::settings;
use crate::state::App;
use crate::store::{AuditRow, NewAuditRow, PersonId, WriteTx};

/// What was done, as one word; the pages have a sentence for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[expect(missing_docs, reason = "the words say it")]
#[strum(serialize_all = "kebab-case")]
pub enum Action {
    SetUp,
    LoggedIn,
    LogInFailed,
    PersonAdded,
    PersonRenamed,
    PersonDeleted,
    PersonExported,
    RoleChanged,
    ParticipantDisabled,
    ParticipantEnabled,
    KeysReset,
    DeviceRevoked,
    InvitesMade,
    ListImported,
    ImportUndone,
    ClassAdded,
    ClassRenamed,
    ClassDeleted,
    ClassJoined,
    ClassLeft,
    GroupDeleted,
    AccountAdded,
    AccountDeleted,
    AccountChanged,
    PasswordChanged,
    OneTimePasswordsOn,
    OneTimePasswordsOff,
    SessionEnded,
    RulesChanged,
    ListenerAdded,
    ListenerRemoved,
    ListenerStarted,
    ListenerStopped,
    CertificateChanged,
    CertificateObtained,
    AcmeOn,
    AcmeOff,
    BackupMade,
    /// A backup was read in full.
    BackupVerified,
    BackupDownloaded,
    BackupRestored,
    RestoreConfirmed,
    RestoreFailed,
    AutostartOn,
    AutostartOff,
    ReportMade,
    ReportNoted,
    ReportClosed,
    ReportReopened,
    ServerStopped,
    SmokeParticipantAdded,
    SmokeParticipantChanged,
    SmokeParticipantRemoved,
    SmokeKeysApproved,
    SmokeKeysForgotten,
    SmokeOzoneAdded,
    SmokeOzoneRemoved,
    SmokeNeighbourAdded,
    SmokeNeighbourChanged,
    SmokeNeighbourRemoved,
    SmokeCertificateForgotten,
    NeighbourInvited,
    NeighbourAdded,
    NeighbourConfirmed,
    NeighbourPaused,
    NeighbourResumed,
    NeighbourBlocked,
    NeighbourRemoved,
    HomeTakenOver,
    HomeYielded,
    RemoteBlocked,
    RemoteUnblocked,
    ContractChanged,
    DisputeSettled,
    LogAccepted,
    MetricsTokenMade,
}

impl Action {
    /// The word in the table and in exports.
    pub fn word(self) -> &'static str {
        self.into()
    }

    /// Whether every other admin is shown it until they have read it: what needs a recent password
    /// ([`super::permission::RecentlyConfirmed`]) on the pages, and what came of it.
    pub fn is_grave(self) -> bool {
        matches!(
            self,
            Self::PersonDeleted
                | Self::PersonExported
                | Self::KeysReset
                | Self::GroupDeleted
                | Self::AccountAdded
                | Self::AccountDeleted
                | Self::AccountChanged
                | Self::PasswordChanged
                | Self::OneTimePasswordsOn
                | Self::OneTimePasswordsOff
                | Self::RulesChanged
                | Self::CertificateChanged
                | Self::AcmeOn
                | Self::AcmeOff
                | Self::BackupDownloaded
                | Self::BackupRestored
                | Self::RestoreConfirmed
                | Self::RestoreFailed
                | Self::SmokeKeysApproved
                | Self::SmokeKeysForgotten
                | Self::SmokeCertificateForgotten
                | Self::HomeTakenOver
                | Self::HomeYielded
                | Self::ContractChanged
                | Self::DisputeSettled
                | Self::LogAccepted
                | Self::MetricsTokenMade
        )
    }
}

/// What an action was about, as people read it.
pub fn subject(action: &str, kept: &str, language: Language) -> String {
    match action == Action::RulesChanged.word() {
        true => settings::changes(kept, language),
        false => kept.to_owned(),
    }
}

/// Adds a line that names a person, in the transaction of what it tells of. Whatever names somebody goes
/// through here: only such lines can be handed out to them, and erased.
pub(super) fn log_about(
    tx: &WriteTx<'_>,
    at: UnixMillis,
    account: &str,
    action: Action,
    subject: &str,
    person: PersonId,
) -> Result<(), ServiceError> {
    let person = Some(person);
    Ok(tx.log(&NewAuditRow {
        at,
        account,
        action: action.word(),
        is_grave: action.is_grave(),
        subject,
        person,
    })?)
}

/// Adds a line in the transaction of what it tells of.
pub(super) fn log(
    tx: &WriteTx<'_>,
    at: UnixMillis,
    account: &str,
    action: Action,
    subject: &str,
) -> Result<(), ServiceError> {
    let line = NewAuditRow {
        at,
        account,
        action: action.word(),
        is_grave: action.is_grave(),
        subject,
        person: None,
    };
    Ok(tx.log(&line)?)
}

/// Adds a line for what is not in the database itself.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn note(app: &App, account: &str, action: Action, subject: &str) -> Result<(), ServiceError> {
    let (at, account, subject) = (app.clock.now(), account.to_owned(), subject.to_owned());
    // A line is small, and a full disk must not keep the admins out.
    app.store.write_freeing(move |tx| log(tx, at, &account, action, &subject)).await
}

/// As [`note`], without waiting for it.
pub(super) fn note_later(app: &App, account: String, action: Action, subject: String) {
    let (at, store) = (app.clock.now(), app.store.clone());
    tokio::spawn(async move {
        let noted: Result<(), ServiceError> =
            store.write_freeing(move |tx| log(tx, at, &account, action, &subject)).await;
        if let Err(error) = noted {
            tracing::warn!(%error, "a log line is lost");
        }
    });
}

/// Lines before line `before` (`None`: from the newest), newest first: those with `search` in them, and those of
/// `actions`, whose words in the reader's language have it.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(
    app: &App,
    _: &Admin,
    search: String,
    actions: Vec<&'static str>,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<AuditRow>, ServiceError> {
    let before = before.unwrap_or(i64::MAX);
    app.store.read(move |tx| Ok(tx.audit_log(&search, &actions, before, limit)?)).await
}

/// Grave lines that an admin has not read, newest first: everybody else's, and the own ones of earlier sessions, since a
/// thief has the same name. `begun_at` is when this session began.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn unread(
    app: &App,
    admin: &Admin,
    begun_at: UnixMillis,
    limit: u64,
) -> Result<Vec<AuditRow>, ServiceError> {
    let account = admin.account().to_owned();
    app.store.read(move |tx| Ok(tx.list_unread_grave(&account, begun_at, limit)?)).await
}

/// Notes that an admin has read what weighs much, up to the line `last`.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn note_read(app: &App, admin: &Admin, last: i64) -> Result<(), ServiceError> {
    let account = admin.account().to_owned();
    app.store.write_freeing(move |tx| Ok::<_, ServiceError>(tx.note_read_lines(&account, last)?)).await
}

#[cfg(test)]
mod tests;
