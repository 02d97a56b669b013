//! The key backup: a participant's identity on the server, closed with a recovery code that stands on paper.
//!
//! Three things follow from the code under different labels: a secret that the slot is fetched with, a
//! symmetric key, and an ML-KEM key pair. Devices keep only what is needed to *close* the slot
//! ([`SealingKeys`]): renewing it takes no code, and a lost device can neither fetch nor open what the others
//! store after it was revoked.

use std::fmt;
use std::str::FromStr;

use bip39::{Language, Mnemonic};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::committing::CommittingKey;
use crate::digest::{Fingerprint, sha256};
use crate::encoding::Base64Bytes;
use crate::id::ParticipantId;
use crate::limits::{MAX_IDENTITY_BYTES, MAX_KEY_BACKUP_BYTES};
use crate::ml_kem_key::{CIPHERTEXT_BYTES, MlKemError, MlKemPrivateKey, MlKemPublicKey, SEED_BYTES};
use crate::padding::rounded_length;
use crate::random;

const FETCH_LABEL: &[u8] = b"momedo key backup fetch v1";
const SEAL_LABEL: &[u8] = b"momedo key backup seal v1";
const OPEN_LABEL: &[u8] = b"momedo key backup open v1";
const SLOT_LABEL: &[u8] = b"momedo key backup v1";

/// The first byte of a slot.
const SLOT_FORMAT: u8 = 1;

/// Words of a recovery code: 128 bits and a checksum of 4, 11 bits each.
pub const RECOVERY_WORDS: usize = 12;

/// Letters after which every word of the list is the only one that begins so.
const TELLING_LETTERS: usize = 4;

/// A recovery code: 128 random bits, written as twelve English words (BIP 39).
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<[u8; 16]>);

/// The text is not a recovery code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryCodeError {
    /// Too few or too many words.
    #[error("a recovery code has 12 words; these are {0}")]
    WordCount(usize),
    /// A word that is not in the list, counted from 1.
    #[error("word {0} is not one a recovery code can have: look at it again")]
    UnknownWord(usize),
    /// Every word is in the list, but together they are no code.
    #[error("one of the words is wrong, or two changed places")]
    Checksum,
}

impl RecoveryCode {
    /// Draws a new code; nobody chooses one.
    pub fn random() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// The code of these bits.
    pub fn from_bytes(bits: [u8; 16]) -> Self {
        Self(Zeroizing::new(bits))
    }

    /// The words, with spaces between; the caller keeps them secret.
    pub fn words(&self) -> Zeroizing<String> {
        let mnemonic = Mnemonic::from_entropy(&self.0[..]).expect("16 bytes are a length BIP 39 knows");
        let mut words = Zeroizing::new(String::with_capacity(128));
        for (index, word) in mnemonic.words().enumerate() {
            if index > 0 {
                words.push(' ');
            }
            words.push_str(word);
        }
        words
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(***)")
    }
}

impl FromStr for RecoveryCode {
    type Err = RecoveryCodeError;

    /// Reads the words in either case, with whatever is no letter between them (spaces, lines, numbers); of a
    /// word the first four letters are enough.
    fn from_str(text: &str) -> Result<Self, RecoveryCodeError> {
        let lower = Zeroizing::new(text.to_lowercase());
        let given = lower.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
        let count = given.clone().count();
        if count != RECOVERY_WORDS {
            return Err(RecoveryCodeError::WordCount(count));
        }
        let list = Language::English.word_list();
        let mut words = Zeroizing::new(String::with_capacity(128));
        for (index, given) in given.enumerate() {
            let is_meant =
                |word: &&&str| **word == given || (given.len() >= TELLING_LETTERS && word.starts_with(given));
            let word = list.iter().find(is_meant).ok_or(RecoveryCodeError::UnknownWord(index + 1))?;
            words.push_str(word);
            words.push(' ');
        }
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, words.trim_end())
            .map_err(|_| RecoveryCodeError::Checksum)?;
        let (entropy, length) = mnemonic.to_entropy_array();
        let entropy = Zeroizing::new(entropy);
        let bits = entropy[..length].try_into().map_err(|_| RecoveryCodeError::Checksum)?;
        Ok(Self(Zeroizing::new(bits)))
    }
}

/// Everything that follows from a recovery code.
pub struct RecoveryKeys {
    /// Shown to the server to fetch the slot; the server knows only its SHA-256.
    pub fetch_secret: Zeroizing<[u8; 32]>,
    seal_key: Zeroizing<[u8; 32]>,
    ml_kem: MlKemPrivateKey,
}

impl RecoveryKeys {
    /// Derives the keys of a participant of one server.
    pub fn derive(code: &RecoveryCode, server: Fingerprint, id: ParticipantId) -> Self {
        let salt = [&server.0[..], id.to_string().as_bytes()].concat();
        let hkdf = Hkdf::<Sha512>::new(Some(&salt), &code.0[..]);
        let expand = |label: &[u8], out: &mut [u8]| {
            hkdf.expand(label, out).expect("64 bytes are within HKDF-SHA-512's output");
        };
        let mut fetch_secret = Zeroizing::new([0; 32]);
        let mut seal_key = Zeroizing::new([0; 32]);
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        expand(FETCH_LABEL, &mut fetch_secret[..]);
        expand(SEAL_LABEL, &mut seal_key[..]);
        expand(OPEN_LABEL, &mut seed[..]);
        Self { fetch_secret, seal_key, ml_kem: MlKemPrivateKey::from_seed(seed) }
    }

    /// What devices keep of them.
    pub fn sealing_keys(&self) -> SealingKeys {
        SealingKeys {
            lock: Base64Bytes(lock_of(&self.fetch_secret).to_vec()),
            seal_key: Base64Bytes(self.seal_key.to_vec()),
            ml_kem_key: Base64Bytes(self.ml_kem.public().bytes().to_vec()),
        }
    }

    /// Opens a slot.
    ///
    /// # Errors
    /// [`SlotError`], without saying what was wrong.
    pub fn open(
        &self,
        slot: &[u8],
        id: ParticipantId,
        version: u64,
    ) -> Result<Zeroizing<Vec<u8>>, SlotError> {
        let (ciphertext, sealed) = split(slot).ok_or(SlotError::Unopened)?;
        let shared = self.ml_kem.decapsulate(ciphertext).map_err(|_| SlotError::Unopened)?;
        let key = slot_key(&shared, &self.seal_key, ciphertext, id, version);
        let associated = associated(id, version, ciphertext);
        let opened = key.open(sealed, &associated).ok_or(SlotError::Unopened)?;
        let (length, rest) = opened.split_first_chunk::<4>().ok_or(SlotError::Unopened)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SlotError::Unopened)?;
        let content = rest.get(..length).ok_or(SlotError::Unopened)?;
        Ok(Zeroizing::new(content.to_vec()))
    }
}

/// What the server keeps of a fetch secret: its SHA-256.
pub fn lock_of(fetch_secret: &[u8; 32]) -> [u8; 32] {
    sha256(fetch_secret)
}

/// What a device keeps: enough to close the slot anew, not enough to fetch or open it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct SealingKeys {
    /// SHA-256 of the fetch secret (32 bytes).
    pub lock: Base64Bytes,
    /// The symmetric key (32 bytes).
    pub seal_key: Base64Bytes,
    /// The ML-KEM-768 key (1,184 bytes).
    pub ml_kem_key: Base64Bytes,
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKeys(***)")
    }
}

/// Why a slot cannot be closed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// More than [`MAX_IDENTITY_BYTES`].
    #[error("there is too much to put into a key backup")]
    TooLarge,
    /// The keys to close it with are damaged.
    #[error("the keys of the key backup are damaged")]
    Keys,
    /// Not closed with this code, or changed, or of another participant or version.
    #[error("the key backup cannot be opened with this recovery code")]
    Unopened,
}

impl From<MlKemError> for SlotError {
    fn from(_: MlKemError) -> Self {
        Self::Keys
    }
}

impl SealingKeys {
    /// Closes `content` into the slot's bytes.
    ///
    /// # Errors
    /// [`SlotError::TooLarge`] or [`SlotError::Keys`].
    pub fn seal(&self, content: &[u8], id: ParticipantId, version: u64) -> Result<Vec<u8>, SlotError> {
        let (ciphertext, shared) = MlKemPublicKey::from_bytes(&self.ml_kem_key.0)?.encapsulate();
        self.seal_with(content, id, version, &ciphertext, &shared)
    }

    /// Low-level sealing under a given secret, for test vectors; you probably want [`SealingKeys::seal`].
    ///
    /// # Errors
    /// As [`SealingKeys::seal`].
    pub fn seal_with(
        &self,
        content: &[u8],
        id: ParticipantId,
        version: u64,
        ciphertext: &[u8],
        shared: &[u8; 32],
    ) -> Result<Vec<u8>, SlotError> {
        if content.len() > MAX_IDENTITY_BYTES {
            return Err(SlotError::TooLarge);
        }
        let seal_key: &[u8; 32] = self.seal_key.0.as_slice().try_into().map_err(|_| SlotError::Keys)?;
        let key = slot_key(shared, seal_key, ciphertext, id, version);
        let associated = associated(id, version, ciphertext);
        let sealed = key.seal(&padded(content), &associated);
        Ok([&[SLOT_FORMAT], ciphertext, &sealed].concat())
    }
}

/// `length (4 bytes, big-endian) ‖ content ‖ zeros`: how many contacts somebody has is nobody's business.
fn padded(content: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = usize::try_from(rounded_length(content.len() as u64 + 4)).expect("slots fit into memory");
    let mut padded = Zeroizing::new(Vec::with_capacity(length));
    padded.extend_from_slice(&u32::try_from(content.len()).expect("slots are small").to_be_bytes());
    padded.extend_from_slice(content);
    padded.resize(length, 0);
    padded
}

/// The ML-KEM ciphertext and the sealed rest.
fn split(slot: &[u8]) -> Option<(&[u8], &[u8])> {
    let (format, rest) = slot.split_first()?;
    if *format != SLOT_FORMAT || slot.len() > MAX_KEY_BACKUP_BYTES {
        return None;
    }
    rest.split_at_checked(CIPHERTEXT_BYTES)
}

/// Every slot has a fresh shared secret, so its key is used once and the nonce may be zero.
fn slot_key(
    shared: &[u8; 32],
    seal_key: &[u8; 32],
    ciphertext: &[u8],
    id: ParticipantId,
    version: u64,
) -> CommittingKey {
    let material = Zeroizing::new([&shared[..], &seal_key[..]].concat());
    let salt = Sha512::digest(ciphertext);
    let (id, version) = (id.to_string(), version.to_be_bytes());
    let info = [SLOT_LABEL, id.as_bytes(), &version];
    CommittingKey::derive(Some(&salt), &material, &info)
}

fn associated(id: ParticipantId, version: u64, ciphertext: &[u8]) -> Vec<u8> {
    [SLOT_LABEL, id.to_string().as_bytes(), &version.to_be_bytes(), &[SLOT_FORMAT], ciphertext].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(code: &RecoveryCode) -> RecoveryKeys {
        RecoveryKeys::derive(code, Fingerprint([7; 32]), "M8N22HT6".parse().unwrap())
    }

    proptest! {
        #[test]
        fn words_are_read_as_they_were_written_however_they_are_typed(bits: [u8; 16], style in 0..4) {
            let code = RecoveryCode::from_bytes(bits);
            let words = code.words();
            let typed = match style {
                0 => words.to_uppercase(),
                1 => words.split(' ').enumerate().map(|(n, word)| format!("{}. {word}\r\n", n + 1)).collect(),
                2 => words.split(' ').map(|word| format!("\t{}", &word[..word.len().min(4)])).collect(),
                _ => format!("  {}  ", words.replace(' ', "  ")),
            };
            prop_assert_eq!(typed.parse(), Ok(code));
        }

        #[test]
        fn reading_words_never_panics(text in ".*") {
            let _ = text.parse::<RecoveryCode>();
        }

        #[test]
        fn opening_never_panics(slot: Vec<u8>) {
            let id = "M8N22HT6".parse().unwrap();
            prop_assert!(keys(&RecoveryCode::from_bytes([1; 16])).open(&slot, id, 1).is_err());
        }
    }

    #[test]
    fn what_is_no_code_is_refused_and_says_which_word() {
        let words = RecoveryCode::from_bytes([0; 16]).words();
        assert_eq!(&**words, &format!("{}about", "abandon ".repeat(11)));
        let read = |text: &str| text.parse::<RecoveryCode>().unwrap_err();
        assert_eq!(read("abandon abandon"), RecoveryCodeError::WordCount(2));
        assert_eq!(read(&words.replace("about", "kaffee")), RecoveryCodeError::UnknownWord(12));
        // Three letters may be several words.
        assert_eq!(read(&words.replace("about", "abo")), RecoveryCodeError::UnknownWord(12));
        assert_eq!(read(&words.replace("about", "abandon")), RecoveryCodeError::Checksum);
    }

    #[test]
    fn a_slot_opens_for_its_participant_and_version_alone() {
        let code = RecoveryCode::random();
        let (id, other) = ("M8N22HT6".parse().unwrap(), "7QK0M3ZD".parse().unwrap());
        let recovery = keys(&code);
        let slot = recovery.sealing_keys().seal(b"everything", id, 3).unwrap();
        assert_eq!(&**recovery.open(&slot, id, 3).unwrap(), b"everything");
        assert_eq!(recovery.open(&slot, id, 4).unwrap_err(), SlotError::Unopened);
        assert_eq!(recovery.open(&slot, other, 3).unwrap_err(), SlotError::Unopened);
        assert!(keys(&RecoveryCode::random()).open(&slot, id, 3).is_err());
        let elsewhere = RecoveryKeys::derive(&code, Fingerprint([8; 32]), id);
        assert!(elsewhere.open(&slot, id, 3).is_err());
        for position in [0, 1, CIPHERTEXT_BYTES + 1, slot.len() - 1] {
            let mut changed = slot.clone();
            changed[position] ^= 1;
            assert!(recovery.open(&changed, id, 3).is_err(), "{position}");
        }
    }

    #[test]
    fn what_devices_keep_neither_fetches_nor_opens() {
        let recovery = keys(&RecoveryCode::random());
        let kept = serde_json::to_vec(&recovery.sealing_keys()).unwrap();
        let holds = |secret: &[u8]| {
            let text = crate::encoding::encode_base64(secret);
            kept.windows(text.len()).any(|window| window == text.as_bytes())
        };
        assert!(holds(&recovery.seal_key[..]));
        assert!(!holds(&recovery.fetch_secret[..]) && !holds(&recovery.ml_kem.seed()[..]));
    }

    #[test]
    fn the_largest_content_fits_a_slot_and_one_byte_more_does_not() {
        let sealing = keys(&RecoveryCode::random()).sealing_keys();
        let id = "M8N22HT6".parse().unwrap();
        let slot = sealing.seal(&vec![0; MAX_IDENTITY_BYTES], id, 1).unwrap();
        assert!(slot.len() <= MAX_KEY_BACKUP_BYTES);
        assert_eq!(sealing.seal(&vec![0; MAX_IDENTITY_BYTES + 1], id, 1), Err(SlotError::TooLarge));
    }
}
