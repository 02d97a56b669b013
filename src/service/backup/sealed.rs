//! An exported backup under a passphrase: Argon2id makes the key, AES-256-GCM seals chunks of 64 KiB.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `MMDOSEAL` |
//! | 1 | version, 1 |
//! | 16 | salt |
//! | 32 | commitment to the key |
//! | then, per chunk | up to 65,536 bytes, sealed, and a tag of 16 bytes |
//!
//! Every chunk but the last is full. A chunk's nonce is its number from 0 (11 bytes, big-endian) and one
//! byte that is 1 for the last chunk and 0 for the others; its associated data is the 25 bytes before the
//! commitment. So nothing can be cut off, added, or put in another order. The key belongs to one file:
//! Argon2id over passphrase and salt, version 0x13, 19 MiB, 2 passes, 1 lane, 64 bytes, `key (32) ‖ commitment (32)`.
//! The passphrase counts in its composed form; files of earlier versions were sealed with its bytes as they came, and
//! which of these it is, the commitment says.
//! A file that opened under many passphrases would try all of them at once, whenever an admin types one (partitioning
//! oracles: Len, Grubbs, Ristenpart 2021); the commitment makes that one passphrase for each file.

use std::io::{self, Read, Write};

use argon2::Argon2;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use momedo_protocol::envelope::COMMITMENT_BYTES;
use momedo_protocol::random;
use momedo_protocol::secret_text::SecretText;
use momedo_texts::{Language, Refusal};
use strum::{EnumIter, IntoStaticStr};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a sealed file begins with.
pub(crate) const MAGIC: &[u8; 8] = b"MMDOSEAL";

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 8 + 1 + 16;
const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;

/// Why a sealed file cannot be opened. Each kind is a row, as those of [`super::BackupError`] are.
#[derive(Debug, Clone, Default, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum SealedError {
    /// Begins like one, but is of another version.
    #[strum(serialize = "newer-seal")]
    Version,
    /// The key is another one than that of the file.
    #[default]
    WrongPassphrase,
    /// A chunk does not open, or there is none after the last.
    #[strum(serialize = "damaged-seal")]
    Damaged(u64),
}

impl Refusal for SealedError {
    fn word(&self) -> &'static str {
        self.into()
    }

    fn values(&self, _: Language) -> Vec<(&'static str, String)> {
        match self {
            Self::Damaged(place) => vec![("place", place.to_string())],
            Self::Version | Self::WrongPassphrase => Vec::new(),
        }
    }
}

crate::texts::shown_in_english!(SealedError);

struct Cipher {
    key: LessSafeKey,
    header: [u8; HEADER_BYTES],
    commitment: [u8; COMMITMENT_BYTES],
    next: u64,
}

impl Cipher {
    fn new(passphrase: &str, header: [u8; HEADER_BYTES]) -> io::Result<Self> {
        let mut both = Zeroizing::new([0; 32 + COMMITMENT_BYTES]);
        Argon2::default()
            .hash_password_into(passphrase.as_bytes(), &header[9..], &mut both[..])
            .map_err(|error| io::Error::other(format!("cannot use the passphrase: {error}")))?;
        let (key, rest) = both.split_at(32);
        let commitment = rest.try_into().map_err(io::Error::other)?;
        let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 keys have 32 bytes");
        Ok(Self { key: LessSafeKey::new(key), header, commitment, next: 0 })
    }

    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.next.to_be_bytes());
        nonce[11] = u8::from(is_last);
        self.next += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals what is written to it; without [`Sealer::finish`] the file counts as cut off.
pub(crate) struct Sealer<W: Write> {
    cipher: Cipher,
    chunk: Zeroizing<Vec<u8>>,
    out: W,
}

impl<W: Write> Sealer<W> {
    /// Writes the header; deriving the key takes a tenth of a second or more.
    pub(crate) fn new(passphrase: &SecretText, mut out: W) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8] = VERSION;
        header[9..].copy_from_slice(&random::bytes::<16>());
        out.write_all(&header)?;
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES));
        let cipher = Cipher::new(&passphrase.composed(), header)?;
        out.write_all(&cipher.commitment)?;
        Ok(Self { cipher, chunk, out })
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.cipher.nonce(is_last);
        let Cipher { key, header, .. } = &self.cipher;
        key.seal_in_place_append_tag(nonce, Aad::from(header), &mut *self.chunk)
            .map_err(|_| io::Error::other("a chunk cannot be sealed"))?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    /// What it writes to.
    pub(crate) fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// Seals the last chunk and hands back what it wrote to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Sealed only once there is more, so that the last chunk is never empty unless all is.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// How many bytes `plain` bytes take sealed.
pub(crate) fn sealed_bytes(plain: u64) -> u64 {
    let chunks = plain.div_ceil(CHUNK_BYTES as u64).max(1);
    (HEADER_BYTES + COMMITMENT_BYTES) as u64 + plain + chunks * TAG_BYTES as u64
}

/// Opens a sealed file from its beginning, and writes what was sealed to `out`. What was written counts for
/// nothing when this fails.
///
/// # Errors
/// A [`SealedError`] inside, or what reading and writing say.
pub(crate) fn open(passphrase: &SecretText, mut from: impl Read, out: &mut impl Write) -> io::Result<()> {
    let mut header = [0; HEADER_BYTES];
    from.read_exact(&mut header).map_err(|_| refused(SealedError::Damaged(0)))?;
    if !header.starts_with(MAGIC) || header[8] != VERSION {
        return Err(refused(SealedError::Version));
    }
    let mut commitment = [0; COMMITMENT_BYTES];
    from.read_exact(&mut commitment).map_err(|_| refused(SealedError::Damaged(HEADER_BYTES as u64)))?;
    let mut cipher = fitting(passphrase, header, &commitment)?;
    let mut chunk = read_chunk(&mut from)?;
    let mut place = (HEADER_BYTES + COMMITMENT_BYTES) as u64;
    loop {
        let bytes = chunk.len() as u64;
        let next = read_chunk(&mut from)?;
        let nonce = cipher.nonce(next.is_empty());
        let opened = cipher
            .key
            .open_in_place(nonce, Aad::from(&cipher.header), &mut chunk)
            .map_err(|_| refused(SealedError::Damaged(place)))?;
        out.write_all(opened)?;
        if next.is_empty() {
            return Ok(());
        }
        place += bytes;
        chunk = next;
    }
}

/// The cipher of the form of the passphrase that the file was sealed with.
fn fitting(
    passphrase: &SecretText,
    header: [u8; HEADER_BYTES],
    commitment: &[u8; COMMITMENT_BYTES],
) -> io::Result<Cipher> {
    for form in passphrase.forms_of_files() {
        let cipher = Cipher::new(&form, header)?;
        if bool::from(cipher.commitment.ct_eq(commitment)) {
            return Ok(cipher);
        }
    }
    Err(refused(SealedError::WrongPassphrase))
}

fn refused(error: SealedError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Reads a sealed chunk, shorter only at the end of the file.
fn read_chunk(from: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut chunk = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES));
    from.take((CHUNK_BYTES + TAG_BYTES) as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(plain: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(&SecretText::typed("correct horse"), Vec::new()).unwrap();
        sealer.write_all(plain).unwrap();
        sealer.finish().unwrap()
    }

    fn opened(passphrase: &str, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        open(&SecretText::typed(passphrase), sealed, &mut out)
            .map_err(|error| error.to_string())
            .map(|()| out)
    }

    #[test]
    fn what_is_sealed_opens_again_whatever_its_length() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let plain: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let sealed = seal(&plain);
            assert_eq!(sealed.len() as u64, sealed_bytes(length as u64));
            assert_eq!(opened("correct horse", &sealed), Ok(plain));
        }
    }

    #[test]
    fn nothing_can_be_cut_off_added_swapped_or_changed() {
        let sealed = seal(&vec![7; 3 * CHUNK_BYTES]);
        let chunk = CHUNK_BYTES + TAG_BYTES;
        let start = HEADER_BYTES + COMMITMENT_BYTES;
        for length in [0, 8, HEADER_BYTES, start, start + chunk, start + 2 * chunk, sealed.len() - 1] {
            assert!(opened("correct horse", &sealed[..length]).is_err(), "cut to {length}");
        }
        assert!(opened("correct horse", &[&sealed[..], b"x"].concat()).is_err());
        let (header, chunks) = sealed.split_at(start);
        let swapped = [header, &chunks[chunk..2 * chunk], &chunks[..chunk], &chunks[2 * chunk..]].concat();
        assert!(opened("correct horse", &swapped).is_err());
        for place in [0, 8, 9, HEADER_BYTES, start, start + chunk + 5, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(opened("correct horse", &changed).is_err(), "changed at {place}");
        }
        assert!(opened("wrong horse", &sealed).unwrap_err().contains("passphrase"));
    }

    /// As versions before sealed: the key of the bytes as they came.
    fn sealed_with_bytes(passphrase: &str, plain: &[u8]) -> Vec<u8> {
        let mut header = [7; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8] = VERSION;
        let cipher = Cipher::new(passphrase, header).unwrap();
        let out = [&header[..], &cipher.commitment].concat();
        let mut sealer = Sealer { cipher, chunk: Zeroizing::new(Vec::new()), out };
        sealer.write_all(plain).unwrap();
        sealer.finish().unwrap()
    }

    #[test]
    fn files_sealed_before_forms_were_told_apart_open_however_the_passphrase_is_typed() {
        let (composed, decomposed) = ("Gr\u{fc}ne Bl\u{e4}tter", "Gru\u{308}ne Bla\u{308}tter");
        let marked = format!("\u{feff}{composed}");
        for sealed_with in [composed, decomposed, &marked] {
            let sealed = sealed_with_bytes(sealed_with, b"plain");
            for typed in [composed, decomposed, &marked] {
                assert_eq!(opened(typed, &sealed), Ok(b"plain".to_vec()), "{sealed_with:?} by {typed:?}");
            }
            assert!(opened("Grune Blatter", &sealed).unwrap_err().contains("passphrase"));
        }
    }

    #[test]
    fn a_file_says_which_passphrase_opens_it() {
        // Whether the chunks open or not: what is not committed to is not tried.
        let (mine, others) = (seal(b"mine"), seal(b"others"));
        let start = HEADER_BYTES + COMMITMENT_BYTES;
        let mixed = [&mine[..HEADER_BYTES], &others[HEADER_BYTES..start], &mine[start..]].concat();
        assert!(opened("correct horse", &mixed).unwrap_err().contains("passphrase"));
    }
}
