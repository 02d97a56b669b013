//! What unit tests of several rooms begin with: stored keys, signed bundles, an empty store, a whole server in the process.

pub(crate) mod group;
pub(crate) mod joining;
mod server;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::{Jws, Signer};
use momedo_protocol::key_bundle::{KeyBundle, KeyBundlePayload};
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::suite::Suite;
use momedo_protocol::time::UnixMillis;
use momedo_testing::stored_keys::rsa_key;

pub(crate) use server::{Answer, Person, Server, refused, word};

use crate::store::{Store, StoreOptions};
use crate::surroundings::clock::Clock;

/// The first stored RSA keys; the last of them encrypts.
pub(crate) fn keys() -> [RsaPrivateKey; 4] {
    std::array::from_fn(rsa_key)
}

/// Somebody's bundle of this version, signed by `key` and, if the signature key changed, by the one before.
pub(crate) fn bundle(
    id: ParticipantId,
    homes: Vec<Fingerprint>,
    version: u64,
    (key, before): (&RsaPrivateKey, Option<&RsaPrivateKey>),
) -> (KeyBundle, Jws) {
    let payload = KeyBundlePayload {
        id,
        name: "Zoe".into(),
        homes,
        version,
        issued_at: UnixMillis(1),
        expires_at: UnixMillis(2),
        signature_key: Base64Bytes(key.public().spki().to_vec()),
        rsa_key: Base64Bytes(keys()[3].public().spki().to_vec()),
        ml_kem_key: Base64Bytes(MlKemPrivateKey::generate().public().bytes().to_vec()),
        mceliece_key: None,
        suites: vec![Suite::Small],
    };
    let signers: Vec<&dyn Signer> =
        std::iter::once(key).chain(before).map(|key| key as &dyn Signer).collect();
    let jws = payload.sign(&signers);
    (KeyBundle::verify(&jws).unwrap(), jws)
}

/// An empty store, on a clock that stands.
pub(crate) fn store(folder: &tempfile::TempDir) -> Store {
    Store::open(folder.path(), Clock::manual(), &StoreOptions::default(), Box::new(|_| {})).unwrap()
}
