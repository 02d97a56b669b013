//! Private RSA keys of the browser's own: WebCrypto makes them, and once they are in use hands out none of their bytes.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use js_sys::{Array, ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use momedo_client::ClientError;
use momedo_client::platform::keys::{KeyUse, PrivateKey, RsaKeys, RsaPrivateKey};
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::seal::SharedSecret;
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, SubtleCrypto};
use zeroize::Zeroizing;

use crate::scope::{scope, settled, words};

/// Bits of new keys.
const BITS: u32 = 3072;

/// Length of the salt of a signature, in bytes: as long as SHA-512.
const SALT_BYTES: u32 = 64;

/// Makes and uses keys with WebCrypto.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WebCrypto;

fn failed(error: &JsValue) -> ClientError {
    ClientError::Protocol(format!("the browser's cryptography failed: {}", words(error)))
}

fn subtle() -> Result<SubtleCrypto, ClientError> {
    Ok(scope()?.crypto().map_err(|error| failed(&error))?.subtle())
}

fn object(entries: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in entries {
        // A fresh object takes every property.
        let _: Result<bool, JsValue> = Reflect::set(&object, &(*name).into(), value);
    }
    object
}

fn name(purpose: KeyUse) -> &'static str {
    match purpose {
        KeyUse::Signing => "RSA-PSS",
        KeyUse::Opening => "RSA-OAEP",
    }
}

fn algorithm(purpose: KeyUse) -> Vec<(&'static str, JsValue)> {
    let hash = match purpose {
        KeyUse::Signing => "SHA-512",
        KeyUse::Opening => "SHA-256",
    };
    vec![("name", name(purpose).into()), ("hash", hash.into())]
}

async fn done(promise: Result<Promise, JsValue>) -> Result<JsValue, ClientError> {
    let promise = promise.map_err(|error| failed(&error))?;
    settled(promise).await.map_err(|error| failed(&error))
}

fn bytes(value: JsValue) -> Vec<u8> {
    Uint8Array::new(&value.unchecked_into::<ArrayBuffer>()).to_vec()
}

async fn make(purpose: KeyUse) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let mut parameters = algorithm(purpose);
    parameters.push(("modulusLength", BITS.into()));
    parameters.push(("publicExponent", Uint8Array::from(&[1, 0, 1][..]).into()));
    let usages: &[&str] = match purpose {
        KeyUse::Signing => &["sign", "verify"],
        KeyUse::Opening => &["encrypt", "decrypt"],
    };
    let usages: Array = usages.iter().map(|usage| JsValue::from_str(usage)).collect();
    let pair = subtle()?.generate_key_with_object(&object(&parameters), true, &usages);
    let pair = SendWrapper::new(done(pair).await?);
    let private = Reflect::get(&pair, &"privateKey".into()).map_err(|error| failed(&error))?;
    let exported = subtle()?.export_key("pkcs8", &private.unchecked_into::<CryptoKey>());
    Ok(Zeroizing::new(bytes(done(exported).await?)))
}

async fn load(pkcs8: Zeroizing<Vec<u8>>, purpose: KeyUse) -> Result<PrivateKey, ClientError> {
    let public = RsaPublicKey::of_pkcs8(&pkcs8).map_err(|error| ClientError::Protocol(error.to_string()))?;
    let usage = match purpose {
        KeyUse::Signing => "sign",
        KeyUse::Opening => "decrypt",
    };
    let data = Uint8Array::from(&pkcs8[..]);
    let imported = subtle()?.import_key_with_object(
        "pkcs8",
        &data,
        &object(&algorithm(purpose)),
        false,
        &Array::of1(&usage.into()),
    );
    let imported = done(imported).await;
    data.fill(0, 0, data.length());
    let key = SendWrapper::new(imported?.unchecked_into());
    Ok(Arc::new(Key { key, public }))
}

/// A key that the browser holds.
struct Key {
    key: SendWrapper<CryptoKey>,
    public: RsaPublicKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(***, {})", self.public.fingerprint())
    }
}

impl RsaPrivateKey for Key {
    fn public(&self) -> &RsaPublicKey {
        &self.public
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, ClientError>> {
        let signing = async move {
            let parameters =
                object(&[("name", name(KeyUse::Signing).into()), ("saltLength", SALT_BYTES.into())]);
            let signed = subtle()?.sign_with_object_and_u8_array(&parameters, &self.key, message);
            Ok(bytes(done(signed).await?))
        };
        SendWrapper::new(signing).boxed()
    }

    fn decrypt<'a>(&'a self, ciphertext: &'a [u8]) -> BoxFuture<'a, Option<SharedSecret>> {
        let decrypting = async move {
            let parameters = object(&[("name", name(KeyUse::Opening).into())]);
            let opened = subtle().ok()?.decrypt_with_object_and_u8_array(&parameters, &self.key, ciphertext);
            let plain = Zeroizing::new(bytes(done(opened).await.ok()?));
            Some(Zeroizing::new(<[u8; 32]>::try_from(plain.as_slice()).ok()?))
        };
        SendWrapper::new(decrypting).boxed()
    }
}

impl RsaKeys for WebCrypto {
    fn make(&self, purpose: KeyUse) -> BoxFuture<'static, Result<Zeroizing<Vec<u8>>, ClientError>> {
        SendWrapper::new(make(purpose)).boxed()
    }

    fn load(
        &self,
        pkcs8: Zeroizing<Vec<u8>>,
        purpose: KeyUse,
    ) -> BoxFuture<'static, Result<PrivateKey, ClientError>> {
        SendWrapper::new(load(pkcs8, purpose)).boxed()
    }
}
