//! What stands for a submission in the memory that makes it idempotent.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use momedo_protocol::api::SubmitRequest;
use momedo_protocol::api::groups::GroupMessageRequest;
use momedo_protocol::blob::BlobId;
use momedo_protocol::id::DeviceId;

/// Makes the 16 bytes a submission is remembered by: GMAC (NIST SP 800-38D) under a key of the server's own.
///
/// With AES instructions that costs a tenth of SHA-512. Nothing is authenticated by it: the bytes never
/// leave the database, and the fixed nonce makes equal submissions equal. Who does not know the key finds
/// two submissions with the same bytes only by luck, once in 2^115 tries at 64 KiB.
#[derive(Debug)]
pub struct ReceiptKey(LessSafeKey);

impl ReceiptKey {
    /// The key with these bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 keys have 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Stands for everything a repetition must repeat.
    pub fn digest(&self, request: &SubmitRequest) -> [u8; 16] {
        let own = request.own_devices.as_ref().map_or(&[][..], |copy| &copy.0);
        let device = request.device.map_or(u64::MAX, DeviceId::number);
        let mut input = Vec::with_capacity(16 + request.envelope.0.len() + own.len());
        input.extend_from_slice(&device.to_be_bytes());
        input.extend_from_slice(&(request.envelope.0.len() as u64).to_be_bytes());
        input.extend_from_slice(&request.envelope.0);
        input.extend_from_slice(own);
        extend_with_blobs(&mut input, &request.blobs);
        self.tag(&input)
    }

    /// The same for a posting to a group.
    pub fn group_digest(&self, request: &GroupMessageRequest) -> [u8; 16] {
        let slots: usize = request.slots.iter().map(|slot| slot.slot.0.len() + 16).sum();
        let mut input = Vec::with_capacity(16 + request.envelope.0.len() + slots);
        input.extend_from_slice(&u64::from(request.number).to_be_bytes());
        input.extend_from_slice(&(request.envelope.0.len() as u64).to_be_bytes());
        input.extend_from_slice(&request.envelope.0);
        for slot in &request.slots {
            input.extend_from_slice(&slot.to.number().to_be_bytes());
            input.extend_from_slice(&(slot.slot.0.len() as u64).to_be_bytes());
            input.extend_from_slice(&slot.slot.0);
        }
        extend_with_blobs(&mut input, &request.blobs);
        self.tag(&input)
    }

    fn tag(&self, input: &[u8]) -> [u8; 16] {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(input), &mut []);
        let tag = tag.expect("a submission is far below the 2^61 bytes of GCM");
        *tag.as_ref().first_chunk().expect("a tag has 16 bytes")
    }
}

/// Without blobs nothing is appended, so what was remembered before there were any stays the same. The label
/// tells blobs from the end of an envelope; only the sender could confuse the two, and the loss would be theirs.
fn extend_with_blobs(input: &mut Vec<u8>, blobs: &[BlobId]) {
    if blobs.is_empty() {
        return;
    }
    for blob in blobs {
        input.extend_from_slice(&blob.0);
    }
    input.extend_from_slice(&(blobs.len() as u64).to_be_bytes());
    input.extend_from_slice(b"momedo blobs");
}

#[cfg(test)]
mod tests {
    use momedo_protocol::encoding::Base64Bytes;
    use momedo_protocol::id::ParticipantId;
    use momedo_protocol::message_id::MessageId;

    use super::*;

    #[test]
    fn every_part_and_the_key_decide() {
        let request = SubmitRequest {
            id: MessageId([7; 16]),
            to: ParticipantId::random(),
            device: None,
            envelope: Base64Bytes(vec![1; 2090]),
            own_devices: None,
            blobs: Vec::new(),
        };
        let key = ReceiptKey::new(&[1; 32]);
        let digest = key.digest(&request);
        assert_eq!(key.digest(&request.clone()), digest);
        assert_ne!(ReceiptKey::new(&[2; 32]).digest(&request), digest);
        let mut other = request.clone();
        other.envelope.0[1000] = 0;
        assert_ne!(key.digest(&other), digest);
        let copied = SubmitRequest { own_devices: Some(Base64Bytes(vec![1])), ..request.clone() };
        assert_ne!(key.digest(&copied), digest);
        // The border between the two envelopes counts too.
        let mut moved = request.clone();
        moved.envelope.0.truncate(2000);
        moved.own_devices = Some(Base64Bytes(vec![1; 90]));
        assert_ne!(key.digest(&moved), digest);
        let [one, two] = [[1; 16], [2; 16]].map(BlobId);
        let with = |blobs: &[BlobId]| key.digest(&SubmitRequest { blobs: blobs.to_vec(), ..request.clone() });
        assert_eq!(with(&[]), digest);
        let digests = [with(&[]), with(&[one]), with(&[two]), with(&[one, two]), with(&[two, one])];
        assert!((0..5).all(|index| !digests[..index].contains(&digests[index])));
    }
}
