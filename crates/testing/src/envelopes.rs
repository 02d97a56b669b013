//! Envelopes that are right outside and random inside: a server cannot tell.

use momedo_protocol::api::SubmitRequest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::envelope::{Ciphertexts, Header, SEAL_BYTES, encode_header};
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::random;
use momedo_protocol::suite::Suite;
use momedo_protocol::time::UnixMillis;

/// An envelope of suite 2 to these keys, with `size` random bytes where the sealed part would be; `size` is a power of two.
///
/// # Panics
/// The bundle's version does not fit a header.
pub fn opaque(to: &KeyBundle, id: MessageId, size: usize) -> Vec<u8> {
    let header = Header {
        suite: Suite::Small,
        message_id: id,
        recipient_version: u32::try_from(to.payload.version).expect("versions count from 1"),
        recipient_digest: to.digest,
    };
    let (ml_kem, rsa) = (random::bytes::<1088>(), random::bytes::<384>());
    let mut bytes = encode_header(&header, &Ciphertexts { mceliece: None, ml_kem: &ml_kem, rsa: &rsa });
    let mut sealed = vec![0; size + SEAL_BYTES];
    random::fill(&mut sealed);
    bytes.extend_from_slice(&sealed);
    bytes
}

/// The submission of an opaque envelope, sent at this time.
pub fn request(to: &KeyBundle, size: usize, now: UnixMillis) -> SubmitRequest {
    let id = MessageId::new(now);
    SubmitRequest {
        id,
        to: to.payload.id,
        device: None,
        envelope: Base64Bytes(opaque(to, id, size)),
        own_devices: None,
        blobs: Vec::new(),
    }
}
