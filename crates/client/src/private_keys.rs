//! The private keys that open what was sealed to one bundle or device.

use momedo_protocol::envelope::{self, Ciphertexts};
use momedo_protocol::group::envelope::{decode_slot, open_slot_with};
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::mceliece::McEliecePrivateKey;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::possession::{self, PossessionAnswer, PossessionChallenge, PossessionContext};
use momedo_protocol::seal::{SharedSecrets, open_with};
use zeroize::Zeroizing;

use crate::platform::keys::PrivateKey;

/// The private keys of one bundle or device.
#[derive(Debug)]
pub struct PrivateKeys {
    /// RSA key for OAEP.
    pub rsa: PrivateKey,
    /// ML-KEM-768 key.
    pub ml_kem: MlKemPrivateKey,
    /// McEliece key, where suite 1 is accepted.
    pub mceliece: Option<McEliecePrivateKey>,
}

impl PrivateKeys {
    async fn recover(
        &self,
        ciphertexts: &Ciphertexts<'_>,
        mceliece: Option<&McEliecePrivateKey>,
    ) -> Option<SharedSecrets> {
        let rsa = self.rsa.decrypt(ciphertexts.rsa).await?;
        SharedSecrets::recover(ciphertexts, &self.ml_kem, mceliece, rsa).ok()
    }

    /// Opens an envelope; `None` when it was not sealed to these keys, or was changed.
    pub async fn open(&self, bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.open_with(bytes, self.mceliece.as_ref()).await
    }

    /// Opens an envelope that was sealed to a key of one's own device and to the McEliece key of a bundle.
    pub(crate) async fn open_with(
        &self,
        bytes: &[u8],
        mceliece: Option<&McEliecePrivateKey>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let outside = envelope::decode(bytes).ok()?;
        let secrets = self.recover(&outside.ciphertexts, mceliece).await?;
        open_with(&outside, &secrets).ok()
    }

    /// Opens a slot: the content key of something posted to a group.
    pub(crate) async fn open_slot(&self, bytes: &[u8]) -> Option<GroupKey> {
        let slot = decode_slot(bytes).ok()?;
        let secrets = self.recover(&slot.ciphertexts, self.mceliece.as_ref()).await?;
        open_slot_with(&slot, &secrets).ok()
    }

    /// Proves that these keys open what is sealed to them; `None` when they do not.
    pub(crate) async fn answer(
        &self,
        challenge: &PossessionChallenge,
        context: &PossessionContext,
    ) -> Option<PossessionAnswer> {
        let ciphertexts = challenge.ciphertexts();
        let secrets = self.recover(&ciphertexts, self.mceliece.as_ref()).await?;
        Some(possession::answer(&ciphertexts, &secrets, context))
    }
}
