//! Which certificate a connection gets, and exchanging it while the server runs.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use momedo_protocol::digest::{Fingerprint, sha256};
use momedo_protocol::time::UnixMillis;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Serialize;

use super::{ACME_ALPN, AuthorityError, Challenges, Identity, LinkIdentity};
use crate::settings::config::TlsConfig;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// A file of an own certificate cannot be read.
    #[error("cannot read the certificate or key in {0}: PEM files are expected")]
    Unreadable(String),
    /// Its dates are over.
    #[error("the certificate has expired")]
    Expired,
    /// An own certificate and its key do not fit, or are of an unknown kind.
    #[error("cannot use the certificate {certificate} with the key {key}: {reason}")]
    Unfit {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
        /// What TLS says.
        reason: rustls::Error,
    },
    /// A certificate of the server's own authority is damaged.
    #[error("cannot use the certificate: {0}")]
    Unusable(#[from] rustls::Error),
    /// One that answers a check cannot be made.
    #[error(transparent)]
    Unmakable(#[from] AuthorityError),
}

/// When the files of an own certificate are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// When their dates changed.
    IfChanged,
    /// Whatever their dates say.
    Always,
}

/// The two TLS configurations, and the certificate that can be exchanged.
pub struct Certificates {
    /// For clients with ALPN `h2` or `http/1.1`.
    pub web: Arc<ServerConfig>,
    /// For clients without ALPN.
    pub fixed: Arc<ServerConfig>,
    /// For a public authority that checks a name.
    pub challenge: Arc<ServerConfig>,
    /// What such an authority is answered.
    pub challenges: Arc<Challenges>,
    /// For neighbours.
    pub link: LinkIdentity,
    leaf: Arc<Exchangeable>,
    /// One from files, by configuration.
    own: Option<OwnCertificate>,
    /// Where one that is kept in the database comes from, while it is in force.
    kept: Mutex<Option<Origin>>,
    /// Why the files could not be read the last time.
    trouble: Mutex<Option<String>>,
    authority: RwLock<CertificateDer<'static>>,
}

/// Where the certificate in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The server's own authority.
    Issued,
    /// Files named in momedo.toml.
    Files,
    /// An admin's upload.
    Uploaded,
    /// A public authority, which renews it by itself (ACME).
    Acme,
}

/// What people may know of the certificate in force.
#[derive(Debug, Clone)]
pub struct InForce {
    /// Where it comes from.
    pub origin: Origin,
    /// When it begins.
    pub begins_at: UnixMillis,
    /// When it ends.
    pub ends_at: UnixMillis,
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    /// Names and addresses in it.
    pub names: Vec<String>,
}

struct OwnCertificate {
    config: TlsConfig,
    /// The files' dates when they were read.
    read: Mutex<Option<(SystemTime, SystemTime)>>,
}

#[derive(Debug)]
struct Exchangeable(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Exchangeable {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    // Feature `prefer-post-quantum` puts X25519MLKEM768 first.
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(chain, key, &provider())
}

fn certified_pkcs8(
    (chain, key): (Vec<CertificateDer<'static>>, Vec<u8>),
) -> Result<CertifiedKey, rustls::Error> {
    certified(chain, PrivatePkcs8KeyDer::from(key).into())
}

fn server_config(leaf: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(leaf);
    // One ticket is enough for the next connection and halves what is kept for it.
    config.send_tls13_tickets = 1;
    // The identity proof is bound to the TLS exporter, which TLS 1.2 makes unique only with this.
    config.require_ems = true;
    Ok(config)
}

fn describe(certified: &CertifiedKey, origin: Origin) -> Option<InForce> {
    use x509_parser::extensions::GeneralName;
    let leaf = certified.cert.first()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).ok()?;
    let millis =
        |seconds| u64::try_from(seconds).ok().map(|seconds| UnixMillis(seconds.saturating_mul(1000)));
    let alternatives = parsed.subject_alternative_name().ok().flatten();
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|ip| IpAddr::from(ip).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|ip| IpAddr::from(ip).to_string()),
        },
        _ => None,
    };
    let names = alternatives.map(|found| found.value.general_names.iter().filter_map(name).collect());
    Some(InForce {
        origin,
        begins_at: millis(parsed.validity().not_before.timestamp())?,
        ends_at: millis(parsed.validity().not_after.timestamp())?,
        fingerprint: Fingerprint(sha256(leaf)),
        names: names.unwrap_or_default(),
    })
}

impl Certificates {
    /// Takes the configured own certificate, or the one the server's own authority issued.
    ///
    /// # Errors
    /// As [`CertificatesError`] says.
    pub fn new(identity: &Identity, config: &TlsConfig) -> Result<Self, CertificatesError> {
        let own = config.certificate.is_some().then(|| {
            // Dated before it is read: what changes in between is read again.
            OwnCertificate { read: Mutex::new(modified(config)), config: config.clone() }
        });
        let leaf = match &own {
            Some(own) => own.read()?,
            None => certified_pkcs8(identity.leaf())?,
        };
        let leaf = Arc::new(Exchangeable(RwLock::new(Arc::new(leaf))));
        let mut web = server_config(leaf.clone())?;
        web.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let fixed = Exchangeable(RwLock::new(Arc::new(certified_pkcs8(identity.fixed())?)));
        let mut fixed = server_config(Arc::new(fixed))?;
        // Smoke on older Androids may lack the extension; it proves nothing by the exporter.
        fixed.require_ems = false;
        let challenges = Arc::new(Challenges::default());
        let mut challenge = server_config(challenges.clone())?;
        challenge.require_ems = false;
        challenge.alpn_protocols = vec![ACME_ALPN.to_vec()];
        let authority = RwLock::new(identity.authority());
        let link = identity
            .key()
            .and_then(|key| LinkIdentity::new(&key))
            .map_err(|error| CertificatesError::Unusable(rustls::Error::General(error.to_string())))?;
        Ok(Self {
            web: Arc::new(web),
            fixed: Arc::new(fixed),
            challenge: Arc::new(challenge),
            challenges,
            link,
            leaf,
            own,
            kept: Mutex::default(),
            trouble: Mutex::default(),
            authority,
        })
    }

    /// The certificate of the server's own authority, for devices that are to trust it.
    pub fn authority(&self) -> CertificateDer<'static> {
        self.authority.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks a certificate from elsewhere: PEM chain and PEM key.
    ///
    /// # Errors
    /// As [`CertificatesError`] says, also for one whose dates are over.
    pub fn check(
        chain: &str,
        key: &str,
        origin: Origin,
        now: UnixMillis,
    ) -> Result<(CertifiedKey, InForce), CertificatesError> {
        let unreadable = |what: &str| CertificatesError::Unreadable(what.to_owned());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .ok()
            .filter(|chain: &Vec<_>| !chain.is_empty())
            .ok_or_else(|| unreadable("this certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| unreadable("this key"))?;
        let certified = certified(chain, key)?;
        let about = describe(&certified, origin).ok_or_else(|| unreadable("this certificate"))?;
        if about.ends_at <= now { Err(CertificatesError::Expired) } else { Ok((certified, about)) }
    }

    /// Puts a certificate that is kept in the database into force; one from files goes before it.
    pub fn use_kept(&self, certified: CertifiedKey, origin: Origin) {
        if self.own.is_none() {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin);
            self.put(certified);
        }
    }

    /// Goes back to what the server's own authority issued.
    ///
    /// # Errors
    /// [`CertificatesError::Unusable`].
    pub fn use_issued(&self, identity: &Identity) -> Result<(), CertificatesError> {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.exchange(identity)
    }

    /// What people may know of the certificate in force.
    pub fn in_force(&self) -> Option<InForce> {
        let origin = if self.own.is_some() { Origin::Files } else { self.kept().unwrap_or(Origin::Issued) };
        let current = self.leaf.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        describe(&current, origin)
    }

    fn kept(&self) -> Option<Origin> {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the certificate in force is not one that this server issued to itself.
    pub fn is_from_elsewhere(&self) -> bool {
        self.own.is_some() || self.kept().is_some_and(|origin| origin != Origin::Issued)
    }

    /// Whether an own certificate is configured.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Puts a newly issued leaf into force, unless an own certificate is configured.
    ///
    /// # Errors
    /// [`CertificatesError::Unusable`].
    pub fn exchange(&self, identity: &Identity) -> Result<(), CertificatesError> {
        // New names may have needed wider constraints.
        *self.authority.write().unwrap_or_else(PoisonError::into_inner) = identity.authority();
        if self.own.is_none() && self.kept().is_none() {
            self.put(certified_pkcs8(identity.leaf())?);
        }
        Ok(())
    }

    /// Reads an own certificate again and puts it into force; true when it did. Blocks on file I/O.
    ///
    /// # Errors
    /// As [`CertificatesError`] says; the last good certificate stays in force. Nobody having asked, the same
    /// trouble is told once.
    pub fn reload(&self, when: Reload) -> Result<bool, CertificatesError> {
        let result = self.read_again(when);
        let mut told = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let words = result.as_ref().err().map(ToString::to_string);
        if when == Reload::IfChanged && words.is_some() && *told == words {
            return Ok(false);
        }
        *told = words;
        result
    }

    fn read_again(&self, when: Reload) -> Result<bool, CertificatesError> {
        let Some(own) = &self.own else { return Ok(false) };
        // Held to the end, so that of two looks at once the later one counts.
        let mut read = own.read.lock().unwrap_or_else(PoisonError::into_inner);
        let modified = modified(&own.config);
        if when == Reload::IfChanged && *read == modified {
            return Ok(false);
        }
        self.put(own.read()?);
        *read = modified;
        Ok(true)
    }

    fn put(&self, key: CertifiedKey) {
        *self.leaf.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

fn modified(config: &TlsConfig) -> Option<(SystemTime, SystemTime)> {
    let of = |path: Option<&Path>| std::fs::metadata(path?).and_then(|file| file.modified()).ok();
    Some((of(config.certificate.as_deref())?, of(config.key.as_deref())?))
}

/// Reads the certificate that `config` names as a start would; `None` where it names none. Blocks on file I/O.
///
/// # Errors
/// As [`CertificatesError`] says.
pub fn examine(config: &TlsConfig) -> Result<Option<InForce>, CertificatesError> {
    let Some(path) = &config.certificate else { return Ok(None) };
    let own = OwnCertificate { config: config.clone(), read: Mutex::default() };
    let unreadable = || CertificatesError::Unreadable(path.display().to_string());
    describe(&own.read()?, Origin::Files).map(Some).ok_or_else(unreadable)
}

impl OwnCertificate {
    fn read(&self) -> Result<CertifiedKey, CertificatesError> {
        let name = |path: Option<&Path>| path.map(|p| p.display().to_string()).unwrap_or_default();
        let (certificate, key) = (self.config.certificate.as_deref(), self.config.key.as_deref());
        let chain: Vec<_> = certificate
            .and_then(|path| CertificateDer::pem_file_iter(path).ok())
            .and_then(|certificates| certificates.collect::<Result<_, _>>().ok())
            .filter(|chain: &Vec<_>| !chain.is_empty())
            .ok_or_else(|| CertificatesError::Unreadable(name(certificate)))?;
        let private = key
            .and_then(|path| PrivateKeyDer::from_pem_file(path).ok())
            .ok_or_else(|| CertificatesError::Unreadable(name(key)))?;
        certified(chain, private).map_err(|reason| CertificatesError::Unfit {
            certificate: name(certificate),
            key: name(key),
            reason,
        })
    }
}
