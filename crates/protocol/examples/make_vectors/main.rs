//! Makes the test vectors in `vectors/`, which authors of other clients and servers check their work with.
//!
//! `cargo run -p momedo-protocol --example make_vectors [FOLDER [FILE...]]`; `keys.json` and what is made with its
//! McEliece key belong together. RSA keys come from `tests/fixtures/rsa_keys.pem`. Signatures, ciphertexts and the
//! McEliece key are random, so every run makes other vectors; committed ones stay as they are unless the protocol
//! changes.

#[cfg(not(target_arch = "wasm32"))]
mod vectors;

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/vectors").into());
    vectors::write(folder.as_ref(), &arguments.collect::<Vec<_>>())
}
