//! Signed documents: JWS, key bundles, device lists, entries of groups. How to run it: see `smoke_codec`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use momedo_protocol::group::entry::GroupEntry;
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::rsa_key::RsaPublicKey;

fuzz_target!(|bytes: &[u8]| {
    let _ = RsaPublicKey::from_spki(bytes);
    let Ok(jws) = serde_json::from_slice::<Jws>(bytes) else { return };
    let _ = jws.unverified_payload();
    let _ = KeyBundle::verify(&jws);
    let _ = GroupEntry::read(&jws);
});
