//! The log of what admins did. A line is written in the transaction that does it, so neither comes alone.

use momedo_protocol::time::UnixMillis;

use super::ServiceError;
use super::permission::Admin;
use crate::state::App;
use crate::store::{AuditRow, NewAuditRow, PersonId, WriteTx};

/// What was done, as one word; the pages have a sentence for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
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
    ChatDeleted,
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
}

impl Action {
    /// Every action.
    pub const ALL: &[Self] = &[
        Self::SetUp,
        Self::LoggedIn,
        Self::LogInFailed,
        Self::PersonAdded,
        Self::PersonRenamed,
        Self::PersonDeleted,
        Self::PersonExported,
        Self::RoleChanged,
        Self::ParticipantDisabled,
        Self::ParticipantEnabled,
        Self::KeysReset,
        Self::DeviceRevoked,
        Self::InvitesMade,
        Self::ListImported,
        Self::ImportUndone,
        Self::ClassAdded,
        Self::ClassRenamed,
        Self::ClassDeleted,
        Self::ClassJoined,
        Self::ClassLeft,
        Self::ChatDeleted,
        Self::AccountAdded,
        Self::AccountDeleted,
        Self::AccountChanged,
        Self::PasswordChanged,
        Self::OneTimePasswordsOn,
        Self::OneTimePasswordsOff,
        Self::SessionEnded,
        Self::RulesChanged,
        Self::ListenerAdded,
        Self::ListenerRemoved,
        Self::ListenerStarted,
        Self::ListenerStopped,
        Self::CertificateChanged,
        Self::CertificateObtained,
        Self::AcmeOn,
        Self::AcmeOff,
        Self::BackupMade,
        Self::BackupVerified,
        Self::BackupDownloaded,
        Self::BackupRestored,
        Self::RestoreConfirmed,
        Self::RestoreFailed,
        Self::AutostartOn,
        Self::AutostartOff,
        Self::ReportMade,
        Self::ReportClosed,
        Self::ReportReopened,
        Self::ServerStopped,
        Self::SmokeParticipantAdded,
        Self::SmokeParticipantChanged,
        Self::SmokeParticipantRemoved,
        Self::SmokeKeysApproved,
        Self::SmokeKeysForgotten,
        Self::SmokeOzoneAdded,
        Self::SmokeOzoneRemoved,
        Self::SmokeNeighbourAdded,
        Self::SmokeNeighbourChanged,
        Self::SmokeNeighbourRemoved,
        Self::SmokeCertificateForgotten,
        Self::NeighbourInvited,
        Self::NeighbourAdded,
        Self::NeighbourConfirmed,
        Self::NeighbourPaused,
        Self::NeighbourResumed,
        Self::NeighbourBlocked,
        Self::NeighbourRemoved,
        Self::HomeTakenOver,
        Self::HomeYielded,
        Self::RemoteBlocked,
        Self::RemoteUnblocked,
        Self::ContractChanged,
        Self::DisputeSettled,
        Self::LogAccepted,
    ];

    /// The word in the table and in exports.
    pub fn word(self) -> &'static str {
        match self {
            Self::SetUp => "set-up",
            Self::LoggedIn => "logged-in",
            Self::LogInFailed => "log-in-failed",
            Self::PersonAdded => "person-added",
            Self::PersonRenamed => "person-renamed",
            Self::PersonDeleted => "person-deleted",
            Self::PersonExported => "person-exported",
            Self::RoleChanged => "role-changed",
            Self::ParticipantDisabled => "participant-disabled",
            Self::ParticipantEnabled => "participant-enabled",
            Self::KeysReset => "keys-reset",
            Self::DeviceRevoked => "device-revoked",
            Self::InvitesMade => "invites-made",
            Self::ListImported => "list-imported",
            Self::ImportUndone => "import-undone",
            Self::ClassAdded => "class-added",
            Self::ClassRenamed => "class-renamed",
            Self::ClassDeleted => "class-deleted",
            Self::ClassJoined => "class-joined",
            Self::ClassLeft => "class-left",
            Self::ChatDeleted => "chat-deleted",
            Self::AccountAdded => "account-added",
            Self::AccountDeleted => "account-deleted",
            Self::AccountChanged => "account-changed",
            Self::PasswordChanged => "password-changed",
            Self::OneTimePasswordsOn => "one-time-passwords-on",
            Self::OneTimePasswordsOff => "one-time-passwords-off",
            Self::SessionEnded => "session-ended",
            Self::RulesChanged => "rules-changed",
            Self::ListenerAdded => "listener-added",
            Self::ListenerRemoved => "listener-removed",
            Self::ListenerStarted => "listener-started",
            Self::ListenerStopped => "listener-stopped",
            Self::CertificateChanged => "certificate-changed",
            Self::CertificateObtained => "certificate-obtained",
            Self::AcmeOn => "acme-on",
            Self::AcmeOff => "acme-off",
            Self::BackupMade => "backup-made",
            Self::BackupVerified => "backup-verified",
            Self::BackupDownloaded => "backup-downloaded",
            Self::BackupRestored => "backup-restored",
            Self::RestoreConfirmed => "restore-confirmed",
            Self::RestoreFailed => "restore-failed",
            Self::AutostartOn => "autostart-on",
            Self::AutostartOff => "autostart-off",
            Self::ReportMade => "report-made",
            Self::ReportClosed => "report-closed",
            Self::ReportReopened => "report-reopened",
            Self::ServerStopped => "server-stopped",
            Self::SmokeParticipantAdded => "smoke-participant-added",
            Self::SmokeParticipantChanged => "smoke-participant-changed",
            Self::SmokeParticipantRemoved => "smoke-participant-removed",
            Self::SmokeKeysApproved => "smoke-keys-approved",
            Self::SmokeKeysForgotten => "smoke-keys-forgotten",
            Self::SmokeOzoneAdded => "smoke-ozone-added",
            Self::SmokeOzoneRemoved => "smoke-ozone-removed",
            Self::SmokeNeighbourAdded => "smoke-neighbour-added",
            Self::SmokeNeighbourChanged => "smoke-neighbour-changed",
            Self::SmokeNeighbourRemoved => "smoke-neighbour-removed",
            Self::SmokeCertificateForgotten => "smoke-certificate-forgotten",
            Self::NeighbourInvited => "neighbour-invited",
            Self::NeighbourAdded => "neighbour-added",
            Self::NeighbourConfirmed => "neighbour-confirmed",
            Self::NeighbourPaused => "neighbour-paused",
            Self::NeighbourResumed => "neighbour-resumed",
            Self::NeighbourBlocked => "neighbour-blocked",
            Self::NeighbourRemoved => "neighbour-removed",
            Self::HomeTakenOver => "home-taken-over",
            Self::HomeYielded => "home-yielded",
            Self::RemoteBlocked => "remote-blocked",
            Self::RemoteUnblocked => "remote-unblocked",
            Self::ContractChanged => "contract-changed",
            Self::DisputeSettled => "dispute-settled",
            Self::LogAccepted => "log-accepted",
        }
    }

    /// Whether every other admin is shown it until they have read it: what needs a recent password
    /// ([`super::permission::RecentlyConfirmed`]) on the pages, and what came of it.
    pub fn is_grave(self) -> bool {
        matches!(
            self,
            Self::PersonDeleted
                | Self::PersonExported
                | Self::KeysReset
                | Self::ChatDeleted
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
        )
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
