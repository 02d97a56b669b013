//! Hybrid sealing: every message key depends on all shared secrets of the suite.
//!
//! `key = HKDF-SHA-512(ikm = ss1 ‖ ss2 ‖ ss3, salt = SHA-512(all ciphertexts ‖ recipient digest),
//! info = label ‖ suite ‖ message ID)`, then AES-256-GCM over the padded inner message with the whole
//! header as associated data. A key is used once, so the nonce is zero; the other half of what is derived commits
//! to it (`committing`).

use hkdf::Hkdf;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::committing::CommittingKey;
use crate::digest::Sha512Digest;
use crate::envelope::{self, Ciphertexts, Envelope, EnvelopeError, Header};
use crate::key_bundle::KeyBundle;
use crate::limits::MIN_PADDED_BYTES;
use crate::mceliece::{McEliecePrivateKey, McEliecePublicKey};
use crate::message_id::MessageId;
use crate::ml_kem_key::{MlKemPrivateKey, MlKemPublicKey};
use crate::random;
use crate::rsa_key::RsaPublicKey;
use crate::suite::Suite;

/// Binds a derived key to its use; no other use may have the same label.
const MESSAGE_LABEL: &[u8] = b"momedo message key v1";

/// One shared secret per scheme.
pub type SharedSecret = Zeroizing<[u8; 32]>;

/// The shared secrets of one envelope.
#[derive(Clone)]
pub struct SharedSecrets {
    /// `ss1`, from Classic McEliece; present exactly in suite 1.
    pub mceliece: Option<SharedSecret>,
    /// `ss2`, from ML-KEM-768.
    pub ml_kem: SharedSecret,
    /// `ss3`, 32 random bytes under RSA-OAEP.
    pub rsa: SharedSecret,
}

/// The public keys to seal to, and how envelopes name them.
#[derive(Debug, Clone, Copy)]
pub struct RecipientKeys<'a> {
    /// Version of the key bundle; 0 for device keys.
    pub version: u32,
    /// Digest of the key bundle, or of the device's keys.
    pub digest: Sha512Digest,
    /// RSA encryption key.
    pub rsa: &'a RsaPublicKey,
    /// ML-KEM-768 key.
    pub ml_kem: &'a MlKemPublicKey,
    /// McEliece key; suite 1 cannot be sealed without it.
    pub mceliece: Option<&'a McEliecePublicKey>,
}

impl<'a> RecipientKeys<'a> {
    /// The encryption keys of a verified bundle, with the McEliece key fetched by its digest.
    ///
    /// Returns `None` when the McEliece key is not the one the bundle names.
    pub fn of_bundle(bundle: &'a KeyBundle, mceliece: Option<&'a McEliecePublicKey>) -> Option<Self> {
        if let Some(key) = mceliece
            && bundle.payload.mceliece_key != Some(key.digest())
        {
            return None;
        }
        Some(Self {
            version: u32::try_from(bundle.payload.version).ok()?,
            digest: bundle.digest,
            rsa: &bundle.rsa_key,
            ml_kem: &bundle.ml_kem_key,
            mceliece,
        })
    }
}

/// The private keys that open what was sealed to one bundle.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
pub struct PrivateKeys {
    /// RSA key for OAEP.
    pub rsa: crate::rsa_private_key::RsaPrivateKey,
    /// ML-KEM-768 key.
    pub ml_kem: MlKemPrivateKey,
    /// McEliece key, where suite 1 is accepted.
    pub mceliece: Option<McEliecePrivateKey>,
}

/// Why an envelope cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The suite needs a McEliece key that is not there; never a reason to take a weaker suite.
    #[error("the recipient's McEliece key is missing")]
    MissingMcElieceKey,
    /// The inner message is longer than the limit of 2^24 bytes.
    #[error("the message is too long")]
    TooLong,
}

/// Why an envelope cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The bytes are no envelope.
    #[error(transparent)]
    Malformed(#[from] EnvelopeError),
    /// Not sealed to these keys, or changed on the way.
    #[error("the envelope cannot be opened with these keys")]
    WrongKeys,
}

/// Ciphertexts of one encapsulation, owned.
#[derive(Clone)]
pub(crate) struct OwnedCiphertexts {
    pub(crate) mceliece: Option<Vec<u8>>,
    pub(crate) ml_kem: Vec<u8>,
    pub(crate) rsa: Vec<u8>,
}

impl OwnedCiphertexts {
    pub(crate) fn borrowed(&self) -> Ciphertexts<'_> {
        Ciphertexts { mceliece: self.mceliece.as_deref(), ml_kem: &self.ml_kem, rsa: &self.rsa }
    }
}

/// Draws the shared secrets of `suite` for `keys`.
pub(crate) fn encapsulate(
    suite: Suite,
    keys: &RecipientKeys<'_>,
) -> Result<(OwnedCiphertexts, SharedSecrets), SealError> {
    let (mceliece, ss1) = match suite {
        Suite::Full => {
            let (ciphertext, secret) = keys.mceliece.ok_or(SealError::MissingMcElieceKey)?.encapsulate();
            (Some(ciphertext), Some(secret))
        }
        Suite::Small => (None, None),
    };
    let (ml_kem, ss2) = keys.ml_kem.encapsulate();
    let ss3 = Zeroizing::new(random::bytes());
    let rsa = keys.rsa.encrypt(&ss3);
    Ok((OwnedCiphertexts { mceliece, ml_kem, rsa }, SharedSecrets { mceliece: ss1, ml_kem: ss2, rsa: ss3 }))
}

/// Recovers the shared secrets with the private keys.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn decapsulate(
    ciphertexts: &Ciphertexts<'_>,
    keys: &PrivateKeys,
) -> Result<SharedSecrets, OpenError> {
    let rsa = keys.rsa.decrypt(ciphertexts.rsa).map_err(|_| OpenError::WrongKeys)?;
    SharedSecrets::recover(ciphertexts, &keys.ml_kem, keys.mceliece.as_ref(), rsa)
}

impl SharedSecrets {
    /// Recovers the shared secrets of what was sealed to these keys; `rsa` is what its RSA ciphertext holds, which a key
    /// elsewhere may have opened.
    ///
    /// # Errors
    /// [`OpenError::WrongKeys`].
    pub fn recover(
        ciphertexts: &Ciphertexts<'_>,
        ml_kem: &MlKemPrivateKey,
        mceliece: Option<&McEliecePrivateKey>,
        rsa: SharedSecret,
    ) -> Result<Self, OpenError> {
        let mceliece = match ciphertexts.mceliece {
            Some(ciphertext) => {
                let key = mceliece.ok_or(OpenError::WrongKeys)?;
                Some(key.decapsulate(ciphertext).map_err(|_| OpenError::WrongKeys)?)
            }
            None => None,
        };
        let ml_kem = ml_kem.decapsulate(ciphertexts.ml_kem).map_err(|_| OpenError::WrongKeys)?;
        Ok(Self { mceliece, ml_kem, rsa })
    }
}

/// All shared secrets, joined, and the salt they are extracted with.
fn material(
    secrets: &SharedSecrets,
    ciphertexts: &Ciphertexts<'_>,
    recipient_digest: &Sha512Digest,
) -> (Zeroizing<Vec<u8>>, Sha512Digest) {
    let mut material = Zeroizing::new(Vec::with_capacity(96));
    if let Some(secret) = &secrets.mceliece {
        material.extend_from_slice(&secret[..]);
    }
    material.extend_from_slice(&secrets.ml_kem[..]);
    material.extend_from_slice(&secrets.rsa[..]);
    let salt = Sha512::new().chain_update(ciphertexts.concatenated()).chain_update(recipient_digest.0);
    (material, Sha512Digest(salt.finalize().into()))
}

/// Derives a 32-byte key that seals nothing from all shared secrets; `label` names its use.
pub(crate) fn derive_key(
    secrets: &SharedSecrets,
    ciphertexts: &Ciphertexts<'_>,
    recipient_digest: &Sha512Digest,
    label: &[u8],
) -> Zeroizing<[u8; 32]> {
    let (material, salt) = material(secrets, ciphertexts, recipient_digest);
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha512>::new(Some(&salt.0), &material)
        .expand(label, &mut key[..])
        .expect("32 bytes are within HKDF-SHA-512's output");
    key
}

/// The key of one envelope for the use that `label` names.
pub(crate) fn derived_key(label: &[u8], envelope: &Envelope<'_>, secrets: &SharedSecrets) -> CommittingKey {
    let header = &envelope.header;
    let info: [&[u8]; 3] = [label, &[header.suite.number()], &header.message_id.0];
    let (material, salt) = material(secrets, &envelope.ciphertexts, &header.recipient_digest);
    CommittingKey::derive(Some(&salt.0), &material, &info)
}

/// Seals `inner` (a signed message) to `keys`.
///
/// # Errors
/// As [`SealError`] says.
pub fn seal(
    suite: Suite,
    keys: &RecipientKeys<'_>,
    message_id: MessageId,
    inner: &[u8],
) -> Result<Vec<u8>, SealError> {
    let (ciphertexts, secrets) = encapsulate(suite, keys)?;
    let header = Header { suite, message_id, recipient_version: keys.version, recipient_digest: keys.digest };
    seal_with(&header, &ciphertexts.borrowed(), &secrets, inner)
}

/// Low-level sealing under given secrets, for test vectors; you probably want [`seal`].
///
/// # Errors
/// [`SealError::TooLong`].
pub fn seal_with(
    header: &Header,
    ciphertexts: &Ciphertexts<'_>,
    secrets: &SharedSecrets,
    inner: &[u8],
) -> Result<Vec<u8>, SealError> {
    let padded = pad(inner)?;
    let mut bytes = envelope::encode_header(header, ciphertexts);
    let envelope =
        Envelope { header: *header, ciphertexts: ciphertexts.clone(), header_bytes: &bytes, sealed: &[] };
    let sealed = derived_key(MESSAGE_LABEL, &envelope, secrets).seal(&padded, &bytes);
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// Opens an envelope with the private keys its recipient digest names.
///
/// # Errors
/// As [`OpenError`] says.
#[cfg(not(target_arch = "wasm32"))]
pub fn open(bytes: &[u8], keys: &PrivateKeys) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let envelope = envelope::decode(bytes)?;
    let secrets = decapsulate(&envelope.ciphertexts, keys)?;
    open_with(&envelope, &secrets)
}

/// Low-level opening with recovered secrets, for clients whose private keys live elsewhere; natively you
/// probably want [`open`].
///
/// # Errors
/// [`OpenError::WrongKeys`].
pub fn open_with(envelope: &Envelope<'_>, secrets: &SharedSecrets) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let key = derived_key(MESSAGE_LABEL, envelope, secrets);
    unpad(key.open(envelope.sealed, envelope.header_bytes).ok_or(OpenError::WrongKeys)?)
}

/// `length (4 bytes, big-endian) ‖ inner ‖ zeros` up to the next power of two from 512.
pub(crate) fn pad(inner: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let length = u32::try_from(inner.len()).ok().filter(|l| *l < 1 << 24).ok_or(SealError::TooLong)?;
    let padded_length = (inner.len() + 4).next_power_of_two().max(MIN_PADDED_BYTES);
    let mut padded = Zeroizing::new(Vec::with_capacity(padded_length));
    padded.extend_from_slice(&length.to_be_bytes());
    padded.extend_from_slice(inner);
    padded.resize(padded_length, 0);
    Ok(padded)
}

pub(crate) fn unpad(padded: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (length, rest) = padded.split_first_chunk::<4>().ok_or(OpenError::WrongKeys)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| OpenError::WrongKeys)?;
    let (inner, zeros) = rest.split_at_checked(length).ok_or(OpenError::WrongKeys)?;
    if zeros.iter().any(|byte| *byte != 0) {
        return Err(OpenError::WrongKeys);
    }
    Ok(Zeroizing::new(inner.to_vec()))
}
