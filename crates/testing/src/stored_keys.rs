//! RSA-3072 keys out of a file, because making one takes up to a second, and one McEliece pair for a whole process.

use std::path::Path;
use std::sync::OnceLock;

use momedo_protocol::mceliece::{McEliecePrivateKey, McEliecePublicKey};
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

/// All stored keys (PKCS #8, DER), in the order of the file.
///
/// # Panics
/// `tests/fixtures/rsa_keys.pem` cannot be read.
pub fn pkcs8() -> &'static [Vec<u8>] {
    static KEYS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    KEYS.get_or_init(|| read("rsa_keys.pem"))
}

/// The two keys of a server's identity (PKCS #8, DER), and others for another `number`, up to 8 of them.
///
/// # Panics
/// `tests/fixtures/identity_keys.pem` cannot be read.
pub fn identity(number: usize) -> [Vec<u8>; 2] {
    static KEYS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| read("identity_keys.pem"));
    let first = number * 2 % keys.len();
    [keys[first].clone(), keys[first + 1].clone()]
}

fn read(file: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(file);
    let keys = PrivatePkcs8KeyDer::pem_file_iter(path).expect("the file of stored keys is there");
    keys.map(|key| key.expect("it holds keys alone").secret_pkcs8_der().to_vec()).collect()
}

/// The stored key of this index.
///
/// # Panics
/// There are fewer.
pub fn rsa_key(index: usize) -> RsaPrivateKey {
    RsaPrivateKey::from_pkcs8(&pkcs8()[index]).expect("stored keys are RSA keys of 3072 bits")
}

/// One McEliece key pair for everybody in this process.
pub fn mceliece_key() -> (McEliecePrivateKey, McEliecePublicKey) {
    static KEY: OnceLock<(McEliecePrivateKey, McEliecePublicKey)> = OnceLock::new();
    KEY.get_or_init(McEliecePrivateKey::generate).clone()
}
