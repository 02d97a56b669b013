//! Checks that the server is the pinned one: by its certificate chain, or later by an identity proof.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::time::UnixMillis;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// What a chain that ends in the pinned identity key is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    /// It proves the identity.
    Fits,
    /// It would, at another time: some clock is wrong. An old certificate whose key was stolen looks the same, so the
    /// server owes an identity proof.
    AtAnotherTime {
        /// From when the certificate holds.
        from: UnixMillis,
        /// Until when.
        until: UnixMillis,
    },
}

/// Accepts a chain that ends in the pinned identity key, and notes what it is worth. Any other chain is let
/// through *without* that note; the server then owes an identity proof before anything secret is sent.
///
/// Host names are not compared: the pinned authority belongs to one server, whatever address it has today.
#[derive(Debug)]
pub(crate) struct PinVerifier {
    server: Fingerprint,
    provider: Arc<CryptoProvider>,
    chain: Arc<OnceLock<Chain>>,
}

impl PinVerifier {
    /// The verifier, and where it notes what the chain is worth.
    pub(crate) fn new(server: Fingerprint, provider: Arc<CryptoProvider>) -> (Self, Arc<OnceLock<Chain>>) {
        let chain = Arc::new(OnceLock::new());
        (Self { server, provider, chain: chain.clone() }, chain)
    }

    /// Notes it; one verifier serves one handshake.
    fn note(&self, chain: Chain) -> ServerCertVerified {
        let _: Result<_, _> = self.chain.set(chain);
        ServerCertVerified::assertion()
    }

    fn authority<'a>(&self, chain: &'a [CertificateDer<'a>]) -> Option<&'a CertificateDer<'a>> {
        chain.iter().find(|certificate| {
            x509_parser::parse_x509_certificate(certificate)
                .is_ok_and(|(_, parsed)| Fingerprint::of_spki(parsed.subject_pki.raw) == self.server)
        })
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = self.authority(intermediates) else {
            return Ok(ServerCertVerified::assertion());
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let fits_at = |time| {
            fits(chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, time))
        };
        match fits_at(now) {
            Ok(()) => Ok(self.note(Chain::Fits)),
            Err(error) if is_about_dates(&error) => {
                let (from, until) = dates(end_entity).ok_or(error)?;
                // Everything else about it has to be right.
                fits_at(UnixTime::since_unix_epoch(Duration::from_millis(from.0)))?;
                Ok(self.note(Chain::AtAnotherTime { from, until }))
            }
            Err(error) => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Names do not matter.
fn fits(verified: Result<ServerCertVerified, Error>) -> Result<(), Error> {
    match verified {
        Ok(_)
        | Err(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_about_dates(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        Error::InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
    )
}

/// From when until when a certificate holds.
fn dates(certificate: &CertificateDer<'_>) -> Option<(UnixMillis, UnixMillis)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let millis = |seconds: i64| Some(UnixMillis(u64::try_from(seconds).ok()?.checked_mul(1000)?));
    let validity = parsed.validity();
    Some((millis(validity.not_before.timestamp())?, millis(validity.not_after.timestamp())?))
}
