//! Private RSA keys in memory, with aws-lc-rs.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use momedo_client::ClientError;
use momedo_client::platform::keys::{self, KeyUse, PrivateKey, RsaKeys};
use momedo_client::secrets::MadeKey;
use momedo_protocol::jws::Signer;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::SharedSecret;
use zeroize::Zeroizing;

/// Makes and reads keys on threads that may block.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeysInMemory;

struct Key(RsaPrivateKey);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key that is at hand, as the client takes it.
pub fn held(key: RsaPrivateKey) -> PrivateKey {
    Arc::new(Key(key))
}

/// The same with the bytes it is stored as.
pub fn made(key: RsaPrivateKey) -> MadeKey {
    let pkcs8 = Zeroizing::new(key.pkcs8().to_vec());
    MadeKey { key: held(key), pkcs8 }
}

impl keys::RsaPrivateKey for Key {
    fn public(&self) -> &RsaPublicKey {
        self.0.public()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, ClientError>> {
        Box::pin(async move { Ok(self.0.sign(message)) })
    }

    fn decrypt<'a>(&'a self, ciphertext: &'a [u8]) -> BoxFuture<'a, Option<SharedSecret>> {
        Box::pin(async move { self.0.decrypt(ciphertext).ok() })
    }
}

impl RsaKeys for KeysInMemory {
    fn make(&self, _: KeyUse) -> BoxFuture<'static, Result<Zeroizing<Vec<u8>>, ClientError>> {
        Box::pin(async {
            let made = tokio::task::spawn_blocking(RsaPrivateKey::generate).await;
            let made = made.map_err(|error| ClientError::Protocol(error.to_string()))?;
            Ok(Zeroizing::new(made.pkcs8().to_vec()))
        })
    }

    fn load(
        &self,
        pkcs8: Zeroizing<Vec<u8>>,
        _: KeyUse,
    ) -> BoxFuture<'static, Result<PrivateKey, ClientError>> {
        Box::pin(async move {
            let key = RsaPrivateKey::from_pkcs8(&pkcs8);
            key.map(held).map_err(|error| ClientError::Protocol(error.to_string()))
        })
    }
}
