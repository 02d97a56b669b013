//! TLS of the federation link: both ends show a certificate that their identity key signed for itself, and prove in
//! the handshake that they hold that key. Names, dates and issuers mean nothing; the key *is* the server.
//!
//! TLS 1.3 alone, so the certificates are not seen on the way; and no resumption, so every connection proves both
//! keys anew.

use std::sync::Arc;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use rcgen::KeyPair;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{CertificateError, ClientConfig, Error, ServerConfig, SignatureScheme};

use super::authority::{AuthorityError, parameters, rsa_key_pair};
use super::own_check::{CertificateCheck, OwnVerifier};

/// What a server shows its neighbours.
#[derive(Debug)]
pub struct LinkIdentity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    server: Arc<ServerConfig>,
}

impl LinkIdentity {
    /// Makes the certificate of an identity key; it is made anew at every start, since only its key counts.
    ///
    /// # Errors
    /// As [`AuthorityError`] says.
    pub fn new(identity: &RsaPrivateKey) -> Result<Self, AuthorityError> {
        let pair: KeyPair = rsa_key_pair(identity.pkcs8())?;
        let certificate = parameters("momedo neighbour").self_signed(&pair)?.der().clone();
        let key = identity.pkcs8().to_vec();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = OwnVerifier::new(KeyCheck { pinned: None }, &provider);
        let private = PrivatePkcs8KeyDer::from(key.clone()).into();
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|_| AuthorityError::Damaged)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.clone()], private)
            .map_err(|_| AuthorityError::Damaged)?;
        server.alpn_protocols = vec![link::ALPN.to_vec()];
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Self { certificate, key, server: Arc::new(server) })
    }

    /// For connections that neighbours dial.
    pub fn accepting(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// For dialling the neighbour with this server ID, and no other.
    ///
    /// # Errors
    /// What rustls says.
    pub fn dialling(&self, neighbour: Fingerprint) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = OwnVerifier::new(KeyCheck { pinned: Some(neighbour) }, &provider);
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(
                vec![self.certificate.clone()],
                PrivatePkcs8KeyDer::from(self.key.clone()).into(),
            )?;
        config.alpn_protocols = vec![link::ALPN.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }
}

/// The key a peer proved in the handshake.
pub fn proved_key(certificates: Option<&[CertificateDer<'_>]>) -> Option<RsaPublicKey> {
    key_of(certificates?.first()?)
}

/// Whether a handshake failed because another server answered.
pub fn is_wrong_identity(error: &std::io::Error) -> bool {
    error.get_ref().and_then(|cause| cause.downcast_ref()).is_some_and(|error| {
        matches!(error, Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    })
}

fn key_of(certificate: &CertificateDer<'_>) -> Option<RsaPublicKey> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    RsaPublicKey::from_spki(parsed.subject_pki.raw).ok()
}

/// Takes a certificate for the key in it.
#[derive(Debug)]
struct KeyCheck {
    pinned: Option<Fingerprint>,
}

impl CertificateCheck for KeyCheck {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let key = key_of(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        match self.pinned {
            Some(pinned) if pinned != key.fingerprint() => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(()),
        }
    }

    /// RSASSA-PSS is what identity keys sign with everywhere.
    fn schemes(&self, _: &WebPkiSupportedAlgorithms) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA256,
        ]
    }
}
