//! Checks that the server is the pinned one: by its certificate chain, or later by an identity proof.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use momedo_protocol::digest::Fingerprint;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Accepts a chain that ends in the pinned identity key, and notes whether it did. Any other chain is let
/// through *without* that note; the server then owes an identity proof before anything secret is sent.
///
/// Host names are not compared: the pinned authority belongs to one server, whatever address it has today.
#[derive(Debug)]
pub(crate) struct PinVerifier {
    server: Fingerprint,
    provider: Arc<CryptoProvider>,
    proved: Arc<AtomicBool>,
}

impl PinVerifier {
    /// The verifier, and the flag it raises when the chain proves the identity.
    pub(crate) fn new(server: Fingerprint, provider: Arc<CryptoProvider>) -> (Self, Arc<AtomicBool>) {
        let proved = Arc::new(AtomicBool::new(false));
        (Self { server, provider, proved: proved.clone() }, proved)
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
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Ok(_)
            | Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => {
                self.proved.store(true, Ordering::Release);
                Ok(ServerCertVerified::assertion())
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
