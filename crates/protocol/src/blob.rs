//! Attachments: a file sealed in chunks by its sender, kept by a server as a blob, opened chunk by chunk.
//!
//! Every chunk but the last has 65,536 bytes of plaintext and gets a tag of 16. A chunk's nonce is its number from
//! 0 (11 bytes, big-endian) and one byte that is 1 for the last chunk and 0 for the others: the STREAM construction
//! (Hoang, Reyhanitabar, Rogaway, Vizár 2015), as age uses it. So each chunk is checked by itself, and nothing can
//! be cut off, added, or put in another order. Behind the file stand zeros up to a rounded length
//! ([`crate::padding`]), so its true size is known to whoever has the reference alone.
//!
//! Before the chunks stand 32 bytes that commit to key and size. AES-GCM opens one chunk under two keys if somebody
//! made it so; the commitment is compared before any chunk is opened, so one blob is one file, whoever opens it
//! (`committing`).
//!
//! A file key is drawn for one blob and never used for another. Whoever seals must seal each chunk once: two
//! plaintexts under one nonce would give both away. A client that resumes an upload therefore repeats stored bytes
//! and does not seal again.

use std::fmt;
use std::str::FromStr;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::encoding::{decode_base64, decode_hex, encode_base64, encode_hex, serde_as_text};
pub use crate::envelope::COMMITMENT_BYTES;
use crate::padding::rounded_length;
use crate::random;

/// Plaintext of a full chunk, in bytes.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// What sealing adds to each chunk, in bytes.
pub const CHUNK_TAG_BYTES: usize = 16;

/// A full sealed chunk, in bytes.
pub const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + CHUNK_TAG_BYTES;

/// The smallest blob there is, in bytes: the commitment, and one empty chunk.
pub const MIN_BLOB_BYTES: u64 = (COMMITMENT_BYTES + CHUNK_TAG_BYTES) as u64;

/// Most blobs one message refers to.
pub const MAX_MESSAGE_BLOBS: usize = 16;

/// Longest name of a file, in characters.
pub const MAX_FILE_NAME_CHARACTERS: usize = 255;

/// Longest media type, in bytes.
const MAX_MEDIA_TYPE_BYTES: usize = 127;

/// Largest file there can be a reference to, in bytes: JSON numbers are exact up to here.
const MAX_FILE_BYTES: u64 = 1 << 53;

/// Binds derived keys to their use.
const KEY_LABEL: &[u8] = b"momedo file key v1";

/// Binds commitments to their use.
const COMMITMENT_LABEL: &[u8] = b"momedo file commitment v1";

/// Identifies a blob: 16 random bytes drawn by the client; 32 hexadecimal digits in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, example = "8a4c3e5d6f7081929aa6d1c2f87b1f01"))]
pub struct BlobId(pub [u8; 16]);

/// The text is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file's ID has 32 hexadecimal digits")]
pub struct BlobIdError;

impl BlobId {
    /// Draws a new identifier.
    pub fn random() -> Self {
        Self(random::bytes())
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlobId {
    type Err = BlobIdError;
    fn from_str(text: &str) -> Result<Self, BlobIdError> {
        decode_hex(text).map(Self).ok_or(BlobIdError)
    }
}

serde_as_text!(BlobId);

/// The 32-byte key of one file; erased when dropped, base64url in JSON.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct FileKey([u8; 32]);

impl FileKey {
    /// Draws a new key.
    pub fn random() -> Self {
        Self(random::bytes())
    }

    /// The key with these bytes; `None` unless there are 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The key's bytes, a secret.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn expand(&self, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        Hkdf::<Sha512>::new(None, &self.0)
            .expand_multi_info(info, &mut out[..])
            .expect("32 bytes are within HKDF-SHA-512's output");
        out
    }

    fn cipher(&self, blob: BlobId) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(*self.expand(&[KEY_LABEL, &blob.0])))
    }

    /// What a blob begins with: says that it opens under this key, to a file of `size` bytes, and to nothing else.
    pub fn commitment(&self, blob: BlobId, size: u64) -> [u8; COMMITMENT_BYTES] {
        *self.expand(&[COMMITMENT_LABEL, &blob.0, &size.to_be_bytes()])
    }
}

impl PartialEq for FileKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for FileKey {}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(***)")
    }
}

impl Serialize for FileKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(encode_base64(&self.0)))
    }
}

impl<'de> Deserialize<'de> for FileKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = decode_base64(&text).map(Zeroizing::new);
        bytes
            .and_then(|bytes| Self::from_bytes(&bytes))
            .ok_or_else(|| serde::de::Error::custom("a file key has 32 bytes in base64url"))
    }
}

/// How many bytes a file of `size` bytes has when it is padded and sealed.
pub fn sealed_length(size: u64) -> u64 {
    let tags = chunk_count(size).saturating_mul(CHUNK_TAG_BYTES as u64);
    rounded_length(size).saturating_add(tags).saturating_add(COMMITMENT_BYTES as u64)
}

/// Where the chunk with this number begins in its blob.
pub fn chunk_place(number: u64) -> u64 {
    number.saturating_mul(SEALED_CHUNK_BYTES as u64).saturating_add(COMMITMENT_BYTES as u64)
}

/// How many chunks a file of `size` bytes has when it is padded; at least one.
pub fn chunk_count(size: u64) -> u64 {
    rounded_length(size).div_ceil(CHUNK_BYTES as u64)
}

fn nonce(number: u64, is_last: bool) -> Nonce<<Aes256Gcm as aes_gcm::AeadCore>::NonceSize> {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(is_last);
    nonce.into()
}

/// A file cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The blob was sealed under another key, or holds a file of another size.
    #[error("the file is damaged: it is not the one its sender named")]
    OtherFile,
    /// The chunk is not what was sealed at this place.
    #[error("the file is damaged: part {0} is not what its sender sealed")]
    Damaged(u64),
    /// A chunk is too long, empty without being a whole empty file, or comes after the last.
    #[error("a chunk has the wrong length or comes after the last")]
    Misplaced,
}

/// Seals the chunks of one file, in order, each once.
pub struct ChunkSealer {
    cipher: Aes256Gcm,
    next: u64,
    ended: bool,
}

impl ChunkSealer {
    /// A sealer for a blob under a key that no other blob has.
    pub fn new(key: &FileKey, blob: BlobId) -> Self {
        Self { cipher: key.cipher(blob), next: 0, ended: false }
    }

    /// Seals the next chunk of the padded file: 65,536 bytes, fewer only for the last.
    ///
    /// # Errors
    /// [`ChunkError::Misplaced`].
    pub fn seal(&mut self, plain: &[u8], is_last: bool) -> Result<Vec<u8>, ChunkError> {
        let fits = if is_last {
            plain.len() <= CHUNK_BYTES && (!plain.is_empty() || self.next == 0)
        } else {
            plain.len() == CHUNK_BYTES
        };
        if self.ended || !fits {
            return Err(ChunkError::Misplaced);
        }
        let sealed =
            self.cipher.encrypt(&nonce(self.next, is_last), plain).map_err(|_| ChunkError::Misplaced)?;
        self.next += 1;
        self.ended = is_last;
        Ok(sealed)
    }
}

/// Opens the chunks of one file, in any order.
pub struct ChunkOpener {
    cipher: Aes256Gcm,
    size: u64,
}

impl ChunkOpener {
    /// An opener for the file a reference names, whose blob begins with `commitment`.
    ///
    /// # Errors
    /// [`ChunkError::OtherFile`] when the blob is not the file that the reference is about.
    pub fn new(file: &FileReference, commitment: &[u8]) -> Result<Self, ChunkError> {
        let expected = file.key.commitment(file.blob, file.size);
        match bool::from(expected[..].ct_eq(commitment)) {
            true => Ok(Self { cipher: file.key.cipher(file.blob), size: file.size }),
            false => Err(ChunkError::OtherFile),
        }
    }

    /// How many sealed bytes the chunk with this number has; `None` beyond the last.
    pub fn sealed_chunk_length(&self, number: u64) -> Option<usize> {
        let last = chunk_count(self.size) - 1;
        if number < last {
            return Some(SEALED_CHUNK_BYTES);
        }
        let rest = rounded_length(self.size) - last * CHUNK_BYTES as u64;
        (number == last).then_some(usize::try_from(rest).ok()? + CHUNK_TAG_BYTES)
    }

    /// Opens the chunk with this number; of the last ones only what is of the file, without the padding.
    ///
    /// # Errors
    /// [`ChunkError::Damaged`]; say no more about why.
    pub fn open(&self, number: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, ChunkError> {
        let damaged = ChunkError::Damaged(number);
        if self.sealed_chunk_length(number) != Some(sealed.len()) {
            return Err(damaged);
        }
        let is_last = number + 1 == chunk_count(self.size);
        let opened = self.cipher.decrypt(&nonce(number, is_last), sealed).map_err(|_| damaged)?;
        let mut plain = Zeroizing::new(opened);
        let left = self.size.saturating_sub(number * CHUNK_BYTES as u64);
        let (file, padding) = plain.split_at(usize::try_from(left).unwrap_or(usize::MAX).min(plain.len()));
        if padding.iter().any(|byte| *byte != 0) {
            return Err(damaged);
        }
        let length = file.len();
        plain.truncate(length);
        Ok(plain)
    }
}

/// A file that goes along with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AnyFileReference")]
pub struct FileReference {
    /// What it is called: 1 to 255 characters, no path and nothing that steers a terminal.
    pub name: String,
    /// Its media type, such as `image/jpeg`.
    pub media_type: String,
    /// Its size in bytes, unsealed.
    pub size: u64,
    /// The blob that holds it.
    pub blob: BlobId,
    /// Its key.
    pub key: FileKey,
}

#[derive(Deserialize)]
struct AnyFileReference {
    name: String,
    media_type: String,
    size: u64,
    blob: BlobId,
    key: FileKey,
}

impl TryFrom<AnyFileReference> for FileReference {
    type Error = &'static str;
    fn try_from(file: AnyFileReference) -> Result<Self, &'static str> {
        if !is_acceptable_file_name(&file.name) {
            return Err("a file's name has 1 to 255 characters, no path and no control characters");
        }
        if !is_acceptable_media_type(&file.media_type) {
            return Err("a media type is two words with a slash between");
        }
        if file.size > MAX_FILE_BYTES {
            return Err("there are no files of this size");
        }
        let AnyFileReference { name, media_type, size, blob, key } = file;
        Ok(Self { name, media_type, size, blob, key })
    }
}

/// Whether `name` can stand as the name of a file: 1 to 255 characters, no path separator, no control character,
/// not `.` or `..`.
pub fn is_acceptable_file_name(name: &str) -> bool {
    let refused = |c: char| c.is_control() || matches!(c, '/' | '\\');
    (1..=MAX_FILE_NAME_CHARACTERS).contains(&name.chars().count())
        && !name.chars().any(refused)
        && !name.trim().is_empty()
        && !matches!(name, "." | "..")
}

/// Whether `text` is a media type without parameters (RFC 6838, section 4.2).
pub fn is_acceptable_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) && name.bytes().all(allowed)
    };
    text.len() <= MAX_MEDIA_TYPE_BYTES
        && text.split_once('/').is_some_and(|(kind, rest)| is_name(kind) && is_name(rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(size: u64) -> FileReference {
        FileReference {
            name: "Lampe.jpg".into(),
            media_type: "image/jpeg".into(),
            size,
            blob: BlobId([7; 16]),
            key: FileKey([1; 32]),
        }
    }

    fn sealed(file: &FileReference, plain: &[u8]) -> Vec<Vec<u8>> {
        let mut sealer = ChunkSealer::new(&file.key, file.blob);
        let mut padded = plain.to_vec();
        padded.resize(usize::try_from(rounded_length(plain.len() as u64)).unwrap(), 0);
        let count = chunk_count(plain.len() as u64);
        let chunk = |number: u64| {
            let from = usize::try_from(number).unwrap() * CHUNK_BYTES;
            &padded[from..padded.len().min(from + CHUNK_BYTES)]
        };
        (0..count).map(|number| sealer.seal(chunk(number), number + 1 == count).unwrap()).collect()
    }

    fn opened(file: &FileReference, chunks: &[Vec<u8>]) -> Result<Vec<u8>, ChunkError> {
        let opener = ChunkOpener::new(file, &file.key.commitment(file.blob, file.size))?;
        let mut plain = Vec::new();
        for (number, chunk) in (0..).zip(chunks) {
            plain.extend_from_slice(&opener.open(number, chunk)?);
        }
        if plain.len() as u64 == file.size { Ok(plain) } else { Err(ChunkError::Misplaced) }
    }

    #[test]
    fn files_of_every_length_come_back() {
        for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let plain: Vec<u8> = (0..size).map(|index| index as u8).collect();
            let file = reference(size as u64);
            let chunks = sealed(&file, &plain);
            let length: usize = chunks.iter().map(Vec::len).sum();
            assert_eq!((COMMITMENT_BYTES + length) as u64, sealed_length(size as u64));
            assert_eq!(
                chunk_place(chunks.len() as u64 - 1) + chunks.last().unwrap().len() as u64,
                sealed_length(size as u64)
            );
            assert_eq!(opened(&file, &chunks).unwrap(), plain);
        }
    }

    #[test]
    fn truncated_reordered_swapped_and_extended_files_are_refused() {
        let plain = vec![7; 3 * CHUNK_BYTES];
        let file = reference(plain.len() as u64);
        let chunks = sealed(&file, &plain);
        let change = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut changed = chunks.clone();
            change(&mut changed);
            opened(&file, &changed).unwrap_err()
        };
        assert_eq!(change(&|chunks| chunks.swap(0, 1)), ChunkError::Damaged(0));
        assert_eq!(change(&|chunks| chunks.swap(1, 2)), ChunkError::Damaged(1));
        assert_eq!(change(&|chunks| drop(chunks.remove(1))), ChunkError::Damaged(1));
        assert_eq!(change(&|chunks| drop(chunks.pop())), ChunkError::Misplaced);
        assert_eq!(change(&|chunks| chunks.push(chunks[0].clone())), ChunkError::Damaged(3));
        assert_eq!(change(&|chunks| chunks[2][5] ^= 1), ChunkError::Damaged(2));
        // Whoever lies about the size of a shorter file is caught by the flag of the last chunk.
        for size in [2 * CHUNK_BYTES as u64, 4 * CHUNK_BYTES as u64] {
            let lied = FileReference { size, ..file.clone() };
            assert!(opened(&lied, &chunks).is_err());
            assert!(opened(&lied, &chunks[..2]).is_err());
        }
        // Chunks belong to one blob and one key.
        for other in [
            FileReference { blob: BlobId([8; 16]), ..file.clone() },
            FileReference { key: FileKey([2; 32]), ..file.clone() },
        ] {
            assert_eq!(opened(&other, &chunks), Err(ChunkError::Damaged(0)));
        }
    }

    #[test]
    fn a_blob_is_the_file_its_reference_names_or_none() {
        let file = reference(5);
        let commitment = file.key.commitment(file.blob, 5);
        assert!(ChunkOpener::new(&file, &commitment).is_ok());
        for other in [
            FileReference { size: 4, ..file.clone() },
            FileReference { blob: BlobId([8; 16]), ..file.clone() },
            FileReference { key: FileKey([2; 32]), ..file.clone() },
        ] {
            assert_eq!(ChunkOpener::new(&other, &commitment).err(), Some(ChunkError::OtherFile));
        }
        assert!(ChunkOpener::new(&file, &commitment[1..]).is_err());
    }

    #[test]
    fn behind_a_file_there_are_zeros_and_nothing_else() {
        let file = reference(5);
        let opener = ChunkOpener::new(&file, &file.key.commitment(file.blob, 5)).unwrap();
        let mut padded = vec![0; 4096];
        padded[..5].copy_from_slice(b"hello");
        let seal = |plain: &[u8]| ChunkSealer::new(&file.key, file.blob).seal(plain, true).unwrap();
        assert_eq!(opener.open(0, &seal(&padded)).unwrap().as_slice(), b"hello");
        padded[4095] = 1;
        assert_eq!(opener.open(0, &seal(&padded)).unwrap_err(), ChunkError::Damaged(0));
    }

    #[test]
    fn nothing_is_sealed_that_could_not_be_opened() {
        let mut sealer = ChunkSealer::new(&FileKey([1; 32]), BlobId([7; 16]));
        assert_eq!(sealer.seal(&[1; 10], false), Err(ChunkError::Misplaced));
        assert_eq!(sealer.seal(&[1; CHUNK_BYTES + 1], true), Err(ChunkError::Misplaced));
        sealer.seal(&[1; CHUNK_BYTES], false).unwrap();
        assert_eq!(sealer.seal(&[], true), Err(ChunkError::Misplaced));
        sealer.seal(&[1], true).unwrap();
        assert_eq!(sealer.seal(&[1], true), Err(ChunkError::Misplaced));
    }

    #[test]
    fn references_are_read_strictly() {
        let read = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut value = serde_json::to_value(reference(5)).unwrap();
            change(&mut value);
            serde_json::from_value::<FileReference>(value)
        };
        assert_eq!(read(&|_| ()).unwrap(), reference(5));
        let set = |field: &'static str, to: serde_json::Value| read(&move |value| value[field] = to.clone());
        for name in ["", " ", ".", "..", "a/b", "a\\b", "a\nb", "a\0", "\u{7f}", &"ä".repeat(256)] {
            assert!(set("name", name.into()).is_err(), "{name:?}");
        }
        assert!(set("name", "ä".repeat(255).into()).is_ok());
        for media_type in ["", "image", "image/", "/jpeg", "a/b/c", "text/plain; charset=x", "a b/c"] {
            assert!(set("media_type", media_type.into()).is_err(), "{media_type:?}");
        }
        let of_length = |length: usize| format!("a/{}", "b".repeat(length - 2)).into();
        assert!(set("media_type", of_length(127)).is_ok() && set("media_type", of_length(128)).is_err());
        assert!(set("size", (1u64 << 53).into()).is_ok() && set("size", ((1u64 << 53) + 1).into()).is_err());
        assert!(set("blob", "00".into()).is_err() && set("key", "AAAA".into()).is_err());
        assert!(!format!("{:?}", reference(5)).contains("1, 1"));
    }

    proptest! {
        #[test]
        fn one_changed_bit_is_noticed(plain in proptest::collection::vec(any::<u8>(), 0..2000), at: u16, bit in 0u8..8) {
            let file = reference(plain.len() as u64);
            let mut chunks = sealed(&file, &plain);
            prop_assert_eq!(&opened(&file, &chunks).unwrap(), &plain);
            let at = usize::from(at) % chunks[0].len();
            chunks[0][at] ^= 1 << bit;
            prop_assert_eq!(opened(&file, &chunks), Err(ChunkError::Damaged(0)));
        }

        #[test]
        fn opening_never_panics(size in 0u64..1 << 53, number: u64, bytes: Vec<u8>) {
            let file = reference(size);
            let opener = ChunkOpener::new(&file, &file.key.commitment(file.blob, size)).unwrap();
            prop_assert!(opener.open(number, &bytes).is_err());
            prop_assert!(ChunkOpener::new(&file, &bytes).is_err());
        }

        #[test]
        fn lengths_add_up(size in 0u64..1 << 40) {
            let file = reference(size);
            let opener = ChunkOpener::new(&file, &file.key.commitment(file.blob, size)).unwrap();
            let count = chunk_count(size);
            let last = opener.sealed_chunk_length(count - 1).unwrap() as u64;
            prop_assert_eq!(chunk_place(count - 1) + last, sealed_length(size));
            prop_assert_eq!(opener.sealed_chunk_length(count), None);
        }
    }
}
