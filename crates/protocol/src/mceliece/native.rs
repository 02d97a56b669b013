//! The C implementation, for native targets.

use pqcrypto_classicmceliece::mceliece460896f as scheme;
use pqcrypto_traits::kem::{Ciphertext, PublicKey, SecretKey, SharedSecret};
use zeroize::Zeroizing;

/// The C code and its by-value wrappers keep whole keys on the stack.
const STACK_BYTES: usize = 16 * 1024 * 1024;

const LENGTHS: &str = "the caller has checked the lengths";

/// Runs `work` on a thread whose stack is large enough.
fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("mceliece".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .expect("the system can start a thread");
        thread.join().expect("McEliece work on checked lengths does not panic")
    })
}

pub(super) fn generate() -> (Zeroizing<Vec<u8>>, Vec<u8>) {
    on_large_stack(|| {
        let (public, private) = scheme::keypair();
        (Zeroizing::new(private.as_bytes().to_vec()), public.as_bytes().to_vec())
    })
}

pub(super) fn encapsulate(public: &[u8]) -> (Vec<u8>, Zeroizing<[u8; 32]>) {
    on_large_stack(|| {
        let key = scheme::PublicKey::from_bytes(public).expect(LENGTHS);
        let (secret, ciphertext) = scheme::encapsulate(&key);
        (ciphertext.as_bytes().to_vec(), Zeroizing::new(secret.as_bytes().try_into().expect(LENGTHS)))
    })
}

pub(super) fn decapsulate(private: &[u8], ciphertext: &[u8]) -> Zeroizing<[u8; 32]> {
    on_large_stack(|| {
        let key = scheme::SecretKey::from_bytes(private).expect(LENGTHS);
        let ciphertext = scheme::Ciphertext::from_bytes(ciphertext).expect(LENGTHS);
        let secret = scheme::decapsulate(&ciphertext, &key);
        Zeroizing::new(secret.as_bytes().try_into().expect(LENGTHS))
    })
}
