//! A certificate from a public authority (ACME): switched on by an admin, ordered and renewed by itself.
//!
//! Nothing is sent to anybody before an admin switched it on. Choices, account and certificate are kept in the
//! settings table, so they are in every backup. Whatever goes wrong leaves the certificate in force as it is.

use std::time::Duration;

use momedo_protocol::random;
use momedo_protocol::time::{MADE_AFTER, UnixMillis};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::audit::{self, Action};
use super::certificates::{self, Upload};
use super::permission::{Admin, RecentlyConfirmed};
use super::{AdminError, ServiceError};
use crate::acme::{AcmeError, Authority, Challenge, Issued};
use crate::domain::renewal;
use crate::settings::names;
use crate::state::App;
use crate::store::{ReadTx, WriteTx};
use crate::surroundings::dialling::Dialling;
use crate::tls::{Certificates, InForce, Origin};

/// Settings: what the admin chose, the account at the authority, what went wrong last.
const CHOICE: &str = "acme";
const ACCOUNT: &str = "acme-account";
const TROUBLE: &str = "acme-trouble";

/// Who obtains certificates, for the log.
const BY_ITSELF: &str = "momedo";

/// Most names of one certificate.
const MAX_NAMES: usize = 10;

/// How long one order may take in all.
const ORDER: Duration = Duration::from_secs(300);

/// A pause that seems longer than this was written by a wrong clock.
const LONGEST_PAUSE: Duration = Duration::from_secs(8 * 24 * 3600);

/// What an admin chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Choice {
    /// Whether an authority is asked at all.
    pub enabled: bool,
    /// The names of the certificate.
    pub domains: Vec<String>,
    /// The authority's directory; empty: the one of momedo.toml.
    pub directory: String,
    /// Where the authority may write to; empty: nowhere.
    pub contact: String,
    /// How names are checked.
    pub challenge: Challenge,
}

/// How it stands.
#[derive(Debug, Clone, Serialize)]
pub struct AcmeStatus {
    /// What was chosen, with the directory that counts.
    #[serde(flatten)]
    pub choice: Choice,
    /// When the certificate is renewed; none without one.
    pub due_at: Option<UnixMillis>,
    /// What went wrong the last time; gone when a certificate is obtained.
    pub trouble: Option<String>,
    /// When that was.
    pub trouble_at: Option<UnixMillis>,
    /// When it is tried again.
    pub again_at: Option<UnixMillis>,
}

/// An account at an authority, and whose it is.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Account {
    directory: String,
    credentials: String,
}

/// What went wrong, as remembered.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Trouble {
    at: UnixMillis,
    again_at: UnixMillis,
    words: String,
    tries: u32,
}

fn read<T: serde::de::DeserializeOwned>(tx: &ReadTx<'_>, setting: &str) -> Result<Option<T>, ServiceError> {
    let bytes = tx.setting(setting)?.filter(|bytes| !bytes.is_empty());
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn write<T: Serialize>(tx: &WriteTx<'_>, setting: &str, value: &T) -> Result<(), ServiceError> {
    let bytes = serde_json::to_vec(value).map_err(|error| ServiceError::Internal(error.to_string()))?;
    Ok(tx.set_setting(setting, &bytes)?)
}

/// Asks no authority any more; whoever changes the certificate otherwise does this in the same transaction.
pub(super) fn disable(tx: &WriteTx<'_>) -> Result<(), ServiceError> {
    if let Some(choice) = read::<Choice>(tx, CHOICE)?.filter(|choice| choice.enabled) {
        write(tx, CHOICE, &Choice { enabled: false, ..choice })?;
    }
    Ok(tx.set_setting(TROUBLE, b"")?)
}

/// What is kept, read at once.
struct Kept {
    choice: Choice,
    trouble: Option<Trouble>,
}

async fn kept(app: &App) -> Result<Kept, ServiceError> {
    let (choice, trouble) = app
        .store
        .read(|tx| Ok::<_, ServiceError>((read::<Choice>(tx, CHOICE)?, read::<Trouble>(tx, TROUBLE)?)))
        .await?;
    let mut choice = choice.unwrap_or_default();
    let config = app.config();
    // The file has its say before the pages.
    if choice.directory.is_empty() || config.is_fixed(names::acme::directory) {
        choice.directory.clone_from(&config.acme.directory);
    }
    Ok(Kept { choice, trouble })
}

/// The kept certificate, if an authority issued it for just these names.
async fn issued(app: &App, choice: &Choice) -> Result<Option<InForce>, ServiceError> {
    let kept = certificates::kept(&app.store).await?.filter(|kept| kept.acme);
    let about = kept.and_then(|kept| kept.about(app.clock.now()));
    Ok(about.filter(|about| covers(about, &choice.domains)))
}

fn covers(about: &InForce, domains: &[String]) -> bool {
    domains.iter().all(|domain| about.names.iter().any(|name| name.eq_ignore_ascii_case(domain)))
}

fn due_at(about: &InForce) -> UnixMillis {
    renewal::due_at(about.begins_at, about.ends_at, about.fingerprint.0[0])
}

/// How it stands.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn status(app: &App, _: &Admin) -> Result<AcmeStatus, ServiceError> {
    let Kept { choice, trouble } = kept(app).await?;
    let due_at = issued(app, &choice).await?.filter(|_| choice.enabled).map(|about| due_at(&about));
    let trouble = trouble.filter(|_| choice.enabled);
    Ok(AcmeStatus {
        choice,
        due_at,
        trouble_at: trouble.as_ref().map(|trouble| trouble.at),
        again_at: trouble.as_ref().map(|trouble| trouble.again_at),
        trouble: trouble.map(|trouble| trouble.words),
    })
}

/// What went wrong the last time, while it is switched on.
///
/// # Errors
/// As [`ServiceError`] says.
pub(super) async fn trouble(app: &App) -> Result<Option<String>, ServiceError> {
    let Kept { choice, trouble } = kept(app).await?;
    Ok(trouble.filter(|_| choice.enabled).map(|trouble| trouble.words))
}

fn check(choice: &mut Choice) -> Result<(), AdminError> {
    for domain in &mut choice.domains {
        *domain = domain.trim().trim_end_matches('.').to_ascii_lowercase();
    }
    choice.domains.retain(|domain| !domain.is_empty());
    choice.domains.sort();
    choice.domains.dedup();
    if choice.domains.is_empty() || choice.domains.len() > MAX_NAMES {
        return Err(AdminError::UnacceptableDomain(choice.domains.len().to_string()));
    }
    if let Some(domain) = choice.domains.iter().find(|domain| !is_public_name(domain)) {
        return Err(AdminError::UnacceptableDomain(domain.clone()));
    }
    let directory: Option<hyper::Uri> = choice.directory.parse().ok();
    let is_https = directory.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
    if !choice.directory.is_empty() && (!is_https || choice.directory.len() > 500) {
        return Err(AdminError::UnacceptableDirectory);
    }
    let is_address = |text: &str| {
        text.len() <= 254
            && text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && is_public_name(host))
            && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '&' | ',' | ':' | '%'))
    };
    if !choice.contact.is_empty() && !is_address(&choice.contact) {
        return Err(AdminError::UnacceptableContact);
    }
    Ok(())
}

/// A host name with a dot in it (RFC 1123), not an address: what a public authority certifies.
pub fn is_public_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(is_label)
        && name.parse::<std::net::IpAddr>().is_err()
        && !name.rsplit('.').next().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()))
}

/// Switches it on; the first certificate is ordered by [`keep_up`] or [`obtain`].
///
/// # Errors
/// [`AdminError::TermsNotAgreed`], [`AdminError::CertificateFromFiles`], [`AdminError::RuleFixed`],
/// [`AdminError::UnacceptableDomain`], [`AdminError::UnacceptableDirectory`] or
/// [`AdminError::UnacceptableContact`].
pub async fn switch_on(
    app: &App,
    admin: &RecentlyConfirmed,
    mut choice: Choice,
    agrees_to_terms: bool,
) -> Result<(), ServiceError> {
    if !agrees_to_terms {
        return Err(AdminError::TermsNotAgreed.into());
    }
    if app.certificates.is_own() {
        return Err(AdminError::CertificateFromFiles.into());
    }
    choice.enabled = true;
    choice.directory = choice.directory.trim().to_owned();
    choice.contact = choice.contact.trim().to_owned();
    check(&mut choice)?;
    let config = app.config();
    let is_default = choice.directory == config.acme.directory;
    if config.is_fixed(names::acme::directory) && !choice.directory.is_empty() && !is_default {
        return Err(AdminError::RuleFixed(names::acme::directory).into());
    }
    if is_default {
        choice.directory.clear();
    }
    let (now, account, names) = (app.clock.now(), admin.account().to_owned(), choice.domains.join(" "));
    app.store
        .write(move |tx| {
            write(tx, CHOICE, &choice)?;
            // What went wrong with other choices says nothing about these.
            tx.set_setting(TROUBLE, b"")?;
            audit::log(tx, now, &account, Action::AcmeOn, &names)
        })
        .await?;
    app.certificate_wanted.notify_one();
    Ok(())
}

/// Switches it off: no authority is asked any more. A certificate that is there serves until it ends.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn switch_off(app: &App, admin: &RecentlyConfirmed) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            disable(tx)?;
            audit::log(tx, now, &account, Action::AcmeOff, "")
        })
        .await
}

/// Orders a certificate if one is due; what the background loop does every few minutes. True when it did.
///
/// # Errors
/// As [`obtain`] says; the failure is remembered, and it is tried again ever more seldom.
pub async fn keep_up(app: &App) -> Result<bool, ServiceError> {
    // Whatever somebody else is ordering just now may be what is due.
    let _turn = app.certificate_orders.lock().await;
    let Kept { choice, trouble } = kept(app).await?;
    let now = app.clock.now();
    // With a clock that was never set every certificate seems not to have begun.
    if !choice.enabled || app.certificates.is_own() || now < MADE_AFTER {
        return Ok(false);
    }
    let waits = trouble.is_some_and(|trouble| {
        let left = trouble.again_at.0.saturating_sub(now.0);
        left > 0 && u128::from(left) < LONGEST_PAUSE.as_millis()
    });
    if waits || issued(app, &choice).await?.is_some_and(|about| now < due_at(&about)) {
        return Ok(false);
    }
    order_now(app).await.map(|()| true)
}

/// Orders a certificate now and puts it into force.
///
/// # Errors
/// [`AdminError::AcmeOff`], [`AdminError::NotListening`], or [`AdminError::NoCertificate`] with the reason.
pub async fn obtain(app: &App) -> Result<(), ServiceError> {
    let _turn = app.certificate_orders.lock().await;
    order_now(app).await
}

/// Orders; whoever calls has the turn.
async fn order_now(app: &App) -> Result<(), ServiceError> {
    let Kept { choice, trouble } = kept(app).await?;
    if !choice.enabled || app.certificates.is_own() {
        return Err(AdminError::AcmeOff.into());
    }
    if app.listeners.running().is_empty() {
        return Err(AdminError::NotListening.into());
    }
    let authority = Authority::new(&choice.directory, Dialling::of(app));
    let ordered = tokio::time::timeout(ORDER, order(app, &authority, &choice)).await;
    let result = match ordered {
        Ok(Ok(issued)) => put_into_force(app, &choice, issued).await,
        Ok(Err(Failed::Authority(error))) => Err(AdminError::NoCertificate(error.to_string()).into()),
        Ok(Err(Failed::Service(error))) => Err(error),
        Err(_) => Err(AdminError::NoCertificate("the authority takes too long".into()).into()),
    };
    if let Err(error) = &result {
        let tries = trouble.map_or(0, |trouble| trouble.tries).saturating_add(1);
        let pause = renewal::pause(tries, random::bytes::<1>()[0], authority.asked_to_wait());
        let at = app.clock.now();
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let again_at = UnixMillis(at.0.saturating_add(pause));
        let words = match error {
            ServiceError::Admin(AdminError::NoCertificate(reason)) => reason.clone(),
            other => other.to_string(),
        };
        let trouble = Trouble { at, again_at, words, tries };
        app.store.write_freeing(move |tx| write(tx, TROUBLE, &trouble)).await?;
    }
    result
}

/// Why an order failed.
enum Failed {
    Authority(AcmeError),
    Service(ServiceError),
}

impl From<AcmeError> for Failed {
    fn from(error: AcmeError) -> Self {
        Self::Authority(error)
    }
}

impl From<ServiceError> for Failed {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

async fn order(app: &App, authority: &Authority, choice: &Choice) -> Result<Issued, Failed> {
    let kept = app.store.read(|tx| read::<Account>(tx, ACCOUNT)).await?;
    let kept = kept.filter(|account| account.directory == choice.directory);
    let contact = Some(choice.contact.as_str()).filter(|contact| !contact.is_empty());
    let credentials = kept.as_ref().map(|account| account.credentials.as_str());
    let registered = authority.account(credentials, contact).await?;
    if let Some(new) = &registered.new {
        // Before anything can fail: authorities limit how many accounts one may make.
        let account = Account { directory: choice.directory.clone(), credentials: new.to_string() };
        app.store.write(move |tx| write(tx, ACCOUNT, &account)).await?;
    }
    let ordered = registered.order(&choice.domains, choice.challenge, &app.certificates.challenges).await;
    if let Err(AcmeError::Refused(words)) = &ordered
        && words.contains("(accountDoesNotExist)")
    {
        // Gone over there; the next try makes another.
        app.store.write(|tx| Ok::<_, ServiceError>(tx.set_setting(ACCOUNT, b"")?)).await?;
    }
    Ok(ordered?)
}

async fn put_into_force(app: &App, choice: &Choice, issued: Issued) -> Result<(), ServiceError> {
    let now = app.clock.now();
    let unusable = |reason: String| AdminError::NoCertificate(format!("what was issued: {reason}"));
    let (certified, about) = Certificates::check(&issued.chain, &issued.key, Origin::Acme, now)
        .map_err(|error| unusable(error.to_string()))?;
    if !covers(&about, &choice.domains) {
        return Err(unusable(format!("names only {}", about.names.join(", "))).into());
    }
    let upload = Upload { chain: issued.chain, key: issued.key.to_string(), acme: true };
    let names = choice.domains.join(" ");
    let was_on = app
        .store
        .write(move |tx| {
            // Switched off while the authority was at work: then it is not wanted.
            if !read::<Choice>(tx, CHOICE)?.is_some_and(|choice| choice.enabled) {
                return Ok(false);
            }
            certificates::keep(tx, Some(&upload))?;
            tx.set_setting(TROUBLE, b"")?;
            audit::log(tx, now, BY_ITSELF, Action::CertificateObtained, &names)?;
            Ok::<_, ServiceError>(true)
        })
        .await?;
    if !was_on {
        return Err(AdminError::AcmeOff.into());
    }
    app.certificates.use_kept(certified, Origin::Acme);
    tracing::info!("a certificate was obtained and is in force");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_an_authority_could_check_are_taken() {
        for name in ["schule.example", "chat.schule.example", "xn--mnchen-3ya.example", "a.b"] {
            assert!(is_public_name(name), "{name}");
        }
        for name in [
            "localhost",
            "10.0.0.1",
            "1.2",
            "*.example",
            "-a.example",
            "a..b",
            ".a",
            "a b.c",
            "schüle.de",
            "",
        ] {
            assert!(!is_public_name(name), "{name}");
        }
    }

    #[test]
    fn a_choice_is_put_in_order_or_refused() {
        let choice = |domains: &[&str], directory: &str, contact: &str| Choice {
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
            directory: directory.into(),
            contact: contact.into(),
            ..Choice::default()
        };
        let mut good =
            choice(&[" B.example. ", "a.example", "b.example", ""], "https://ca.example/d", "a@b.example");
        check(&mut good).unwrap();
        assert_eq!(good.domains, ["a.example", "b.example"]);
        assert!(matches!(check(&mut choice(&[], "", "")), Err(AdminError::UnacceptableDomain(_))));
        for directory in ["http://ca.example/", "ca.example", "https://", "file:///etc/passwd"] {
            let refused = check(&mut choice(&["a.example"], directory, ""));
            assert_eq!(refused, Err(AdminError::UnacceptableDirectory), "{directory}");
        }
        for contact in ["a", "@b.example", "a@b", "a@b.example,c@d.example", "a@b.example?cc=x"] {
            let refused = check(&mut choice(&["a.example"], "", contact));
            assert_eq!(refused, Err(AdminError::UnacceptableContact), "{contact}");
        }
    }
}
