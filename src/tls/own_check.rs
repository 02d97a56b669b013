//! Verifiers for ends whose certificate counts for itself: no chain, no names, no dates.

use std::fmt::Debug;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// What is asked of the other end's certificate.
pub(crate) trait CertificateCheck: Debug + Send + Sync {
    /// Whether this certificate is taken.
    ///
    /// # Errors
    /// What rustls tells the other end.
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error>;

    /// How the other end may sign: in every way the provider knows, unless said otherwise.
    fn schemes(&self, algorithms: &WebPkiSupportedAlgorithms) -> Vec<SignatureScheme> {
        algorithms.supported_schemes()
    }
}

/// Takes a certificate that passes its check, on either side. That the other end holds the certificate's key is what
/// the handshake's signature proves, as always.
#[derive(Debug)]
pub(crate) struct OwnVerifier<C> {
    check: C,
    algorithms: WebPkiSupportedAlgorithms,
}

impl<C: CertificateCheck> OwnVerifier<C> {
    /// A verifier with this check, and the signatures of this provider.
    pub(crate) fn new(check: C, provider: &CryptoProvider) -> Arc<Self> {
        Arc::new(Self { check, algorithms: provider.signature_verification_algorithms })
    }
}

impl<C: CertificateCheck> ServerCertVerifier for OwnVerifier<C> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.check.schemes(&self.algorithms)
    }
}

/// The same for ends that dial.
impl<C: CertificateCheck> ClientCertVerifier for OwnVerifier<C> {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.check.schemes(&self.algorithms)
    }
}
