//! The one signature format: JWS in general JSON serialization (RFC 7515), `PS512` only.
//!
//! Signed bytes travel as they are, so nothing needs canonicalising. Every kind of document has its own
//! protected `typ`, checked exactly; keys never come from headers.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::encoding::{decode_base64, encode_base64};
use crate::limits::MAX_SIGNED_DOCUMENT_BYTES;
use crate::rsa_key::RsaPublicKey;

/// Something that signs with `PS512`: a private key in memory, or one in a key store.
pub trait Signer: Send + Sync {
    /// Signs `message` with RSASSA-PSS, SHA-512, MGF1-SHA-512, 64-byte salt.
    fn sign(&self, message: &[u8]) -> Vec<u8>;
}

/// Which kind of document a signature is for; stands in the protected header as `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentType {
    /// A [`crate::key_bundle::KeyBundlePayload`].
    KeyBundle,
    /// A [`crate::device_list::DeviceListPayload`].
    DeviceList,
    /// A [`crate::countersignature::Countersignature`].
    Countersignature,
    /// A [`crate::login::Login`].
    Login,
    /// A [`crate::message::Message`].
    Message,
    /// A [`crate::group::entry::GroupEntryPayload`].
    GroupEntry,
    /// A [`crate::erasure::Erasure`].
    Erasure,
    /// A [`crate::erasure::Departure`].
    Departure,
    /// A [`crate::link::documents::BatchHeader`].
    Batch,
    /// A [`crate::link::documents::Receipt`].
    Receipt,
    /// A [`crate::link::calls::CallHeader`].
    Call,
    /// A [`crate::link::calls::ReplyHeader`].
    Reply,
    /// A [`crate::key_log::KeyLogHead`].
    KeyLogHead,
}

impl DocumentType {
    fn typ(self) -> &'static str {
        match self {
            Self::KeyBundle => "momedo-key-bundle+jws",
            Self::DeviceList => "momedo-device-list+jws",
            Self::Countersignature => "momedo-countersignature+jws",
            Self::Login => "momedo-login+jws",
            Self::Message => "momedo-message+jws",
            Self::GroupEntry => "momedo-group-entry+jws",
            Self::Erasure => "momedo-erasure+jws",
            Self::Departure => "momedo-departure+jws",
            Self::Batch => "momedo-batch+jws",
            Self::Receipt => "momedo-receipt+jws",
            Self::Call => "momedo-call+jws",
            Self::Reply => "momedo-reply+jws",
            Self::KeyLogHead => "momedo-key-log-head+jws",
        }
    }

    /// The protected header, byte for byte; another encoding of the same JSON is refused.
    fn protected(self) -> String {
        encode_base64(format!(r#"{{"alg":"PS512","typ":"{}"}}"#, self.typ()).as_bytes())
    }
}

/// A signed document; may not have been verified yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jws {
    /// The signed bytes, base64url.
    payload: String,
    /// One signature, or two where a signature key changes: the new key's, then the old key's.
    signatures: Vec<JwsSignature>,
}

/// One signature of a [`Jws`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JwsSignature {
    /// The protected header, base64url.
    protected: String,
    /// The signature, base64url.
    signature: String,
}

/// Why a signed document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Larger than [`MAX_SIGNED_DOCUMENT_BYTES`], or not base64url where it should be.
    #[error("not a signed document of acceptable size and form")]
    Malformed,
    /// Signed for another purpose, or with another algorithm.
    #[error("the signed document is of another type or algorithm")]
    WrongType,
    /// Not exactly the expected signatures, or one does not fit its key.
    #[error("the signature does not fit")]
    WrongSignature,
    /// The payload is not the JSON it should be.
    #[error("the signed content is malformed")]
    Content,
}

/// A document before it is signed: for private keys that sign elsewhere or take their time, as a browser's do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    payload: String,
    protected: String,
}

impl Unsigned {
    fn new(kind: DocumentType, payload: &[u8]) -> Self {
        Self { payload: encode_base64(payload), protected: kind.protected() }
    }

    /// What each signature is made over, with `PS512`.
    pub fn input(&self) -> Vec<u8> {
        format!("{}.{}", self.protected, self.payload).into_bytes()
    }

    /// The document with these signatures, which are not checked here.
    pub fn signed(self, signatures: &[Vec<u8>]) -> Jws {
        let signature = |bytes: &Vec<u8>| JwsSignature {
            protected: self.protected.clone(),
            signature: encode_base64(bytes),
        };
        Jws { signatures: signatures.iter().map(signature).collect(), payload: self.payload }
    }
}

/// A payload that a participant signs.
pub trait Document: Serialize {
    /// Which kind of document it is.
    const KIND: DocumentType;

    /// The document, not signed yet.
    fn unsigned(&self) -> Unsigned {
        Unsigned::new(Self::KIND, &write_payload(self))
    }
}

impl Jws {
    /// Signs `payload` with each signer in turn.
    pub fn sign(kind: DocumentType, payload: &[u8], signers: &[&dyn Signer]) -> Self {
        let unsigned = Unsigned::new(kind, payload);
        let input = unsigned.input();
        let signatures: Vec<_> = signers.iter().map(|signer| signer.sign(&input)).collect();
        unsigned.signed(&signatures)
    }

    /// The document as JSON, the form in which it is sealed.
    pub fn to_bytes(&self) -> Vec<u8> {
        write_payload(self)
    }

    /// Bytes of text that it holds.
    pub fn size(&self) -> usize {
        let signatures = self.signatures.iter().map(|one| one.protected.len() + one.signature.len());
        self.payload.len() + signatures.sum::<usize>()
    }

    /// How many signatures the document carries, none of them verified.
    pub fn signature_count(&self) -> usize {
        self.signatures.len()
    }

    /// The same document with its first signature alone.
    pub(crate) fn first_signature_only(&self) -> Self {
        Self { payload: self.payload.clone(), signatures: self.signatures.iter().take(1).cloned().collect() }
    }

    /// The payload, *not verified*: only for finding out which key to verify with.
    ///
    /// # Errors
    /// [`JwsError::Malformed`].
    pub fn unverified_payload(&self) -> Result<Vec<u8>, JwsError> {
        if self.payload.len() > MAX_SIGNED_DOCUMENT_BYTES.div_ceil(3) * 4 {
            return Err(JwsError::Malformed);
        }
        decode_base64(&self.payload).ok_or(JwsError::Malformed)
    }

    /// Verifies that the document carries exactly one signature per key, in that order, and returns
    /// the payload.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(&self, kind: DocumentType, keys: &[&RsaPublicKey]) -> Result<Vec<u8>, JwsError> {
        let payload = self.unverified_payload()?;
        if self.signatures.len() != keys.len() || keys.is_empty() {
            return Err(JwsError::WrongSignature);
        }
        let protected = kind.protected();
        let input = format!("{protected}.{}", self.payload);
        for (signature, key) in self.signatures.iter().zip(keys) {
            if signature.protected != protected {
                return Err(JwsError::WrongType);
            }
            let bytes = decode_base64(&signature.signature).ok_or(JwsError::Malformed)?;
            key.verify(input.as_bytes(), &bytes).map_err(|_| JwsError::WrongSignature)?;
        }
        Ok(payload)
    }
}

/// Reads a payload's JSON.
pub(crate) fn read_payload<T: DeserializeOwned>(payload: &[u8]) -> Result<T, JwsError> {
    serde_json::from_slice(payload).map_err(|_| JwsError::Content)
}

/// Writes a payload's JSON.
pub(crate) fn write_payload<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("documents are plain structures that always serialize")
}
