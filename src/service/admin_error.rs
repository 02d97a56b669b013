//! Why something that only admins ask for was refused. The pages have words for each in both languages.

/// Why something that only admins ask for was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// Nobody of that number or ID.
    #[error("nobody has this ID or number here")]
    UnknownPerson,
    /// Empty, too long, or with control characters.
    #[error("a name has 1 to 80 characters that can be seen, with single spaces")]
    UnacceptableName,
    /// No such class.
    #[error("there is no such class or team")]
    UnknownClass,
    /// A class of that name is there already.
    #[error("there is a class or team of this name already")]
    ClassExists,
    /// Somebody else has this key.
    #[error("somebody else has this key")]
    KeyTaken,
    /// Only for people who have registered.
    #[error("this person has not registered yet")]
    NotRegistered,
    /// No such device, or one that is revoked.
    #[error("this person has no such device")]
    UnknownDevice,
    /// The first line of a class list names no columns.
    #[error("the first line must name the columns, for example: Name;Klasse;Kennung")]
    ListWithoutNames,
    /// A class list without rows.
    #[error("the list is empty")]
    EmptyList,
    /// No such import.
    #[error("there is no such import")]
    UnknownImport,
    /// Undone before.
    #[error("this import was undone already")]
    AlreadyUndone,
    /// A dry run that is too old, or was never made.
    #[error("this preview is over: choose the file again")]
    PreviewGone,
    /// The file is too large.
    #[error("the file is larger than this server takes")]
    FileTooLarge,
    /// More cards at once than make sense.
    #[error("at most 600 cards at once: choose a class")]
    TooManyCards,
    /// A password that is too short or too common.
    #[error("a password needs at least 10 characters and must not be a common one")]
    WeakPassword,
    /// Two entries of a new password differ.
    #[error("the two passwords differ")]
    PasswordsDiffer,
    /// Account, password or one-time password is wrong.
    #[error("account or password is wrong")]
    WrongPassword,
    /// Password right, and a one-time password is needed.
    #[error("a one-time password is needed")]
    NeedsOneTimePassword,
    /// The rule asks for one-time passwords, and this account has none.
    #[error("one-time passwords have to be switched on first")]
    OneTimePasswordsRequired,
    /// The set-up code is wrong.
    #[error("the set-up code is wrong: the server's log shows it")]
    WrongSetUpCode,
    /// The server has been set up.
    #[error("this server has been set up already")]
    AlreadySetUp,
    /// No such report, or not one of the own classes.
    #[error("there is no such report")]
    UnknownReport,
    /// No such account.
    #[error("there is no such account")]
    UnknownAccount,
    /// There is such an account.
    #[error("there is an account of this name already")]
    AccountExists,
    /// The last admin cannot go.
    #[error("the last admin's account cannot be deleted")]
    LastAdmin,
    /// Only admins may do this.
    #[error("only an admin may do this")]
    AdminsOnly,
    /// The form is too old, or comes from another site.
    #[error("this form is too old or comes from elsewhere: open the page again")]
    ForeignForm,
    /// The request names a host that is not this server.
    #[error("this server is not called that: use its address or a name it knows")]
    UnknownHost,
    /// A rule out of its range.
    #[error("out of its range: {0}")]
    RuleOutOfRange(String),
    /// Not a host name and not an IP address.
    #[error("{0} is neither a host name nor an IP address")]
    NotAHost(String),
    /// The rule stands in momedo.toml.
    #[error("{0} is set in momedo.toml: change it there")]
    RuleFixed(&'static str),
    /// Not an address with a port.
    #[error("an address with a port is expected, such as 0.0.0.0:4711")]
    NotAnAddress,
    /// No such listener.
    #[error("there is no such listener")]
    UnknownListener,
    /// There is such a listener.
    #[error("there is a listener at this address already")]
    ListenerExists,
    /// A listener that stands in momedo.toml or on the command line.
    #[error("this listener stands in momedo.toml or on the command line")]
    ListenerFixed,
    /// The last one, or the one this request came over.
    #[error("the last listener that runs cannot be stopped")]
    LastListener,
    /// The operating system refused the address.
    #[error("cannot listen there: {0}")]
    CannotListen(String),
    /// A certificate that cannot be used.
    #[error("this certificate cannot be used: {0}")]
    UnusableCertificate(String),
    /// momedo.toml names certificate files.
    #[error("momedo.toml names certificate files: take them out there first")]
    CertificateFromFiles,
    /// The authority's terms were not agreed to.
    #[error("a public authority issues only to those who agree to its terms")]
    TermsNotAgreed,
    /// No name that a public authority certifies, or too many.
    #[error("1 to 10 public host names are needed, such as chat.example.org: {0}")]
    UnacceptableDomain(String),
    /// Not the address of an authority's directory.
    #[error("the authority's directory is an address that begins with https://")]
    UnacceptableDirectory,
    /// Not an e-mail address.
    #[error("the contact is an e-mail address, or empty")]
    UnacceptableContact,
    /// The name typed is not this server's.
    #[error("this is not the server's name: type it as it stands at the top of the page")]
    WrongServerName,
    /// Nothing waits for this confirmation (any more).
    #[error("this restore is over: choose the backup again")]
    RestoreGone,
    /// A sealed file without its passphrase.
    #[error("this file is sealed: its passphrase is needed")]
    PassphraseNeeded,
    /// A file that is no usable backup.
    #[error("this backup cannot be used: {0}")]
    UnusableBackup(String),
    /// No backup of that name, or not a name.
    #[error("{0}")]
    UnknownBackup(String),
    /// A passphrase that is too easily guessed.
    #[error("a passphrase needs at least 10 characters")]
    ShortPassphrase,
    /// The disk has no room for a backup.
    #[error("{0}")]
    NoRoom(String),
    /// Starting with the computer cannot be switched.
    #[error("starting with the computer cannot be switched: {0}")]
    NoAutostart(String),
    /// No public authority is to be asked.
    #[error("certificates from a public authority are switched off")]
    AcmeOff,
    /// The authority could not check anything.
    #[error("the server does not run, so no authority could reach it: start it first")]
    NotListening,
    /// The order failed.
    #[error("no certificate was obtained: {0}")]
    NoCertificate(String),
    /// About Smoke.
    #[error(transparent)]
    Smoke(#[from] super::smoke::SmokeError),
    /// Not a pairing link.
    #[error("a pairing link looks like https://HOST:4710/n#CODE.FINGERPRINT; copy it whole")]
    NotAPairingLink,
    /// The pairing link is this server's own.
    #[error("this is this server's own pairing link: give it to the other server's admin")]
    OwnPairingLink,
    /// The pairing link leads to an address that is not dialled.
    #[error("the link leads to an address that this server does not dial: {0}")]
    NotDialled(String),
    /// No such neighbour.
    #[error("there is no such neighbour")]
    UnknownNeighbour,
    /// More neighbours than make sense.
    #[error("this server has as many neighbours as it can have")]
    TooManyNeighbours,
    /// The other server did not record the request.
    #[error("the other server cannot be asked: {0}")]
    NeighbourSilent(String),
    /// The code is wrong, expired, or used by another server.
    #[error("the other server refuses this link: it expired, or another server used it; ask for a new one")]
    PairingRefused,
    /// The other server takes no request without a code.
    #[error("the other server takes no request without a pairing link now: ask its admin for one")]
    RequestNotTaken,
    /// Servers nearby are not looked for.
    #[error(
        "servers nearby are not looked for: the server does not run, listens on this machine alone, or has nearby \
         switched off in momedo.toml"
    )]
    NotLooking,
    /// Only a running server can do this.
    #[error("the server must be running for this")]
    NotServing,
    /// The ID is not disputed, or not by that server.
    #[error("no two servers claim this ID, or that server is neither of them")]
    NotDisputed,
    /// The ID belongs to this server.
    #[error("this ID belongs to this server: disable the participant instead")]
    LivesHere,
    /// A server whose participants are to be taken over answers.
    #[error("that server answers: there is nothing to take over")]
    StillConnected,
    /// A second home does not say that it took over.
    #[error("that server does not say that it took this one's participants over")]
    NotTakenOver,
    /// A neighbour whose participants this server stands in for.
    #[error("this server stands in for participants of that one: take them over first")]
    StandsIn,
}

impl AdminError {
    /// The word the pages know it by.
    pub fn word(&self) -> &'static str {
        match self {
            Self::UnknownPerson => "unknown-person",
            Self::UnacceptableName => "unacceptable-name",
            Self::UnknownClass => "unknown-class",
            Self::ClassExists => "class-exists",
            Self::KeyTaken => "key-taken",
            Self::NotRegistered => "not-registered",
            Self::UnknownDevice => "unknown-device",
            Self::ListWithoutNames => "list-without-names",
            Self::EmptyList => "empty-list",
            Self::UnknownImport => "unknown-import",
            Self::AlreadyUndone => "already-undone",
            Self::PreviewGone => "preview-gone",
            Self::FileTooLarge => "file-too-large",
            Self::TooManyCards => "too-many-cards",
            Self::WeakPassword => "weak-password",
            Self::PasswordsDiffer => "passwords-differ",
            Self::WrongPassword => "wrong-password",
            Self::NeedsOneTimePassword => "needs-one-time-password",
            Self::OneTimePasswordsRequired => "one-time-passwords-required",
            Self::WrongSetUpCode => "wrong-set-up-code",
            Self::AlreadySetUp => "already-set-up",
            Self::UnknownReport => "unknown-report",
            Self::UnknownAccount => "unknown-account",
            Self::AccountExists => "account-exists",
            Self::LastAdmin => "last-admin",
            Self::AdminsOnly => "admins-only",
            Self::ForeignForm => "foreign-form",
            Self::UnknownHost => "unknown-host",
            Self::RuleOutOfRange(_) => "rule-out-of-range",
            Self::NotAHost(_) => "not-a-host",
            Self::RuleFixed(_) => "rule-fixed",
            Self::NotAnAddress => "not-an-address",
            Self::UnknownListener => "unknown-listener",
            Self::ListenerExists => "listener-exists",
            Self::ListenerFixed => "listener-fixed",
            Self::LastListener => "last-listener",
            Self::CannotListen(_) => "cannot-listen",
            Self::UnusableCertificate(_) => "unusable-certificate",
            Self::CertificateFromFiles => "certificate-from-files",
            Self::TermsNotAgreed => "terms-not-agreed",
            Self::UnacceptableDomain(_) => "unacceptable-domain",
            Self::UnacceptableDirectory => "unacceptable-directory",
            Self::UnacceptableContact => "unacceptable-contact",
            Self::WrongServerName => "wrong-server-name",
            Self::RestoreGone => "restore-gone",
            Self::PassphraseNeeded => "passphrase-needed",
            Self::UnusableBackup(_) => "unusable-backup",
            Self::UnknownBackup(_) => "unknown-backup",
            Self::ShortPassphrase => "short-passphrase",
            Self::NoRoom(_) => "no-room",
            Self::NoAutostart(_) => "no-autostart",
            Self::AcmeOff => "acme-off",
            Self::NotListening => "not-listening",
            Self::NoCertificate(_) => "no-certificate",
            Self::Smoke(error) => error.word(),
            Self::NotAPairingLink => "not-a-pairing-link",
            Self::OwnPairingLink => "own-pairing-link",
            Self::NotDialled(_) => "not-dialled",
            Self::UnknownNeighbour => "unknown-neighbour",
            Self::TooManyNeighbours => "too-many-neighbours",
            Self::NeighbourSilent(_) => "neighbour-silent",
            Self::PairingRefused => "pairing-refused",
            Self::RequestNotTaken => "request-not-taken",
            Self::NotLooking => "not-looking",
            Self::NotServing => "not-serving",
            Self::NotDisputed => "not-disputed",
            Self::LivesHere => "lives-here",
            Self::StillConnected => "still-connected",
            Self::NotTakenOver => "not-taken-over",
            Self::StandsIn => "stands-in",
        }
    }

    /// What the sentence is about, where it names something.
    pub fn detail(&self) -> &str {
        match self {
            Self::RuleFixed(what) => what,
            Self::RuleOutOfRange(reason)
            | Self::CannotListen(reason)
            | Self::NotAHost(reason)
            | Self::UnusableCertificate(reason)
            | Self::UnacceptableDomain(reason)
            | Self::UnusableBackup(reason)
            | Self::NoRoom(reason)
            | Self::NoAutostart(reason)
            | Self::NoCertificate(reason)
            | Self::NotDialled(reason)
            | Self::NeighbourSilent(reason) => reason,
            _ => "",
        }
    }
}
