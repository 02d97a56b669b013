//! Sealing and opening with real keys: what opens, and everything that must not.
#![allow(clippy::unwrap_used, reason = "tests")]

use momedo_protocol::envelope;
use momedo_protocol::mceliece::McEliecePrivateKey;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::possession::{PossessionChallenge, PossessionContext};
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::{self, OpenError, PrivateKeys, RecipientKeys, SealError, SharedSecrets};
use momedo_protocol::suite::Suite;
use momedo_protocol::time::UnixMillis;
use momedo_protocol::{digest, id};
use zeroize::Zeroizing;

struct Recipient {
    keys: PrivateKeys,
    ml_kem: momedo_protocol::ml_kem_key::MlKemPublicKey,
    mceliece: momedo_protocol::mceliece::McEliecePublicKey,
}

impl Recipient {
    fn new() -> Self {
        let (private, mceliece) = McEliecePrivateKey::generate();
        let keys = PrivateKeys {
            rsa: RsaPrivateKey::generate(),
            ml_kem: MlKemPrivateKey::generate(),
            mceliece: Some(private),
        };
        let ml_kem = keys.ml_kem.public();
        Self { keys, ml_kem, mceliece }
    }

    fn public(&self) -> RecipientKeys<'_> {
        RecipientKeys {
            version: 1,
            digest: digest::Sha512Digest::of(b"bundle"),
            rsa: self.keys.rsa.public(),
            ml_kem: &self.ml_kem,
            mceliece: Some(&self.mceliece),
        }
    }
}

fn id() -> MessageId {
    MessageId::new(UnixMillis(1_700_000_000_000))
}

#[test]
fn what_was_sealed_opens_and_any_change_is_noticed() {
    let ben = Recipient::new();
    for suite in Suite::ALL {
        let sealed = seal::seal(suite, &ben.public(), id(), b"Lampe kaputt").unwrap();
        assert_eq!(seal::open(&sealed, &ben.keys).unwrap().as_slice(), b"Lampe kaputt");
        for position in [2, 20, 90, 400, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(seal::open(&changed, &ben.keys).is_err(), "{suite:?}, byte {position}");
        }
    }
}

/// The secrets of a suite-1 envelope as the recipient recovers them, put through `change`.
fn open_with_changed_secret(
    change: impl FnOnce(&mut SharedSecrets),
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let ben = Recipient::new();
    let sealed = seal::seal(Suite::Full, &ben.public(), id(), b"Lampe kaputt").unwrap();
    let envelope = envelope::decode(&sealed).unwrap();
    let mceliece = ben.keys.mceliece.as_ref().unwrap();
    let mut secrets = SharedSecrets {
        mceliece: Some(mceliece.decapsulate(envelope.ciphertexts.mceliece.unwrap()).unwrap()),
        ml_kem: ben.keys.ml_kem.decapsulate(envelope.ciphertexts.ml_kem).unwrap(),
        rsa: ben.keys.rsa.decrypt(envelope.ciphertexts.rsa).unwrap(),
    };
    assert!(seal::open_with(&envelope, &secrets).is_ok());
    change(&mut secrets);
    seal::open_with(&envelope, &secrets)
}

#[test]
fn nothing_opens_without_the_mceliece_secret() {
    let opened = open_with_changed_secret(|secrets| secrets.mceliece.as_mut().unwrap()[0] ^= 1);
    assert_eq!(opened.unwrap_err(), OpenError::WrongKeys);
}

#[test]
fn nothing_opens_without_the_ml_kem_secret() {
    let opened = open_with_changed_secret(|secrets| secrets.ml_kem[0] ^= 1);
    assert_eq!(opened.unwrap_err(), OpenError::WrongKeys);
}

#[test]
fn nothing_opens_without_the_rsa_secret() {
    let opened = open_with_changed_secret(|secrets| secrets.rsa[0] ^= 1);
    assert_eq!(opened.unwrap_err(), OpenError::WrongKeys);
}

#[test]
fn a_missing_key_is_an_error_and_never_a_weaker_suite() {
    let ben = Recipient::new();
    let keys = RecipientKeys { mceliece: None, ..ben.public() };
    assert_eq!(seal::seal(Suite::Full, &keys, id(), b"x"), Err(SealError::MissingMcElieceKey));
}

#[test]
fn lengths_tell_little() {
    let ben = Recipient::new();
    let length = |text: &[u8]| seal::seal(Suite::Small, &ben.public(), id(), text).unwrap().len();
    assert_eq!(length(b"ja"), length(&[b'a'; 508]));
    assert_ne!(length(b"ja"), length(&[b'a'; 509]));
}

#[test]
fn only_who_holds_every_key_can_answer_the_possession_challenge() {
    let ben = Recipient::new();
    let eve = Recipient::new();
    let context = PossessionContext {
        server: digest::Fingerprint([1; 32]),
        id: id::ParticipantId::random(),
        bundle_digest: ben.public().digest,
    };
    let (challenge, expected) = PossessionChallenge::make(Suite::Full, &ben.public(), &context).unwrap();
    let right = challenge.answer(&ben.keys, &context).unwrap();
    assert!(expected.matches(right.bytes()));
    assert!(!expected.matches(&right.bytes()[..63]));
    let one_key_missing =
        PrivateKeys { mceliece: eve.keys.mceliece.clone(), rsa: ben.keys.rsa, ml_kem: ben.keys.ml_kem };
    assert!(!expected.matches(challenge.answer(&one_key_missing, &context).unwrap().bytes()));
    assert!(challenge.answer(&eve.keys, &context).is_err());
}

#[test]
fn a_content_key_reaches_the_member_it_is_sealed_to_and_nobody_else() {
    use momedo_protocol::group::envelope::{MAX_SLOT_BYTES, decode_slot, open_slot, seal_slot};
    use momedo_protocol::group::key::GroupKey;
    let (recipient, other) = (Recipient::new(), Recipient::new());
    let key = GroupKey::random();
    for suite in Suite::ALL {
        let slot = seal_slot(suite, &recipient.public(), MessageId([7; 16]), &key).unwrap();
        assert!(slot.len() <= MAX_SLOT_BYTES);
        assert_eq!(decode_slot(&slot).unwrap().header.recipient_version, 1);
        assert_eq!(open_slot(&slot, &recipient.keys).unwrap().bytes(), key.bytes());
        assert!(open_slot(&slot, &other.keys).is_err());
        // A slot is no envelope, and an envelope is no slot.
        assert!(envelope::decode(&slot).is_err());
        let envelope = seal::seal(suite, &recipient.public(), MessageId([7; 16]), &[0; 28]).unwrap();
        assert!(decode_slot(&envelope).is_err());
        for index in [0, 1, 5, 20, 30, slot.len() - 1] {
            let mut changed = slot.clone();
            changed[index] ^= 1;
            assert!(open_slot(&changed, &recipient.keys).is_err(), "{index}");
        }
    }
}
