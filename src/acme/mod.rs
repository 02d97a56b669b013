//! Orders certificates from a public authority (ACME, RFC 8555): what is said to it and what comes back.
//!
//! Knows nothing of the store; what is kept and when to order decides [`crate::service::acme`].

mod transport;

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::transport::{AskedToWait, Dialled, Transport};
use crate::surroundings::dialling::Dialling;
use crate::tls::{CertificatesError, Challenges, Expected};

/// How long the authority may take for its checks.
const CHECKS: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).timeout(Duration::from_secs(120));

/// How the authority checks that a name leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Challenge {
    /// Over TLS on port 443 (RFC 8737).
    #[default]
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// Over plain HTTP on port 80.
    #[serde(rename = "http-01")]
    Http01,
}

/// The text is no kind of check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a check is tls-alpn-01 (port 443) or http-01 (port 80)")]
pub struct ChallengeError;

impl FromStr for Challenge {
    type Err = ChallengeError;
    fn from_str(text: &str) -> Result<Self, ChallengeError> {
        match text {
            "tls-alpn-01" => Ok(Self::TlsAlpn01),
            "http-01" => Ok(Self::Http01),
            _ => Err(ChallengeError),
        }
    }
}

/// Why no certificate was obtained.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// This machine trusts no certificates at all.
    #[error("this machine trusts no public authority; install ca-certificates {0}")]
    NoRoots(String),
    /// The authority refused, in its own words.
    #[error("the authority refuses: {0}")]
    Refused(String),
    /// The authority could not be asked, or says what makes no sense.
    #[error("the authority cannot be asked: {0}")]
    Failed(String),
    /// The check of a name failed.
    #[error("{name} could not be checked: {reason}")]
    Unchecked {
        /// Which name.
        name: String,
        /// What the authority says.
        reason: String,
    },
    /// The authority does not check in this way.
    #[error("the authority does not offer this kind of check for {0}")]
    NoSuchChallenge(String),
    /// An answer to a check cannot be made.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// Kept account data cannot be read.
    #[error("the account at the authority cannot be read: switch the certificate off and on again")]
    Account,
}

impl From<instant_acme::Error> for AcmeError {
    fn from(error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Api(problem) => Self::Refused(words(&problem)),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// A problem as one sentence: what people can act on, then the stable name.
fn words(problem: &instant_acme::Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
    let mut words = problem.detail.clone().unwrap_or_default();
    for part in &problem.subproblems {
        words = format!("{words}; {}", part.detail.as_deref().unwrap_or_default());
    }
    // What somebody else's server says goes into pages and logs.
    let plain: String = words.chars().filter(|c| !c.is_control()).take(400).collect();
    if kind.is_empty() { plain } else { format!("{plain} ({kind})") }
}

/// An authority, reached through one client.
pub struct Authority {
    directory: String,
    asked: AskedToWait,
    allowed: Dialling,
}

/// A certificate that was issued.
pub struct Issued {
    /// The chain, own certificate first (PEM).
    pub chain: String,
    /// Its private key (PEM).
    pub key: Zeroizing<String>,
}

/// An account at an authority, and its data if it is new.
pub struct Registered {
    account: Account,
    /// To be kept; holds the account's private key.
    pub new: Option<Zeroizing<String>>,
}

impl Authority {
    /// The authority with this directory, which an admin typed; of what it names itself only what is `allowed` is
    /// dialled. Nothing is sent yet.
    pub fn new(directory: &str, allowed: Dialling) -> Self {
        Self { directory: directory.to_owned(), asked: Arc::new(Mutex::new(None)), allowed }
    }

    /// Where the directory is.
    fn dialled(&self) -> Dialled {
        let uri: Option<hyper::Uri> = self.directory.parse().ok();
        let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
        let port = uri.as_ref().and_then(hyper::Uri::port_u16).unwrap_or(443);
        Dialled { typed: format!("{host}:{port}"), allowed: self.allowed.clone() }
    }

    /// How long the authority asked to wait before the next try.
    pub fn asked_to_wait(&self) -> Option<Duration> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses a kept account, or makes one; whoever calls has agreed to the authority's terms.
    ///
    /// # Errors
    /// As [`AcmeError`] says.
    pub async fn account(&self, kept: Option<&str>, contact: Option<&str>) -> Result<Registered, AcmeError> {
        let (asked, dialled) = (self.asked.clone(), self.dialled());
        let transport = tokio::task::spawn_blocking(move || Transport::new(asked, dialled)).await;
        let transport = transport.map_err(|error| AcmeError::Failed(error.to_string()))??;
        let builder = Account::builder_with_http(Box::new(transport));
        if let Some(kept) = kept {
            let credentials: AccountCredentials =
                serde_json::from_str(kept).map_err(|_| AcmeError::Account)?;
            return Ok(Registered { account: builder.from_credentials(credentials).await?, new: None });
        }
        let contact: Vec<String> = contact.map(|address| format!("mailto:{address}")).into_iter().collect();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder.create(&new, self.directory.clone(), None).await?;
        let text = serde_json::to_string(&credentials).map_err(|_| AcmeError::Account)?;
        Ok(Registered { account, new: Some(Zeroizing::new(text)) })
    }
}

impl Registered {
    /// Orders one certificate for all `names`, answering the authority's checks through `challenges`.
    ///
    /// # Errors
    /// As [`AcmeError`] says.
    pub async fn order(
        &self,
        names: &[String],
        kind: Challenge,
        challenges: &Arc<Challenges>,
    ) -> Result<Issued, AcmeError> {
        let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = self.account.new_order(&NewOrder::new(&identifiers)).await?;
        // Ready until the authority has decided.
        let expected = answer(&mut order, kind, challenges).await?;
        let status = order.poll_ready(&CHECKS).await?;
        drop(expected);
        if status != OrderStatus::Ready {
            return Err(why_invalid(&mut order).await);
        }
        let key = Zeroizing::new(order.finalize().await?);
        let chain = order.poll_certificate(&CHECKS).await?;
        Ok(Issued { chain, key })
    }
}

/// Puts the answers up and tells the authority to look.
async fn answer(
    order: &mut Order,
    kind: Challenge,
    challenges: &Arc<Challenges>,
) -> Result<Vec<Expected>, AcmeError> {
    let mut expected = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let name = authorization.identifier().to_string();
        match authorization.status {
            // Checked a while ago, and the authority remembers.
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            _ => {
                return Err(AcmeError::Unchecked { name, reason: "an earlier check failed".into() });
            }
        }
        let wanted = match kind {
            Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            Challenge::Http01 => ChallengeType::Http01,
        };
        let Some(mut challenge) = authorization.challenge(wanted) else {
            return Err(AcmeError::NoSuchChallenge(name));
        };
        let key = challenge.key_authorization();
        expected.push(match kind {
            Challenge::TlsAlpn01 => challenges.answer_tls(&name, key.digest().as_ref())?,
            Challenge::Http01 => challenges.answer_http(&challenge.token, key.as_str()),
        });
        challenge.set_ready().await?;
    }
    Ok(expected)
}

/// What the authority found wrong: it stands at the challenges.
async fn why_invalid(order: &mut Order) -> AcmeError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return AcmeError::Unchecked { name, reason: words(problem) };
        }
    }
    AcmeError::Refused("the order became invalid".into())
}
