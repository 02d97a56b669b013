//! What an admin may ask for, as it travels over the control socket.

use momedo_protocol::encoding::Base64Bytes;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::class_list::Choices;
use crate::domain::role::{AccountRole, Role};
use crate::service::acme::Choice;
use crate::service::backup::BackupRequest;
use crate::service::neighbours::contracts::ContractChange;
use crate::service::rules::Rules;
use crate::store::ImportId;

/// A password on its way; not shown by `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(***)")
    }
}

impl From<Password> for Zeroizing<String> {
    fn from(Password(password): Password) -> Self {
        Self::new(password)
    }
}

/// What an admin asks for; one JSON object over the control socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum AdminRequest {
    /// Makes an invite.
    Invite {
        /// The name to write on it.
        name: Option<String>,
    },
    /// Counts.
    Status,
    /// Sets an admin account's password.
    ResetPassword {
        /// The account.
        account: String,
        /// The new password.
        password: Password,
        /// Whether its one-time passwords are switched off.
        #[serde(default)]
        lost_one_time_passwords: bool,
    },
    /// Makes the first account.
    SetUp {
        /// The server's name.
        name: Option<String>,
        /// The new account's password.
        password: Password,
    },
    /// Where the admin pages are.
    Page,
    /// Is everything well?
    Overview,
    /// Shows the rules, after changing some.
    Rules {
        /// What changes.
        change: Box<Rules>,
    },
    /// Every setting in force, and where it came from.
    Settings,
    /// Whether figures can be fetched, after making a new token.
    Metrics {
        /// Whether to make one.
        new_token: bool,
    },
    /// People and their devices.
    Participant(ParticipantRequest),
    /// Classes.
    Class(ClassRequest),
    /// Groups that participants made.
    Group(GroupRequest),
    /// Listeners.
    Listener(ListenerRequest),
    /// Other servers.
    Neighbour(NeighbourRequest),
    /// Accounts of the admin pages.
    Account(AccountRequest),
    /// The certificate in force.
    Certificate(CertificateRequest),
    /// The Smoke gateway.
    Smoke(super::SmokeRequest),
    /// Makes, lists or verifies backups.
    Backup(BackupRequest),
    /// What admins did, newest first.
    Log {
        /// Part of account, action or subject; empty: everything.
        search: String,
        /// Most lines.
        limit: u64,
    },
}

/// About people. `who` is an ID, or `#` and the number in the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the use cases say what each field means")]
pub enum ParticipantRequest {
    List { search: String, class: Option<String> },
    Add { name: String, role: Role, class: Option<String>, key: Option<String> },
    Invite { who: Vec<String>, class: Option<String> },
    Rename { who: String, name: String },
    Role { who: String, role: Role },
    Enable { who: Vec<String>, enabled: bool },
    Move { who: Vec<String>, class: String },
    Delete { who: Vec<String>, preview: bool },
    Export { who: String },
    ResetKeys { who: String },
    Devices { who: String },
    RevokeDevice { who: String, device: String },
    ImportColumns { file: Base64Bytes, choices: Choices },
    Import { file_name: String, file: Base64Bytes, dry_run: bool, choices: Choices },
    UndoImport { id: ImportId },
}

/// About classes. `class` is a name, or `#` and its number.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the use cases say what each field means")]
pub enum ClassRequest {
    List,
    Add { name: String },
    Rename { class: String, name: String },
    Delete { class: String },
    Membership { class: String, who: String, is_member: bool },
}

/// About groups that participants made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the use cases say what each field means")]
pub enum GroupRequest {
    List { search: String },
    Delete { id: String },
}

/// About listeners. `address` has a port.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the use cases say what each field means")]
pub enum ListenerRequest {
    List,
    Add { address: String },
    Start { address: String },
    Stop { address: String },
    Remove { address: String },
}

/// About the certificate. `chain` and `key` are PEM.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the use cases say what each field means")]
pub enum CertificateRequest {
    Status,
    Use { chain: String, key: Password },
    Remove,
    AcmeOn { choice: Choice, agrees_to_terms: bool },
    AcmeOff,
    AcmeRenew,
}

/// About neighbours. `id` is a server ID or the beginning of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the use cases say what each field means")]
pub enum NeighbourRequest {
    Invite,
    Add { link: String },
    Nearby,
    Ask { id: String },
    List,
    Confirm { id: String },
    Allow { id: Option<String>, change: ContractChange },
    Pause { id: String },
    Resume { id: String },
    Block { id: String },
    Remove { id: String },
    TakeOver { id: String },
    AcceptTakeOver { id: String },
    AcceptLog { id: String },
    Settle { participant: String, home: String },
    BlockParticipant { participant: String, blocked: bool },
    BlockedParticipants,
}

/// About accounts of the admin pages.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the use cases say what each field means")]
pub enum AccountRequest {
    List,
    Add { name: String, password: Password, role: AccountRole, classes: Vec<String> },
    Delete { name: String },
}
