//! Why something that only admins ask for was refused, on the pages or on the command line.

use momedo_texts::{Language, Refusal};
use strum::{EnumIter, IntoStaticStr};

use super::smoke::SmokeError;

/// Why something that only admins ask for was refused. Each kind is a row: what is said of it stands under its name, in
/// kebab-case, in `web-admin/messages/`.
#[derive(Debug, Clone, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum AdminError {
    /// Nobody of that number or ID.
    UnknownPerson,
    /// Empty, too long, or with control characters.
    UnacceptableName,
    /// No such class.
    UnknownClass,
    /// A class of that name is there already.
    ClassExists,
    /// Somebody else has this key.
    KeyTaken,
    /// Only for people who have registered.
    NotRegistered,
    /// No such device, or one that is revoked.
    UnknownDevice,
    /// No column of a class list holds names.
    ListWithoutNames,
    /// What the columns of a class list mean is guessed.
    ListIsUncertain,
    /// A class list without rows.
    EmptyList,
    /// A workbook that cannot be read.
    ListIsDamagedWorkbook,
    /// A workbook of an old kind.
    ListIsOldWorkbook,
    /// A workbook of LibreOffice.
    ListIsOpenDocument,
    /// PDF, Word and the like.
    ListIsDocument,
    /// HTML or XML.
    ListIsMarkup,
    /// Neither text nor a workbook.
    ListIsNoText,
    /// A workbook with too much in it.
    ListIsTooLarge,
    /// No such import.
    UnknownImport,
    /// Undone before.
    AlreadyUndone,
    /// A dry run that is too old, or was never made.
    PreviewGone,
    /// The file is too large.
    FileTooLarge,
    /// Nobody was chosen in the list.
    NobodyChosen,
    /// More people at once than make sense.
    TooManyChosen,
    /// Cards that are no longer kept.
    CardsGone,
    /// More cards at once than make sense.
    TooManyCards,
    /// A password that is too short or too common.
    WeakPassword,
    /// Two entries of a new password differ.
    PasswordsDiffer,
    /// The session of a form has ended.
    SessionEnded,
    /// Account, password or one-time password is wrong.
    WrongPassword,
    /// The one-time password came too long after the password.
    LogInTooSlow,
    /// The password was right, and the one-time password is not.
    WrongOneTimePassword,
    /// Password right, and a one-time password is needed.
    NeedsOneTimePassword,
    /// The rule asks for one-time passwords, and this account has none.
    OneTimePasswordsRequired,
    /// The set-up code is wrong.
    WrongSetUpCode,
    /// The server has been set up.
    AlreadySetUp,
    /// No such report, or not one of the own classes.
    UnknownReport,
    /// A note on a report is too long.
    NoteTooLong,
    /// No such account.
    UnknownAccount,
    /// There is such an account.
    AccountExists,
    /// The last admin cannot go.
    LastAdmin,
    /// One's own password changes where the old one is asked for.
    OwnAccount,
    /// An admin looks after all classes.
    LooksAfterAll,
    /// Only admins may do this.
    AdminsOnly,
    /// An address of a form, without one.
    NotSo,
    /// A number, a form or an upload that cannot be read.
    UnreadableRequest,
    /// The form is too old, or comes from another site.
    ForeignForm,
    /// The request names a host that is not this server.
    UnknownHost,
    /// A rule out of its range.
    RuleOutOfRange {
        /// The rule and its range in German.
        german: String,
        /// The same in English.
        english: String,
    },
    /// Not a host name and not an IP address.
    NotAHost(String),
    /// The rule stands in momedo.toml.
    RuleFixed(&'static str),
    /// Not an address with a port.
    NotAnAddress,
    /// No such listener.
    UnknownListener,
    /// There is such a listener.
    ListenerExists,
    /// A listener that stands in momedo.toml or on the command line.
    ListenerFixed,
    /// The last one, or the one this request came over.
    LastListener,
    /// The operating system refused the address.
    CannotListen(String),
    /// A certificate that cannot be used.
    UnusableCertificate(String),
    /// momedo.toml names certificate files.
    CertificateFromFiles,
    /// The authority's terms were not agreed to.
    TermsNotAgreed,
    /// No name that a public authority certifies, or too many.
    UnacceptableDomain(String),
    /// Not the address of an authority's directory.
    UnacceptableDirectory,
    /// Not an e-mail address.
    UnacceptableContact,
    /// The name typed is not this server's.
    WrongServerName,
    /// Nothing waits for this confirmation (any more).
    RestoreGone,
    /// No file was chosen to restore.
    NoFileChosen,
    /// A sealed file without its passphrase.
    PassphraseNeeded,
    /// Starting with the computer cannot be switched.
    NoAutostart(String),
    /// No public authority is to be asked.
    AcmeOff,
    /// The authority could not check anything.
    NotListening,
    /// The order failed.
    NoCertificate(String),
    /// About Smoke.
    #[strum(disabled)]
    Smoke(SmokeError),
    /// Not a pairing link.
    NotAPairingLink,
    /// The pairing link is this server's own.
    OwnPairingLink,
    /// The pairing link leads to an address that is not dialled.
    NotDialled(String),
    /// No such neighbour.
    UnknownNeighbour,
    /// More neighbours than make sense.
    TooManyNeighbours,
    /// The other server did not record the request.
    NeighbourSilent(String),
    /// The code is wrong, expired, or used by another server.
    PairingRefused,
    /// The other server takes no request without a code.
    RequestNotTaken,
    /// Servers nearby are not looked for.
    NotLooking,
    /// Only a running server can do this.
    NotServing,
    /// The ID is not disputed, or not by that server.
    NotDisputed,
    /// The ID belongs to this server.
    LivesHere,
    /// A server whose participants are to be taken over answers.
    StillConnected,
    /// A second home does not say that it took over.
    NotTakenOver,
    /// A neighbour whose participants this server stands in for.
    StandsIn,
}

crate::texts::shown_in_english!(AdminError);

impl Refusal for AdminError {
    fn word(&self) -> &'static str {
        match self {
            Self::Smoke(error) => error.word(),
            own => own.into(),
        }
    }

    fn values(&self, language: Language) -> Vec<(&'static str, String)> {
        let (name, value) = match self {
            Self::RuleOutOfRange { german, english } => match language {
                Language::German => ("rule", german.clone()),
                Language::English => ("rule", english.clone()),
            },
            Self::RuleFixed(rule) => ("rule", (*rule).to_owned()),
            Self::NotAHost(text) => ("text", text.clone()),
            Self::UnacceptableDomain(domain) => ("domain", domain.clone()),
            Self::NotDialled(address) => ("address", address.clone()),
            Self::CannotListen(reason)
            | Self::UnusableCertificate(reason)
            | Self::NoAutostart(reason)
            | Self::NoCertificate(reason)
            | Self::NeighbourSilent(reason) => ("reason", crate::texts::told(reason, language)),
            Self::Smoke(error) => return error.values(language),
            _ => return Vec::new(),
        };
        vec![(name, value)]
    }
}
