//! Private RSA keys: in memory, or where a browser keeps them and hands out none of their bytes. Everything may take its
//! time, for WebCrypto answers later.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::seal::SharedSecret;
use zeroize::Zeroizing;

use crate::ClientError;

/// What a key is for; no key is for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyUse {
    /// RSASSA-PSS with SHA-512 (`PS512`).
    Signing,
    /// RSA-OAEP with SHA-256.
    Opening,
}

/// A private key of 3072 bits or more that signs or opens.
pub trait RsaPrivateKey: fmt::Debug + Send + Sync {
    /// Its public half.
    fn public(&self) -> &RsaPublicKey;

    /// Signs with `PS512`: as long as the modulus.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when the key cannot be used (any more).
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, ClientError>>;

    /// What [`RsaPublicKey::encrypt`] encrypted; `None` for everything else, without saying what was wrong.
    fn decrypt<'a>(&'a self, ciphertext: &'a [u8]) -> BoxFuture<'a, Option<SharedSecret>>;
}

/// A private key that may be shared.
pub type PrivateKey = Arc<dyn RsaPrivateKey>;

/// Makes private keys and takes them into use.
pub trait RsaKeys: Send + Sync {
    /// Makes a key of 3072 bits, as unencrypted PKCS #8 DER: a tenth of a second to some seconds.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when there is no way to make one here.
    fn make(&self, purpose: KeyUse) -> BoxFuture<'static, Result<Zeroizing<Vec<u8>>, ClientError>>;

    /// Takes a key into use.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when it is no key, or none that is acceptable.
    fn load(
        &self,
        pkcs8: Zeroizing<Vec<u8>>,
        purpose: KeyUse,
    ) -> BoxFuture<'static, Result<PrivateKey, ClientError>>;
}
