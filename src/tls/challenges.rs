//! What a public authority may ask while it checks that a name leads here: TLS-ALPN-01 (RFC 8737) and HTTP-01
//! (RFC 8555, section 8.3). There is an answer only while a certificate is being ordered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{AuthorityError, CertificatesError};

/// ALPN of a validation over TLS.
pub const ACME_ALPN: &[u8] = b"acme-tls/1";

/// Where HTTP-01 asks; the token follows.
pub const ACME_PATH: &str = "/.well-known/acme-challenge/";

/// The answers that stand ready.
#[derive(Debug, Default)]
pub struct Challenges {
    /// By name, lower case.
    certificates: Mutex<HashMap<String, Arc<CertifiedKey>>>,
    /// By token.
    authorizations: Mutex<HashMap<String, String>>,
}

/// An answer that stands ready until this is dropped.
pub struct Expected {
    challenges: Arc<Challenges>,
    key: Key,
}

enum Key {
    Name(String),
    Token(String),
}

impl Challenges {
    /// Answers TLS-ALPN-01 for `name` with the digest of a key authorization.
    ///
    /// # Errors
    /// [`CertificatesError`] when no certificate can be made for this name.
    pub fn answer_tls(self: &Arc<Self>, name: &str, digest: &[u8]) -> Result<Expected, CertificatesError> {
        let name = name.to_ascii_lowercase();
        let made = || -> Result<_, rcgen::Error> {
            let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
            let mut parameters = CertificateParams::new([name.clone()])?;
            parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
            Ok((parameters.self_signed(&key)?.der().clone(), key.serialize_der()))
        };
        let (certificate, key) = made().map_err(AuthorityError::from)?;
        let key = PrivatePkcs8KeyDer::from(key);
        // Not checked as others are: its critical extension is one that only authorities understand.
        let key = super::certificates::provider().key_provider.load_private_key(key.into())?;
        let certified = CertifiedKey::new(vec![certificate], key);
        let mut all = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.clone(), Arc::new(certified));
        Ok(Expected { challenges: self.clone(), key: Key::Name(name) })
    }

    /// Answers HTTP-01 for `token` with a key authorization.
    pub fn answer_http(self: &Arc<Self>, token: &str, authorization: &str) -> Expected {
        let mut all = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(token.to_owned(), authorization.to_owned());
        Expected { challenges: self.clone(), key: Key::Token(token.to_owned()) }
    }

    /// The key authorization a plain request's path asks for.
    pub fn authorization(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(ACME_PATH)?;
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        match &self.key {
            Key::Name(name) => {
                let mut all = self.challenges.certificates.lock().unwrap_or_else(PoisonError::into_inner);
                all.remove(name);
            }
            Key::Token(token) => {
                let mut all = self.challenges.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
                all.remove(token);
            }
        }
    }
}

impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stands_ready_until_its_order_is_over() {
        let challenges = Arc::new(Challenges::default());
        let path = format!("{ACME_PATH}token");
        let expected = challenges.answer_http("token", "token.thumbprint");
        assert_eq!(challenges.authorization(&path).as_deref(), Some("token.thumbprint"));
        for other in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/token/", "/token"] {
            assert_eq!(challenges.authorization(other), None, "{other}");
        }
        drop(expected);
        assert_eq!(challenges.authorization(&path), None);
        let expected = challenges.answer_tls("Chat.Example", &[7; 32]).unwrap();
        assert!(challenges.certificates.lock().unwrap().contains_key("chat.example"));
        drop(expected);
        assert!(challenges.certificates.lock().unwrap().is_empty());
    }
}
