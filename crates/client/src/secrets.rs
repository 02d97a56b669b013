//! A participant's private keys: made, stored in the profile, loaded, and carried to other devices.

use std::sync::Arc;

use futures_util::future::{try_join, try_join3};
use momedo_protocol::device_list::DeviceEntry;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::{Base64Bytes, encode_hex};
use momedo_protocol::identity::{Identity, IdentityKeys};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_backup::SealingKeys;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::mceliece::{McEliecePrivateKey, McEliecePublicKey};
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_key::RsaPublicKey;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::platform::Platform;
use crate::platform::keys::{KeyUse, PrivateKey};
use crate::private_keys::PrivateKeys;
use crate::profile::Profile;
use crate::{ClientError, held};

/// Setting with the time the McEliece key was made.
pub(crate) const MCELIECE_MADE_AT: &str = "mceliece-made-at";

const SIGNATURE_KEY: &str = "signature-key";
const LOGIN_KEY: &str = "login-key";
const DEVICE_KEYS: &str = "device-keys";
/// What the key backup is renewed with, followed by the fingerprint of the signature key it came under.
const KEY_BACKUP: &str = "key-backup:";
/// Followed by the digest of the bundle whose keys these are.
const BUNDLE_KEYS: &str = "bundle-keys:";
/// Setting with the versions and digests of bundles whose keys are here.
const BUNDLE_VERSIONS: &str = "bundle-versions";

/// Setting with own signature keys of before, which groups may still know.
const EARLIER_SIGNATURE_KEYS: &str = "earlier-signature-keys";
/// A signature key from another own device, followed by the digest of the bundle it will sign for.
const CARRIED_SIGNATURE_KEY: &str = "carried-signature-key:";

/// The encryption keys of one bundle, as stored and as carried to other devices.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredKeys {
    rsa: Base64Bytes,
    ml_kem: Base64Bytes,
    mceliece: Option<Base64Bytes>,
}

impl StoredKeys {
    /// Those of one bundle in an identity.
    pub(crate) fn of_identity(keys: &IdentityKeys) -> Self {
        Self { rsa: keys.rsa.clone(), ml_kem: keys.ml_kem.clone(), mceliece: keys.mceliece.clone() }
    }

    fn new(rsa: &[u8], ml_kem: &MlKemPrivateKey, mceliece: Option<&McEliecePrivateKey>) -> Self {
        Self {
            rsa: Base64Bytes(rsa.to_vec()),
            ml_kem: Base64Bytes(ml_kem.seed().to_vec()),
            mceliece: mceliece.map(|key| Base64Bytes(key.bytes().to_vec())),
        }
    }

    fn ml_kem(&self) -> Result<MlKemPrivateKey, ClientError> {
        let seed: [u8; 64] = self.ml_kem.0.as_slice().try_into().map_err(|_| damaged())?;
        Ok(MlKemPrivateKey::from_seed(Zeroizing::new(seed)))
    }

    fn mceliece(&self) -> Result<Option<McEliecePrivateKey>, ClientError> {
        let key = self.mceliece.as_ref();
        let key = key.map(|key| McEliecePrivateKey::from_bytes(Zeroizing::new(key.0.clone())));
        key.transpose().map_err(|_| damaged())
    }

    pub(crate) async fn load(&self, platform: &Platform) -> Result<PrivateKeys, ClientError> {
        let (ml_kem, mceliece) = (self.ml_kem()?, self.mceliece()?);
        let rsa = load_rsa(platform, &self.rsa.0, KeyUse::Opening).await?;
        Ok(PrivateKeys { rsa, ml_kem, mceliece })
    }
}

/// What a key rotation sends to each of the participant's other devices. The bundle itself is not in it:
/// with it the envelope would not fit the limit, and every device can fetch it.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(crate) struct CarriedKeys {
    pub(crate) signature_key: Base64Bytes,
    #[zeroize(skip)]
    pub(crate) bundle_digest: Sha512Digest,
    pub(crate) keys: StoredKeys,
}

impl CarriedKeys {
    /// Whether every key in it can be used.
    pub(crate) async fn is_readable(&self, platform: &Platform) -> bool {
        load_rsa(platform, &self.signature_key.0, KeyUse::Signing).await.is_ok()
            && self.keys.load(platform).await.is_ok()
    }
}

/// A private RSA key that was just made, or taken from elsewhere, with the bytes it is stored and carried as.
#[derive(Clone)]
pub struct MadeKey {
    /// The key, in use.
    pub key: PrivateKey,
    /// The key as unencrypted PKCS #8 DER; whoever has it keeps it secret.
    pub pkcs8: Zeroizing<Vec<u8>>,
}

impl MadeKey {
    /// Makes a key.
    ///
    /// # Errors
    /// As [`crate::platform::keys::RsaKeys`] says.
    pub async fn make(platform: &Platform, purpose: KeyUse) -> Result<Self, ClientError> {
        let pkcs8 = platform.rsa.make(purpose).await?;
        let key = platform.rsa.load(pkcs8.clone(), purpose).await?;
        Ok(Self { key, pkcs8 })
    }
}

/// New encryption keys with the public McEliece key, whose private half does not contain it.
pub struct NewKeys {
    /// The private keys.
    pub private: PrivateKeys,
    /// The public McEliece key.
    pub mceliece: McEliecePublicKey,
    pub(crate) stored: StoredKeys,
}

impl NewKeys {
    /// Makes encryption keys; a second or two.
    ///
    /// # Errors
    /// As [`MadeKey::make`].
    pub async fn make(platform: &Platform) -> Result<Self, ClientError> {
        let rsa = MadeKey::make(platform, KeyUse::Opening);
        let mceliece = platform.compute(McEliecePrivateKey::generate);
        let (rsa, (private, public)) = try_join(rsa, mceliece).await?;
        Ok(Self::of(rsa, MlKemPrivateKey::generate(), private, public))
    }

    /// Makes a new RSA and a new ML-KEM key beside a McEliece key that is kept.
    pub(crate) async fn make_beside(
        platform: &Platform,
        private: McEliecePrivateKey,
        public: McEliecePublicKey,
    ) -> Result<Self, ClientError> {
        let rsa = MadeKey::make(platform, KeyUse::Opening).await?;
        Ok(Self::of(rsa, MlKemPrivateKey::generate(), private, public))
    }

    /// These keys.
    pub fn of(
        rsa: MadeKey,
        ml_kem: MlKemPrivateKey,
        mceliece: McEliecePrivateKey,
        public: McEliecePublicKey,
    ) -> Self {
        let stored = StoredKeys::new(&rsa.pkcs8, &ml_kem, Some(&mceliece));
        let private = PrivateKeys { rsa: rsa.key, ml_kem, mceliece: Some(mceliece) };
        Self { private, mceliece: public, stored }
    }
}

/// A device's own keys: one to log in with, two to be sealed to.
pub struct DeviceKeys {
    /// Logs in.
    pub login: MadeKey,
    /// RSA and ML-KEM keys for what only this device may open.
    pub private: PrivateKeys,
    stored: StoredKeys,
}

impl DeviceKeys {
    /// Makes a device's keys; about a second.
    ///
    /// # Errors
    /// As [`MadeKey::make`].
    pub async fn make(platform: &Platform) -> Result<Self, ClientError> {
        let (login, rsa) =
            try_join(MadeKey::make(platform, KeyUse::Signing), MadeKey::make(platform, KeyUse::Opening))
                .await?;
        Ok(Self::of(login, rsa, MlKemPrivateKey::generate()))
    }

    /// These keys.
    pub fn of(login: MadeKey, rsa: MadeKey, ml_kem: MlKemPrivateKey) -> Self {
        let stored = StoredKeys::new(&rsa.pkcs8, &ml_kem, None);
        Self { login, private: PrivateKeys { rsa: rsa.key, ml_kem, mceliece: None }, stored }
    }

    /// The device as the device list names it.
    pub fn entry(&self, name: &str) -> DeviceEntry {
        DeviceEntry {
            name: name.to_owned(),
            login_key: Base64Bytes(self.login.key.public().spki().to_vec()),
            rsa_key: Base64Bytes(self.private.rsa.public().spki().to_vec()),
            ml_kem_key: Base64Bytes(self.private.ml_kem.public().bytes().to_vec()),
        }
    }
}

/// Every key of a new participant with one device.
pub struct ParticipantKeys {
    /// Signs bundles, device lists and messages.
    pub signature_key: MadeKey,
    /// The first device's own keys.
    pub device: DeviceKeys,
    /// What the participant is sealed to.
    pub encryption: NewKeys,
}

impl ParticipantKeys {
    /// Makes all of them side by side; a few seconds.
    ///
    /// # Errors
    /// As [`MadeKey::make`].
    pub async fn make(platform: &Platform) -> Result<Self, ClientError> {
        let (signature_key, device, encryption) = try_join3(
            MadeKey::make(platform, KeyUse::Signing),
            DeviceKeys::make(platform),
            NewKeys::make(platform),
        )
        .await?;
        Ok(Self { signature_key, device, encryption })
    }
}

impl Profile {
    pub(crate) fn store_device_keys(&self, keys: &DeviceKeys) -> Result<(), ClientError> {
        self.set_secret(LOGIN_KEY, &keys.login.pkcs8)?;
        self.set_secret(DEVICE_KEYS, &write(&keys.stored))
    }

    /// Keeps the signature key, as PKCS #8 DER.
    pub(crate) fn store_signature_key(&self, pkcs8: &[u8]) -> Result<(), ClientError> {
        self.set_secret(SIGNATURE_KEY, pkcs8)
    }

    pub(crate) fn store_bundle_keys(
        &self,
        digest: &Sha512Digest,
        keys: &StoredKeys,
    ) -> Result<(), ClientError> {
        self.set_secret(&bundle_name(digest), &write(keys))
    }

    /// The key that signs for the participant.
    pub(crate) async fn signature_key(&self) -> Result<PrivateKey, ClientError> {
        self.rsa_key(self.signature_key_bytes()?, KeyUse::Signing).await
    }

    /// The key that signs for the participant, as it is stored: for handing it to another own device.
    pub(crate) fn signature_key_bytes(&self) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        self.secret(SIGNATURE_KEY)
    }

    /// The key this device logs in with.
    pub(crate) async fn login_key(&self) -> Result<PrivateKey, ClientError> {
        self.rsa_key(self.secret(LOGIN_KEY)?, KeyUse::Signing).await
    }

    /// Takes a stored key into use, unless it is already.
    async fn rsa_key(&self, pkcs8: Zeroizing<Vec<u8>>, purpose: KeyUse) -> Result<PrivateKey, ClientError> {
        let name = Sha512Digest::of(&pkcs8);
        if let Some(key) = self.keyring.rsa(&name) {
            return Ok(key);
        }
        let key = load_rsa(&self.platform, &pkcs8, purpose).await?;
        self.keyring.keep_rsa(name, key.clone());
        Ok(key)
    }

    /// Puts a bundle into force: it is the own one from now on, and its keys are known by its version.
    pub(crate) fn set_own_bundle(&self, bundle: &KeyBundle, jws: &Jws) -> Result<(), ClientError> {
        let earlier = self.get::<Jws>("bundle")?.map(|_| self.own_bundle()).transpose()?;
        if let Some(earlier) = earlier.filter(|earlier| earlier.signature_key != bundle.signature_key) {
            let mut keys = self.earlier_signature_keys()?;
            keys.push(Base64Bytes(earlier.signature_key.spki().to_vec()));
            self.set(EARLIER_SIGNATURE_KEYS, &keys)?;
            held::note_changes(self, std::slice::from_ref(jws))?;
        }
        let mut versions = self.bundle_versions()?;
        versions.push((bundle.payload.version, bundle.digest));
        self.set(BUNDLE_VERSIONS, &versions)?;
        self.set("bundle", jws)
    }

    /// Own signature keys (SPKI DER) of before, oldest first.
    pub(crate) fn earlier_signature_keys(&self) -> Result<Vec<Base64Bytes>, ClientError> {
        Ok(self.get(EARLIER_SIGNATURE_KEYS)?.unwrap_or_default())
    }

    fn bundle_versions(&self) -> Result<Vec<(u64, Sha512Digest)>, ClientError> {
        Ok(self.get(BUNDLE_VERSIONS)?.unwrap_or_default())
    }

    /// Erases private keys of bundles older than `oldest`, for which the home says that nothing can arrive
    /// any more. That is the forward secrecy there is.
    pub(crate) fn erase_keys_before(&self, oldest: u64) -> Result<(), ClientError> {
        let current = self.own_bundle()?.payload.version;
        let (mut old, mut kept) = (Vec::new(), Vec::new());
        for (version, digest) in self.bundle_versions()? {
            // What was set aside has left the server's queue and is sealed to them still.
            let is_needed = version >= oldest.min(current) || self.awaits_keys(&digest)?;
            if is_needed { &mut kept } else { &mut old }.push((version, digest));
        }
        if old.is_empty() {
            return Ok(());
        }
        self.atomically(|| {
            for (_, digest) in &old {
                self.remove_secret(&bundle_name(digest))?;
                self.keyring.forget(digest);
            }
            self.set(BUNDLE_VERSIONS, &kept)
        })
    }

    /// The keys that open what was sealed to the bundle (or the device) with this digest.
    pub(crate) async fn private_keys(
        &self,
        digest: &Sha512Digest,
    ) -> Result<Option<Arc<PrivateKeys>>, ClientError> {
        if let Some(keys) = self.keyring.get(digest) {
            return Ok(Some(keys));
        }
        let keys = self.read_private_keys(digest).await?.map(Arc::new);
        if let Some(keys) = &keys {
            self.keyring.keep(*digest, keys.clone());
        }
        Ok(keys)
    }

    async fn read_private_keys(&self, digest: &Sha512Digest) -> Result<Option<PrivateKeys>, ClientError> {
        if let Some(stored) = self.stored_keys(digest)? {
            return stored.load(&self.platform).await.map(Some);
        }
        let device = read(&self.secret(DEVICE_KEYS)?)?.load(&self.platform).await?;
        let entry = [device.rsa.public().spki(), device.ml_kem.public().bytes()].concat();
        Ok((Sha512Digest::of(&entry) == *digest).then_some(device))
    }

    /// The keys of a bundle as they are stored, for carrying them on.
    pub(crate) fn stored_keys(&self, digest: &Sha512Digest) -> Result<Option<StoredKeys>, ClientError> {
        let name = bundle_name(digest);
        if self.has_secret(&name)? { read(&self.secret(&name)?).map(Some) } else { Ok(None) }
    }

    /// The keys of a bundle that is published anew with them.
    pub(crate) async fn keys_for_another_bundle(
        &self,
        digest: &Sha512Digest,
        mceliece: McEliecePublicKey,
    ) -> Result<Option<NewKeys>, ClientError> {
        let Some(stored) = self.stored_keys(digest)? else { return Ok(None) };
        let private = stored.load(&self.platform).await?;
        Ok(Some(NewKeys { private, mceliece, stored }))
    }

    /// Private McEliece keys of every bundle that something may still arrive for, and of those carried, newest first: with
    /// one of them another own device sealed what it carried to this one.
    pub(crate) fn mceliece_private_keys(&self) -> Result<Vec<McEliecePrivateKey>, ClientError> {
        let mut all: Vec<McEliecePrivateKey> = Vec::new();
        for name in self.secret_names(BUNDLE_KEYS)?.iter().rev() {
            let key = read(&self.secret(name)?)?.mceliece()?;
            // Rotations in between keep the McEliece key.
            if let Some(key) = key.filter(|key| all.iter().all(|known| known.bytes() != key.bytes())) {
                all.push(key);
            }
        }
        Ok(all)
    }

    /// Whether this device has the keys of the bundle with this digest, in force or carried.
    pub(crate) fn knows_bundle(&self, digest: &Sha512Digest) -> Result<bool, ClientError> {
        self.has_secret(&bundle_name(digest))
    }

    /// Keeps keys that another own device made, until their bundle is published. That all of them can be used is for the
    /// caller to see ([`CarriedKeys::is_readable`]), so that damage shows now and not when the old key is gone.
    pub(crate) fn store_carried_keys(&self, carried: &CarriedKeys) -> Result<(), ClientError> {
        let name = format!("{CARRIED_SIGNATURE_KEY}{}", encode_hex(&carried.bundle_digest.0));
        self.atomically(|| {
            self.set_secret(&name, &carried.signature_key.0)?;
            self.store_bundle_keys(&carried.bundle_digest, &carried.keys)
        })
    }

    /// Whether keys from another own device wait for their bundle.
    pub(crate) fn has_carried_keys(&self) -> Result<bool, ClientError> {
        Ok(!self.secret_names(CARRIED_SIGNATURE_KEY)?.is_empty())
    }

    /// The public halves of every carried signature key.
    pub(crate) async fn carried_signature_keys(&self) -> Result<Vec<RsaPublicKey>, ClientError> {
        let mut keys = Vec::new();
        for name in self.secret_names(CARRIED_SIGNATURE_KEY)? {
            keys.push(self.rsa_key(self.secret(&name)?, KeyUse::Signing).await?.public().clone());
        }
        Ok(keys)
    }

    /// The carried signature key of the bundle with this digest, as PKCS #8 DER.
    pub(crate) fn carried_signature_key(
        &self,
        digest: &Sha512Digest,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ClientError> {
        let name = format!("{CARRIED_SIGNATURE_KEY}{}", encode_hex(&digest.0));
        if self.has_secret(&name)? { self.secret(&name).map(Some) } else { Ok(None) }
    }

    /// Forgets carried signature keys, once one of them is in force.
    pub(crate) fn forget_carried_keys(&self) -> Result<(), ClientError> {
        for name in self.secret_names(CARRIED_SIGNATURE_KEY)? {
            self.remove_secret(&name)?;
        }
        Ok(())
    }

    /// The private encryption keys of every bundle that something may still arrive for, oldest first.
    pub(crate) fn identity_keys(&self) -> Result<Vec<IdentityKeys>, ClientError> {
        let mut all = Vec::new();
        for (version, digest) in self.bundle_versions()? {
            let name = bundle_name(&digest);
            if self.has_secret(&name)? {
                let stored = read(&self.secret(&name)?)?;
                let (rsa, ml_kem, mceliece) =
                    (stored.rsa.clone(), stored.ml_kem.clone(), stored.mceliece.clone());
                all.push(IdentityKeys { version, digest, rsa, ml_kem, mceliece });
            }
        }
        Ok(all)
    }

    /// Stores keys from an identity.
    pub(crate) fn store_identity_keys(&self, identity: &Identity) -> Result<(), ClientError> {
        self.store_signature_key(&identity.signature_key.0)?;
        self.set(EARLIER_SIGNATURE_KEYS, &identity.earlier_signature_keys)?;
        let mut versions = Vec::new();
        for keys in &identity.bundle_keys {
            self.store_bundle_keys(&keys.digest, &StoredKeys::of_identity(keys))?;
            versions.push((keys.version, keys.digest));
        }
        self.set(BUNDLE_VERSIONS, &versions)
    }

    /// What the key backup is renewed with, if this device knows it. What was made under another signature key than the
    /// one in force counts no more: a device was revoked since, and may know the recovery code.
    pub(crate) fn sealing_keys(&self) -> Result<Option<SealingKeys>, ClientError> {
        let name = format!("{KEY_BACKUP}{}", self.own_bundle()?.fingerprint());
        if !self.has_secret(&name)? {
            return Ok(None);
        }
        let keys = serde_json::from_slice(&self.secret(&name)?);
        keys.map(Some).map_err(|_| damaged())
    }

    /// Keeps what the key backup is renewed with while the signature key with this fingerprint is in force.
    pub(crate) fn set_sealing_keys(
        &self,
        keys: &SealingKeys,
        made_under: Fingerprint,
    ) -> Result<(), ClientError> {
        let bytes = Zeroizing::new(serde_json::to_vec(keys).expect("byte strings always serialize"));
        self.set_secret(&format!("{KEY_BACKUP}{made_under}"), &bytes)
    }

    /// Forgets it: there is no key backup any more.
    pub(crate) fn forget_sealing_keys(&self) -> Result<(), ClientError> {
        for name in self.secret_names(KEY_BACKUP)? {
            self.remove_secret(&name)?;
        }
        Ok(())
    }

    /// Copies the participant's keys from another profile; the device keys stay each device's own.
    pub(crate) fn copy_participant_keys(&self, from: &Profile) -> Result<(), ClientError> {
        if let Some(keys) = from.sealing_keys()? {
            self.set_sealing_keys(&keys, from.own_bundle()?.fingerprint())?;
        }
        self.set_secret(SIGNATURE_KEY, &from.secret(SIGNATURE_KEY)?)?;
        self.set(BUNDLE_VERSIONS, &from.bundle_versions()?)?;
        self.set(EARLIER_SIGNATURE_KEYS, &from.earlier_signature_keys()?)?;
        for name in from.secret_names(BUNDLE_KEYS)? {
            self.set_secret(&name, &from.secret(&name)?)?;
        }
        Ok(())
    }
}

fn bundle_name(digest: &Sha512Digest) -> String {
    format!("{BUNDLE_KEYS}{}", encode_hex(&digest.0))
}

fn write(keys: &StoredKeys) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(serde_json::to_vec(keys).expect("byte lists always serialize"))
}

fn read(bytes: &[u8]) -> Result<StoredKeys, ClientError> {
    serde_json::from_slice(bytes).map_err(|_| damaged())
}

fn damaged() -> ClientError {
    ClientError::Protocol("stored private keys are damaged".into())
}

async fn load_rsa(platform: &Platform, pkcs8: &[u8], purpose: KeyUse) -> Result<PrivateKey, ClientError> {
    platform.rsa.load(Zeroizing::new(pkcs8.to_vec()), purpose).await.map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use momedo_protocol::id::ParticipantId;

    use super::*;
    use crate::own_bundle::bundle_payload;
    use crate::signing::signed;
    use crate::testing::{new_keys, rsa_key};

    /// What is at hand at once.
    fn at_once<T: std::fmt::Debug>(work: impl Future<Output = Result<T, ClientError>>) -> T {
        futures_util::FutureExt::now_or_never(work).unwrap().unwrap()
    }

    #[test]
    fn what_renews_the_key_backup_counts_only_under_the_signature_key_it_came_with() {
        let profile = crate::testing::profile(None);
        let (keys, before, after) = (new_keys(), rsa_key().key, rsa_key().key);
        let id = ParticipantId::random();
        let put_into_force = |version: u64, signature_key: &PrivateKey| {
            let homes = vec![Fingerprint([1; 32])];
            let payload = bundle_payload(id, "Ada", version, homes, signature_key, &keys);
            let jws = at_once(signed(&payload, &[signature_key]));
            profile.set_own_bundle(&KeyBundle::verify(&jws).unwrap(), &jws).unwrap();
        };
        let sealing = |lock: u8| SealingKeys {
            lock: Base64Bytes(vec![lock; 32]),
            seal_key: Base64Bytes(vec![0; 32]),
            ml_kem_key: Base64Bytes(vec![0; 1184]),
        };
        let lock = || profile.sealing_keys().unwrap().map(|keys| keys.lock.0[0]);
        put_into_force(1, &before);
        profile.set_sealing_keys(&sealing(1), before.public().fingerprint()).unwrap();
        assert_eq!(lock(), Some(1));
        // A revocation, heard of before or after the new code's message.
        put_into_force(2, &after);
        assert_eq!(lock(), None);
        profile.set_sealing_keys(&sealing(2), after.public().fingerprint()).unwrap();
        assert_eq!(lock(), Some(2));
        // What a revoked device sent is signed with the key of before, and puts nothing out of force.
        profile.set_sealing_keys(&sealing(3), before.public().fingerprint()).unwrap();
        assert_eq!(lock(), Some(2));
    }

    #[test]
    fn only_keys_nothing_can_arrive_for_are_erased() {
        let profile = crate::testing::profile(Some("a passphrase"));
        let (keys, signature_key) = (new_keys(), rsa_key().key);
        let id = ParticipantId::random();
        let digests: Vec<_> = (1..=3)
            .map(|version| {
                let payload =
                    bundle_payload(id, "Ada", version, vec![Fingerprint([1; 32])], &signature_key, &keys);
                let jws = at_once(signed(&payload, &[&signature_key]));
                let bundle = KeyBundle::verify(&jws).unwrap();
                profile.store_bundle_keys(&bundle.digest, &keys.stored).unwrap();
                profile.set_own_bundle(&bundle, &jws).unwrap();
                bundle.digest
            })
            .collect();
        let kept =
            || digests.iter().map(|d| profile.has_secret(&bundle_name(d)).unwrap()).collect::<Vec<_>>();
        profile.erase_keys_before(0).unwrap();
        assert_eq!(kept(), [true, true, true]);
        profile.erase_keys_before(2).unwrap();
        assert_eq!(kept(), [false, true, true]);
        // Whatever a server says, the current keys stay.
        profile.erase_keys_before(99).unwrap();
        assert_eq!(kept(), [false, false, true]);
    }
}
