//! The implementation in Rust, for wasm32. It wants a stack of several megabytes as well.

use classic_mceliece_rust::{Ciphertext, PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::random::SystemRandom;

const LENGTHS: &str = "the caller has checked the lengths";

#[cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]
pub(super) fn generate() -> (Zeroizing<Vec<u8>>, Vec<u8>) {
    let (public, private) = classic_mceliece_rust::keypair_boxed(&mut SystemRandom);
    (Zeroizing::new(private.as_ref().to_vec()), public.as_ref().to_vec())
}

pub(super) fn encapsulate(public: &[u8]) -> (Vec<u8>, Zeroizing<[u8; 32]>) {
    let key: Box<[u8; super::PUBLIC_KEY_BYTES]> = public.to_vec().try_into().expect(LENGTHS);
    let (ciphertext, secret) =
        classic_mceliece_rust::encapsulate_boxed(&PublicKey::from(key), &mut SystemRandom);
    (ciphertext.as_ref().to_vec(), Zeroizing::new(*secret.as_array()))
}

pub(super) fn decapsulate(private: &[u8], ciphertext: &[u8]) -> Zeroizing<[u8; 32]> {
    let key: Box<[u8; super::PRIVATE_KEY_BYTES]> = private.to_vec().try_into().expect(LENGTHS);
    let ciphertext: [u8; super::CIPHERTEXT_BYTES] = ciphertext.try_into().expect(LENGTHS);
    let secret =
        classic_mceliece_rust::decapsulate_boxed(&Ciphertext::from(ciphertext), &SecretKey::from(key));
    Zeroizing::new(*secret.as_array())
}
