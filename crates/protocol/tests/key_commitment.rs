//! What is sealed opens under one key: AES-GCM alone does not promise that (Dodis, Grubbs, Ristenpart, Woodage 2018;
//! Albertini, Duong, Gueron, Kölbl, Luykx, Schmieg 2020), so these tests make ciphertexts that it opens under two.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use momedo_protocol::blob::{BlobId, ChunkOpener, FileKey, FileReference};
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::envelope::{self, Ciphertexts, Header};
use momedo_protocol::group::envelope::{
    GroupHeader, GroupSuite, HEADER_BYTES, decode, open_message, seal_with,
};
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::seal::{self, SharedSecrets};
use momedo_protocol::suite::Suite;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

/// AES-256-GCM under one key and nonce, and what its tag is made of.
struct Gcm {
    key: LessSafeKey,
    nonce: [u8; 12],
}

impl Gcm {
    fn new(key: &[u8; 32], nonce: [u8; 12]) -> Self {
        Self { key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap()), nonce }
    }

    fn seal(&self, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut bytes = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut bytes).unwrap();
        bytes
    }

    fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        self.key.open_in_place(nonce, Aad::from(aad), &mut bytes).ok().map(|plain| plain.to_vec())
    }

    /// The tag of nothing: the block that every tag is masked with.
    fn mask(&self) -> u128 {
        u128::from_be_bytes(self.seal(&[], &[]).try_into().unwrap())
    }

    /// The hash key: the tag over one block of zeros is its product with the block of lengths.
    fn hash_key(&self) -> u128 {
        let tag = u128::from_be_bytes(self.seal(&[0; 16], &[]).try_into().unwrap());
        times(tag ^ self.mask(), inverse(128 << 64))
    }

    fn hash(&self, aad: &[u8], sealed: &[u8]) -> u128 {
        let key = self.hash_key();
        let blocks = aad.chunks(16).chain(sealed.chunks(16)).map(|chunk| {
            let mut block = [0; 16];
            block[..chunk.len()].copy_from_slice(chunk);
            u128::from_be_bytes(block)
        });
        let lengths = ((aad.len() as u128 * 8) << 64) | (sealed.len() as u128 * 8);
        blocks.chain([lengths]).fold(0, |sum, block| times(sum ^ block, key))
    }
}

/// Multiplication in the field of GCM (NIST SP 800-38D, algorithm 1).
fn times(x: u128, y: u128) -> u128 {
    let (mut product, mut shifted) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= shifted;
        }
        shifted = (shifted >> 1) ^ if shifted & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    product
}

/// x to the power of 2^128 - 2.
fn inverse(x: u128) -> u128 {
    let (mut result, mut square) = (1 << 127, x);
    for _ in 1..128 {
        square = times(square, square);
        result = times(result, square);
    }
    result
}

/// A ciphertext and tag that open under both keys: all but the last block may be chosen, and that one is solved for.
fn opens_twice(one: &Gcm, other: &Gcm, aad: &[u8], chosen: &[u8]) -> Vec<u8> {
    assert_eq!(chosen.len() % 16, 0);
    let mut sealed = [chosen, &[0; 16]].concat();
    let wanted = one.hash(aad, &sealed) ^ other.hash(aad, &sealed) ^ one.mask() ^ other.mask();
    let square = |key: u128| times(key, key);
    let last = times(wanted, inverse(square(one.hash_key()) ^ square(other.hash_key())));
    let place = chosen.len();
    sealed[place..].copy_from_slice(&last.to_be_bytes());
    let tag = one.hash(aad, &sealed) ^ one.mask();
    sealed.extend_from_slice(&tag.to_be_bytes());
    assert!(
        one.open(aad, &sealed).is_some() && other.open(aad, &sealed).is_some(),
        "the attack itself works"
    );
    sealed
}

fn hkdf(salt: &[u8], material: &[u8], info: &[u8]) -> [u8; 32] {
    let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, salt), material);
    let expanded = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, extracted.as_ref()), &[info, &[1]].concat());
    expanded.as_ref()[..32].try_into().unwrap()
}

/// Two inputs whose keys give the same first four bytes of key stream, so that one padded length fits both; some
/// 80,000 tries.
fn two_of_one_length(derive: impl Fn(&[u8; 32]) -> [u8; 32]) -> ([u8; 32], [u8; 32]) {
    let mut seen = HashMap::new();
    for number in 0u64.. {
        let mut input = [7; 32];
        input[..8].copy_from_slice(&number.to_be_bytes());
        let stream: [u8; 4] = Gcm::new(&derive(&input), [0; 12]).seal(&[], &[0; 4])[..4].try_into().unwrap();
        if let Some(earlier) = seen.insert(stream, input) {
            return (earlier, input);
        }
    }
    unreachable!("a collision of 32 bits comes soon")
}

/// Padded messages of 512 bytes under two keys: the same length in front, and something else behind it.
fn forged(one: &Gcm, other: &Gcm, aad: &[u8]) -> Vec<u8> {
    let length = one.seal(&[], &508u32.to_be_bytes());
    let chosen = [&length[..4], &[9; 492]].concat();
    opens_twice(one, other, aad, &chosen)
}

#[test]
fn a_message_to_a_group_does_not_open_differently_for_two_members() {
    let sender: ParticipantId = "M8N22HT6".parse().unwrap();
    for (suite, epoch) in [(GroupSuite::GroupKey, 3u32), (GroupSuite::ContentKey, 0)] {
        let header = GroupHeader {
            suite,
            message_id: MessageId([7; 16]),
            group: Sha512Digest([9; 64]),
            epoch,
            salt: [5; 32],
        };
        let info = [
            &b"momedo group message key v1"[..],
            &[suite.number()],
            &header.group.0,
            &epoch.to_be_bytes(),
            sender.to_string().as_bytes(),
            &header.message_id.0,
        ]
        .concat();
        let derive = |key: &[u8; 32]| hkdf(&header.salt, key, &info);
        let (anna, ben) = two_of_one_length(derive);
        let (for_anna, for_ben) = (Gcm::new(&derive(&anna), [0; 12]), Gcm::new(&derive(&ben), [0; 12]));
        let keys = [anna, ben].map(|key| GroupKey::from_bytes(&key).unwrap());
        // What goes before the ciphertext is as an honest message to Anna has it.
        let honest = seal_with(&header, &keys[0], sender, &[1; 508]).unwrap();
        let (before, aad) = (&honest[..honest.len() - 528], &honest[..HEADER_BYTES]);
        let bytes = [before, &forged(&for_anna, &for_ben, aad)].concat();
        let envelope = decode(&bytes).unwrap();
        let opened = keys.each_ref().map(|key| open_message(&envelope, key, sender).ok());
        assert!(opened[0].is_some(), "{suite:?}: the forged message is well-formed");
        assert!(opened[1].is_none(), "{suite:?}: one message says two things");
    }
}

#[test]
fn an_envelope_does_not_open_under_other_secrets() {
    let (ml_kem, rsa, mceliece) = ([2; 1088], [3; 384], [4; 156]);
    for suite in Suite::ALL {
        let header = Header {
            suite,
            message_id: MessageId([7; 16]),
            recipient_version: 1,
            recipient_digest: Sha512Digest([9; 64]),
        };
        let mceliece = (suite == Suite::Full).then_some(&mceliece[..]);
        let ciphertexts = Ciphertexts { mceliece, ml_kem: &ml_kem, rsa: &rsa };
        let salt = Sha512::new()
            .chain_update(ciphertexts.concatenated())
            .chain_update(header.recipient_digest.0)
            .finalize();
        let info = [&b"momedo message key v1"[..], &[suite.number()], &header.message_id.0].concat();
        let first = if suite == Suite::Full { vec![1; 64] } else { vec![1; 32] };
        let derive = |rsa: &[u8; 32]| hkdf(&salt, &[&first[..], rsa].concat(), &info);
        let (one, other) = two_of_one_length(derive);
        let gcm = [one, other].map(|secret| Gcm::new(&derive(&secret), [0; 12]));
        let secrets = [one, other].map(|rsa| SharedSecrets {
            mceliece: (suite == Suite::Full).then(|| Zeroizing::new([1; 32])),
            ml_kem: Zeroizing::new([1; 32]),
            rsa: Zeroizing::new(rsa),
        });
        let honest = seal::seal_with(&header, &ciphertexts, &secrets[0], &[1; 508]).unwrap();
        let aad = envelope::encode_header(&header, &ciphertexts);
        let bytes = [&honest[..honest.len() - 528], &forged(&gcm[0], &gcm[1], &aad)].concat();
        let envelope = envelope::decode(&bytes).unwrap();
        assert!(
            seal::open_with(&envelope, &secrets[0]).is_ok(),
            "{suite:?}: the forged envelope is well-formed"
        );
        assert!(seal::open_with(&envelope, &secrets[1]).is_err(), "{suite:?}: one envelope says two things");
    }
}

#[test]
fn a_file_does_not_open_differently_for_two_recipients() {
    let blob = BlobId([7; 16]);
    let keys = [[1; 32], [2; 32]];
    let info = [&b"momedo file key v1"[..], &blob.0].concat();
    let gcm = keys.map(|key| {
        let mut nonce = [0; 12];
        nonce[11] = 1;
        Gcm::new(&hkdf(&[], &key, &info), nonce)
    });
    let sealed = opens_twice(&gcm[0], &gcm[1], &[], &[9; 4080]);
    let files = keys.map(|key| FileReference {
        name: "Lampe.jpg".into(),
        media_type: "image/jpeg".into(),
        size: 4096,
        blob,
        key: FileKey::from_bytes(&key).unwrap(),
    });
    let commitment = files[0].key.commitment(blob, 4096);
    let opened = files.each_ref().map(|file| ChunkOpener::new(file, &commitment).ok()?.open(0, &sealed).ok());
    assert!(opened[0].is_some(), "the forged file is well-formed");
    assert!(opened[1].is_none(), "one file holds two things");
}
